"""Features of a frozen backbone: computed once per picture and augmented view, by ONNX Runtime (three times as fast as
TensorFlow on a CPU), and kept on disk while the run trains.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import tensorflow as tf

from core.augmentation import draw_transforms
from core.config import RunConfig
from core.files import check_free_space
from core.jobs import Report
from core.ml.architectures import Network
from core.ml.data import Pixels, warp_images
from core.ml.export import export_onnx
from core.prediction import open_session
from core.settings import read_settings

logger = logging.getLogger(__name__)
BATCH = 32
_VIEWS = 4  # a stream of random numbers of its own, beside those of `core.ml.data`


class Features:
    """Outputs of some layers for the training pictures, (1 + views, n_train, …), and validation, (n_validation, …)."""

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        self._folder, self.names = folder, names

    def train(self, name: str) -> np.ndarray:
        """Memory-mapped features of the training pictures."""
        return np.load(self._folder / f"{name}-train.npy", mmap_mode="r")

    def validation(self, name: str) -> np.ndarray:
        """Memory-mapped features of the validation pictures."""
        return np.load(self._folder / f"{name}-validation.npy", mmap_mode="r")[0]


def views_that_fit(network: Network, names: tuple[str, ...], pixels: Pixels, config: RunConfig) -> int:
    """How many augmented views the cache can hold; below 0 if not even the pictures as they are."""
    values = _values_per_picture(network, names)
    n_train, n_validation = len(pixels.splits["train"]), len(pixels.splits["validation"])
    room = read_settings().max_cache_mb * 2**20 // (2 * values) - n_validation
    wanted = config.augmented_views if config.augment else 0
    return min(wanted, room // max(n_train, 1) - 1)


def compute_features(
    network: Network, names: tuple[str, ...], pixels: Pixels, config: RunConfig, folder: Path, report: Report
) -> Features:
    """Run all pictures through the frozen part once; the arrays lie in `folder` as float16.

    Args:
        names: layers whose outputs are kept, from one pass.
    """
    folder.mkdir(parents=True, exist_ok=True)
    export_onnx(network.outputs_at(*names), folder / "backbone.onnx", names)
    session = open_session(folder / "backbone.onnx")
    n_views = views_that_fit(network, names, pixels, config)
    train, validation = pixels.splits["train"], pixels.splits["validation"]
    total = len(train) * (1 + n_views) + len(validation)
    check_free_space(folder, 2 * total * _values_per_picture(network, names))
    logger.info("Backbone features: %d pictures, %d augmented views", len(train), n_views)
    outputs = {
        "train": _create(folder, names, session, "train", (1 + n_views, len(train))),
        "validation": _create(folder, names, session, "validation", (1, len(validation))),
    }
    done = 0
    for split, indices, views in (("validation", validation, 1), ("train", train, 1 + n_views)):
        for view in range(views):
            transforms = draw_transforms(config, len(indices), pixels.size, (config.seed, view, _VIEWS))
            for at in range(0, len(indices), BATCH):
                images = pixels.images[indices[at : at + BATCH]]
                batch = _view(images, transforms[at : at + BATCH] if view else None)
                for name, values in zip(names, session.run(list(names), {"pixels": batch}), strict=True):
                    outputs[split][name][view, at : at + len(images)] = values
                done += len(images)
                report("Computing backbone features", done, total)
    for arrays in outputs.values():
        for array in arrays.values():
            array.flush()
    return Features(folder, names)


def _values_per_picture(network: Network, names: tuple[str, ...]) -> int:
    return sum(int(np.prod(network.model.get_layer(name).output.shape[1:])) for name in names)


def _view(images: np.ndarray, transforms: np.ndarray | None) -> np.ndarray:
    if transforms is not None:
        return warp_images(tf.constant(images), tf.constant(transforms)).numpy()
    batch = images.astype(np.float32)
    return np.repeat(batch, 3, axis=-1) if batch.shape[-1] == 1 else batch


def _create(
    folder: Path, names: tuple[str, ...], session: object, split: str, leading: tuple[int, int]
) -> dict[str, np.memmap]:
    shapes = {output.name: output.shape[1:] for output in session.get_outputs()}  # type: ignore[attr-defined]
    return {
        name: np.lib.format.open_memmap(
            folder / f"{name}-{split}.npy", mode="w+", dtype=np.float16, shape=(*leading, *shapes[name])
        )
        for name in names
    }
