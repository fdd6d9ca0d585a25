"""Passes of a split's pictures through a frozen backbone, by ONNX Runtime; what comes out is an entry of the cache.

ONNX Runtime is more than twice as fast as TensorFlow on a CPU, and it is loaded in a fraction of a second.
"""

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
from core.errors import StorageError
from core.files import remove_folder
from core.jobs import Report
from core.pixels import Pixels
from core.prediction import open_session
from core.settings import read_settings

BATCH = 4  # what a run works on then stays near the processor
_MAX_RUNS = 8  # at a time: each needs memory of its own
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


def compute_passes(session: Any, pixels: Pixels, config: RunConfig, passes: list[Pass], report: Report) -> None:
    """Compute passes, and put them into the cache.

    Raises:
        StudioError: the disk is full, or somebody asked for the end.
    """
    done, total = 0, sum(len(way.indices) for way in passes)
    for way in passes:
        with (
            cache.new_entry(cache.FEATURES, way.depends_on) as folder,
            closing(_compute(session, pixels, config, way, folder)) as batches,
        ):
            for n_batch in batches:
                done += n_batch
                os.utime(folder)  # nobody may take it for the remains of a killed process
                report("Computing backbone features", done, total)


def open_backbone(path: Path) -> Any:
    """A session of a backbone for several runs at a time, each with its part of the threads.

    Several runs with one thread each are faster than one with several, which have to wait for each other after every
    layer, and longest where one of them has a batch to make.
    """
    return open_session(path, n_threads=max(read_settings().n_threads // count_runs(), 1))


def count_runs() -> int:
    """How many batches go through a backbone at a time."""
    return min(read_settings().n_threads, _MAX_RUNS)


def run_layers(session: Any, batch: np.ndarray, layers: tuple[str, ...]) -> list[np.ndarray]:
    """Outputs of some layers of a backbone, with no more work than they need.

    Args:
        batch: float32 (k, size, size, 3).
    """
    from onnxruntime import RunOptions

    options = RunOptions()
    options.only_execute_path_to_fetches = True
    return list(session.run(list(layers), {"pixels": batch}, options))


def _compute(session: Any, pixels: Pixels, config: RunConfig, way: Pass, folder: Path) -> Generator[int, None, None]:
    """Run one pass; gives the number of pictures of each batch when it is done. No run goes on once it is closed."""
    changes = draw_changes(config, len(way.indices), pixels.size, way.seed) if way.seed else None
    outputs = {
        output.name: np.lib.format.open_memmap(
            folder / f"{output.name}.npy",
            mode="w+",
            dtype=np.float16,
            shape=(len(way.indices), *output.shape[1:]),
        )
        for output in session.get_outputs()
        if output.name in way.layers
    }

    def compute(start: int) -> int:
        batch = _batch(pixels, way.indices, changes, start)
        for name, values in zip(outputs, run_layers(session, batch, tuple(outputs)), strict=True):
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
