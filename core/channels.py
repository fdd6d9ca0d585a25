"""A picture's channels: one where it is grey, three where it really has colour, whatever its file says.

Most scans are grey and stored as colour. Pillow keeps such a picture as four bytes a pixel; these are looked at where
they lie (through Arrow's C interface), so that a grey picture is never copied in colour.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow

_ROWS = 64  # looked at at a time in pictures of bytes, so that they stay in the processor's cache
_FIRST_ROWS = 32  # colour mostly shows in the first ones
_PIECE = 2**16  # pixels looked at at a time: they stay in the processor's cache, and threads meet rarely between them


def to_pixels(image: Any) -> np.ndarray:
    """Pixels of a Pillow picture in mode L or RGB: uint8 (height, width), or (height, width, 3) if it has colour."""
    words = _words(image) if image.mode == "RGB" and sys.byteorder == "little" else None
    if words is None:
        return drop_grey_channels(np.asarray(image))
    return words.astype(np.uint8) if _are_grey(words) else np.asarray(image)


def drop_grey_channels(pixels: np.ndarray) -> np.ndarray:
    """Keep one channel where all three are the same: a grey picture stays grey in every encoding."""
    return np.ascontiguousarray(pixels[..., 0]) if pixels.ndim == 3 and _is_grey(pixels) else pixels


def _words(image: Any) -> np.ndarray | None:
    """Pillow's own memory of a picture in mode RGB: uint32 (height, width), red lowest; None where it is in pieces."""
    image.load()
    try:
        array = pyarrow.array(image)
    except ValueError:  # a large picture has no single block of memory
        return None
    return np.frombuffer(array.values.buffers()[1], np.uint32).reshape(image.height, image.width)


def _are_grey(words: np.ndarray) -> bool:
    """Whether red, green and blue, the lower bytes of uint32 (height, width), are the same in all of them."""
    scratch = np.empty(min(words.size, _PIECE), np.uint32)
    for part in _pieces(words):
        neighbours = scratch[: part.size]
        np.right_shift(part, 8, out=neighbours)
        if np.bitwise_or.reduce(np.bitwise_xor(part, neighbours, out=neighbours)) & 0xFFFF:
            return False
    return True


def _pieces(words: np.ndarray) -> Iterator[np.ndarray]:
    """A picture as flat pieces: a few rows, then as much as fits."""
    flat = words.ravel()
    start = min(_FIRST_ROWS * words.shape[1], _PIECE)
    yield flat[:start]
    for at in range(start, flat.size, _PIECE):
        yield flat[at : at + _PIECE]


def _is_grey(pixels: np.ndarray) -> bool:
    """Whether all three channels of a uint8 array (height, width, 3) are the same."""
    # Neighbouring bytes are compared in the order in which they lie: twice as fast as channel by channel.
    for start in range(0, len(pixels), _ROWS):
        values = pixels[start : start + _ROWS]
        values = values.reshape(len(values), -1)
        differences = np.bitwise_or.reduce(values[:, 1:] ^ values[:, :-1], axis=0)
        if differences[0::3].any() or differences[1::3].any():  # red and green, green and blue
            return False
    return True
