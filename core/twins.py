"""Twins: files that show the same picture, also mirrored, turned, re-encoded, resized or a little brighter.

Three steps, each on far fewer pairs than the one before:

1. *Candidates*: of every picture a few numbers that no mirror image or quarter turn changes, and in a k-d tree of them
   its nearest neighbours. Cost grows with n log n. Taking magnitudes and sorting never makes a distance larger, so
   that twins lie close; they are missed only where more than `MOST_NEIGHBOURS` other pictures lie closer still.
2. *Symmetry*: which of the eight mirror images and turns of one signature correlates best with the other.
3. *Verification* on the pixels of the pictures (`core.likeness.compare`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from core.likeness import SYMMETRIES, align, compare, compute_invariants
from core.settings import read_settings
from core.signatures import StackedRows

Rows = np.ndarray | StackedRows
NEIGHBOURS = 16  # nearest neighbours that are looked at per picture and round,
MOST_NEIGHBOURS = 64  # and of pictures that have more than those within the radius: slices of volumes, variants
RADIUS = 0.09  # largest distance of candidates; pictures have length 1
_MIN_CONTRAST = 2.0  # standard deviation in grey levels below which a picture is blank and has no twins but copies
_ASKED_AT_ONCE = 4_096  # points of the tree
_CHUNK = 512  # pairs or pictures that are worked on at a time: memory stays flat


@dataclass(frozen=True)
class Twin:
    """A verified pair of pictures, by their positions.

    Attributes:
        symmetry: index into `SYMMETRIES`: how the second has to be changed to lie on the first.
        alike: share of the variance of one that the other explains, 0 to 1; 1 for the same pixels.
        copied: the decoded pixels are the same.
        brightness: mean change of the grey levels from one to the other.
    """

    first: int
    second: int
    symmetry: int
    alike: float
    copied: bool
    brightness: float


def find_twins(
    signatures: Rows,
    hashes: list[str],
    read_detail: Callable[[int], np.ndarray],
    on_progress: Callable[[int, int], None] | None = None,
    *,
    comparable: np.ndarray | None = None,
) -> tuple[list[Twin], np.ndarray]:
    """Find all twins.

    Args:
        signatures: uint8 (n, side, side), may be mapped.
        hashes: of the decoded pixels, n of them; equal ones are copies.
        read_detail: gives a picture as uint8 (128, 128) by its position; called from several threads.
        comparable: bool (n,), False for pictures that are compared by their hash alone.
        on_progress: told how many candidate pairs of a round were judged, and of how many.

    Returns:
        The pairs that were verified (enough to connect every group, not every pair within one), and the group of each
        picture: int (n,), numbered from 0 in the order of appearance.
    """
    twins = _find_copies(hashes)
    groups = connect(len(hashes), twins)
    judged = np.zeros(0, dtype=np.int64)
    while True:
        # One picture stands for each group, so that many copies of one do not hide its other neighbours.
        stands_for = np.unique(groups, return_index=True)[1]
        if comparable is not None:
            stands_for = stands_for[comparable[stands_for]]
        pairs = np.setdiff1d(_find_candidates(stands_for, signatures, len(hashes)), judged, assume_unique=True)
        judged = np.concatenate([judged, pairs])
        found = _judge(pairs, len(hashes), signatures, read_detail, on_progress)
        twins += found
        merged = connect(len(hashes), twins)
        if not found or merged.max(initial=0) == groups.max(initial=0):
            return twins, merged
        groups = merged


def connect(n: int, twins: list[Twin]) -> np.ndarray:
    """Number the groups that pairs make of n pictures: int (n,), in the order of appearance."""
    return connect_pairs(n, [(twin.first, twin.second) for twin in twins])


def connect_pairs(n: int, pairs: Iterable[tuple[int, int]]) -> np.ndarray:
    """Number the groups that pairs make of n things: int (n,), in the order of appearance."""
    leader = list(range(n))

    def lead(at: int) -> int:
        while leader[at] != at:
            leader[at] = at = leader[leader[at]]
        return at

    for first, second in pairs:
        one, two = sorted((lead(first), lead(second)))
        leader[two] = one
    return np.unique([lead(at) for at in range(n)], return_inverse=True)[1] if n else np.zeros(0, int)


def _find_copies(hashes: list[str]) -> list[Twin]:
    first: dict[str, int] = {}
    return [
        Twin(first[pixels], at, 0, 1.0, copied=True, brightness=0.0)
        for at, pixels in enumerate(hashes)
        if first.setdefault(pixels, at) != at
    ]


def _judge(
    pairs: np.ndarray,
    n: int,
    signatures: Rows,
    read_detail: Callable[[int], np.ndarray],
    on_progress: Callable[[int, int], None] | None,
) -> list[Twin]:
    twins: list[Twin] = []
    with ThreadPoolExecutor(read_settings().n_threads) as pool:
        for done, chunk in _in_chunks(pairs):
            likely = _align(np.stack(np.divmod(chunk, n), axis=1), signatures)
            twins += [twin for twin in pool.map(lambda pair: _verify(pair, read_detail), likely) if twin is not None]
            if on_progress:
                on_progress(done, len(pairs))
    return twins


def _find_candidates(members: np.ndarray, signatures: Rows, n: int) -> np.ndarray:
    """Pairs of neighbours, each once, as first · n + second, int64 (m,): one number takes half the memory of two."""
    invariants, contrasts = [], []
    for _, chunk in _in_chunks(members):
        pictures = np.asarray(signatures[chunk])
        invariants.append(compute_invariants(pictures))
        contrasts.append(pictures.std(axis=(1, 2), dtype=np.float32))
    clear = np.flatnonzero(np.concatenate(contrasts or [np.zeros(0)]) >= _MIN_CONTRAST)
    if len(clear) < 2:
        return np.zeros(0, dtype=np.int64)
    points, first, same = np.unique(
        np.concatenate(invariants)[clear].round(6), axis=0, return_index=True, return_inverse=True
    )
    known = members[clear]
    copies = (known[first[same]], known)  # a tree of equal points would be no tree
    keys = [_number(*copies, n)]
    keys += [_number(known[first[one]], known[first[two]], n) for one, two in _query(points)]
    return np.unique(np.concatenate(keys))


def _number(one: np.ndarray, two: np.ndarray, n: int) -> np.ndarray:
    different = one != two
    low, high = np.minimum(one, two)[different], np.maximum(one, two)[different]
    return np.unique(low.astype(np.int64) * n + high)


def _query(points: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of points within the radius: of each the nearest, of crowded ones more."""
    from scipy.spatial import KDTree

    tree = KDTree(points)
    asked = np.arange(len(points))
    for most in (NEIGHBOURS, MOST_NEIGHBOURS):
        k = min(most + 1, len(points))  # the nearest one is the point itself
        crowded = []
        for _, chunk in _in_chunks(asked, _ASKED_AT_ONCE):
            distances, found = tree.query(
                points[chunk], k=range(1, k + 1), distance_upper_bound=RADIUS, workers=read_settings().n_threads
            )
            rows, columns = np.nonzero(np.isfinite(distances))
            yield chunk[rows], found[rows, columns]
            crowded.append(chunk[np.isfinite(distances[:, -1])])
        asked = np.concatenate(crowded)
        if not len(asked) or k == len(points):
            return


def _align(pairs: np.ndarray, signatures: Rows) -> list[tuple[int, int, int]]:
    """Pairs that may be twins by their signatures, with the index of the symmetry."""
    symmetries, likely = align(signatures[pairs[:, 0]], signatures[pairs[:, 1]])
    return [(int(pairs[at, 0]), int(pairs[at, 1]), int(symmetries[at])) for at in np.flatnonzero(likely)]


def _verify(pair: tuple[int, int, int], read_detail: Callable[[int], np.ndarray]) -> Twin | None:
    first, second, symmetry = pair
    left = compare(read_detail(first), SYMMETRIES[symmetry][0](read_detail(second)))
    if left is None:
        return None
    return Twin(first, second, symmetry, 1 - left.everywhere, copied=False, brightness=left.brightness)


def _in_chunks(values: np.ndarray, size: int = _CHUNK) -> Iterator[tuple[int, np.ndarray]]:
    for at in range(0, len(values), size):
        chunk = values[at : at + size]
        yield at + len(chunk), chunk
