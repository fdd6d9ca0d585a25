"""What a network starts from: random weights, ImageNet's, or an earlier run's."""

from __future__ import annotations

import logging

import keras

from core.catalog import find_architecture
from core.config import RunConfig
from core.errors import WeightsError
from core.ml.architectures import Network, build_bare_backbone, build_network, copy_weights
from core.runs import read_run, run_class_names
from core.weights import how_to_get, require_imagenet_weights

logger = logging.getLogger(__name__)


def load_initial_weights(network: Network, config: RunConfig) -> bool:
    """Give a fresh network its starting weights.

    Returns:
        Whether its backbone has learned something before, so that freezing it makes sense.

    Raises:
        WeightsError: the weights cannot be had.
    """
    if config.weights == "random":
        return False
    if config.weights == "imagenet":
        _load_imagenet(network, config)
    elif config.weights == "imagenet-download":
        _download_imagenet(network, config)
    else:
        _load_run(network, config.weights)
    return bool(network.blocks)


def _load_imagenet(network: Network, config: RunConfig) -> None:
    found = require_imagenet_weights(find_architecture(config.architecture))
    backbone = build_bare_backbone(config.architecture)
    try:
        backbone.load_weights(found.path)
    except Exception as error:  # a damaged HDF5 file raises many types
        raise WeightsError(
            f"The weights in {found.place} ({found.path.name}) cannot be loaded: the file is damaged or belongs to "
            "another network. Replace it, or choose random weights."
        ) from error
    copied = copy_weights(backbone, network.model)
    logger.info("ImageNet weights from %s: %d layers", found.place, copied)


def _download_imagenet(network: Network, config: RunConfig) -> None:
    architecture = find_architecture(config.architecture)
    logger.info("Downloading ImageNet weights for %s", architecture.title)
    try:
        backbone = keras.applications.MobileNetV2(
            include_top=False, weights="imagenet", input_shape=network.model.input_shape[1:]
        )
    except Exception as error:  # urllib, sockets and TLS raise many types
        raise WeightsError(
            f"The weights could not be downloaded: there is no way to the network. {how_to_get(architecture)}"
        ) from error
    copy_weights(backbone, network.model)


def _load_run(network: Network, run_id: str) -> None:
    source = read_run(run_id)
    lender = build_network(source.config, len(run_class_names(source)))
    try:
        lender.model.load_weights(source.folder / "model.keras")
    except Exception as error:
        raise WeightsError(f"The model of run {run_id!r} is damaged and cannot be loaded. Choose another.") from error
    copied = copy_weights(lender.model, network.model)
    logger.info("Weights from run %s: %d layers", run_id, copied)
