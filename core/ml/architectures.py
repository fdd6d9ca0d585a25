"""Builders of the networks in `core.catalog`: float32 pixels of 0 to 255 in, probabilities out.

Bringing pixels to the range of a backbone is inside the network, so that nobody can do it differently at prediction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import keras
from keras import layers

from core.blocks import POOLED, PROBABILITIES
from core.config import RunConfig, input_size
from core.ml.backbones import BACKBONES, attach_backbone, rescale

COMPACT_BLOCKS = ((24, 2), (48, 2), (96, 2), (128, 1), (192, 2))  # channels and stride


@dataclass(frozen=True, eq=False)
class Network:
    """A built network.

    Attributes:
        model: pixels (n, size, size, 3) to probabilities (n, n_classes).
        target_layer: name of the last convolution's activation, for heat maps.
    """

    model: keras.Model
    target_layer: str

    def outputs_at(self, *names: str) -> keras.Model:
        """The part of the network from the input to some layers."""
        return keras.Model(self.model.input, [self.model.get_layer(name).output for name in names])

    def part_for(self, cut: str | None) -> keras.Model:
        """The part of the network behind a cut, or all of it; it shares layers, so training it trains the network."""
        return self.model if cut is None else keras.Model(self.model.get_layer(cut).output, self.model.output)

    def frozen_up_to(self, name: str) -> keras.Model:
        """The whole network, whose layers up to one see pictures in training as they do in prediction.

        It is what `part_for` learns from cached features: nothing of the frozen part is dropped at random.
        """
        inputs = keras.Input(self.model.input_shape[1:], name="pixels")
        frozen = keras.Model(self.model.input, self.model.get_layer(name).output)
        return keras.Model(inputs, self.part_for(name)(frozen(inputs, training=False)))


def build_network(
    config: RunConfig, n_classes: int, size: int | None = None, number_format: str = "float32"
) -> Network:
    """Build the network of a run with random weights.

    Args:
        size: side of the input, if it is not that of the settings.
        number_format: of its computations, "float32" or "mixed_bfloat16"; weights and probabilities are float32 always.
    """
    keras.utils.set_random_seed(config.seed)
    size = size or input_size(config)
    if config.architecture in BACKBONES:
        network = BUILDERS[config.architecture](config, n_classes, size)
        shorten_products(network.model, number_format)
        return network
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(number_format)
    try:
        return BUILDERS[config.architecture](config, n_classes, size)
    finally:
        keras.config.set_dtype_policy(before)


def shorten_products(model: keras.Model, number_format: str) -> None:
    """Let the ordinary convolutions compute in a number format, and everything between them in float32.

    What a short format speeds up in a backbone are its large matrix products; its depthwise convolutions, activations
    and sums become slower, and most of its time would be lost there.
    """
    for layer in model.layers:
        if isinstance(layer, layers.Conv2D):
            layer.dtype_policy = number_format


def build_custom_cnn(config: RunConfig, n_classes: int, size: int) -> Network:
    """Three convolutions of 32, 64 and 128 channels with ReLU and max pooling, a dense layer, dropout, softmax."""
    inputs = keras.Input((size, size, 3), name="pixels")
    x = rescale(inputs, config.rescaling)
    for depth in (32, 64, 128):
        x = layers.Conv2D(depth, 3, activation="relu", name=f"conv_{depth}")(x)
        x = layers.MaxPooling2D(name=f"pool_{depth}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(config.dense_units, activation="relu", name="dense")(x)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    outputs = layers.Dense(n_classes, activation="softmax", dtype="float32", name=PROBABILITIES)(x)
    return Network(keras.Model(inputs, outputs, name="custom_cnn"), target_layer="conv_128")


def build_compact_cnn(config: RunConfig, n_classes: int, size: int) -> Network:
    """Convolutions with batch normalisation and ReLU, most halve the picture; global pooling, dropout, softmax."""
    inputs = keras.Input((size, size, 3), name="pixels")
    x = rescale(inputs, "-1..1")
    for number, (depth, stride) in enumerate(COMPACT_BLOCKS, start=1):
        # No bias: batch normalisation would take it out again.
        x = layers.Conv2D(depth, 3, strides=stride, padding="same", use_bias=False, name=f"conv_{number}")(x)
        x = layers.BatchNormalization(name=f"norm_{number}")(x)
        x = layers.ReLU(name=f"relu_{number}")(x)
    model = _pooled_head(inputs, x, config, n_classes)
    return Network(model, target_layer=f"relu_{len(COMPACT_BLOCKS)}")


def build_with_backbone(config: RunConfig, n_classes: int, size: int) -> Network:
    """A backbone of Keras without its top; global average pooling, dropout, softmax."""
    backbone = BACKBONES[config.architecture]
    inputs = keras.Input((size, size, 3), name="pixels")
    model = _pooled_head(inputs, attach_backbone(config.architecture, inputs), config, n_classes)
    return Network(model, backbone.target_layer)


BUILDERS: dict[str, Callable[[RunConfig, int, int], Network]] = {
    "custom_cnn": build_custom_cnn,
    "compact_cnn": build_compact_cnn,
    **dict.fromkeys(BACKBONES, build_with_backbone),
}


def copy_weights(source: keras.Model, target: keras.Model, *, with_head: bool = False) -> tuple[str, ...]:
    """Copy the weights of layers that have the same name and shapes.

    Args:
        with_head: the output layer too.

    Returns:
        Names of the layers of `target` whose weights stayed as they were.
    """
    by_name = {layer.name: layer for layer in source.layers if layer.weights}
    missed = []
    for layer in target.layers:
        values = by_name[layer.name].get_weights() if layer.name in by_name else None
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if values and (with_head or layer.name != PROBABILITIES) and [value.shape for value in values] == shapes:
            layer.set_weights(values)
        elif shapes:
            missed.append(layer.name)
    return tuple(missed)


def _pooled_head(
    inputs: keras.KerasTensor, features: keras.KerasTensor, config: RunConfig, n_classes: int
) -> keras.Model:
    x = layers.GlobalAveragePooling2D(name=POOLED)(features)
    x = layers.Dropout(config.dropout, name="dropout")(x)
    outputs = layers.Dense(n_classes, activation="softmax", dtype="float32", name=PROBABILITIES)(x)
    return keras.Model(inputs, outputs, name=config.architecture)
