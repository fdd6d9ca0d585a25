"""The architectures a user can choose. Each entry has a builder of the same key in `core.ml.architectures`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from core.errors import SettingsError


@dataclass(frozen=True)
class Architecture:
    """What the form, the docs and the trainer need to know of a network.

    Attributes:
        good_for: when to choose it, in one sentence.
        input_size: side of the square input, in pixels.
        parameters: how many it has, in millions, with four classes.
        speed: pictures per second in prediction (ONNX Runtime on a CPU), relative to MobileNetV2.
        defaults: settings of a run whose defaults differ from those of `core.config`.
        weights_files: names of files with ImageNet weights, the preferred one first; empty for a network without.
            `.weights.h5` are written by Keras 3's `save_weights`, the others are those that Keras downloads.
        download_mb: size of the file that Keras downloads.
        blocks: number of blocks of the backbone that fine-tuning can open, from the top.
    """

    key: str
    title: str
    summary: str
    good_for: str
    input_size: int
    parameters: float
    speed: float
    defaults: Mapping[str, float]
    weights_files: tuple[str, ...] = ()
    download_mb: int = 0
    blocks: int = 0

    @property
    def has_backbone(self) -> bool:
        """Whether it can start from ImageNet weights."""
        return bool(self.weights_files)


# Chosen on the validation split of the real set, see docs/benchmarks.md.
_BACKBONE = {
    "epochs": 11,
    "head_epochs": 3,
    "fine_tune_blocks": 4,
    "fine_tune_learning_rate": 6e-4,
    "weight_decay": 0.02,
}

_ENTRIES = (
    Architecture(
        key="custom_cnn",
        title="Custom CNN",
        summary="Three convolution layers (32, 64, 128) with ReLU and max pooling, then a dense layer with dropout.",
        good_for="A first look, and teaching: the classic network, which learns from nothing but your scans.",
        input_size=150,
        parameters=4.8,
        speed=1.5,
        defaults={"epochs": 40, "dropout": 0.5},
    ),
    Architecture(
        key="compact_cnn",
        title="Compact CNN",
        summary="Five convolution layers (24 to 192) with batch normalisation and ReLU, then global average pooling.",
        good_for="Training from nothing in little time and space: a twelfth of the custom CNN's size, and quicker.",
        input_size=150,
        parameters=0.4,
        speed=3.0,
        defaults={"epochs": 20, "learning_rate": 2e-3},
    ),
    Architecture(
        key="mobilenet_v2",
        title="MobileNetV2",
        summary="A small network that has learned to see on ImageNet; only its head and top blocks are trained.",
        good_for="Most data sets, without a GPU: usually more accurate than the two above, and quick.",
        input_size=224,
        parameters=2.3,
        speed=1.0,
        defaults=_BACKBONE,
        weights_files=(
            "mobilenet_v2_1.0_no_top.weights.h5",
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        ),
        download_mb=9,
        blocks=16,
    ),
    Architecture(
        key="efficientnet_v2_b0",
        title="EfficientNetV2 B0",
        summary="A later and more accurate small network with squeeze and excitation; pretrained on ImageNet.",
        good_for="More accuracy on ImageNet than MobileNetV2 for moderate extra time.",
        input_size=224,
        parameters=5.9,
        speed=0.4,
        defaults=_BACKBONE,
        weights_files=("efficientnetv2-b0_notop.h5", "efficientnet_v2_b0_no_top.weights.h5"),
        download_mb=24,
        blocks=21,
    ),
    Architecture(
        key="densenet121",
        title="DenseNet121",
        summary="A deep network whose layers see all earlier ones; pretrained on ImageNet.",
        good_for="Comparing with published work: the usual choice in papers on medical images.",
        input_size=224,
        parameters=7.0,
        speed=0.13,
        defaults=_BACKBONE,
        weights_files=(
            "densenet121_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "densenet121_no_top.weights.h5",
        ),
        download_mb=29,
        blocks=14,
    ),
    Architecture(
        key="resnet50_v2",
        title="ResNet50V2",
        summary="A large residual network; pretrained on ImageNet.",
        good_for="Larger data sets with time or many cores; a well-known reference to compare with.",
        input_size=224,
        parameters=23.6,
        speed=0.12,
        # Its last stage: features below it would take four times the disk.
        defaults=_BACKBONE | {"fine_tune_blocks": 3},
        weights_files=(
            "resnet50v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            "resnet50_v2_no_top.weights.h5",
        ),
        download_mb=95,
        blocks=16,
    ),
)
ARCHITECTURES = {entry.key: entry for entry in _ENTRIES}


def find_architecture(key: str) -> Architecture:
    """Look an architecture up.

    Raises:
        SettingsError: there is none of that key.
    """
    if key not in ARCHITECTURES:
        raise SettingsError(f"architecture must be one of {', '.join(ARCHITECTURES)}. Received: {key!r}.")
    return ARCHITECTURES[key]
