"""Signatures: every picture of a data set as 64×64 grey levels, made at import, so that an audit decodes few pictures.

`signatures.bin` holds them one after the other in the order of the manifest and is mapped, never read whole.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from core.datasets import Dataset, Picture, read_manifest
from core.errors import DatasetError
from core.files import replacing
from core.likeness import shrink
from core.settings import read_settings

SIDE = 64  # pixels
FILE = "signatures.bin"
_DETAIL = 128  # side of the pictures in which twins are verified


def make_signature(grey: np.ndarray) -> np.ndarray:
    """Signature, uint8 (64, 64), of a square grey picture whose side is a multiple of 64."""
    return np.rint(shrink(grey[None], SIDE)[0]).astype(np.uint8)


def read_signatures(dataset: Dataset) -> np.ndarray:
    """Signatures of a data set in the order of its manifest: mapped, uint8 (n, 64, 64).

    A data set from before there were signatures gets them from its thumbnails, once.

    Raises:
        DatasetError: the file does not fit the manifest.
    """
    path = dataset.folder / FILE
    if not path.exists():
        _rebuild(dataset, path)
    if path.stat().st_size != dataset.n_images * SIDE * SIDE:
        raise DatasetError(
            f"The signatures of data set {dataset.name!r} are damaged. Delete {FILE} in its folder and try again."
        )
    return np.memmap(path, np.uint8, "r", shape=(dataset.n_images, SIDE, SIDE))


class StackedRows:
    """Rows of several mapped arrays as if they were one, read only where they are asked for."""

    def __init__(self, parts: list[tuple[np.ndarray, list[int]]]) -> None:
        self._parts = [(rows, np.array(positions, dtype=int)) for rows, positions in parts]
        self._starts = np.cumsum([0, *[len(positions) for _, positions in self._parts]])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, wanted: np.ndarray) -> np.ndarray:
        """Rows at positions, int (m,): uint8 (m, 64, 64)."""
        found = np.empty((len(wanted), SIDE, SIDE), np.uint8)
        for (rows, positions), start in zip(self._parts, self._starts, strict=False):
            inside = (wanted >= start) & (wanted < start + len(positions))
            found[inside] = rows[positions[wanted[inside] - start]]
        return found


def read_detail(folder: Path, picture: Picture) -> np.ndarray:
    """A stored picture as twins are verified in it: uint8 (128, 128), from its thumbnail in the data set's folder.

    Raises:
        DatasetError: the thumbnail is missing or damaged.
    """
    try:
        with Image.open(folder / picture.thumbnail, formats=["JPEG"]) as image:
            return np.asarray(image.convert("L").resize((_DETAIL, _DETAIL), Image.Resampling.BILINEAR))
    except (OSError, SyntaxError, ValueError) as error:
        raise DatasetError(
            f"{picture.thumbnail} of data set {folder.name!r} is missing or damaged. Import the data set again."
        ) from error


def _rebuild(dataset: Dataset, path: Path) -> None:
    pictures = read_manifest(dataset)
    with (
        replacing(path) as temporary,
        temporary.open("wb") as file,
        ThreadPoolExecutor(read_settings().n_threads) as pool,
    ):
        for detail in pool.map(lambda picture: read_detail(dataset.folder, picture), pictures):
            file.write(make_signature(detail).tobytes())
