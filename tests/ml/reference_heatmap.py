"""Compare our heat maps with Grad-CAM by TensorFlow's GradientTape, in a process of its own.

`python -m tests.ml.reference_heatmap FOLDER ARCHITECTURE…` prints JSON: the largest difference of each, and how many of
its maps show something.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf

from core.blocks import PROBABILITIES
from core.config import RunConfig
from core.explain import compute_heatmap
from core.ml.architectures import Network, build_network
from core.ml.export import export_network
from core.prediction import Classifier
from core.samples import CLASSES, draw_phantom
from core.scans import fit_scan


def reference(network: Network, activation: np.ndarray, target: int) -> np.ndarray:
    """Grad-CAM of the score before softmax, by automatic differentiation."""
    output = network.model.get_layer(PROBABILITIES)
    tail = keras.Model(network.model.get_layer(network.target_layer).output, output.input)
    with tf.GradientTape() as tape:
        watched = tf.constant(activation)
        tape.watch(watched)
        score = (tf.matmul(tail(watched, training=False), output.kernel) + output.bias)[0, target]
    weights = tf.reduce_mean(tape.gradient(score, watched), axis=(1, 2))[0].numpy()
    heat = np.maximum((activation[0] * weights).sum(axis=-1), 0)
    return heat / (heat.max() or 1)


def compare(network: Network, folder: Path) -> tuple[float, int]:
    """Compare for every class on two phantoms: largest difference, number of maps that show something."""
    export_network(network, folder)
    classifier = Classifier(folder / "model.onnx", list(CLASSES))
    activation = network.model.get_layer(network.target_layer)
    difference, n_maps = 0.0, 0
    for number in range(2):
        scan = draw_phantom(number, (1, number))
        explained = classifier.explain(scan)
        pixels = fit_scan(scan, classifier.size, 3)
        both = keras.Model(network.model.input, [network.model.output, activation.output])
        expected, features = both(pixels[None].astype(np.float32), training=False)
        difference = max(difference, float(np.abs(explained.probabilities - expected[0]).max()))
        for target in range(len(CLASSES)):
            ours = compute_heatmap(explained.activation, explained.channel_weights, target)
            difference = max(difference, float(np.abs(ours - reference(network, features.numpy(), target)).max()))
            n_maps += int(ours.max() == 1.0)
    return difference, n_maps


if __name__ == "__main__":
    folder, *architectures = sys.argv[1:]
    found = {}
    for key in architectures:
        found[key] = compare(build_network(RunConfig(dataset_id="d", architecture=key), len(CLASSES)), Path(folder))
    sys.stdout.write(json.dumps(found) + "\n")
