"""What a history of epochs says, in plain sentences. Rules and thresholds stand here, to be argued with."""

from __future__ import annotations

from typing import Any

import numpy as np

Epoch = dict[str, Any]
FLAT = 0.01  # a change of validation loss, relative, that counts as none
GAP = 0.045  # accuracy in training above validation, as a fraction, that counts as overfitting


def best_epoch(history: list[Epoch], monitor: str) -> int | None:
    """Number of the epoch that is kept: highest `val_accuracy` (the lower loss decides ties), or lowest `val_loss`."""
    if not history:
        return None
    return int(max(history, key=lambda row: score_of(row, monitor))["epoch"])


def score_of(row: Epoch, monitor: str) -> tuple[float, float]:
    """Sort key of an epoch, higher is better; a loss that is not a number is worst."""
    loss = -float(np.nan_to_num(row["val_loss"], nan=np.inf))
    return (float(row["val_accuracy"]), loss) if monitor == "val_accuracy" else (loss, float(row["val_accuracy"]))


def describe_convergence(history: list[Epoch]) -> str:
    """One sentence: has the network learned what it can with these settings?"""
    if len(history) < 4:
        return f"Too few epochs ({len(history)}) to tell whether it has converged; train for more."
    losses = np.array([row["val_loss"] for row in history], dtype=float)
    if not np.isfinite(losses).all():
        return "The loss became infinite or not a number: the learning rate is too high; lower it tenfold."
    third = max(len(losses) // 3, 2)
    before, last = losses[:-third].min(), losses[-third:].min()
    change = (before - last) / max(before, 1e-9)
    if change > 5 * FLAT:
        return (
            f"It was still improving: validation loss fell by {change:.0%} in the last {third} epochs, "
            "so more epochs would probably help."
        )
    if change > FLAT:
        return f"It has nearly converged: validation loss fell by only {change:.0%} in the last {third} epochs."
    lowest = int(history[int(losses.argmin())]["epoch"])
    return f"It has converged: validation loss was lowest in epoch {lowest} and has not improved since."


def describe_finding(history: list[Epoch]) -> str:
    """Both of the sentences below, as far as there is anything to say; empty without an epoch."""
    return f"{describe_convergence(history)} {describe_overfitting(history)}" if history else ""


def describe_overfitting(history: list[Epoch]) -> str:
    """One sentence: does it know the training pictures better than pictures it has not seen?"""
    if not history:
        return "There is no epoch yet."
    tail = history[-3:]
    train = float(np.mean([row["accuracy"] for row in tail]))
    validation = float(np.mean([row["val_accuracy"] for row in tail]))
    gap = train - validation
    losses = np.array([row["val_loss"] for row in history], dtype=float)
    rise = losses[-1] / max(losses.min(), 1e-9) - 1
    numbers = f"at the end accuracy was {train:.1%} in training and {validation:.1%} in validation"
    if gap > GAP:
        degree = "overfits" if gap > 2 * GAP else "overfits a little"
        return f"It {degree}: {numbers}. More data, more augmentation or more dropout would help."
    if rise > 0.25 and len(history) >= 4:
        return (
            f"It begins to overfit: {numbers}, and validation loss has risen by {rise:.0%} since its lowest point; "
            "the best epoch is kept, not the last."
        )
    if train < 0.7 and gap < 0.02:
        return f"It underfits rather than overfits: {numbers}. Train longer or use a stronger network."
    return f"No sign of overfitting: {numbers}."
