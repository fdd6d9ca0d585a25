"""What is measured over all pixels of a class at import, so that no page has to: grey levels and the mean picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from core.datasets import Dataset
from core.errors import DatasetError
from core.scans import fit_scan

MEAN_SIZE = 128  # side of the mean pictures, in pixels


@dataclass(eq=False)
class PixelSums:
    """Sums over pictures: grey levels, shape (256,), and small pictures, shape (128, 128)."""

    n: int = 0
    histogram: np.ndarray = field(default_factory=lambda: np.zeros(256, np.int64))
    pictures: np.ndarray = field(default_factory=lambda: np.zeros((MEAN_SIZE, MEAN_SIZE), np.uint32))

    @classmethod
    def of(cls, grey: np.ndarray) -> PixelSums:
        """Measure one picture, uint8 (height, width)."""
        histogram = np.asarray(Image.fromarray(grey).histogram(), dtype=np.int64)
        return cls(1, histogram, fit_scan(grey, MEAN_SIZE, channels=1)[:, :, 0].astype(np.uint32))

    def add(self, other: PixelSums) -> None:
        """Take in the sums of other pictures."""
        self.n += other.n
        self.histogram = self.histogram + other.histogram
        self.pictures = self.pictures + other.pictures


@dataclass(frozen=True, eq=False)
class Exploration:
    """Per class: number of pixels per grey level, shape (256,), and the mean picture, uint8 (128, 128)."""

    histograms: dict[str, np.ndarray]
    mean_pictures: dict[str, np.ndarray]


def write_exploration(folder: Path, sums: list[PixelSums]) -> None:
    """Write exploration.npz; `sums` in the order of the class names."""
    means = [np.rint(entry.pictures / max(entry.n, 1)).astype(np.uint8) for entry in sums]
    np.savez_compressed(
        folder / "exploration.npz",
        histograms=np.array([entry.histogram for entry in sums]),
        mean_pictures=np.array(means),
    )


def read_exploration(dataset: Dataset) -> Exploration:
    """Read what the import measured.

    Raises:
        DatasetError: the file is missing or damaged.
    """
    try:
        with np.load(dataset.folder / "exploration.npz", allow_pickle=False) as stored:
            histograms, means = stored["histograms"], stored["mean_pictures"]
        rows = list(zip(dataset.class_names, histograms, means, strict=True))
    except (OSError, KeyError, ValueError) as error:
        raise DatasetError(
            f"The statistics of data set {dataset.name!r} are damaged. Delete the data set and import it again."
        ) from error
    return Exploration({name: counts for name, counts, _ in rows}, {name: mean for name, _, mean in rows})
