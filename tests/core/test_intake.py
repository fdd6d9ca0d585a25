"""What is made of a picture on its way in."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from core.intake import THUMBNAIL, hash_pixels, shrink_to_thumbnail


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((640, 640), (144, 144)),
        ((301, 300, 3), (144, 144, 3)),
        ((289, 600), (69, 144)),
        ((100, 20), (100, 20)),
        ((1, 40_000), (1, 144)),
        ((1, 1), (1, 1)),
    ],
)
def test_a_thumbnail_keeps_the_proportions(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert shrink_to_thumbnail(np.zeros(shape, np.uint8)).shape == expected


@pytest.mark.parametrize("shape", [(640, 640), (512, 300), (287, 287), (1001, 777), (290, 640, 3)])
def test_a_thumbnail_is_what_pillow_would_make(shape: tuple[int, ...]) -> None:
    """Smooth pictures, in which the kind of filter does not matter: neither moved nor brighter."""
    rows, columns = np.linspace(0, 6, shape[0])[:, None], np.linspace(0, 9, shape[1])
    pixels = np.rint(127 + 100 * np.sin(rows) * np.cos(columns)).astype(np.uint8)
    if len(shape) == 3:
        pixels = np.stack([pixels, 255 - pixels, pixels // 2], axis=2)
    found = shrink_to_thumbnail(pixels)
    expected = Image.fromarray(pixels).resize(found.shape[1::-1], Image.Resampling.BILINEAR)
    assert max(found.shape) == THUMBNAIL
    assert np.abs(found.astype(int) - np.asarray(expected)).max() <= 4


def test_a_hash_is_of_pixels_and_shape_and_stays_the_same_between_versions() -> None:
    pixels = np.arange(24, dtype=np.uint8)
    assert hash_pixels(pixels.reshape(4, 6)) == "162add00678c1a4c62d1218c138ef3c8"
    hashes = {hash_pixels(pixels.reshape(shape)) for shape in [(4, 6), (6, 4), (2, 4, 3)]}
    assert len(hashes) == 3
    assert hash_pixels(pixels.reshape(4, 6)[:, ::2]) == hash_pixels(pixels.reshape(4, 6)[:, ::2].copy())
