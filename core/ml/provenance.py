"""What a result depends on, written down when a run begins, and a hash of what came out: enough to repeat it."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from typing import Any

import keras
import numpy as np

from core import __version__
from core.config import RunConfig
from core.datasets import Dataset
from core.errors import StudioError
from core.features import hash_starting_weights
from core.machine import describe_machine
from core.ml.devices import describe_devices
from core.runs import Run, read_run

_PACKAGES = ("keras", "numpy", "opencv-python-headless", "pillow", "scikit-learn")


def describe_environment(config: RunConfig, dataset: Dataset) -> dict[str, Any]:
    """Versions, threads, devices, number format, hash of the starting weights, fingerprint of the data."""
    return {
        "studio": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **describe_machine(),
        **{name: version(name) for name in _PACKAGES},
        "devices": describe_devices(),
        "number_format": config.number_format,
        "initial_weights": _hash_initial(config),
        "dataset_fingerprint": dataset.fingerprint,
    }


def hash_weights(model: keras.Model) -> str:
    """Hash of all weights, bit by bit: equal for two networks that are the same."""
    digest = hashlib.blake2b(digest_size=16)
    for variable in model.weights:
        digest.update(np.ascontiguousarray(variable.numpy()).tobytes())
    return digest.hexdigest()


def compare_with_source(run: Run, weights_hash: str) -> dict[str, Any] | None:
    """Whether a repeated run has come out as the one it repeats; None if it repeats none, or that is gone."""
    if run.repeat_of is None:
        return None
    try:
        theirs = read_run(run.repeat_of).metrics.get("weights_hash")
    except StudioError:  # deleted meanwhile
        theirs = None
    return None if theirs is None else {"run": run.repeat_of, "equal": theirs == weights_hash}


def _hash_initial(config: RunConfig) -> str | None:
    try:
        return hash_starting_weights(config)
    except StudioError:  # of a run that is resumed after they have gone
        return None
