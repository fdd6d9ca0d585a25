"""Random turns, zooms, shifts, mirror images and changes of brightness, drawn from (seed, epoch) alone.

Drawn and applied here once for all: for batches of the trainer, for cached views and for the form's preview.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    import cv2  # here, because a page that shows no preview does without

    cv2.setNumThreads(1)  # whoever calls has threads of their own
    shape, changed = images.shape[1:3], np.empty_like(images)
    levels = np.arange(256) * changes.light[:, :1] + changes.light[:, 1:]
    levels = np.clip(levels, 0, 255).round().astype(np.uint8)
    for at, image in enumerate(images):
        where = changes.transforms[at, :6].reshape(2, 3)
        moved = cv2.warpAffine(image, where, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        changed[at] = cv2.LUT(moved, levels[at]).reshape(image.shape)
    return changed
