"""Heat maps from arrays; their agreement with a gradient is tested in tests/ml."""

from __future__ import annotations

import numpy as np

from core.explain import compute_heatmap, overlay_heatmap
from tests.conftest import grey_ramp


def test_heat_is_where_the_channels_of_the_class_are() -> None:
    activation = np.zeros((4, 4, 2), np.float32)
    activation[1, 2, 0] = 3.0
    activation[3, 3, 1] = 9.0
    heat = compute_heatmap(activation, np.array([[1.0, 0.0], [0.0, -1.0]]), 0)
    assert heat[1, 2] == 1.0
    assert heat.sum() == 1.0
    assert not compute_heatmap(activation, np.array([[1.0, 0.0], [0.0, -1.0]]), 1).any()


def test_strength_zero_shows_the_picture_alone() -> None:
    heat = np.ones((3, 3), np.float32)
    shown = overlay_heatmap(grey_ramp(), heat, 0.0)
    assert np.array_equal(shown, np.repeat(grey_ramp()[:, :, None], 3, axis=2))
    assert not np.array_equal(overlay_heatmap(grey_ramp(), heat, 0.7), shown)
