"""What is wrong with single pictures: blank, tiny, of an odd shape, in colour, unreadable."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from core.datasets import Dataset, Picture
from core.settings import read_settings

BLANK = 2.0  # standard deviation in grey levels
NEARLY_BLANK = 6.0
TINY = 64  # pixels on the shorter side
EXTREME_SHAPE = 3.0  # longer ÷ shorter side
_FEWEST = 8  # pixels on the shorter side of pictures that are compared
_COLOURED = 40  # difference between the channels, in grey levels, from which a pixel is in colour
_PHOTOGRAPH = 0.2  # share of such pixels


def are_comparable(pictures: list[Picture]) -> np.ndarray:
    """Whether each picture has pixels enough for a comparison with others, bool (n,); a line of pixels has not."""
    return np.array([min(picture.width, picture.height) >= _FEWEST for picture in pictures], dtype=bool)


def find_problems(dataset: Dataset, pictures: list[Picture], contrasts: np.ndarray) -> list[tuple[int, str]]:
    """Problems of single pictures, as (position, sentence).

    Args:
        contrasts: standard deviation of each picture's signature in grey levels, shape (n,).
    """
    found = []
    for at, (picture, contrast) in enumerate(zip(pictures, contrasts, strict=True)):
        short, long = sorted((picture.width, picture.height))
        if contrast < BLANK:
            found.append((at, "Blank: all pixels are nearly the same."))
        elif contrast < NEARLY_BLANK:
            found.append((at, "Nearly blank: there is hardly any contrast."))
        if short < TINY:
            found.append((at, f"Tiny: {picture.width}×{picture.height} pixels."))
        if long > EXTREME_SHAPE * short:
            found.append((at, f"Extreme shape: {picture.width}×{picture.height} pixels."))
    return sorted(found + _find_photographs(dataset, pictures))


def _find_photographs(dataset: Dataset, pictures: list[Picture]) -> list[tuple[int, str]]:
    coloured = [at for at, picture in enumerate(pictures) if picture.colour]
    folder = dataset.folder
    with ThreadPoolExecutor(read_settings().n_threads) as pool:
        shares = pool.map(lambda at: _share_in_colour(folder / pictures[at].thumbnail), coloured)
        return [
            (at, f"In colour ({share:.0%} of its pixels): a photograph or a colour map rather than a grey scan.")
            for at, share in zip(coloured, shares, strict=True)
            if share > _PHOTOGRAPH
        ]


def _share_in_colour(thumbnail: Path) -> float:
    try:
        with Image.open(thumbnail, formats=["JPEG"]) as image:
            pixels = np.asarray(image.convert("RGB")).astype(np.int16)
    except (OSError, SyntaxError, ValueError):
        return 0.0
    return float((pixels.max(axis=2) - pixels.min(axis=2) > _COLOURED).mean())
