"""How alike two pictures are, whatever mirror image, quarter turn or brightness lies between them.

One picture is predicted from the other by the best monotone tone curve: brightness, contrast and clipping are explained
by it, another slice of the same head is not. What is left over is judged over the whole picture, in coarse cells (where
the noise of an encoding averages out) and in the worst block.

The limits were set on 1,672 pairs of a real set that were looked at, and on pictures that were re-encoded, resized,
brightened and shifted: docs/audit.md has the numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_FREQUENCIES = 7
_CELLS = 32  # per side: coarse cells
_MIN_CORRELATION = 0.93  # below it no pair was ever the same picture
_MAX_ROUGH = 0.03  # share of the variance that a rough tone curve may leave over
_MAX_LEFT = 0.02  # share of a picture's variance that the tone curve may leave over,
_MAX_COARSE = 0.0035  # the same for means of cells of 1/32 of the side,
_MAX_BLOCK = 0.025  # and in the worst block of 1/8 of the side

# How the second picture has to be changed to lie on the first, and what to call it.
SYMMETRIES: tuple[tuple[Callable[[np.ndarray], np.ndarray], str], ...] = (
    (lambda p: p, ""),
    (lambda p: p[..., :, ::-1], "mirrored left to right"),
    (lambda p: p[..., ::-1, :], "mirrored top to bottom"),
    (lambda p: p[..., ::-1, ::-1], "turned by 180°"),
    (lambda p: p.swapaxes(-1, -2), "mirrored and turned by 90°"),
    (lambda p: p.swapaxes(-1, -2)[..., ::-1, :], "turned by 90°"),
    (lambda p: p.swapaxes(-1, -2)[..., :, ::-1], "turned by 270°"),
    (lambda p: p.swapaxes(-1, -2)[..., ::-1, ::-1], "mirrored and turned by 270°"),
)


@dataclass(frozen=True)
class Leftover:
    """What a tone curve cannot explain, as a share of a picture's variance: everywhere, in coarse cells, in one block.

    `brightness` is the mean change of the grey levels that it did explain.
    """

    everywhere: float
    coarse: float
    block: float
    brightness: float


def compute_invariants(signatures: np.ndarray) -> np.ndarray:
    """Numbers that no mirror image or quarter turn changes: float32 (n, 33) of uint8 (n, side, side).

    They lie as close as the pictures do, after darkest and mean grey level are made the same and bright ones damped.
    """
    cells = 16
    grey = shrink(signatures, cells)
    grey -= grey.min(axis=(1, 2), keepdims=True)
    damped = np.log1p(2 * grey / (grey.mean(axis=(1, 2), keepdims=True) + 1e-3))
    damped -= damped.mean(axis=(1, 2), keepdims=True)
    damped /= np.linalg.norm(damped, axis=(1, 2), keepdims=True) + 1e-6
    cosines = _cosine_basis(cells)
    magnitudes = np.abs(cosines @ damped @ cosines.T)
    wanted = [(u, v) for u in range(_FREQUENCIES) for v in range(u, _FREQUENCIES) if 0 < u + v <= _FREQUENCIES]
    high = [np.maximum(magnitudes[:, u, v], magnitudes[:, v, u]) for u, v in wanted]
    low = [np.minimum(magnitudes[:, u, v], magnitudes[:, v, u]) for u, v in wanted if u != v]
    return np.stack(high + low, axis=1)


def align(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the symmetry under which pictures correlate best.

    Args:
        first, second: uint8 (n, side, side), side a multiple of 32.

    Returns:
        For each pair the index into `SYMMETRIES`, and whether the pair may be twins: by its correlation, and by what a
        rough tone curve leaves over in coarse cells.
    """
    one, two = shrink(first, _CELLS), shrink(second, _CELLS)
    correlations = np.stack(
        [np.einsum("nij,nij->n", standardise(one), change(standardise(two))) for change, _ in SYMMETRIES]
    )
    best = correlations.argmax(axis=0)
    likely = correlations.max(axis=0) >= _MIN_CORRELATION
    for at in np.flatnonzero(likely):
        two[at] = SYMMETRIES[best[at]][0](two[at].copy())
    left = np.minimum(_roughly_left(one, two), _roughly_left(two, one))
    return best, likely & (left <= _MAX_ROUGH)


