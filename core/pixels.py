"""All pictures of a data set at the size of a network: decoded once per data set and size, memory-mapped.

They lie in `data/DATASET/cache/pixels-SIZE/`: grey pictures with one channel, the few that have colour with three.
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.datasets import Dataset, Picture, read_manifest
from core.errors import storage_errors
from core.files import check_free_space, staging_folder
from core.jobs import Report
from core.layouts import SPLITS
from core.scans import fit_scan, load_scan
from core.settings import read_settings

_REPORT_EVERY = 50  # pictures


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pictures, their classes and their splits.

    Attributes:
        grey: memory-mapped uint8 (n_grey, size, size, 1).
        colour: memory-mapped uint8 (n_colour, size, size, 3).
        has_colour: which of the two holds picture i, shape (n,).
        rows: at which row, shape (n,).
        labels: class of picture i, shape (n,).
        splits: split -> indices of its pictures.
    """

    grey: np.ndarray
    colour: np.ndarray
    has_colour: np.ndarray
    rows: np.ndarray
    labels: np.ndarray
    splits: dict[str, np.ndarray]
    n_classes: int

    @property
    def size(self) -> int:
        """Side of the pictures."""
        return int(self.grey.shape[1])

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Some pictures, uint8 (k, size, size, 1), or (k, size, size, 3) if any of them has colour."""
        is_colour, rows = self.has_colour[indices], self.rows[indices]
        if not is_colour.any():
            return self.grey[rows]
        taken = np.empty((len(indices), self.size, self.size, 3), np.uint8)
        taken[is_colour] = self.colour[rows[is_colour]]
        taken[~is_colour] = self.grey[rows[~is_colour]]
        return taken

    def one_hot(self, indices: np.ndarray) -> np.ndarray:
        """Targets, float32 (k, n_classes)."""
        return np.eye(self.n_classes, dtype=np.float32)[self.labels[indices]]


def pixels_folder(dataset: Dataset, size: int) -> Path:
    """Where the pictures of a data set lie at a size, once they are decoded."""
    return dataset.folder / "cache" / f"pixels-{size}"


def load_pixels(dataset: Dataset, size: int, report: Report) -> Pixels:
    """Map what an earlier run has decoded, or decode a data set at a size.

    Raises:
        StudioError: the disk is full, or a stored picture is damaged.
    """
    pictures = read_manifest(dataset)
    has_colour = np.array([picture.colour for picture in pictures], bool)
    rows = np.where(has_colour, np.cumsum(has_colour), np.cumsum(~has_colour)) - 1
    folder = pixels_folder(dataset, size)
    shapes: dict[str, tuple[int, ...]] = {
        "grey": (int((~has_colour).sum()), size, size, 1),
        "colour": (int(has_colour.sum()), size, size, 3),
    }
    arrays = _open(folder, shapes)
    if arrays is None:
        _decode(dataset, pictures, has_colour, rows, folder, shapes, report)
        arrays = _open(folder, shapes)
        assert arrays is not None
    index = {name: at for at, name in enumerate(dataset.class_names)}
    splits = np.array([picture.split for picture in pictures])
    return Pixels(
        **arrays,
        has_colour=has_colour,
        rows=rows,
        labels=np.array([index[picture.label] for picture in pictures]),
        splits={split: np.flatnonzero(splits == split) for split in SPLITS},
        n_classes=len(dataset.class_names),
    )


def _decode(
    dataset: Dataset,
    pictures: list[Picture],
    has_colour: np.ndarray,
    rows: np.ndarray,
    folder: Path,
    shapes: dict[str, tuple[int, ...]],
    report: Report,
) -> None:
    def decode(at: int) -> np.ndarray:
        scan = load_scan(dataset.folder / pictures[at].stored, is_grey=not has_colour[at])
        return fit_scan(scan, size, 3 if has_colour[at] else 1)

    size = shapes["grey"][1]
    with storage_errors():
        folder.parent.mkdir(exist_ok=True)
    check_free_space(folder.parent, sum(int(np.prod(shape)) for shape in shapes.values()))
    if folder.exists():  # damaged, or of an older version of the studio
        shutil.rmtree(folder, ignore_errors=True)
    with staging_folder(folder) as staging:
        written = {
            name: np.lib.format.open_memmap(staging / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape)
            for name, shape in shapes.items()
            if shape[0]
        }
        with ThreadPoolExecutor(read_settings().n_threads) as pool:
            for at, decoded in enumerate(pool.map(decode, range(len(pictures)))):
                written["colour" if has_colour[at] else "grey"][rows[at]] = decoded
                if at % _REPORT_EVERY == 0:
                    os.utime(staging)  # nobody may take it for the remains of a killed process
                    report("Decoding pictures", at, len(pictures))
        while written:  # closed too: a folder with mapped files in it cannot be renamed everywhere
            written.popitem()[1].flush()


def _open(folder: Path, shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray] | None:
    arrays = {}
    for name, shape in shapes.items():
        try:
            array = np.load(folder / f"{name}.npy", mmap_mode="r") if shape[0] else np.zeros(shape, np.uint8)
        except (OSError, ValueError):
            return None
        if array.shape != shape or array.dtype != np.uint8:
            return None
        arrays[name] = array
    return arrays
