"""Settings of a run: one source for form, command line and docs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.balance import imbalance, weigh_classes
from core.catalog import ARCHITECTURES
from core.config import FIXED, GROUPS, RunConfig, default_config, group_of, make_config, settings_for
from core.datasets import Dataset
from core.errors import SettingsError
from core.phases import plan_phases


def test_every_setting_has_a_title_a_help_text_and_a_group() -> None:
    for name, field in RunConfig.model_fields.items():
        if name not in FIXED:
            assert field.title, name
            assert field.description, name
            assert group_of(field) in GROUPS, name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_defaults_are_valid_and_fit_the_data_set(tiny_dataset: Dataset, architecture: str) -> None:
    config = default_config(tiny_dataset, architecture)
    assert config.batch_size == 8
    assert not config.class_weights
    assert make_config(tiny_dataset, architecture, {}) == config


def test_classes_are_balanced_by_default_where_the_largest_is_half_as_large_again(tiny_dataset: Dataset) -> None:
    def default(**counts: int) -> bool:
        dataset = replace(tiny_dataset, splits=tiny_dataset.splits | {"train": counts})
        return default_config(dataset, "custom_cnn").class_weights

    assert not default(a=30, b=20)
    assert default(a=31, b=20)
    assert not default(a=30, b=0)


def test_balanced_classes_count_the_same() -> None:
    counts = {"a": 60, "b": 20, "c": 0}
    weights = weigh_classes(counts)
    assert weights["a"] * 60 == pytest.approx(weights["b"] * 20)
    assert sum(weights[name] * n for name, n in counts.items()) == pytest.approx(80)
    assert imbalance(counts) == 3
    assert imbalance({}) == 1


def test_only_settings_that_mean_something_are_offered() -> None:
    assert "fine_tune" not in settings_for("custom_cnn")
    assert "fine_tune" not in settings_for("compact_cnn")
    assert "dense_units" not in settings_for("compact_cnn")
    assert "dense_units" not in settings_for("mobilenet_v2")
    assert {"rotation", "zoom", "horizontal_flip"} <= set(settings_for("mobilenet_v2"))
    assert "rescaling" in settings_for("custom_cnn")


def test_text_values_are_converted(tiny_dataset: Dataset) -> None:
    config = make_config(tiny_dataset, "custom_cnn", {"epochs": "3", "augment": "false", "learning_rate": "1e-4"})
    assert (config.epochs, config.augment, config.learning_rate) == (3, False, 1e-4)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"epochs": 0}, "epochs"),
        ({"epochs": "many"}, "many"),
        ({"learning_rat": 1}, "no setting 'learning_rat'"),
        ({"schedule": "steps"}, "cosine"),
        ({"architecture": "vgg"}, "vgg"),
    ],
)
def test_a_bad_setting_says_what_was_received(tiny_dataset: Dataset, changes: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        make_config(tiny_dataset, "custom_cnn", changes)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 14, "head_epochs": 6}, [(1, 6), (7, 14)]),
        ({"epochs": 2}, [(1, 1), (2, 2)]),
        ({"epochs": 1}, [(1, 1)]),
        ({"epochs": 10, "fine_tune": False}, [(1, 10)]),
        ({"epochs": 10, "head_epochs": 9}, [(1, 5), (6, 10)]),
        ({"epochs": 10, "weights": "random"}, [(1, 10)]),
    ],
)
def test_epochs_are_the_total_over_the_phases(
    tiny_dataset: Dataset, changes: dict[str, object], expected: list[tuple[int, int]]
) -> None:
    phases = plan_phases(make_config(tiny_dataset, "mobilenet_v2", changes))
    assert [(phase.first, phase.last) for phase in phases] == expected
