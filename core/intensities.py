"""From what a scanner measures to 8 bits.

No bit depth tells the scale of a deep picture (12 bits in 16, 0..1 as float, 0..300), so without a window it is scaled
by its own maximum; signed values from their minimum to their maximum.
"""

from __future__ import annotations

import numpy as np

from core.errors import ScanError


def to_uint8(values: np.ndarray, name: str) -> np.ndarray:
    """Scale an array of any number type and shape to uint8.

    Raises:
        ScanError: a value is not a number or infinite.
    """
    if values.dtype == np.uint8:
        return values
    numbers = _finite(values, name)
    low = min(float(numbers.min()), 0.0)
    high = float(numbers.max())
    return apply_window(numbers, low, high, name)


def apply_window(values: np.ndarray, low: float, high: float, name: str) -> np.ndarray:
    """Map `low` to 0 and `high` to 255, linearly and clipped; a flat range becomes black."""
    numbers = _finite(values, name)
    if not high > low:
        return np.zeros(numbers.shape, np.uint8)
    scaled = (numbers - low) * (255.0 / (high - low))
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _finite(values: np.ndarray, name: str) -> np.ndarray:
    numbers = values.astype(np.float64 if values.dtype.itemsize > 4 else np.float32)
    if not np.isfinite(numbers).all():
        raise ScanError(f"{name} holds values that are not numbers or infinite. Export it again without them.")
    return numbers
