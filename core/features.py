"""Outputs of a frozen backbone: computed once per picture and augmented view, shared by all runs. No TensorFlow.

ONNX Runtime is more than twice as fast as TensorFlow on a CPU, and it is loaded in a fraction of a second.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from core import cache
from core.augmentation import VIEW_SETTINGS, Changes, apply_changes, draw_changes
from core.catalog import find_architecture
from core.config import RunConfig
from core.datasets import Dataset, read_manifest
from core.jobs import Report
from core.pixels import Pixels
from core.prediction import open_session
from core.run_making import lent_model
from core.settings import read_settings
from core.weights import require_imagenet_weights

logger = logging.getLogger(__name__)
ONNX = "backbone.onnx"
_BATCH = 32
_FORMAT = 1  # raised when the same inputs would give other features
_VIEWS = 4  # a stream of random numbers of its own, beside those of `core.ml.batches`


@dataclass(frozen=True, eq=False)
class Features:
    """Outputs of some layers, float16, memory-mapped.

    Attributes:
        train: layer -> views of the training pictures, each (n_train, …); the first is the pictures as they are.
        validation: layer -> (n_validation, …).
    """

    train: dict[str, list[np.ndarray]]
    validation: dict[str, np.ndarray]

    @property
    def n_views(self) -> int:
        """Number of augmented views."""
        return len(next(iter(self.train.values()))) - 1


@dataclass(frozen=True)
class _Pass:
    """One way through the pictures of a split, and the entry of the cache that keeps what came out."""

    indices: np.ndarray
    seed: tuple[int, ...] | None  # of its changes; None for the pictures as they are
    depends_on: dict[str, Any]

    def find(self) -> Path | None:
        return cache.find_entry(cache.FEATURES, self.depends_on)


def backbone_key(config: RunConfig, layers: tuple[str, ...], weights: str | None = None) -> dict[str, Any]:
    """What the outputs of frozen layers depend on, besides the pictures.

    Args:
        weights: hash of the starting weights, where it is known already.

    Raises:
        StudioError: the weights are not on this machine.
    """
    return {
        "architecture": config.architecture,
        "weights": weights or hash_starting_weights(config),
        "layers": list(layers),
        "onnxruntime": version("onnxruntime"),
        "format": _FORMAT,
    }


def hash_starting_weights(config: RunConfig) -> str | None:
    """Hash of the file that a run starts from; None for random weights.

    Raises:
        StudioError: the file is not on this machine.
    """
    if config.weights == "random":
        return None
    if config.weights.startswith("imagenet"):
        return cache.hash_file(require_imagenet_weights(find_architecture(config.architecture)).path)
    return cache.hash_file(lent_model(config.weights))


def find_features(
    key: dict[str, Any], dataset: Dataset, pixels: Pixels, config: RunConfig, report: Report
) -> Features | None:
    """Read features, and compute what is missing of them.

    Args:
        key: of the backbone, see `backbone_key`.

    Returns:
        None where the backbone has not been exported yet, or STUDIO_MAX_CACHE_MB cannot hold the pictures' features.

    Raises:
        StudioError: the disk is full, or somebody asked for the end.
    """
    backbone = cache.find_entry(cache.BACKBONES, key)
    if backbone is None:
        return None
    session = open_session(backbone / ONNX)
    bytes_each = sum(2 * int(np.prod(output.shape[1:])) for output in session.get_outputs())
    n_views = views_that_fit(config, len(pixels.splits["train"]), len(pixels.splits["validation"]), bytes_each)
    if n_views is None:
        return None
    validation, *train = _list_passes(key, dataset, config, n_views)
    missing = [way for way in (validation, *train) if way.find() is None]
    n_missing = sum(len(way.indices) for way in missing)
    known = [folder for way in (validation, *train) if (folder := way.find()) is not None]
    cache.make_room(bytes_each * n_missing, keep=[backbone, *known])
    logger.info("Backbone features: %d views of each training picture, %d to compute", 1 + n_views, n_missing)
    done = 0
    for way in missing:
        with cache.new_entry(cache.FEATURES, way.depends_on) as folder:
            for n_batch in _compute(session, pixels, config, way, folder):
                done += n_batch
                os.utime(folder)  # nobody may take it for the remains of a killed process
                report("Computing backbone features", done, n_missing)
    return Features(
        {layer: [_open(way, layer) for way in train] for layer in key["layers"]},
        {layer: _open(validation, layer) for layer in key["layers"]},
    )


def count_missing(key: dict[str, Any], dataset: Dataset, config: RunConfig, n_views: int) -> int:
    """Pictures and views whose features have yet to be computed."""
    return sum(len(way.indices) for way in _list_passes(key, dataset, config, n_views) if way.find() is None)


def wanted_views(config: RunConfig) -> int:
    """Augmented views of each training picture, besides the picture as it is."""
    return config.augmented_views if config.augment else 0


def views_that_fit(config: RunConfig, n_train: int, n_validation: int, bytes_each: int) -> int | None:
    """How many of the wanted augmented views the cache can hold.

    Returns:
        None if it cannot hold the pictures as they are and, where views are wanted, at least one: augmentation is never
        dropped for want of room.
    """
    wanted = wanted_views(config)
    room = read_settings().max_cache_mb * 2**20 // bytes_each - n_validation
    n_views = min(wanted, room // max(n_train, 1) - 1)
    return n_views if n_views >= min(wanted, 1) else None


def _list_passes(key: dict[str, Any], dataset: Dataset, config: RunConfig, n_views: int) -> list[_Pass]:
    """Validation, the training pictures as they are, and their augmented views."""
    pictures = read_manifest(dataset)
    augmentation = {name: getattr(config, name) for name in VIEW_SETTINGS}

    def list_split(split: str, view: int) -> _Pass:
        indices = np.array([at for at, picture in enumerate(pictures) if picture.split == split], int)
        seed = (config.seed, view, _VIEWS) if view else None
        return _Pass(
            indices,
            seed,
            {
                "backbone": key,
                "pictures": cache.hash_texts([pictures[index].pixels for index in indices]),
                "pillow": version("pillow"),  # it resizes and augments
                "view": augmentation | {"seed": seed} if view else None,
            },
        )

    return [list_split("validation", 0), *[list_split("train", view) for view in range(1 + n_views)]]


def _compute(session: Any, pixels: Pixels, config: RunConfig, way: _Pass, folder: Path) -> Iterator[int]:
    """Run one pass; gives the number of pictures of each batch when it is done."""
    changes = draw_changes(config, len(way.indices), pixels.size, way.seed) if way.seed else None
    outputs = {
        output.name: np.lib.format.open_memmap(
            folder / f"{output.name}.npy",
            mode="w+",
            dtype=np.float16,
            shape=(len(way.indices), *output.shape[1:]),
        )
        for output in session.get_outputs()
    }
    starts = range(0, len(way.indices), _BATCH)
    with ThreadPoolExecutor(1) as ahead:  # the next batch is made while this one runs
        batches = [ahead.submit(_batch, pixels, way.indices, changes, 0)] if starts else []
        for start in starts:
            batch = batches.pop().result()
            if start + _BATCH < len(way.indices):
                batches.append(ahead.submit(_batch, pixels, way.indices, changes, start + _BATCH))
            for name, values in zip(outputs, session.run(list(outputs), {"pixels": batch}), strict=True):
                outputs[name][start : start + len(batch)] = values
            yield len(batch)
    while outputs:  # closed too: a folder with mapped files in it cannot be renamed everywhere
        outputs.popitem()[1].flush()


def _batch(pixels: Pixels, indices: np.ndarray, changes: Changes | None, start: int) -> np.ndarray:
    """Input of the backbone, float32 (k, size, size, 3)."""
    which = slice(start, start + _BATCH)
    images = pixels.take(indices[which])
    if changes is not None:
        images = apply_changes(images, changes.part(which))
    return np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32)


def _open(way: _Pass, layer: str) -> np.ndarray:
    folder = way.find()
    assert folder is not None
    return np.load(folder / f"{layer}.npy", mmap_mode="r")
