"""Hold every backbone against Keras, in a process of its own (TensorFlow takes its time and memory).

`python -m tests.ml.reference_backbones FOLDER [KEY…]` prints JSON: what was seen of each backbone; the heat maps of
those that are named, or of all. FOLDER must be that of STUDIO_PRETRAINED; weight files are written there. They are of
random networks: Keras' own cannot be had offline. Networks are built for small pictures, to save time.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any
from unittest import mock

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import h5py
import keras
import numpy as np
from keras.src.legacy.saving import legacy_h5_format

from core.blocks import BLOCK_OUTPUTS, PROBABILITIES
from core.catalog import ARCHITECTURES
from core.config import RunConfig
from core.ml.architectures import Network, build_network
from core.ml.backbones import BACKBONES
from core.ml.initial import load_initial_weights
from tests.ml.reference_heatmap import compare

SIZE = 96
KERAS = {
    "mobilenet_v2": (keras.applications.mobilenet_v2, "MobileNetV2"),
    "resnet50_v2": (keras.applications.resnet_v2, "ResNet50V2"),
    "efficientnet_v2_b0": (keras.applications.efficientnet_v2, "EfficientNetV2B0"),
    "densenet121": (keras.applications.densenet, "DenseNet121"),
}


def inspect(key: str, folder: Path, explained: Collection[str]) -> dict[str, Any]:
    """Everything that is worth knowing of a backbone; heat maps, which take an export, only where asked for."""
    source = make_reference(key)
    network = build_network(_config(key, "imagenet"), 4, SIZE)
    asked: list[str] = []

    def get_file(name: str, *arguments: object, **options: object) -> str:
        asked.append(name)
        return str(write(source, folder / "downloaded.h5"))

    with mock.patch("keras.src.utils.file_utils.get_file", get_file):
        difference = load_and_compare(network, source, _config(key, "imagenet-download"))
    if key in ("mobilenet_v2", "densenet121"):  # one of each format; the others take the same way
        path = write(source, folder / ARCHITECTURES[key].weights_files[0])
        difference = max(difference, load_and_compare(network, source, _config(key, "imagenet")))
        path.unlink()
    map_difference, n_maps = compare(network, folder) if key in explained else (None, None)
    return {
        "n_blocks": len(BLOCK_OUTPUTS[key]) - 1,
        "million_parameters": network.model.count_params() / 1e6,
        "not_cuts": [name for name in BLOCK_OUTPUTS[key] if not is_cut(network, name)],
        "difference": difference,
        "downloaded": asked[0],
        "map_difference": map_difference,
        "n_maps": n_maps,
    }


def make_reference(key: str) -> keras.Model:
    """Keras' own network with every weight random, the statistics of BatchNorm too."""
    module, name = KERAS[key]
    model = getattr(module, name)(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
    rng = np.random.default_rng(1)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.8, 1.2, value.shape) for value in layer.get_weights()])
    return model


def is_cut(network: Network, name: str) -> bool:
    """Whether everything behind a layer hangs on its output alone (a model cannot be cut there otherwise)."""
    try:
        network.part_for(name)
    except ValueError:
        return False
    return True


def write(source: keras.Model, path: Path) -> Path:
    """A file of weights: as Keras 3 writes it, or in the older format in which Keras' own files are."""
    if path.name.endswith(".weights.h5"):
        source.save_weights(path)
    else:
        with h5py.File(path, "w") as file:
            legacy_h5_format.save_weights_to_hdf5_group(file, source)
    return path


def load_and_compare(network: Network, source: keras.Model, config: RunConfig) -> float:
    """Load weights by our code; largest relative difference to Keras with its own preprocessing."""
    for layer in network.model.layers:
        if layer.name != PROBABILITIES:
            layer.set_weights([np.zeros_like(value) for value in layer.get_weights()])
    load_initial_weights(network, config, list("abcd"))
    pixels = np.random.default_rng(2).uniform(0, 255, (2, SIZE, SIZE, 3)).astype(np.float32)
    expected = source(KERAS[config.architecture][0].preprocess_input(pixels.copy()), training=False).numpy()
    features = keras.Model(network.model.input, network.model.get_layer(network.target_layer).output)
    return float(np.abs(features(pixels, training=False).numpy() - expected).max() / np.abs(expected).max())


def _config(key: str, weights: str) -> RunConfig:
    return RunConfig(dataset_id="d", architecture=key, weights=weights)


if __name__ == "__main__":
    maps = sys.argv[2:] or list(BACKBONES)
    sys.stdout.write(json.dumps({key: inspect(key, Path(sys.argv[1]), maps) for key in BACKBONES}) + "\n")
