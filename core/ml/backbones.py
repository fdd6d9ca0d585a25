"""Pretrained backbones of Keras: how each is built and which range of pixels it wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
from keras import layers

from core.catalog import find_architecture

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Backbone:
    """One network of `keras.applications`, without its top.

    Attributes:
        make: its function there.
        scale: range of pixels that it was trained with, see `rescale`.
        target_layer: its last activation, for heat maps.
    """

    make: Callable[..., keras.Model]
    scale: str
    target_layer: str


def rescale(inputs: keras.KerasTensor, scale: str) -> keras.KerasTensor:
    """Bring pixels of 0 to 255 to a range: "0..1", "-1..1" or "imagenet" (its mean and deviation per channel).

    Always in float32: a shorter format would round the grey levels of augmented pictures first.
    """
    if scale == "imagenet":
        factors = [1 / (255 * deviation) for deviation in _IMAGENET_DEVIATION]
        offsets = [-mean / deviation for mean, deviation in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)]
        return layers.Rescaling(factors, offset=offsets, dtype="float32", name="rescaling")(inputs)
    if scale == "-1..1":
        return layers.Rescaling(1 / 127.5, offset=-1, dtype="float32", name="rescaling")(inputs)
    return layers.Rescaling(1 / 255, dtype="float32", name="rescaling")(inputs)


def attach_backbone(key: str, pixels: keras.KerasTensor) -> keras.KerasTensor:
    """The output of a backbone with random weights for pixels of 0 to 255; its layers become part of the graph."""
    backbone = BACKBONES[key]
    inputs = rescale(pixels, backbone.scale)
    shape = tuple(pixels.shape[1:])
    return backbone.make(input_tensor=inputs, input_shape=shape, include_top=False, weights=None).output


def build_bare_backbone(key: str, weights: str | None = None) -> keras.Model:
    """The backbone as Keras' weight files know it: without our input, range and head.

    Args:
        weights: "imagenet" lets Keras download them.
    """
    size = find_architecture(key).input_size
    return BACKBONES[key].make(include_top=False, weights=weights, input_shape=(size, size, 3))


def _make_efficientnet(**options: Any) -> keras.Model:
    # Its own range layer keeps mean and deviation as tensors, which the ONNX export turns into inputs of the model.
    return keras.applications.EfficientNetV2B0(include_preprocessing=False, **options)


BACKBONES = {
    "mobilenet_v2": Backbone(keras.applications.MobileNetV2, "-1..1", "out_relu"),
    "resnet50_v2": Backbone(keras.applications.ResNet50V2, "-1..1", "post_relu"),
    "efficientnet_v2_b0": Backbone(_make_efficientnet, "imagenet", "top_activation"),
    "densenet121": Backbone(keras.applications.DenseNet121, "imagenet", "relu"),
}
