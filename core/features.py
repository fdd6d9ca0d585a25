"""Outputs of a frozen backbone: computed once per picture and augmented view, shared by all runs. No TensorFlow.

What the first epoch needs is computed before it, each augmented view before the first epoch that learns from it: a
training shows its curves early, and never computes a view that none of its epochs sees.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import numpy as np

from core import cache
from core.catalog import find_architecture
from core.config import RunConfig
from core.datasets import Dataset
from core.engines import Backbone, describe_engine, open_backbone
from core.errors import StorageError
from core.jobs import Report
from core.passes import Pass, compute_passes, list_passes
from core.phases import Phase, plan_phases
from core.pixels import Pixels
from core.run_making import lent_model
from core.settings import read_settings
from core.weights import require_imagenet_weights

logger = logging.getLogger(__name__)
ONNX = "backbone.onnx"
_VALIDATION = -1  # beside the numbers of views of the training pictures
_EPOCHS_PER_VIEW = 2  # in a row: the first curves come before the second view, and the scores are the same
_FORMAT = 2  # raised when the same inputs would give other features


class Missing(NamedTuple):
    """Pictures that have yet to go through the backbone: all of it, and as views only up to the last cut."""

    whole: int
    views: int


class Features:
    """Outputs of the layers that phases learn from.

    Args:
        key: of the backbone, see `backbone_key`.
        n_views: augmented views of each training picture.
    """

    def __init__(
        self, key: dict[str, Any], backbone: Backbone, dataset: Dataset, pixels: Pixels, config: RunConfig, n_views: int
    ) -> None:
        self.n_views = n_views
        self._key, self._backbone, self._pixels, self._config = key, backbone, pixels, config
        validation, train = list_passes(key, dataset, config, n_views)
        self._passes: dict[int, Pass] = {_VALIDATION: validation} | dict(enumerate(train))
        self._opened: dict[int, dict[str, np.ndarray]] = {}

    def view_for(self, layer: str, nth_epoch: int) -> int:
        """The view that an epoch learns from, 0 being the pictures as they are; they take turns, two epochs each.

        Args:
            layer: the cut of a phase. There are views of the last phase alone; one before it is over in a few epochs.
            nth_epoch: of the phase, from 0.
        """
        return nth_epoch // _EPOCHS_PER_VIEW % (1 + self.n_views) if layer == self._key["layers"][-1] else 0

    def has(self, view: int) -> bool:
        """Whether a view is there already."""
        if view not in self._opened:
            opened = self._passes[view].open()
            if opened is not None:
                self._opened[view] = opened
        return view in self._opened

    def prepare(self, view: int, report: Report) -> None:
        """Compute what is missing of a view, and of validation.

        Raises:
            StudioError: the disk is full, or somebody asked for the end.
        """
        missing = [self._passes[which] for which in (_VALIDATION, view) if not self.has(which)]
        if missing:
            n_missing = sum(len(way.indices) for way in missing)
            logger.info("Backbone features of %d pictures to compute", n_missing)
            needed = [cache.find_entry(cache.BACKBONES, self._key), *(way.find() for way in self._passes.values())]
            room = bytes_each(self._backbone) * n_missing
            cache.make_room(room, keep=[folder for folder in needed if folder is not None])
            compute_passes(self._backbone, self._pixels, self._config, missing, report)
        if not (self.has(_VALIDATION) and self.has(view)):
            raise StorageError(
                "Features that this run needs were removed to make room for another run. Resume it when that has "
                "ended, or raise STUDIO_MAX_CACHE_MB."
            )

    def train(self, layer: str, view: int) -> np.ndarray:
        """A view of the training pictures that was prepared, float16 (n_train, …), memory-mapped."""
        return self._opened[view][layer]

    def validation(self, layer: str) -> np.ndarray:
        """The validation pictures, float16 (n_validation, …), memory-mapped."""
        return self._opened[_VALIDATION][layer]

    def count_missing_views(self, phase: Phase) -> int:
        """Pictures of augmented views that have yet to be computed for a phase."""
        views = {self.view_for(phase.cut or "", epoch) for epoch in range(phase.n_epochs)}
        return sum(len(self._passes[view].indices) for view in views if view and not self.has(view))


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
        "engine": describe_engine(),
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
    """Read features, and compute what is missing of those that the first epoch needs.

    Args:
        key: of the backbone, see `backbone_key`.

    Returns:
        None where the backbone has not been exported yet, or STUDIO_MAX_CACHE_MB cannot hold the pictures' features.

    Raises:
        StudioError: the disk is full, or somebody asked for the end.
    """
    folder = cache.find_entry(cache.BACKBONES, key)
    if folder is None:
        return None
    backbone = open_backbone(folder / ONNX)
    n_train, n_validation = len(pixels.splits["train"]), len(pixels.splits["validation"])
    n_views = views_that_fit(config, n_train, n_validation, bytes_each(backbone))
    if n_views is None:
        return None
    features = Features(key, backbone, dataset, pixels, config, n_views)
    features.prepare(0, report)
    return features


def count_missing(key: dict[str, Any], dataset: Dataset, config: RunConfig, n_views: int) -> Missing:
    """Pictures and views whose features have yet to be computed in a run.

    Args:
        n_views: that the cache can hold.
    """
    validation, (plain, *views) = list_passes(key, dataset, config, views_to_compute(config, n_views))
    whole, partly = (
        sum(len(way.indices) for way in passes if way.find() is None) for passes in ([validation, plain], views)
    )
    return Missing(whole, partly)


def views_to_compute(config: RunConfig, n_views: int) -> int:
    """How many of so many augmented views a run comes to in its last phase."""
    return min(n_views, (plan_phases(config)[-1].n_epochs - 1) // _EPOCHS_PER_VIEW)


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


def bytes_each(backbone: Backbone) -> int:
    """Of what is kept of a picture."""
    return sum(2 * int(np.prod(shape)) for shape in backbone.shapes.values())
