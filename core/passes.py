"""Passes of a split's pictures through a frozen backbone (`core.engines`); what comes out is an entry of the cache."""

from __future__ import annotations

import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from core import cache
from core.augmentation import VIEW_SETTINGS, Changes, apply_changes, draw_changes
from core.config import RunConfig
from core.datasets import Dataset, read_manifest
from core.engines import BATCH, Backbone, count_runs
from core.errors import StorageError
from core.files import remove_folder
from core.jobs import Report
from core.pixels import Pixels

_VIEWS = 4  # a stream of random numbers of its own, beside those of `core.ml.batches`


@dataclass(frozen=True, eq=False)
class Pass:
    """One way through the pictures of a split.

    Attributes:
        layers: whose outputs are kept.
        seed: of the pictures' changes; None for the pictures as they are.
        depends_on: all that decides what comes out.
    """

    indices: np.ndarray
    layers: tuple[str, ...]
    seed: tuple[int, ...] | None
    depends_on: dict[str, Any]

    def find(self) -> Path | None:
        """Its entry of the cache; None if it has to be computed."""
        return cache.find_entry(cache.FEATURES, self.depends_on)

    def open(self) -> dict[str, np.ndarray] | None:
        """Layer -> outputs (n, …), float16, memory-mapped; None if they have to be computed: damaged or not there."""
        folder = self.find()
        if folder is None:
            return None
        try:
            return {layer: np.load(folder / f"{layer}.npy", mmap_mode="r") for layer in self.layers}
        except (OSError, ValueError):  # or removed meanwhile, to make room for another run
            with suppress(OSError, StorageError):
                remove_folder(folder)
            return None


def list_passes(key: dict[str, Any], dataset: Dataset, config: RunConfig, n_views: int) -> tuple[Pass, list[Pass]]:
    """The pass of validation, and those of training: the pictures as they are, and each augmented view.

    Views are for the last phase alone, so nothing behind its cut is computed of them.

    Args:
        key: of the backbone, see `core.features.backbone_key`.
    """
    pictures = read_manifest(dataset)
    augmentation = {name: getattr(config, name) for name in VIEW_SETTINGS}

    def list_split(split: str, view: int) -> Pass:
        indices = np.array([at for at, picture in enumerate(pictures) if picture.split == split], int)
        seed = (config.seed, view, _VIEWS) if view else None
        layers = tuple(key["layers"][-1:] if view else key["layers"])
        depends_on = {
            "backbone": key,
            "layers": list(layers),
            "pictures": cache.hash_texts([pictures[index].pixels for index in indices]),
            "pillow": version("pillow"),  # it resizes
            "view": augmentation | {"seed": seed, "opencv": version("opencv-python-headless")} if view else None,
        }
        return Pass(indices, layers, seed, depends_on)

    return list_split("validation", 0), [list_split("train", view) for view in range(1 + n_views)]


def compute_passes(backbone: Backbone, pixels: Pixels, config: RunConfig, passes: list[Pass], report: Report) -> None:
    """Compute passes, and put them into the cache.

    Raises:
        StudioError: the disk is full, or somebody asked for the end.
    """
    done, total = 0, sum(len(way.indices) for way in passes)
    for way in passes:
        with (
            cache.new_entry(cache.FEATURES, way.depends_on) as folder,
            closing(_compute(backbone, pixels, config, way, folder)) as batches,
        ):
            for n_batch in batches:
                done += n_batch
                os.utime(folder)  # nobody may take it for the remains of a killed process
                report("Computing backbone features", done, total)


def _compute(
    backbone: Backbone, pixels: Pixels, config: RunConfig, way: Pass, folder: Path
) -> Generator[int, None, None]:
    """Run one pass; gives the number of pictures of each batch when it is done. No run goes on once it is closed."""
    changes = draw_changes(config, len(way.indices), pixels.size, way.seed) if way.seed else None
    outputs = {
        layer: np.lib.format.open_memmap(
            folder / f"{layer}.npy",
            mode="w+",
            dtype=np.float16,
            shape=(len(way.indices), *backbone.shapes[layer]),
        )
        for layer in way.layers
    }

    def compute(start: int) -> int:
        batch = _batch(pixels, way.indices, changes, start)
        for name, values in zip(outputs, backbone.run(batch, tuple(outputs)), strict=True):
            outputs[name][start : start + len(batch)] = values
        return len(batch)

    with ThreadPoolExecutor(count_runs()) as pool:
        results = [pool.submit(compute, start) for start in range(0, len(way.indices), BATCH)]
        try:
            for result in results:
                yield result.result()
        finally:
            pool.shutdown(cancel_futures=True)
    while outputs:  # closed too: a folder with mapped files in it cannot be renamed everywhere
        outputs.popitem()[1].flush()


def _batch(pixels: Pixels, indices: np.ndarray, changes: Changes | None, start: int) -> np.ndarray:
    """Input of the backbone, float32 (k, size, size, 3)."""
    which = slice(start, start + BATCH)
    images = pixels.take(indices[which])
    if changes is not None:
        images = apply_changes(images, changes.part(which))
    return np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32)
