"""Train a run on two devices at once: `python -m tests.ml.reference_devices RUN_FOLDER`.

The processor is split in two for TensorFlow, in place of two GPUs. Prints how many devices learned together.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

import tensorflow as tf

from core.ml import train, training
from core.ml.devices import choose_strategy

if __name__ == "__main__":
    processor = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * 2)
    strategy = choose_strategy(["CPU:0", "CPU:1"])
    training.open_devices = lambda: strategy
    code = train.main(Path(sys.argv[1]))
    sys.stdout.write(f"replicas {strategy.num_replicas_in_sync}\n")
    sys.exit(code)
