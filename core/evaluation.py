"""Scores of a run on the pictures of a data set: predictions.csv is written here, and read back into numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.auditing import ensure_audit
from core.datasets import Dataset, read_dataset, read_manifest
from core.errors import DatasetError, RunError, SettingsError, StudioError
from core.files import write_text
from core.layouts import SPLITS
from core.leaks import find_foreign_leaks
from core.metrics import (
    compute_averages,
    compute_confusion_matrix,
    compute_ece,
    compute_log_loss,
    compute_report,
    compute_wilson_interval,
)
from core.pixels import Pixels
from core.prediction import load_classifier, predict_files, predict_pixels
from core.runs import Run, dataset_of, read_scored_run, run_class_names

SCORED = ("validation", "test")


@dataclass(frozen=True, eq=False)
class Predictions:
    """The rows of predictions.csv of one split.

    Attributes:
        files: paths of the pictures in the archive they came from.
        y_true, y_pred: labels, shape (n,).
        y_prob: probabilities, shape (n, n_classes).
    """

    files: list[str]
    y_true: np.ndarray
    y_pred: np.ndarray
    y_prob: np.ndarray
    class_names: list[str]


def write_predictions(
    run: Run, dataset: Dataset, pixels: Pixels, on_progress: Callable[[int, int], None] | None = None
) -> dict[str, Predictions]:
    """Predict every picture of validation and test with the run's ONNX model; writes predictions.csv.

    Args:
        pixels: of the data set, at the size of the run's network.

    Returns:
        The predictions per split.
    """
    everything = read_manifest(dataset)
    indices = np.array([at for at, picture in enumerate(everything) if picture.split in SCORED], int)
    pictures = [everything[at] for at in indices]
    class_names = run_class_names(run)
    y_prob = predict_pixels(load_classifier(run), pixels, indices, on_progress)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["file", "split", "true", "predicted", *[f"p_{name}" for name in class_names]])
    for picture, row in zip(pictures, y_prob, strict=True):
        answer = class_names[int(row.argmax())]
        writer.writerow([picture.file, picture.split, picture.label, answer, *[f"{value:.9g}" for value in row]])
    write_text(run.folder / "predictions.csv", buffer.getvalue())
    return {split: read_predictions(run, split) for split in SCORED}


def read_predictions(run: Run, split: str) -> Predictions:
    """Rows of predictions.csv of one split.

    Raises:
        RunError: the file is missing or damaged.
    """
    class_names = run_class_names(run)
    index = {name: at for at, name in enumerate(class_names)}
    files, y_true, y_pred, y_prob = [], [], [], []
    try:
        with (run.folder / "predictions.csv").open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                if row["split"] == split:
                    files.append(row["file"])
                    y_true.append(index[row["true"]])
                    y_pred.append(index[row["predicted"]])
                    y_prob.append([float(row[f"p_{name}"]) for name in class_names])
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise RunError(f"The predictions of run {run.run_id!r} are missing or damaged. Train it again.") from error
    shape = (len(files), len(class_names))
    return Predictions(
        files,
        np.array(y_true, dtype=int),
        np.array(y_pred, dtype=int),
        np.array(y_prob, dtype=np.float64).reshape(shape),
        class_names,
    )


def evaluate_run(run_id: str, dataset_id: str | None = None, split: str = "test") -> dict[str, Any]:
    """Scores of a run's kept model on a split: of its own data set, or of another with the same classes.

    Raises:
        StudioError: the run has no model, the data set is missing, or its classes are others.
    """
    if split not in SPLITS:
        raise SettingsError(f"split must be one of {', '.join(SPLITS)}. Received: {split!r}.")
    run = read_scored_run(run_id)
    dataset_id = dataset_id or run.config.dataset_id
    if dataset_id == run.config.dataset_id and split in SCORED:
        predictions = read_predictions(run, split)
    else:
        predictions = predict_split(run, read_dataset(dataset_id), split)
    leaked, why_unknown = None, None
    try:
        leaked = _find_leaked(run, dataset_id, split)
    except StudioError as error:  # a score that is there is not lost because the audit cannot be made
        why_unknown = str(error)
    known = {"run_id": run_id, "dataset_id": dataset_id, "split": split, "leaks_unknown": why_unknown}
    return known | summarise(predictions, leaked)


def predict_split(run: Run, dataset: Dataset, split: str) -> Predictions:
    """Predict a split of any data set whose classes the run knows.

    Raises:
        DatasetError: it has other classes.
    """
    class_names = run_class_names(run)
    unknown = [name for name in dataset.class_names if name not in class_names]
    if unknown:
        raise DatasetError(
            f"Data set {dataset.name!r} has classes that the run does not know: {', '.join(unknown)}. "
            f"It knows {', '.join(class_names)}. Choose a data set with the same class names."
        )
    pictures = [picture for picture in read_manifest(dataset) if picture.split == split]
    y_prob = predict_files(load_classifier(run), [dataset.folder / picture.stored for picture in pictures])
    y_true = np.array([class_names.index(picture.label) for picture in pictures], dtype=int)
    return Predictions([picture.file for picture in pictures], y_true, y_prob.argmax(axis=1), y_prob, class_names)


def summarise(predictions: Predictions, leaked: Container[str] | None = None) -> dict[str, Any]:
    """The contract's numbers for predictions; `accuracy` is None for no pictures.

    Args:
        leaked: files with a twin among pictures that were seen before; None where it is not known.
    """
    n = len(predictions.files)
    right = predictions.y_true == predictions.y_pred
    matrix = compute_confusion_matrix(predictions.y_true, predictions.y_pred, len(predictions.class_names))
    report = compute_report(matrix, predictions.class_names)
    return _score(right) | {
        "loss": compute_log_loss(predictions.y_true, predictions.y_prob) if n else None,
        "without_leaks": None if leaked is None else _score(right[[file not in leaked for file in predictions.files]]),
        "class_names": predictions.class_names,
        "confusion_matrix": matrix.tolist(),
        "report": report,
        "averages": compute_averages(report, matrix),
        "ece": compute_ece(predictions.y_true, predictions.y_prob) if n else None,
    }


def _score(right: np.ndarray) -> dict[str, Any]:
    n, n_right = len(right), int(right.sum())
    return {
        "n": n,
        "accuracy": n_right / n if n else None,
        "accuracy_ci95": list(compute_wilson_interval(n_right, n)) if n else None,
    }


def _find_leaked(run: Run, dataset_id: str, split: str) -> set[str] | None:
    """Files of a split with a twin among the pictures that the run has seen; None where all of them were seen."""
    trained_on = dataset_of(run)
    if trained_on is None or (dataset_id == trained_on.dataset_id and split not in SCORED):
        return None
    dataset = read_dataset(dataset_id)
    if dataset_id == trained_on.dataset_id:
        leaks = ensure_audit(dataset).leaks[split]
    else:
        leaks = find_foreign_leaks(dataset, split, trained_on)
    pictures = read_manifest(dataset)
    return {pictures[at].file for at in leaks}
