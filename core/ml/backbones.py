"""Pretrained backbones of Keras: how each is built, which range of pixels it wants, and where it can be cut."""

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
        blocks: layers behind which everything else hangs on their output alone, bottom to top, the last one included.
            They are the outputs of its blocks: features are kept there, and fine-tuning opens what lies behind.
    """

    make: Callable[..., keras.Model]
    scale: str
    target_layer: str
    blocks: tuple[str, ...]


def rescale(inputs: keras.KerasTensor, scale: str) -> keras.KerasTensor:
    """Bring pixels of 0 to 255 to a range: "0..1", "-1..1" or "imagenet" (its mean and deviation per channel)."""
    if scale == "imagenet":
        factors = [1 / (255 * deviation) for deviation in _IMAGENET_DEVIATION]
        offsets = [-mean / deviation for mean, deviation in zip(_IMAGENET_MEAN, _IMAGENET_DEVIATION, strict=True)]
        return layers.Rescaling(factors, offset=offsets, name="rescaling")(inputs)
    if scale == "-1..1":
        return layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(inputs)
    return layers.Rescaling(1 / 255, name="rescaling")(inputs)


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


def _mobilenet_v2_blocks() -> tuple[str, ...]:
    widened = {1, 3, 6, 10, 13, 16}  # blocks that change the shape have nothing to add to
    last = [f"block_{number}_{'project_BN' if number in widened else 'add'}" for number in range(1, 17)]
    return ("expanded_conv_project_BN", *last)


def _resnet50_v2_blocks() -> tuple[str, ...]:
    stages = {2: 3, 3: 4, 4: 6, 5: 3}
    last = [f"conv{stage}_block{number}_out" for stage, n in stages.items() for number in range(1, n + 1)]
    return ("pool1_pool", *last)


def _efficientnet_v2_b0_blocks() -> tuple[str, ...]:
    last = ["block1a_project_activation"]
    for stage, n in {2: 2, 3: 2, 4: 3, 5: 5, 6: 8}.items():
        last += [f"block{stage}a_project_bn", *[f"block{stage}{chr(97 + at)}_add" for at in range(1, n)]]
    return ("stem_activation", *last)


def _densenet121_blocks() -> tuple[str, ...]:
    """Its 58 dense layers are too fine to choose among: four of them are a block here, the first six are one.

    Behind the last of a stage comes a transition that halves the picture, so that is where a stage ends.
    """
    last = ["pool2_pool"]
    for stage, n in {3: 12, 4: 24, 5: 16}.items():
        last += [f"conv{stage}_block{number}_concat" for number in range(4, n, 4)]
        last.append(f"pool{stage}_pool" if stage < 5 else f"conv5_block{n}_concat")
    return ("pool1", *last)


BACKBONES = {
    "mobilenet_v2": Backbone(keras.applications.MobileNetV2, "-1..1", "out_relu", _mobilenet_v2_blocks()),
    "resnet50_v2": Backbone(keras.applications.ResNet50V2, "-1..1", "post_relu", _resnet50_v2_blocks()),
    "efficientnet_v2_b0": Backbone(_make_efficientnet, "imagenet", "top_activation", _efficientnet_v2_b0_blocks()),
    "densenet121": Backbone(keras.applications.DenseNet121, "imagenet", "relu", _densenet121_blocks()),
}
