"""Convert a small network under bad conditions: `python -m tests.ml.reference_conversion` prints JSON."""

from __future__ import annotations

import json
import os
import sys
from unittest import mock

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import onnxruntime
from tf2onnx.optimizer.identity_optimizer import IdentityOptimizer

from core.config import RunConfig
from core.ml import conversion
from core.ml.architectures import build_network


def difference(model: keras.Model) -> float:
    """Largest difference between a model and what becomes of it."""
    session = onnxruntime.InferenceSession(conversion.convert(model).SerializeToString())
    pixels = np.random.default_rng(1).uniform(0, 255, (2, *model.input_shape[1:])).astype(np.float32)
    found = session.run(None, {session.get_inputs()[0].name: pixels})[0]
    return float(np.abs(found - model(pixels, training=False).numpy()).max())


if __name__ == "__main__":
    network = build_network(RunConfig(dataset_id="d", architecture="compact_cnn"), 4, size=32).model
    seen = {"usual": difference(network)}
    with mock.patch.object(IdentityOptimizer, "_optimize", side_effect=ValueError("a pass that fails")):
        seen["failing pass"] = difference(network)
    with mock.patch.object(conversion, "_GROWTH", 0):
        seen["little memory"] = difference(network)
    sys.stdout.write(json.dumps(seen) + "\n")
