"""A trained run as a function from pictures to probabilities, by ONNX Runtime. No TensorFlow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from core.errors import RunError
from core.pixels import Pixels
from core.runs import Run, run_class_names
from core.scans import fit_scan, load_scan
from core.settings import read_settings

BATCH = 8  # a seventh faster than 32: what a network works on stays near the processor


@dataclass(frozen=True, eq=False)
class Explained:
    """One prediction with what a heat map needs.

    Attributes:
        probabilities: shape (n_classes,).
        activation: output of the last convolution, shape (height, width, channels).
        channel_weights: how much each channel speaks for each class, shape (n_classes, channels).
    """

    probabilities: np.ndarray
    activation: np.ndarray
    channel_weights: np.ndarray


class Classifier:
    """A loaded model; safe to call from several threads."""

    def __init__(self, path: Path, class_names: list[str]) -> None:
        self._session = open_session(path)
        source = self._session.get_inputs()[0]
        self._input = source.name
        self.size = int(source.shape[1])
        self.class_names = class_names

    def predict(self, scans: list[np.ndarray]) -> np.ndarray:
        """Probabilities, float32 (n, n_classes), for decoded pictures of any size."""
        batches = [self._fit(scans[at : at + BATCH]) for at in range(0, len(scans), BATCH)]
        results = [self.predict_fitted(batch) for batch in batches]
        return np.concatenate(results) if results else np.zeros((0, len(self.class_names)), np.float32)

    def predict_fitted(self, images: np.ndarray) -> np.ndarray:
        """Probabilities, float32 (n, n_classes), for pictures of the network's size, uint8 (n, size, size, 1 or 3)."""
        return np.asarray(self._session.run(["probabilities"], self._feed(images))[0])

    def explain(self, scan: np.ndarray) -> Explained:
        """Predict one picture, and keep what a heat map needs."""
        names = ["probabilities", "activation", "channel_weights"]
        probabilities, activation, weights = self._session.run(names, self._feed(self._fit([scan])))
        return Explained(probabilities[0], activation[0], weights[0])

    def _fit(self, scans: list[np.ndarray]) -> np.ndarray:
        return np.stack([fit_scan(scan, self.size) for scan in scans])

    def _feed(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {self._input: np.broadcast_to(images, (*images.shape[:3], 3)).astype(np.float32)}


def load_classifier(run: Run) -> Classifier:
    """Load the model that a run has kept.

    Raises:
        RunError: it has none, or the file is damaged.
    """
    path = run.folder / "model.onnx"
    if not path.exists():
        raise RunError(f"Run {run.run_id!r} has no model (state: {run.state}). Choose a run that has finished.")
    try:
        return Classifier(path, run_class_names(run))
    except RunError:
        raise
    except Exception as error:  # ONNX Runtime raises types of its own for a damaged file
        raise RunError(f"The model of run {run.run_id!r} is damaged and cannot be loaded. Train it again.") from error


def open_session(path: Path, n_threads: int | None = None) -> Any:
    """An ONNX Runtime session on the CPU, with the number of threads of the settings if none is given."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads or read_settings().n_threads
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def predict_pixels(
    classifier: Classifier, pixels: Pixels, indices: np.ndarray, on_progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Probabilities, float32 (n, n_classes), of pictures that were decoded at the network's size."""
    results = [np.zeros((0, len(classifier.class_names)), np.float32)]
    for at in range(0, len(indices), BATCH):
        results.append(classifier.predict_fitted(pixels.take(indices[at : at + BATCH])))
        if on_progress:
            on_progress(min(at + BATCH, len(indices)), len(indices))
    return np.concatenate(results)


def predict_files(
    classifier: Classifier, paths: list[Path], on_progress: Callable[[int, int], None] | None = None
) -> np.ndarray:
    """Probabilities, float32 (n, n_classes), of files that are known to decode; decoding uses all cores.

    Raises:
        ScanError: a file cannot be decoded.
    """
    results = [np.zeros((0, len(classifier.class_names)), np.float32)]
    done = 0
    for scans in _decode(paths):
        results.append(classifier.predict(scans))
        done += len(scans)
        if on_progress:
            on_progress(done, len(paths))
    return np.concatenate(results)


def measure_milliseconds(classifier: Classifier, path: Path, repeats: int = 15) -> float:
    """Median time from a file to its probabilities."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        classifier.predict([load_scan(path)])
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times))


def _decode(paths: list[Path]) -> Iterator[list[np.ndarray]]:
    """Batches of decoded pictures; the next one is decoded while the caller works."""
    with ThreadPoolExecutor(read_settings().n_threads) as pool:
        ahead = None
        for at in range(0, len(paths), BATCH):
            current = [pool.submit(load_scan, path) for path in paths[at : at + BATCH]]
            if ahead is not None:
                yield [future.result() for future in ahead]
            ahead = current
        if ahead is not None:
            yield [future.result() for future in ahead]
