"""The architectures a user can choose. Each entry has a builder of the same key in `core.ml.architectures`."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import SettingsError


@dataclass(frozen=True)
class Architecture:
    """What the form, the docs and the trainer need to know of a network.

    Attributes:
        input_size: side of the square input, in pixels.
        weights_files: names of files with ImageNet weights, the preferred one first; empty for a network without.
        blocks: number of blocks of the backbone that fine-tuning can open, from the top.
        epochs: default total number of epochs.
        learning_rate: default for the (first) phase.
    """

    key: str
    title: str
    summary: str
    input_size: int
    epochs: int
    learning_rate: float
    weights_files: tuple[str, ...] = ()
    blocks: int = 0

    @property
    def has_backbone(self) -> bool:
        """Whether it can start from ImageNet weights."""
        return bool(self.weights_files)


ARCHITECTURES = {
    "custom_cnn": Architecture(
        key="custom_cnn",
        title="Custom CNN",
        summary=(
            "Three convolution layers (32, 64, 128), each with ReLU and max pooling, then a dense layer with dropout. "
            "Learns from nothing but your scans: the classic starting point, easy to explain."
        ),
        input_size=150,
        epochs=15,
        learning_rate=1e-3,
    ),
    "mobilenet_v2": Architecture(
        key="mobilenet_v2",
        title="MobileNetV2",
        summary=(
            "A small network that has already learned to see on ImageNet. First only a new head is trained on its "
            "features, then its top blocks are fine-tuned. Usually more accurate, and quick."
        ),
        input_size=224,
        epochs=14,
        learning_rate=1e-3,
        weights_files=(
            "mobilenet_v2_1.0_no_top.weights.h5",
            "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        ),
        blocks=16,
    ),
}


def find_architecture(key: str) -> Architecture:
    """Look an architecture up.

    Raises:
        SettingsError: there is none of that key.
    """
    if key not in ARCHITECTURES:
        raise SettingsError(f"architecture must be one of {', '.join(ARCHITECTURES)}. Received: {key!r}.")
    return ARCHITECTURES[key]
