"""Augmentation: drawn from (seed, epoch) alone, the same for the preview and the trainer."""

from __future__ import annotations

import numpy as np
import pytest

from core.augmentation import Changes, apply_changes, draw_changes
from core.config import RunConfig
from tests.conftest import grey_ramp


def config(**changes: object) -> RunConfig:
    """Settings with no change of the picture but those given."""
    values = {"rotation": 0.0, "zoom": 0.0, "shift": 0.0, "brightness": 0.0, "horizontal_flip": False} | changes
    return RunConfig.model_validate({"dataset_id": "d", "architecture": "custom_cnn"} | values)


def square() -> np.ndarray:
    """A grey picture without any symmetry, (40, 40, 1)."""
    return np.ascontiguousarray(grey_ramp(40, 40))[:, :, None]


def change(images: np.ndarray, seed: tuple[int, ...] = (1,), **changes: object) -> np.ndarray:
    """Pictures after changes that are drawn for them."""
    return apply_changes(images, draw_changes(config(**changes), len(images), 40, seed))


def test_no_change_leaves_pictures_as_they_are() -> None:
    assert np.array_equal(change(square()[None]), square()[None])
    coloured = np.repeat(square(), 3, axis=2)[None]
    assert np.array_equal(change(coloured), coloured)


def test_half_of_many_pictures_are_mirrored() -> None:
    changed = change(np.stack([square()] * 200), horizontal_flip=True)
    mirrored = sum(np.array_equal(image, square()[:, ::-1]) for image in changed)
    assert mirrored + sum(np.array_equal(image, square()) for image in changed) == 200
    assert 70 < mirrored < 130


def test_turns_and_zooms_stay_within_their_limits() -> None:
    rows = draw_changes(config(rotation=10, zoom=0.2), 500, 40, (1,)).transforms
    angle = np.degrees(np.arctan2(rows[:, 3], rows[:, 4]))
    scale = 1 / np.hypot(rows[:, 3], rows[:, 4])
    assert np.abs(angle).max() <= 10.001
    assert np.abs(angle).max() > 9
    assert (scale.min(), scale.max()) == pytest.approx((0.8, 1.2), abs=0.01)


def test_shifts_are_a_part_of_the_width_and_leave_black_behind() -> None:
    rows = draw_changes(config(shift=0.1), 500, 40, (1,)).transforms
    assert (rows[:, 2].min(), rows[:, 5].max()) == pytest.approx((-4, 4), abs=0.1)
    white = np.full((8, 40, 40, 1), 255, np.uint8)
    assert change(white, shift=0.1).min() == 0


def test_contrast_and_brightness_change_grey_levels_within_what_a_picture_can_hold() -> None:
    grey = np.full((50, 40, 40, 1), 128, np.uint8)
    levels = change(grey, brightness=0.5)[:, 20, 20, 0]
    assert 128 * 0.5 - 33 <= levels.min() < 100
    assert 156 < levels.max() <= 128 * 1.5 + 33
    assert change(np.full_like(grey, 250), brightness=0.5).max() == 255


def test_the_same_seed_and_epoch_give_the_same_draw() -> None:
    first, again, other = (draw_changes(config(), 5, 40, seed) for seed in ((1, 2), (1, 2), (1, 3)))
    assert np.array_equal(first.transforms, again.transforms)
    drawn = [draw_changes(config(rotation=10), 5, 40, seed).transforms for seed in ((1, 2), (1, 2), (1, 3))]
    assert np.array_equal(drawn[0], drawn[1])
    assert not np.array_equal(drawn[0], drawn[2])
    assert np.array_equal(first.light, other.light)


def test_a_part_of_the_changes_is_that_of_the_same_pictures() -> None:
    whole: Changes = draw_changes(config(rotation=10, brightness=0.2), 5, 40, (1,))
    assert np.array_equal(whole.part(slice(2, 4)).transforms, whole.transforms[2:4])
    assert len(whole.part(np.array([4, 0]))) == 2
