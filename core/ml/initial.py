"""What a network starts from: random weights, ImageNet's, or an earlier run's."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import keras

from core.blocks import PROBABILITIES
from core.catalog import find_architecture
from core.config import RunConfig
from core.errors import WeightsError
from core.ml.architectures import Network, build_network, copy_weights
from core.ml.backbones import build_bare_backbone
from core.runs import read_run, run_class_names
from core.weights import find_imagenet_weights, how_to_get, require_imagenet_weights

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Initial:
    """What a network started from.

    Attributes:
        source: "random", "imagenet" or the id of a run.
        head: "new" or "kept".
        note: what of an earlier run could not be taken over, and why; empty if there is nothing to say.
    """

    source: str
    head: str = "new"
    note: str = ""

    def describe(self) -> dict[str, Any]:
        """Its entry in metrics.json."""
        return asdict(self)


def load_initial_weights(network: Network, config: RunConfig, class_names: list[str]) -> Initial:
    """Give a fresh network its starting weights.

    Args:
        class_names: of the data set that it will learn, in the order of its outputs.

    Raises:
        WeightsError: the weights cannot be had.
    """
    if config.weights == "random":
        return Initial("random")
    if config.weights == "imagenet-download" and find_imagenet_weights(find_architecture(config.architecture)) is None:
        _download_imagenet(network, config)
        return Initial("imagenet")
    if config.weights.startswith("imagenet"):  # what is here already is what cached features are known by
        _load_imagenet(network, config)
        return Initial("imagenet")
    return _load_run(network, config.weights, class_names)


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
    _adopt(backbone, network)
    logger.info("ImageNet weights from %s", found.place)


def _download_imagenet(network: Network, config: RunConfig) -> None:
    architecture = find_architecture(config.architecture)
    logger.info("Downloading ImageNet weights for %s", architecture.title)
    try:
        backbone = build_bare_backbone(config.architecture, weights="imagenet")
    except Exception as error:  # urllib, sockets and TLS raise many types
        raise WeightsError(
            f"The weights could not be downloaded: there is no way to the network. {how_to_get(architecture)}"
        ) from error
    _adopt(backbone, network)


def _adopt(backbone: keras.Model, network: Network) -> None:
    missed = [name for name in copy_weights(backbone, network.model) if name != PROBABILITIES]
    if missed:
        raise ValueError(f"The backbone and its network name layers differently: {', '.join(missed[:5])}.")


def _load_run(network: Network, run_id: str, class_names: list[str]) -> Initial:
    source = read_run(run_id)
    theirs = run_class_names(source)
    lender = build_network(source.config, len(theirs))
    try:
        lender.model.load_weights(source.folder / "model.keras")
    except Exception as error:
        raise WeightsError(f"The model of run {run_id!r} is damaged and cannot be loaded. Choose another.") from error
    missed = copy_weights(lender.model, network.model, with_head=theirs == class_names)
    note = _explain_head(theirs, class_names) if theirs != class_names else _explain_missed(missed)
    n_layers = sum(1 for layer in network.model.layers if layer.weights) - len(missed)
    logger.info("Weights from run %s: %d layers. %s", run_id, n_layers, note or "The head is kept.")
    head = "new" if PROBABILITIES in missed else "kept"
    return Initial(run_id, head=head, note=note)


def _explain_head(theirs: list[str], ours: list[str]) -> str:
    if len(theirs) != len(ours):
        return f"The head starts anew: that run tells {len(theirs)} classes apart, this data set has {len(ours)}."
    other = sorted(set(ours) - set(theirs))
    return f"The head starts anew: that run does not know {', '.join(map(repr, other))}."


def _explain_missed(missed: tuple[str, ...]) -> str:
    return f"These layers start anew, because their sizes differ: {', '.join(missed)}." if missed else ""
