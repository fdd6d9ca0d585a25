"""Reads that are worth keeping between reruns: thin, keyed by what makes a file what it is, bounded, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core import auditing, datasets, evaluation, exploration, prediction, runs, scans, versions, workspace
from core.audit import Audit, list_pairs
from core.curves import Epoch
from core.datasets import Dataset
from core.evaluation import Predictions
from core.exploration import Exploration
from core.prediction import Classifier
from core.runs import Run
from core.ui import charts


def manifest(dataset: Dataset) -> pd.DataFrame:
    """A data set's manifest, one row per picture."""
    return _manifest(dataset.dataset_id, dataset.created)


def audit(dataset: Dataset) -> Audit | None:
    """A data set's audit, if there is one."""
    return _audit(dataset.dataset_id, dataset.created, _stamp(auditing.audit_folder(dataset) / "result.json"))


def twins(dataset: Dataset) -> pd.DataFrame:
    """A row for each pair of twins of an audited data set."""
    return _twins(dataset.dataset_id, dataset.created, _stamp(auditing.audit_folder(dataset) / "result.json"))


def score_without_leaks(run: Run) -> dict[str, Any] | None:
    """Test score of a run on the scans without a twin that it has seen; None where that is not known."""
    dataset = runs.dataset_of(run)
    found = audit(dataset) if dataset is not None else None
    if dataset is None or found is None:
        return None
    files = manifest(dataset)["file"]
    leaked = {str(files.iloc[at]) for at in found.leaks["test"]}
    score: dict[str, Any] | None = evaluation.summarise(predictions(run, "test"), leaked)["without_leaks"]
    return score


def disk_use(dataset: Dataset) -> tuple[int, int]:
    """Bytes of a data set, and what deleting it would free; looked at every ten minutes."""
    return _disk_use(dataset.dataset_id, dataset.created)


def difference(parent: Dataset, version: Dataset) -> dict[str, Any]:
    """How a version differs from its parent."""
    return _difference(parent.dataset_id, version.dataset_id)


def pixel_statistics(dataset: Dataset) -> Exploration:
    """What the import measured over all pixels."""
    return _exploration(dataset.dataset_id, dataset.created)


def predictions(run: Run, split: str) -> Predictions:
    """A run's predictions of one split."""
    return _predictions(run.run_id, split, _stamp(run.folder / "predictions.csv"))


def classifier(run: Run) -> Classifier:
    """A run's model, loaded once for all sessions."""
    return _classifier(run.run_id, _stamp(run.folder / "model.onnx"))


def curves(run: Run, history: Sequence[Epoch], metric: str, best: int | None) -> go.Figure:
    """A chart of a run's epochs, of which there is at least one; all who watch share it until the next epoch."""
    return _curves(run.run_id, len(history), history[-1]["elapsed"], metric, best, st.context.theme.type, history)


def scan(path: Path) -> np.ndarray:
    """A stored picture, decoded."""
    return _scan(str(path), _stamp(path))


@st.cache_resource(max_entries=16, show_spinner=False)
def _manifest(dataset_id: str, created: float) -> pd.DataFrame:
    dataset = datasets.read_dataset(dataset_id)
    rows = [asdict(picture) | {"thumbnail": picture.thumbnail} for picture in datasets.read_manifest(dataset)]
    return pd.DataFrame(rows)


@st.cache_data(max_entries=8, show_spinner=False)
def _exploration(dataset_id: str, created: float) -> Exploration:
    return exploration.read_exploration(datasets.read_dataset(dataset_id))


@st.cache_resource(max_entries=16, show_spinner=False)
def _audit(dataset_id: str, created: float, stamp: float) -> Audit | None:
    return auditing.read_audit(datasets.read_dataset(dataset_id))


@st.cache_resource(max_entries=16, show_spinner=False)
def _twins(dataset_id: str, created: float, stamp: float) -> pd.DataFrame:
    dataset = datasets.read_dataset(dataset_id)
    found = auditing.read_audit(dataset)
    return pd.DataFrame(list_pairs(found, datasets.read_manifest(dataset)) if found else [])


@st.cache_resource(max_entries=16, show_spinner=False)
def _difference(parent_id: str, version_id: str) -> dict[str, Any]:
    parent, version = (datasets.read_manifest(datasets.read_dataset(name)) for name in (parent_id, version_id))
    return versions.describe_change(parent, version)


@st.cache_data(max_entries=32, ttl=600, show_spinner=False)
def _disk_use(dataset_id: str, created: float) -> tuple[int, int]:
    return workspace.measure_disk(datasets.read_dataset(dataset_id))


@st.cache_data(max_entries=32, show_spinner=False)
def _predictions(run_id: str, split: str, stamp: float) -> Predictions:
    return evaluation.read_predictions(runs.read_run(run_id), split)


@st.cache_resource(max_entries=4, show_spinner="Loading the model")
def _classifier(run_id: str, stamp: float) -> Classifier:
    return prediction.load_classifier(runs.read_run(run_id))


@st.cache_resource(max_entries=32, show_spinner=False)
def _curves(
    run_id: str,
    n_epochs: int,
    elapsed: float,
    metric: str,
    best: int | None,
    theme: str | None,
    _history: Sequence[Epoch],
) -> go.Figure:
    return charts.plot_curves(_history, metric, best)


@st.cache_data(max_entries=64, show_spinner=False)
def _scan(path: str, stamp: float) -> np.ndarray:
    return scans.load_scan(path)


def _stamp(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
