"""Builders of the networks in `core.catalog`: float32 pixels of 0 to 255 in, probabilities out.

Bringing pixels to the range of a backbone is inside the network, so that nobody can do it differently at prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from core.catalog import find_architecture
from core.config import RunConfig

POOLED = "pooled_features"
PROBABILITIES = "probabilities"


@dataclass(frozen=True, eq=False)
class Network:
    """A built network.

    Attributes:
        model: pixels (n, size, size, 3) to probabilities (n, n_classes).
        target_layer: name of the last convolution's activation, for heat maps.
        blocks: names of the outputs of the backbone's blocks, bottom to top; empty without a backbone.
    """

    model: keras.Model
    target_layer: str
    blocks: tuple[str, ...] = ()

    def outputs_at(self, *names: str) -> keras.Model:
        """The part of the network from the input to some layers."""
        return keras.Model(self.model.input, [self.model.get_layer(name).output for name in names])

    def part_from(self, name: str) -> keras.Model:
        """The part of the network behind a layer; it shares its layers, so training it trains the network."""
        return keras.Model(self.model.get_layer(name).output, self.model.output)

    def cut_for(self, n_blocks: int) -> str:
        """Name of the layer below the top n blocks."""
        return self.blocks[max(len(self.blocks) - 1 - n_blocks, 0)]


def build_network(config: RunConfig, n_classes: int) -> Network:
    """Build the network of a run with random weights."""
    keras.utils.set_random_seed(config.seed)
    return BUILDERS[config.architecture](config, n_classes)


def build_custom_cnn(config: RunConfig, n_classes: int) -> Network:
    """Three convolutions of 32, 64 and 128 channels with ReLU and max pooling, a dense layer, dropout, softmax."""
    size = find_architecture("custom_cnn").input_size
    inputs = keras.Input((size, size, 3), name="pixels")
    x = _rescale(inputs, config.rescaling)
    for depth in (32, 64, 128):
        x = layers.Conv2D(depth, 3, activation="relu", name=f"conv_{depth}")(x)
        x = layers.MaxPooling2D(name=f"pool_{depth}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(config.dense_units, activation="relu", name="dense")(x)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    outputs = layers.Dense(n_classes, activation="softmax", name=PROBABILITIES)(x)
    return Network(keras.Model(inputs, outputs, name="custom_cnn"), target_layer="conv_128")


def build_mobilenet_v2(config: RunConfig, n_classes: int) -> Network:
    """MobileNetV2 without its top; global average pooling, dropout, softmax."""
    size = find_architecture("mobilenet_v2").input_size
    inputs = keras.Input((size, size, 3), name="pixels")
    backbone = keras.applications.MobileNetV2(
        input_tensor=_rescale(inputs, "-1..1"), include_top=False, weights=None, alpha=1.0
    )
    names = {layer.name for layer in backbone.layers}
    blocks = ["expanded_conv_project_BN"]
    for number in range(1, 17):
        added = f"block_{number}_add"
        blocks.append(added if added in names else f"block_{number}_project_BN")
    x = layers.GlobalAveragePooling2D(name=POOLED)(backbone.output)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    outputs = layers.Dense(n_classes, activation="softmax", name=PROBABILITIES)(x)
    model = keras.Model(inputs, outputs, name="mobilenet_v2")
    return Network(model, target_layer="out_relu", blocks=tuple(blocks))


BUILDERS: dict[str, Callable[[RunConfig, int], Network]] = {
    "custom_cnn": build_custom_cnn,
    "mobilenet_v2": build_mobilenet_v2,
}


def build_bare_backbone(architecture: str) -> keras.Model:
    """The backbone as Keras' weight files know it: without our input, range and head."""
    size = find_architecture(architecture).input_size
    return BACKBONES[architecture](size)


def _bare_mobilenet_v2(size: int) -> keras.Model:
    return keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(size, size, 3), alpha=1.0)


BACKBONES: dict[str, Callable[[int], keras.Model]] = {"mobilenet_v2": _bare_mobilenet_v2}


def copy_weights(source: keras.Model, target: keras.Model) -> int:
    """Copy the weights of layers that have the same name and shapes, but for the output layer.

    Returns:
        How many layers were copied.
    """
    copied = 0
    by_name = {layer.name: layer for layer in source.layers if layer.weights}
    for layer in target.layers:
        other = by_name.get(layer.name)
        if other is None or layer.name == PROBABILITIES:
            continue
        values = other.get_weights()
        if [value.shape for value in values] == [tuple(weight.shape) for weight in layer.weights]:
            layer.set_weights(values)
            copied += 1
    return copied


def _rescale(inputs: keras.KerasTensor, scale: str) -> keras.KerasTensor:
    if scale == "-1..1":
        return layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    return layers.Rescaling(1 / 255, name="rescaling")(inputs)
