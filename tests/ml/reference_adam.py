"""Hold our Adam against Keras', in a process of its own: `python -m tests.ml.reference_adam` prints JSON."""

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
from core.ml.adam import build_adam
from core.ml.architectures import build_network
from core.ml.optimisation import Cosine

N_STEPS = 6


def train(number_format: str, weight_decay: float, has_schedule: bool, *, is_ours: bool) -> keras.Model:
    """A small network after some steps."""
    config = RunConfig(dataset_id="d", architecture="compact_cnn", dropout=0.0)
    model = build_network(config, 4, 32, number_format).model
    rate = Cosine(1e-3, 10, 2) if has_schedule else 1e-3
    build = build_adam if is_ours else build_keras_adam
    model.compile(optimizer=build(rate, weight_decay), loss="categorical_crossentropy")
    rng = np.random.default_rng(1)
    # In bfloat16 a last bit of a weight becomes more in the next step: only the first can be compared.
    for _ in range(N_STEPS if number_format == "float32" else 1):
        inputs = rng.uniform(0, 255, (8, 32, 32, 3)).astype(np.float32)
        model.train_on_batch(inputs, np.eye(4, dtype=np.float32)[rng.integers(0, 4, 8)])
    return model


def build_keras_adam(rate: Any, weight_decay: float) -> keras.optimizers.Optimizer:
    """What Keras itself has."""
    if not weight_decay:
        return keras.optimizers.Adam(rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def compare(number_format: str, weight_decay: float, has_schedule: bool) -> dict[str, Any]:
    """How far the two are from each other after the same steps, and how their variables are laid out."""
    ours = train(number_format, weight_decay, has_schedule, is_ours=True)
    keras_own = train(number_format, weight_decay, has_schedule, is_ours=False)
    layouts = [
        [(variable.name, list(variable.shape), str(variable.dtype)) for variable in model.optimizer.variables]
        for model in (ours, keras_own)
    ]
    pairs = zip(ours.optimizer.variables + ours.weights, keras_own.optimizer.variables + keras_own.weights, strict=True)
    return {
        "kinds": [type(model.optimizer).__name__ for model in (ours, keras_own)],
        "difference": max(float(np.abs(mine.numpy() - its.numpy()).max()) for mine, its in pairs),
        "same_layout": layouts[0] == layouts[1],
    }


def restore() -> float:
    """Difference after a step between an optimizer and one that was given its variables as arrays."""
    gradient, results = tf.constant([1.0, -2.0, 3.0]), []
    first, second = build_adam(0.1), build_adam(0.1)
    weights = [keras.Variable(np.zeros(3, np.float32)) for _ in range(2)]
    for optimizer, variable in zip((first, second), weights, strict=True):
        optimizer.build([variable])
    first.apply([gradient])
    weights[1].assign(weights[0])
    for source, target in zip(first.variables, second.variables, strict=True):
        target.assign(source.numpy())
    for optimizer, variable in zip((first, second), weights, strict=True):
        optimizer.apply([gradient * 2])
        results.append(variable.numpy())
    return float(np.abs(results[0] - results[1]).max())


def kind_for_several_devices() -> str:
    """Which Adam there is where several devices learn together."""
    with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
        return type(build_adam(0.1)).__name__


if __name__ == "__main__":
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    cases = [("float32", 0.0, False), ("float32", 0.02, True), ("mixed_bfloat16", 0.02, False)]
    found = {"cases": [compare(*case) for case in cases], "restored": restore()}
    sys.stdout.write(json.dumps(found | {"several": kind_for_several_devices()}) + "\n")
