"""Hold quick networks against the plain ones, in a process of their own: `python -m tests.ml.reference_quick`.

Prints JSON: what was seen of each network. Gradients are compared by the length of their difference, in relation.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from core.config import RunConfig
from core.ml.architectures import Network, build_network
from core.ml.optimisation import open_layers
from core.ml.quick import quicken
from core.phases import Phase, plan_phases

SIZE, N = 96, 8
NETWORKS = ("custom_cnn", "compact_cnn", "mobilenet_v2", "densenet121")


def compare(key: str) -> dict[str, Any]:
    """What tells the quick form of a network from the plain one, in the run's last phase."""
    network, phase = build(key, "float32")
    plain = network.part_for(phase.cut)
    quick = quicken(plain)
    inputs = make_inputs(plain)
    expected, gradients = step(plain, inputs)
    found, its_gradients = step(quick, one_channel(quick, inputs))
    variables = (plain.trainable_variables, quick.trainable_variables)
    return {
        "inputs": list(quick.input_shape[1:]),
        "n_layers": [len(plain.layers), len(quick.layers)],
        "shared": [mine is its for mine, its in zip(*variables, strict=True)],
        "coloured": compare_coloured(plain, quick) if inputs.shape[-1] == 3 else 0.0,
        "output": float(np.abs(found - expected).max()),
        "gradient": max(map(distance, its_gradients, gradients)),
        "bfloat16": compare_bfloat16(key, expected, gradients),
        "short": short_layers(key),
    }


def compare_coloured(plain: keras.Model, quick: keras.Model) -> float:
    """How far the gradients of the two are apart for pictures in colour, in one graph for these and grey ones."""
    coloured = np.random.default_rng(3).uniform(0, 255, (N, SIZE, SIZE, 3)).astype(np.float32)
    one_graph = tf.function(lambda inputs: step(quick, inputs), [tf.TensorSpec((None, SIZE, SIZE, None))])
    far = []
    for inputs in (coloured, make_inputs(plain), coloured):
        found = one_graph(one_channel(quick, inputs) if inputs is not coloured else inputs)
        far.append(max(map(distance, found[1], step(plain, inputs)[1])))
    return max(far)


def short_layers(key: str) -> list[str]:
    """Kinds of layers that compute in bfloat16 in the short number format."""
    network, _ = build(key, "mixed_bfloat16")
    return sorted({type(layer).__name__ for layer in network.model.layers if layer.compute_dtype == "bfloat16"})


def compare_bfloat16(key: str, expected: tf.Tensor, gradients: list[tf.Tensor]) -> list[list[float]]:
    """How far plain and quick are from float32: outputs, and gradients on average."""
    network, phase = build(key, "mixed_bfloat16")
    plain = network.part_for(phase.cut)
    errors = []
    for model in (plain, quicken(plain)):
        found, its_gradients = step(model, one_channel(model, make_inputs(plain)))
        mean = float(np.mean(list(map(distance, its_gradients, gradients))))
        errors.append([float(np.abs(found - expected).max()), mean])
    return errors


def build(key: str, number_format: str) -> tuple[Network, Phase]:
    """A network with every weight random, the statistics of BatchNorm too, as its last phase finds it."""
    weights = "imagenet" if key in ("mobilenet_v2", "densenet121") else "random"  # none are loaded
    config = RunConfig(dataset_id="d", architecture=key, weights=weights, dropout=0.0)
    network = build_network(config, 4, SIZE, number_format)
    rng = np.random.default_rng(1)
    for layer in network.model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.8, 1.2, value.shape) for value in layer.get_weights()])
    phase = plan_phases(config)[-1]
    open_layers(network, phase.cut)
    return network, phase


def make_inputs(plain: keras.Model) -> np.ndarray:
    """Grey pictures, or features."""
    rng = np.random.default_rng(2)
    if plain.input_shape[-1] != 3:
        return rng.uniform(0, 3, (N, *plain.input_shape[1:])).astype(np.float32)
    grey = rng.uniform(0, 255, (N, *plain.input_shape[1:-1], 1)).astype(np.float32)
    return np.repeat(grey, 3, axis=-1)


def one_channel(model: keras.Model, inputs: np.ndarray) -> np.ndarray:
    """Grey pictures as a model may take them."""
    return inputs[..., :1] if model.input_shape[-1] is None else inputs


def step(model: keras.Model, inputs: np.ndarray) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Probabilities and gradients of a training step."""
    targets = np.eye(4, dtype=np.float32)[np.arange(N) % 4]
    with tf.GradientTape() as tape:
        outputs = model(inputs, training=True)
        loss = tf.reduce_mean(keras.losses.categorical_crossentropy(targets, outputs))
    return outputs, tape.gradient(loss, [variable.value for variable in model.trainable_variables])


def distance(found: tf.Tensor, expected: tf.Tensor) -> float:
    """Length of the difference, relative."""
    found, expected = np.asarray(found), np.asarray(expected)
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def channels_of_backbone() -> int | None:
    """Channels that the quick form of a network wants whose own are not alike."""
    backbone = build_network(RunConfig(dataset_id="d", architecture="densenet121"), 4, SIZE).model
    return quicken(backbone).input_shape[-1]


def several_devices() -> bool:
    """Whether a network that several devices learn together is left as it is."""
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        model = build_network(RunConfig(dataset_id="d", architecture="compact_cnn"), 4, 32).model
        return quicken(model) is model


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    seen = {key: compare(key) for key in NETWORKS}
    sys.stdout.write(json.dumps(seen | {"channels": channels_of_backbone(), "alone": several_devices()}) + "\n")
