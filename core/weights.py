"""Where backbone weights come from: the folder of STUDIO_PRETRAINED, `models/pretrained/`, Keras' own download folder,
or a download by Keras, which the user must have agreed to. Nothing is downloaded here.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from core.catalog import Architecture
from core.errors import WeightsError
from core.settings import read_settings


@dataclass(frozen=True)
class WeightsFile:
    """ImageNet weights that lie on this machine; `place` names the folder for the user."""

    path: Path
    place: str


def find_imagenet_weights(architecture: Architecture) -> WeightsFile | None:
    """Look for weights in the fixed order; None when there are none on this machine."""
    for folder, place in _places():
        for name in architecture.weights_files:
            if (folder / name).is_file():
                return WeightsFile(folder / name, place)
    return None


def require_imagenet_weights(architecture: Architecture) -> WeightsFile:
    """Like `find_imagenet_weights`.

    Raises:
        WeightsError: there are none; the message says what to do.
    """
    if not architecture.has_backbone:
        raise WeightsError(f"{architecture.title} has no ImageNet weights. Choose random weights or an earlier run.")
    found = find_imagenet_weights(architecture)
    if found is None:
        raise WeightsError(
            f"ImageNet weights for {architecture.title} are not on this machine. {how_to_get(architecture)}"
        )
    return found


def how_to_get(architecture: Architecture) -> str:
    """What a user can do about missing weights."""
    return (
        f"Put {architecture.weights_files[0]!r} into {read_settings().models / 'pretrained'} or the folder of "
        "STUDIO_PRETRAINED, let Keras download them ('imagenet-download'), or choose random weights."
    )


def _places() -> list[tuple[Path, str]]:
    settings = read_settings()
    keras_home = Path(os.environ.get("KERAS_HOME", Path.home() / ".keras"))
    places = [
        (settings.models / "pretrained", "models/pretrained"),
        (keras_home / "models", "Keras' download folder"),
    ]
    return [(settings.pretrained, "STUDIO_PRETRAINED"), *places] if settings.pretrained else places
