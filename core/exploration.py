"""What is measured over all pixels of a class at import, so that no page has to: grey levels and the mean picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from core.datasets import Dataset
from core.errors import DatasetError
from core.scans import load_scan

MEAN_SIZE = 128  # side of the mean pictures, in pixels


@dataclass(eq=False)
class PixelSums:
    """Sums over pictures: grey levels, shape (256,), and small pictures, shape (128, 128)."""

    n: int = 0
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    pictures: np.ndarray = field(default_factory=lambda: np.zeros((MEAN_SIZE, MEAN_SIZE), np.int64))

    @classmethod
    def of(cls, grey: np.ndarray) -> PixelSums:
        """Measure one picture, uint8 (height, width)."""
        image = Image.fromarray(grey)
        # With the gap, means of whole cells come first: as good for these, and several times as fast.
        small = image.resize((MEAN_SIZE, MEAN_SIZE), Image.Resampling.BILINEAR, reducing_gap=1.0)
        return cls(1, np.asarray(image.histogram(), dtype=np.int64), np.asarray(small, dtype=np.int64))

    def add(self, other: PixelSums, sign: int = 1) -> None:
        """Take in the sums of other pictures, or (sign -1) take them out again."""
        self.n += sign * other.n
        self.histogram = self.histogram + sign * other.histogram
        self.pictures = self.pictures + sign * other.pictures


@dataclass(frozen=True, eq=False)
class Exploration:
    """Per class: number of pixels per grey level, shape (256,), and the mean picture, uint8 (128, 128)."""

    histograms: dict[str, np.ndarray]
    mean_pictures: dict[str, np.ndarray]


def measure_file(path: Path) -> PixelSums:
    """Measure a stored picture.

    Raises:
        ScanError: it cannot be decoded.
    """
    pixels = load_scan(path)
    return PixelSums.of(pixels if pixels.ndim == 2 else np.asarray(Image.fromarray(pixels).convert("L")))


def write_exploration(folder: Path, sums: list[PixelSums]) -> None:
    """Write exploration.npz; `sums` in the order of the class names."""
    np.savez_compressed(
        folder / "exploration.npz",
        n=np.array([entry.n for entry in sums]),
        histograms=np.array([entry.histogram for entry in sums]),
        pictures=np.array([entry.pictures for entry in sums]),
    )


def read_sums(dataset: Dataset) -> dict[str, PixelSums]:
    """Read what was summed over the pictures of each class.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    try:
        with np.load(dataset.folder / "exploration.npz", allow_pickle=False) as stored:
            arrays = [stored[name] for name in ("n", "histograms", "pictures")]
        rows = zip(dataset.class_names, *arrays, strict=True)
        return {name: PixelSums(int(n), histogram, pictures) for name, n, histogram, pictures in rows}
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(
            f"The statistics of data set {dataset.name!r} are damaged. Delete the data set and import it again."
        ) from error


def read_exploration(dataset: Dataset) -> Exploration:
    """Read what the import measured.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    sums = read_sums(dataset)
    means = {
        name: np.rint(entry.pictures / max(entry.n, 1)).clip(0, 255).astype(np.uint8) for name, entry in sums.items()
    }
    return Exploration({name: entry.histogram for name, entry in sums.items()}, means)
