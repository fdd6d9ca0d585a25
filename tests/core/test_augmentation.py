"""Augmentation: drawn from (seed, epoch) alone, the same for the preview and the trainer."""

from __future__ import annotations

import numpy as np
import pytest

from core.augmentation import apply_transform, draw_transforms
from core.config import RunConfig
from tests.conftest import grey_ramp


def config(**changes: object) -> RunConfig:
    """Settings with no change of the picture but those given."""
    values = {"rotation": 0.0, "zoom": 0.0, "horizontal_flip": False} | changes
    return RunConfig.model_validate({"dataset_id": "d", "architecture": "custom_cnn"} | values)


def square() -> np.ndarray:
    """A picture without any symmetry."""
    return np.ascontiguousarray(grey_ramp(40, 40))


def test_no_change_leaves_the_picture_as_it_is() -> None:
    transform = draw_transforms(config(), 1, 40, (1,))[0]
    assert np.array_equal(apply_transform(square(), transform), square())


def test_half_of_many_pictures_are_mirrored() -> None:
    transforms = draw_transforms(config(horizontal_flip=True), 200, 40, (1,))
    mirrored = [np.array_equal(apply_transform(square(), transform), square()[:, ::-1]) for transform in transforms]
    plain = [np.array_equal(apply_transform(square(), transform), square()) for transform in transforms]
    assert sum(mirrored) + sum(plain) == 200
    assert 70 < sum(mirrored) < 130


def test_turns_and_zooms_stay_within_their_limits() -> None:
    rows = draw_transforms(config(rotation=10, zoom=0.2), 500, 40, (1,))
    angle = np.degrees(np.arctan2(rows[:, 3], rows[:, 4]))
    scale = 1 / np.hypot(rows[:, 3], rows[:, 4])
    assert np.abs(angle).max() <= 10.001
    assert np.abs(angle).max() > 9
    assert (scale.min(), scale.max()) == pytest.approx((0.8, 1.2), abs=0.01)


def test_the_same_seed_and_epoch_give_the_same_draw() -> None:
    first, again, other = (draw_transforms(config(rotation=10), 5, 40, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
