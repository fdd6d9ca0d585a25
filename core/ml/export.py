"""A trained network as files: `model.keras`, and `model.onnx` for prediction and heat maps without TensorFlow."""

from __future__ import annotations

import logging
from pathlib import Path

import keras
import numpy as np
from keras import ops

from core.blocks import PROBABILITIES
from core.files import replacing
from core.ml.architectures import Network
from core.ml.conversion import convert

logger = logging.getLogger(__name__)
OUTPUTS = ("probabilities", "activation", "channel_weights")


class _ChannelWeights(keras.layers.Layer):
    """Mean gradient of every class score over each channel of the last convolution: (n, classes, channels).

    A score is linear in the channels' means behind global pooling; behind flatten and one ReLU layer it is linear where
    the units are on, and max pooling passes the sum of gradients on unchanged.
    """

    def __init__(self, output: np.ndarray, spatial: tuple[int, int], dense: np.ndarray | None) -> None:
        super().__init__()
        area = spatial[0] * spatial[1]
        self._output = (output.T / (area if dense is None else 1)).astype(np.float32)  # (classes, channels or units)
        self._units = None if dense is None else (dense / area).astype(np.float32)  # (units, channels)

    def call(self, features: keras.KerasTensor) -> keras.KerasTensor:
        """From the input of the output layer (n, features) to the weights."""
        if self._units is None:
            return ops.expand_dims(features * 0, 1) + self._output[None]
        is_on = ops.cast(features > 0, "float32")
        return ops.matmul(ops.expand_dims(is_on, 1) * self._output[None], self._units)


def export_network(network: Network, folder: Path) -> None:
    """Write `model.keras` and `model.onnx` of a network into a run's folder, each at once."""
    with replacing(folder / "model.keras") as temporary:
        network.model.save(temporary)
    explained = keras.Model(network.model.input, [network.model.output, *_evidence(network)])
    with replacing(folder / "model.onnx") as temporary:
        export_onnx(explained, temporary, OUTPUTS)


def export_onnx(model: keras.Model, path: Path, output_names: tuple[str, ...]) -> None:
    """Write a Keras model as ONNX (float32) with the input `pixels` and the given output names."""
    import onnx

    graph = convert(model)
    if len(graph.graph.input) != 1:
        extra = ", ".join(value.name for value in graph.graph.input[1:])
        raise ValueError(f"The exported network wants more than pixels: {extra}. Keep constants out of its layers.")
    names = {graph.graph.input[0].name: "pixels"}
    names |= {output.name: name for output, name in zip(graph.graph.output, output_names, strict=True)}
    _rename(graph.graph, names)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def _evidence(network: Network) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """Last activation and channel weights, for the two kinds of head in the catalogue."""
    model = network.model
    activation = model.get_layer(network.target_layer).output
    spatial = (activation.shape[1], activation.shape[2])
    kernel = model.get_layer(PROBABILITIES).get_weights()[0]
    names = [layer.name for layer in model.layers]
    if "flatten" not in names:
        pooled = keras.layers.GlobalAveragePooling2D()(activation)
        return activation, _ChannelWeights(kernel, spatial, None)(pooled)
    dense = model.get_layer("dense").get_weights()[0]  # (height × width × channels, units)
    channels = activation.shape[3]
    per_channel = dense.reshape(-1, channels, dense.shape[1]).sum(axis=0).T
    return activation, _ChannelWeights(kernel, spatial, per_channel)(model.get_layer("dense").output)


def _rename(graph: object, names: dict[str, str]) -> None:
    """Rename tensors of an ONNX graph everywhere they are mentioned."""
    for value in [*graph.input, *graph.output]:  # type: ignore[attr-defined]
        value.name = names.get(value.name, value.name)
    for node in graph.node:  # type: ignore[attr-defined]
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
