"""Sentences computed from curves."""

from __future__ import annotations

from core.curves import best_epoch, describe_convergence, describe_overfitting
from tests.conftest import epoch_row


def history(val_losses: list[float], train: float = 0.8, validation: float = 0.8) -> list[dict[str, object]]:
    """A history with these validation losses."""
    return [
        epoch_row(at, val_loss=loss, accuracy=train, val_accuracy=validation)
        for at, loss in enumerate(val_losses, start=1)
    ]


def test_a_falling_loss_is_still_improving() -> None:
    assert "still improving" in describe_convergence(history([1.0, 0.8, 0.6, 0.5, 0.4, 0.3]))


def test_a_flat_loss_has_converged_and_names_the_epoch() -> None:
    assert "lowest in epoch 3" in describe_convergence(history([1.0, 0.5, 0.3, 0.31, 0.31, 0.32]))


def test_an_infinite_loss_is_told() -> None:
    assert "learning rate" in describe_convergence(history([1.0, float("nan"), 1.0, 1.0]))


def test_too_few_epochs_are_told() -> None:
    assert "Too few" in describe_convergence(history([1.0]))


def test_a_gap_is_overfitting_and_none_is_not() -> None:
    assert describe_overfitting(history([1.0] * 5, 0.99, 0.80)).startswith("It overfits")
    assert describe_overfitting(history([1.0] * 5, 0.90, 0.90)).startswith("No sign")
    assert "begins to overfit" in describe_overfitting(history([1.0, 0.5, 0.6, 0.8], 0.9, 0.88))
    assert "underfits" in describe_overfitting(history([1.0] * 5, 0.5, 0.55))


def test_the_best_epoch_is_by_accuracy_then_by_loss() -> None:
    rows = [
        epoch_row(1, val_accuracy=0.8, val_loss=0.4),
        epoch_row(2, val_accuracy=0.9, val_loss=0.6),
        epoch_row(3, val_accuracy=0.9, val_loss=0.5),
    ]
    assert best_epoch(rows, "val_accuracy") == 3
    assert best_epoch(rows, "val_loss") == 1
    assert best_epoch([], "val_loss") is None
