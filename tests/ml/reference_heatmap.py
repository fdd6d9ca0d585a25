"""Compare our heat maps with Grad-CAM by TensorFlow's GradientTape, in a process of its own.

`python -m tests.ml.reference_heatmap ARCHITECTURE FOLDER` prints the largest difference and the largest value.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from core.config import RunConfig
from core.explain import compute_heatmap
from core.ml.architectures import PROBABILITIES, Network, build_network
from core.ml.export import export_network
from core.prediction import Classifier
from core.samples import CLASSES, draw_phantom
from core.scans import fit_scan


def reference(network: Network, pixels: np.ndarray, target: int) -> np.ndarray:
    """Grad-CAM of the score before softmax, by automatic differentiation."""
    output = network.model.get_layer(PROBABILITIES)
    parts = keras.Model(network.model.input, network.model.get_layer(network.target_layer).output)
    with tf.GradientTape() as tape:
        activation = parts(pixels[None].astype(np.float32), training=False)
        tape.watch(activation)
        score = _score(network, activation, output, target)
    weights = tf.reduce_mean(tape.gradient(score, activation), axis=(1, 2))[0].numpy()
    heat = np.maximum((activation.numpy()[0] * weights).sum(axis=-1), 0)
    return heat / heat.max()


def _score(network: Network, activation: tf.Tensor, output: keras.layers.Layer, target: int) -> tf.Tensor:
    layer = network.model.get_layer(network.target_layer)
    tail = keras.Model(layer.output, output.input)
    features = tail(activation, training=False)
    return (tf.matmul(features, output.kernel) + output.bias)[0, target]


def main(architecture: str, folder: Path) -> None:
    """Compare for every class on a few phantoms."""
    config = RunConfig.model_validate({"dataset_id": "d", "architecture": architecture})
    network = build_network(config, len(CLASSES))
    export_network(network, folder)
    classifier = Classifier(folder / "model.onnx", list(CLASSES))
    difference, highest = 0.0, 0.0
    for number in range(3):
        scan = draw_phantom(number, (1, number))
        explained = classifier.explain(scan)
        pixels = fit_scan(scan, classifier.size)
        expected = network.model.predict(pixels[None].astype(np.float32), verbose=0)[0]
        difference = max(difference, float(np.abs(explained.probabilities - expected).max()))
        for target in range(len(CLASSES)):
            ours = compute_heatmap(explained.activation, explained.channel_weights, target)
            difference = max(difference, float(np.abs(ours - reference(network, pixels, target)).max()))
            highest = max(highest, float(ours.max()))
    sys.stdout.write(f"{difference} {highest}\n")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