def shrink(pictures: np.ndarray, side: int) -> np.ndarray:
    """Means of square cells: float32 (n, side, side) of (n, k·side, k·side)."""
    factor = pictures.shape[1] // side
    # Slices are far faster than a mean over short axes; grey levels add up exactly in any order.
    rows = np.asarray(sum(pictures[:, at::factor].astype(np.float32) for at in range(factor)))
    total = np.asarray(sum(rows[:, :, at::factor] for at in range(factor)))
    return np.asarray(total / factor**2, dtype=np.float32)


def compare(first: np.ndarray, second: np.ndarray) -> Leftover | None:
    """Whether one of two pictures is the other up to a monotone tone curve, in either direction (clipping loses one).

    Args:
        first, second: uint8 (side, side) that lie on each other; side is a multiple of 32.

    Returns:
        What the curve leaves over, or None where it is too much for the same picture.
    """
    for source, target in ((first, second), (second, first)):
        left = _leftover(source, target)
        if left.everywhere <= _MAX_LEFT and left.coarse <= _MAX_COARSE and left.block <= _MAX_BLOCK:
            return left
    return None


def standardise(pictures: np.ndarray) -> np.ndarray:
    """Pictures, (n, side, side), with mean 0 and length 1, float32: their products are correlations."""
    floats = np.asarray(pictures, dtype=np.float32)
    floats = floats - floats.mean(axis=(1, 2), keepdims=True)
    return floats / (np.sqrt(np.einsum("nij,nij->n", floats, floats))[:, None, None] + 1e-6)


def _roughly_left(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Share of the variance of each target that the means of 32 bins of grey levels leave over: (n,)."""
    n = len(source)
    bins = ((source * (32 / 256)).astype(np.int64) + 32 * np.arange(n)[:, None, None]).ravel()
    counts = np.maximum(np.bincount(bins, minlength=32 * n), 1)
    means = np.bincount(bins, target.ravel(), 32 * n) / counts
    left = target - means[bins].reshape(target.shape).astype(np.float32)
    return np.einsum("nij,nij->n", left, left) / target[0].size / (target.var(axis=(1, 2)) + 1.0)


def _leftover(source: np.ndarray, target: np.ndarray) -> Leftover:
    curve = _fit_tone_curve(source, target)
    mapped = curve[source]
    left = target - mapped
    variance = float(np.var(target, dtype=np.float32)) + 1.0  # in squared grey levels: quantisation is no difference
    coarse = shrink(left[None], _CELLS)[0] ** 2
    return Leftover(
        everywhere=float(np.vdot(left, left)) / left.size / variance,
        coarse=float(coarse.mean()) / variance,
        block=float(shrink(coarse[None], 8).max()) / variance,
        brightness=float(np.abs(mapped - source).mean()),
    )


def _fit_tone_curve(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The monotone curve, float (256,), that maps grey levels of one picture to the other's, from means of 32 bins."""
    bins = (source >> 3).ravel()
    counts = np.bincount(bins, minlength=32)
    filled = counts > 0
    levels = np.bincount(bins, source.ravel(), 32)[filled] / counts[filled]
    means = np.bincount(bins, target.ravel(), 32)[filled] / counts[filled]
    return np.interp(np.arange(256), levels, np.maximum.accumulate(means)).astype(np.float32)


def _cosine_basis(n: int) -> np.ndarray:
    """Orthonormal cosines (DCT-II), float32 (n, n), one frequency a row."""
    at = np.arange(n)
    basis = np.cos(np.pi * (at[None, :] + 0.5) * at[:, None] / n) * np.sqrt(2 / n)
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)
