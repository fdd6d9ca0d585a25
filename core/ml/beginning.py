"""How a training begins: its starting weights, or what a checkpoint needs of them, and its backbone's features.

A training that is resumed needs nothing but its folder and its data set. Where the weights that it started from are
gone, or are others now, its checkpoint takes their place.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from core.config import RunConfig
from core.datasets import Dataset
from core.errors import StudioError
from core.features import Features, backbone_key, find_features, hash_starting_weights
from core.jobs import Report
from core.ml.architectures import Network, build_network, copy_weights
from core.ml.checkpoints import Checkpoint
from core.ml.frozen import export_frozen
from core.ml.initial import load_initial_weights
from core.ml.provenance import describe_environment
from core.phases import frozen_layers
from core.pixels import Pixels
from core.runs import Run

logger = logging.getLogger(__name__)
_MATTERS = ("threads", "tensorflow", "keras", "processor", "devices")  # whether a resumed run stays bit-equal


@dataclass(frozen=True)
class Beginning:
    """What a training knows of its beginning.

    Attributes:
        environment: what it was begun with, see `core.ml.provenance`.
        has_frozen_weights: whether the frozen layers of the network are those that it started from.
    """

    environment: dict[str, Any]
    has_frozen_weights: bool

    @property
    def weights(self) -> str | None:
        """Hash of the starting weights."""
        return self.environment.get("initial_weights")


def begin_network(network: Network, run: Run, dataset: Dataset, saved: Checkpoint | None) -> Beginning:
    """Give a fresh network the weights that its run starts from.

    Raises:
        WeightsError: they cannot be had, and no checkpoint stands for them.
    """
    if saved is None:
        initial = load_initial_weights(network, run.config, dataset.class_names)
        environment = describe_environment(run.config, dataset)
        return Beginning(environment | {"started_from": initial.describe()}, has_frozen_weights=True)
    environment = run.environment or describe_environment(run.config, dataset)
    logger.info("Going on after epoch %d", saved.progress.epoch)
    _tell_differences(environment, describe_environment(run.config, dataset))
    if _has_same_weights(run.config, environment):
        load_initial_weights(network, run.config, dataset.class_names)
        return Beginning(environment, has_frozen_weights=True)
    logger.warning("The weights that this run started from are gone or changed; its checkpoint takes their place")
    saved.restore_network(network.model)
    return Beginning(environment, has_frozen_weights=saved.progress.phase == 0)


def find_run_features(
    network: Network, beginning: Beginning, dataset: Dataset, pixels: Pixels, config: RunConfig, report: Report
) -> Features | None:
    """Outputs of the frozen layers; None without such layers, or where they cannot be had.

    Args:
        network: with the weights that the run started from, or else nothing is exported for other runs to use.
    """
    layers = frozen_layers(config)
    if not layers:
        return None
    key = backbone_key(config, layers, beginning.weights)
    if beginning.has_frozen_weights:
        _export(network, key, dataset, config)
    features = find_features(key, dataset, pixels, config, report)
    if features is None:
        logger.info("No room for features in STUDIO_MAX_CACHE_MB, or no backbone; every epoch runs through all of it")
    return features


def _export(network: Network, key: dict[str, Any], dataset: Dataset, config: RunConfig) -> None:
    plain = network
    if config.number_format != "float32":  # features are float32 always
        plain = build_network(config, len(dataset.class_names))
        copy_weights(network.model, plain.model, with_head=True)
    export_frozen(plain, key)


def _has_same_weights(config: RunConfig, environment: dict[str, Any]) -> bool:
    try:
        return hash_starting_weights(config) == environment.get("initial_weights")
    except StudioError:
        return False


def _tell_differences(before: dict[str, Any], now: dict[str, Any]) -> None:
    for name in _MATTERS:
        if name in before and before[name] != now.get(name):
            logger.warning(
                "%s was %s and is %s: what is learned from here on may differ in the last digits",
                *(name, before[name], now.get(name)),
            )
