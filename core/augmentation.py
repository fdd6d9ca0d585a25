"""Random turns, zooms and mirror images as affine transforms, drawn from (seed, epoch) alone.

Drawn here once for all: the trainer applies them with TensorFlow, the form's preview with Pillow.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

from core.config import RunConfig


def draw_transforms(config: RunConfig, n: int, size: int, seed: tuple[int, ...]) -> np.ndarray:
    """Draw n affine transforms about the centre of a square picture.

    Returns:
        float32 array of shape (n, 8): (a0, a1, a2, b0, b1, b2, 0, 0), where the pixel at (x, y) of the result comes
        from (a0 x + a1 y + a2, b0 x + b1 y + b2), with x to the right and whole numbers at pixel centres.
    """
    rng = np.random.default_rng(seed)
    angle = np.deg2rad(rng.uniform(-config.rotation, config.rotation, n))
    scale = 1 / rng.uniform(1 - config.zoom, 1 + config.zoom, n)
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0) if config.horizontal_flip else np.ones(n)
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    a0, a1, b0, b1 = cos * mirror, -sin, sin * mirror, cos
    center = (size - 1) / 2
    zero = np.zeros(n)
    rows = [a0, a1, center - center * (a0 + a1), b0, b1, center - center * (b0 + b1), zero, zero]
    return np.stack(rows, axis=1).astype(np.float32)


def apply_transform(pixels: np.ndarray, transform: np.ndarray) -> np.ndarray:
    """Apply one transform of `draw_transforms` to a uint8 picture; what comes from outside is black."""
    a0, a1, a2, b0, b1, b2 = (float(value) for value in transform[:6])
    # Pillow puts whole numbers at pixel corners: shift by half a pixel before and after.
    corners = (a0, a1, a2 + 0.5 - 0.5 * (a0 + a1), b0, b1, b2 + 0.5 - 0.5 * (b0 + b1))
    image = Image.fromarray(pixels)
    return np.asarray(image.transform(image.size, Image.Transform.AFFINE, corners, Image.Resampling.BILINEAR))
