"""Random turns, zooms, shifts, mirror images and changes of brightness, drawn from (seed, epoch) alone.

Drawn here once for all: the trainer applies them with TensorFlow in one pass over a batch, cached views and the form's
preview with Pillow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from core.config import RunConfig

VIEW_SETTINGS = ("rotation", "zoom", "shift", "brightness", "horizontal_flip")


@dataclass(frozen=True, eq=False)
class Changes:
    """Changes of n pictures.

    Attributes:
        transforms: float32 (n, 8): (a0, a1, a2, b0, b1, b2, 0, 0), where the pixel at (x, y) of the result comes from
            (a0 x + a1 y + a2, b0 x + b1 y + b2), with x to the right and whole numbers at pixel centres.
        light: float32 (n, 2): contrast and brightness (c, b), by which a grey level g becomes c g + b.
    """

    transforms: np.ndarray
    light: np.ndarray

    def __len__(self) -> int:
        return len(self.transforms)

    def part(self, which: slice | np.ndarray) -> Changes:
        """The changes of some of the pictures."""
        return Changes(self.transforms[which], self.light[which])


def draw_changes(config: RunConfig, n: int, size: int, seed: tuple[int, ...]) -> Changes:
    """Draw changes of n square pictures; turns and zooms are about the centre."""
    rng = np.random.default_rng(seed)
    angle = np.deg2rad(rng.uniform(-config.rotation, config.rotation, n))
    scale = 1 / rng.uniform(1 - config.zoom, 1 + config.zoom, n)
    mirror = np.where(rng.random(n) < 0.5, -1.0, 1.0) if config.horizontal_flip else np.ones(n)
    shift_x, shift_y = rng.uniform(-config.shift, config.shift, (2, n)) * size
    cos, sin = np.cos(angle) * scale, np.sin(angle) * scale
    a0, a1, b0, b1 = cos * mirror, -sin, sin * mirror, cos
    center = (size - 1) / 2
    zero = np.zeros(n)
    rows = [a0, a1, center - center * (a0 + a1) + shift_x, b0, b1, center - center * (b0 + b1) + shift_y, zero, zero]
    contrast = rng.uniform(1 - config.brightness, 1 + config.brightness, n)
    brightness = 64 * rng.uniform(-config.brightness, config.brightness, n)
    return Changes(
        np.stack(rows, axis=1).astype(np.float32),
        np.stack([contrast, brightness], axis=1).astype(np.float32),
    )


def apply_changes(images: np.ndarray, changes: Changes) -> np.ndarray:
    """Change pictures, uint8 (n, size, size, channels) with channels 1 or 3; what comes from outside is black."""
    return np.stack([_apply(image, changes, at) for at, image in enumerate(images)])


def _apply(pixels: np.ndarray, changes: Changes, at: int) -> np.ndarray:
    a0, a1, a2, b0, b1, b2 = (float(value) for value in changes.transforms[at, :6])
    contrast, brightness = changes.light[at]
    # Pillow puts whole numbers at pixel corners: shift by half a pixel before and after.
    corners = (a0, a1, a2 + 0.5 - 0.5 * (a0 + a1), b0, b1, b2 + 0.5 - 0.5 * (b0 + b1))
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    image = image.transform(image.size, Image.Transform.AFFINE, corners, Image.Resampling.BILINEAR)
    levels = np.clip(np.arange(256) * contrast + brightness, 0, 255).round().astype(np.uint8)
    return levels[np.asarray(image)].reshape(pixels.shape)
