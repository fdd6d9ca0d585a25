"""Scores and facts of a finished training: predictions.csv and metrics.json."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import keras

from core.curves import best_epoch
from core.datasets import Dataset, read_manifest
from core.errors import storage_errors
from core.evaluation import SCORED, Predictions, summarise, write_predictions
from core.files import sync_folder, write_json
from core.history import read_history
from core.jobs import Job
from core.metrics import compute_macro_auc
from core.ml.provenance import compare_with_source, hash_weights
from core.pixels import load_pixels
from core.prediction import load_classifier, measure_milliseconds
from core.runs import Run

RESULTS = ("model.keras", "model.onnx", "predictions.csv", "metrics.json")
_NEEDED = ("labels.json", "environment.json", "history.csv")  # to score a model


@contextmanager
def staged_results(run: Run) -> Iterator[Run]:
    """Give a run of the same history in a folder beside; on a clean exit its model and scores take their places.

    A run that is continued keeps its model until the new one is there with its scores.
    """
    staging = run.folder / ".results"
    with storage_errors():
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir()
        try:
            for name in _NEEDED:
                if (run.folder / name).exists():
                    shutil.copyfile(run.folder / name, staging / name)
            yield replace(run, folder=staging)
            for name in RESULTS:
                (staging / name).replace(run.folder / name)
            sync_folder(run.folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def write_results(
    run: Run,
    dataset: Dataset,
    model: keras.Model,
    kept_epoch: int | None,
    worker_started: float,
    job: Job,
    facts: dict[str, Any],
) -> None:
    """Score the exported model on validation and test and write what is known of the run.

    Args:
        kept_epoch: the epoch whose weights the model has; None if it was stopped before its first epoch ended.
        facts: what the training knows and the files do not say: entries of metrics.json.
    """

    def report(message: str, done: int, total: int) -> None:
        job.report(message, done=done, total=total)  # also of a run that was stopped: its model is kept and scored

    pixels = load_pixels(dataset, int(model.input_shape[1]), report)
    predictions = write_predictions(run, dataset, pixels, partial(report, "Scoring validation and test pictures"))
    history = read_history(run.folder)
    first = read_manifest(dataset)[0]
    weights_hash = hash_weights(model)
    metrics: dict[str, Any] = {
        "dataset_id": dataset.dataset_id,
        "dataset_name": dataset.name,
        "synthetic": dataset.synthetic,
        "dataset_fingerprint": dataset.fingerprint,
        "test_fingerprint": dataset.split_fingerprints["test"],
        "epochs": len(history),
        "best_epoch": kept_epoch if kept_epoch is not None else best_epoch(history, run.config.monitor),
        **{split: _scores(predictions[split]) for split in SCORED},
        "parameters": int(model.count_params()),
        "keras_bytes": (run.folder / "model.keras").stat().st_size,
        "onnx_bytes": (run.folder / "model.onnx").stat().st_size,
        "prediction_ms": measure_milliseconds(load_classifier(run), dataset.folder / first.stored),
        "training_seconds": round(time.time() - worker_started, 3),
        "environment": run.environment,
        "weights_hash": weights_hash,
        "repeats": compare_with_source(run, weights_hash),
        **facts,
    }
    write_json(run.folder / "metrics.json", metrics)


def _scores(predictions: Predictions) -> dict[str, Any]:
    summary = summarise(predictions)
    return {
        "n": summary["n"],
        "accuracy": summary["accuracy"],
        "accuracy_ci95": summary["accuracy_ci95"],
        "loss": summary["loss"],
        "macro_f1": summary["averages"]["macro_avg"]["f1"],
        "auc": compute_macro_auc(predictions.y_true, predictions.y_prob),
        "ece": summary["ece"],
    }
