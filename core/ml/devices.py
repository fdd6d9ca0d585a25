"""What TensorFlow computes on: the threads of the settings, and every GPU there is."""

from __future__ import annotations

import tensorflow as tf

from core.settings import read_settings


def open_devices() -> tf.distribute.Strategy:
    """Set TensorFlow up, before it computes anything; returns how a network is spread over the devices.

    Several GPUs learn each batch together (MirroredStrategy); one GPU, or the processor, learns it alone.
    """
    threads = read_settings().n_threads
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    if gpus:  # a GPU sums up in any order, unless told otherwise; processors do not
        tf.config.experimental.enable_op_determinism()
    return choose_strategy([device.name.removeprefix("/physical_device:") for device in gpus])


def choose_strategy(devices: list[str]) -> tf.distribute.Strategy:
    """Spread over several devices, such as ["GPU:0", "GPU:1"]; the usual way for one or none."""
    return tf.distribute.MirroredStrategy(devices) if len(devices) > 1 else tf.distribute.get_strategy()


def describe_devices() -> list[str]:
    """Names of what is computed on."""
    gpus = tf.config.list_physical_devices("GPU")
    return [str(tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)) for gpu in gpus] or ["CPU"]
