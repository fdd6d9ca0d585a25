"""Training steps of a network as Keras has it against ours, which do the same with less work (`core.ml.quick`, `adam`).

Both learn in turn from the same batch, which lies in memory; the fastest step of each counts, because other work on a
machine can only make steps slower. No data set is needed.
"""

from __future__ import annotations

import argparse
import os
import time
from contextlib import nullcontext
from typing import Any
from unittest import mock

from core.config import RunConfig
from core.machine import explain_machine
from core.ml.backend import import_keras
from core.phases import plan_phases

BATCH = 32
ROWS = (
    ("custom_cnn", 150, "float32"),
    ("custom_cnn", 150, "mixed_bfloat16"),
    ("custom_cnn", 224, "float32"),
    ("custom_cnn", 224, "mixed_bfloat16"),
    ("compact_cnn", 150, "float32"),
    ("compact_cnn", 150, "mixed_bfloat16"),
    ("mobilenet_v2", 224, "float32"),
    ("mobilenet_v2", 224, "mixed_bfloat16"),
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    parser.add_argument("--steps", type=int, default=30, help="of each kind")
    parser.add_argument("--only", nargs="*", choices=sorted({row[0] for row in ROWS}), help="networks")


def run(options: argparse.Namespace) -> None:
    """Measure all rows and print a table."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import_keras()
    from core.ml.devices import open_devices

    open_devices()
    print(f"Machine: {explain_machine()}. Batches of {BATCH} grey pictures.\n")
    print("| | plain, ms | ours, ms | plain ÷ ours |\n|---|--:|--:|--:|")
    for architecture, size, number_format in ROWS:
        if not options.only or architecture in options.only:
            plain, ours = measure(architecture, size, number_format, options.steps)
            what = f"{architecture} at {size}, {number_format}"
            print(f"| {what} | {1000 * plain:.1f} | {1000 * ours:.1f} | {plain / ours:.2f} |", flush=True)


def measure(architecture: str, size: int, number_format: str, n_steps: int) -> tuple[float, float]:
    """Seconds of a step of the last phase, plain and ours: the fastest of so many, made in turn."""
    weights = "imagenet" if architecture == "mobilenet_v2" else "random"  # decides on the phases; none are loaded
    config = RunConfig(dataset_id="none", architecture=architecture, weights=weights, image_size=size)
    steps = [_build(config, number_format, is_quick=is_quick) for is_quick in (False, True)]
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(n_steps):
        for step, found in zip(steps, seconds, strict=True):
            started = time.perf_counter()
            step()
            found.append(time.perf_counter() - started)
    return min(seconds[0]), min(seconds[1])


def _build(config: RunConfig, number_format: str, *, is_quick: bool) -> Any:
    import numpy as np
    import tensorflow as tf

    from core.ml import optimisation
    from core.ml.architectures import build_network
    from core.ml.quick import quicken

    phase = plan_phases(config)[-1]
    network = build_network(config, 4, number_format=number_format)
    optimisation.open_layers(network, phase.cut)
    model = network.part_for(phase.cut)
    model = quicken(model) if is_quick else model
    with nullcontext() if is_quick else mock.patch.object(optimisation, "build_adam", _build_plain_adam):
        optimisation.compile_phase(model, config, phase, 100)
    rng = np.random.default_rng(1)
    shape = [length or 1 for length in model.input_shape[1:]]  # grey pictures, where a network takes such
    inputs = tf.constant(rng.uniform(0, 255, (BATCH, *shape)), tf.float32)
    targets = tf.constant(np.eye(4)[rng.integers(0, 4, BATCH)], tf.float32)
    for _ in range(3):
        model.train_on_batch(inputs, targets)
    return lambda: model.train_on_batch(inputs, targets)


def _build_plain_adam(rate: Any, weight_decay: float) -> Any:
    import keras

    return keras.optimizers.AdamW(rate, weight_decay=weight_decay) if weight_decay else keras.optimizers.Adam(rate)
