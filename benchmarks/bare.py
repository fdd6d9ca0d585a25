"""Bare train steps: `python -m benchmarks.bare ARCHITECTURE SIZE FORMAT`, in a process of its own.

The same network in the same number format, quick as in a training of grey pictures (`core.ml.quick`; `benchmarks.steps`
tells what that brings), learns from one batch that lies in memory; nothing is read, augmented or
recorded. What a training takes beyond this is its overhead. Prints pictures per second as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

BATCH, BATCHES = 32, 60


def main(architecture: str, size: int, number_format: str) -> None:
    """Measure."""
    import numpy as np
    import tensorflow as tf

    from core.config import RunConfig
    from core.ml.architectures import build_network
    from core.ml.devices import open_devices
    from core.ml.optimisation import compile_phase
    from core.ml.quick import quicken
    from core.phases import plan_phases

    config = RunConfig(dataset_id="none", architecture=architecture, weights="random", image_size=size)
    with open_devices().scope():
        model = quicken(build_network(config, 4, number_format=number_format).model)
        compile_phase(model, config, plan_phases(config)[0], BATCHES)
    rng = np.random.default_rng(1)
    images = tf.constant(rng.uniform(0, 255, (BATCH, *model.input_shape[1:3], 1)), tf.float32)
    targets = tf.constant(np.eye(4)[rng.integers(0, 4, BATCH)], tf.float32)
    for _ in range(3):
        model.train_on_batch(images, targets)
    started = time.perf_counter()
    for _ in range(BATCHES):
        model.train_on_batch(images, targets)
    print(json.dumps({"images_per_second": BATCH * BATCHES / (time.perf_counter() - started)}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
