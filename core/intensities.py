"""From what a scanner measures to 8 bits.

No bit depth tells the scale of a deep picture (12 bits in 16, 0..1 as float, 0..300), so without a window it is scaled
by its own maximum; signed values from their minimum to their maximum. Large pictures are scaled in blocks of rows, so
that the working copies stay small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from core.errors import ScanError

_BLOCK = 2**20  # values that are scaled at a time


def to_uint8(values: np.ndarray, name: str) -> np.ndarray:
    """Scale an array of any number type, shape (height, width, ...), to uint8.

    Raises:
        ScanError: a value is not a number or infinite.
    """
    if values.dtype == np.uint8:
        return values
    low, high = value_range(values, name)
    return apply_window(values, min(low, 0.0), high, name)


def value_range(values: np.ndarray, name: str) -> tuple[float, float]:
    """Smallest and largest value of an array that is not empty.

    Raises:
        ScanError: a value is not a number or infinite.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):  # either is not a number as soon as one value is not
        raise ScanError(f"{name} holds values that are not numbers or infinite. Export it again without them.")
    return low, high


def apply_window(values: np.ndarray, low: float, high: float, name: str) -> np.ndarray:
    """Map `low` to 0 and `high` to 255, linearly and clipped; `high` below `low` inverts, a flat range becomes black.

    Raises:
        ScanError: a value is not a number or infinite.
    """
    value_range(values, name)
    picture = np.zeros(values.shape, np.uint8)
    if high == low:
        return picture
    exact: Any = np.float32 if values.dtype.itemsize <= 2 else np.float64
    for rows in _blocks(values.shape):
        scaled = (values[rows].astype(exact) - exact(low)) * exact(255.0 / (high - low))
        picture[rows] = np.clip(np.rint(scaled, out=scaled), 0, 255, out=scaled)
    return picture


def _blocks(shape: tuple[int, ...]) -> Iterator[slice]:
    n_rows = max(1, _BLOCK * shape[0] // max(1, int(np.prod(shape, dtype=np.int64))))
    for start in range(0, shape[0], n_rows):
        yield slice(start, start + n_rows)
