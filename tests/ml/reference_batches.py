"""Look at batches in a process of their own: `python -m tests.ml.reference_batches` prints what was seen as JSON."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np

from core.config import RunConfig
from core.ml.batches import FeatureBatches, PixelBatches
from core.ml.callbacks import Plateau, RunRecorder
from core.phases import Phase
from core.pixels import Pixels

SIZE, N_TRAIN, N_VALIDATION = 16, 12, 6


def make_pixels(n_colour: int = 0) -> Pixels:
    """Noise of four classes; so many of the training pictures have colour."""
    n, rng = N_TRAIN + N_VALIDATION, np.random.default_rng(1)
    has_colour = np.arange(n) < n_colour
    return Pixels(
        grey=rng.integers(0, 256, (n - n_colour, SIZE, SIZE, 1), np.uint8),
        colour=rng.integers(0, 256, (n_colour, SIZE, SIZE, 3), np.uint8),
        has_colour=has_colour,
        rows=np.where(has_colour, np.cumsum(has_colour), np.cumsum(~has_colour)) - 1,
        labels=rng.integers(0, 4, n),
        splits={"train": np.arange(N_TRAIN), "validation": np.arange(N_TRAIN, n), "test": np.arange(0)},
        n_classes=4,
    )


class MarkedFeatures:
    """Stands for `core.features.Features` with two augmented views: every output is the number of its view."""

    def __init__(self) -> None:
        self.prepared: list[int] = []

    def view_for(self, layer: str, nth_epoch: int) -> int:
        """As in a last phase."""
        return nth_epoch % 3

    def has(self, view: int) -> bool:
        """Whether a view was prepared."""
        return view in self.prepared

    def prepare(self, view: int, report: object) -> None:
        """Note that it was asked for."""
        self.prepared.append(view)

    def train(self, layer: str, view: int) -> np.ndarray:
        """Outputs of a view that was prepared."""
        assert self.has(view)
        return np.full((N_TRAIN, 2), view, np.float16)

    def validation(self, layer: str) -> np.ndarray:
        """Outputs of other pictures."""
        return np.full((N_VALIDATION, 2), -1, np.float16)


def inspect_features() -> dict[str, Any]:
    """How a phase of four epochs from the third on, with two augmented views, goes through them."""
    config, features = RunConfig(dataset_id="d", architecture="mobilenet_v2", batch_size=5), MarkedFeatures()
    batches = FeatureBatches(make_pixels(), config, features, Phase("fine-tuning", 3, 6, 1e-4, "cut"))  # type: ignore[arg-type]
    stretches, views, first = [], [], 3
    while first <= 6:
        ready = batches.prepare(first, 6, lambda *_: None)
        stretches.append([first, ready])
        views += [inputs.numpy().tolist() for inputs, *_ in batches.training(first, ready)]
        first = ready + 1
    return {
        "stretches": stretches,
        "views": [sorted({value for row in batch for value in row}) for batch in views],
        "prepared": features.prepared,
        "validation": sorted(
            {value for inputs, _ in batches.validation() for value in inputs.numpy().ravel().tolist()}
        ),
    }


def rates_of_plateau(stretches: list[tuple[int, int]]) -> list[float]:
    """Learning rates of epochs of which none improves, fitted in stretches as a phase is."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, activation="softmax", trainable=False)])
    model.compile(optimizer=keras.optimizers.Adam(1.0), loss="categorical_crossentropy")
    inputs, targets = np.ones((4, 2), np.float32), np.eye(2, dtype=np.float32)[[0, 1, 0, 1]]
    callback, rates = Plateau(1.0), []
    for first, last in stretches:
        data = {"x": inputs, "y": targets, "validation_data": (inputs, targets), "verbose": 0}
        history = model.fit(**data, initial_epoch=first - 1, epochs=last, callbacks=[callback])
        rates += history.history["learning_rate"]
        callback.recall(callback.remember())
    return [float(rate) for rate in rates]


def report_between_epochs() -> list[dict[str, Any]]:
    """What a recorder says of features that are computed between two epochs of a phase, half a second after another."""
    said: list[dict[str, Any]] = []
    clock = iter(np.arange(0, 100, 0.5)).__next__
    job = SimpleNamespace(
        stop_requested=lambda: False, report=lambda message, **progress: said.append({"message": message} | progress)
    )
    config = RunConfig(dataset_id="d", architecture="mobilenet_v2", batch_size=5)
    recorder = RunRecorder(job, config, 9, N_TRAIN, 0.0, lambda row: None, clock)  # type: ignore[arg-type]
    recorder.open_phase("fine-tuning", 9)
    recorder.expect(20.0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("adam", "mse")
    recorder.set_model(model)
    recorder.on_epoch_begin(5)
    for batch in range(3):
        recorder.on_train_batch_end(batch, {"loss": 1.0})
    recorder.on_test_begin()
    recorder.on_epoch_end(5, dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), 0.5))
    said.clear()
    for done in (4, 8):
        recorder.report_features("Computing backbone features", done, N_TRAIN)
    return said


def inspect() -> dict[str, Any]:
    """What the tests want to know."""
    config = RunConfig(dataset_id="d", architecture="custom_cnn", batch_size=5)
    batches = PixelBatches(make_pixels(), config)
    grey, coloured = PixelBatches(make_pixels(), config, None), PixelBatches(make_pixels(n_colour=2), config)
    mixed = PixelBatches(make_pixels(n_colour=2), config, None)
    return {
        "channels": {
            name: sorted({inputs.shape[-1] for part in (it.training(1, 1), it.validation()) for inputs, *_ in part})
            for name, it in {"usual": batches, "grey": grey, "coloured": coloured, "mixed": mixed}.items()
        },
        "same": all(
            bool((one.numpy() == three.numpy()).all())
            for (one, *_), (three, *_) in zip(grey.training(1, 1), batches.training(1, 1), strict=True)
        ),
        "tuned": [part.options().autotune.enabled for part in (batches.training(1, 2), batches.validation())],
        "features": inspect_features(),
        "between": report_between_epochs(),
        "rates": [rates_of_plateau([(1, 6)]), rates_of_plateau([(1, 1), (2, 2), (3, 6)])],
        "sizes": [len(inputs) for inputs, *_ in batches.training(1, 2)],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(inspect()) + "\n")
