"""What is made of a picture on its way in."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import intake
from core.archives import Entry, Source
from core.findings import Skipped
from core.intake import THUMBNAIL, hash_pixels, shrink_to_thumbnail, take_all
from core.layouts import Place
from core.settings import read_settings


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


def test_a_thin_picture_is_averaged_too() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (1, 20_000))
    assert np.abs(shrink_to_thumbnail(stripes).astype(int) - 127).max() <= 1


def test_a_hash_is_of_pixels_and_shape_and_stays_the_same_between_versions() -> None:
    pixels = np.arange(24, dtype=np.uint8)
    assert hash_pixels(pixels.reshape(4, 6)) == "162add00678c1a4c62d1218c138ef3c8"
    hashes = {hash_pixels(pixels.reshape(shape)) for shape in [(4, 6), (6, 4), (2, 4, 3)]}
    assert len(hashes) == 3
    assert hash_pixels(pixels.reshape(4, 6)[:, ::2]) == hash_pixels(pixels.reshape(4, 6)[:, ::2].copy())


def test_who_stops_waits_only_for_pictures_that_have_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def take(source: Source, entry: Entry, place: Place, *arguments: object) -> Skipped:
        begun.append(entry)
        time.sleep(0.05)
        return Skipped(place.path, "slow")

    monkeypatch.setattr(intake, "_take", take)
    places = [(Entry(f"{number}.png", 1), Place(f"{number}.png", "A", "train")) for number in range(100)]
    results = take_all(Source([], []), places, tmp_path)
    next(results)
    n_begun = len(begun)
    results.close()  # type: ignore[attr-defined]
    assert len(begun) <= n_begun + read_settings().n_threads
