"""Curves for other tools: TensorBoard's own log in the run's folder, and an MLflow server where there is one.

A server is used if MLFLOW_TRACKING_URI is set and `mlflow` is installed. Whatever goes wrong with it is a line in the
log: a training is never harmed. A server that refuses costs no time; one that accepts and never answers costs two
time-outs of 10 seconds, once. After the first failure it is left alone, but for a word on how the run has ended.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from core.datasets import Dataset
from core.files import read_json, write_json
from core.runs import Run

logger = logging.getLogger(__name__)
_URI = "MLFLOW_TRACKING_URI"
_FILE = "mlflow.json"  # id of the run over there
_PATIENCE = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
_MODELS = ("model.onnx", "model.keras")
_STATES = {"finished": "FINISHED", "failed": "FAILED"}
_NAMES = ("loss", "accuracy", "val_loss", "val_accuracy")


class TensorBoardLog(keras.callbacks.Callback):
    """Writes scalars of each epoch; needs no TensorBoard to be installed."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._writer = tf.summary.create_file_writer(str(run.folder / "tensorboard"))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write the epoch, numbered from 1."""
        with self._writer.as_default():
            for name, value in _scalars(self.model, logs).items():
                tf.summary.write(name, tf.constant(value), step=epoch + 1, metadata=_scalar_metadata())
        self._writer.flush()


class MlflowLog(keras.callbacks.Callback):
    """A run on an MLflow server, which a resumed training goes on with."""

    def __init__(self, run: Run, dataset: Dataset) -> None:
        super().__init__()
        self._run = run
        self._client: Any = None
        self._run_id = ""
        self._try(lambda: self._open(dataset))

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Log the epoch as a step, numbered from 1."""
        scalars = _scalars(self.model, logs)
        self._try(lambda: self._log(scalars, epoch + 1))

    def end(self, state: str) -> None:
        """Log scores and models, and how the run has ended."""
        self._try(lambda: self._end(state))

    def _open(self, dataset: Dataset) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        from mlflow import MlflowClient

        client = MlflowClient()
        experiment = client.get_experiment_by_name(_experiment())
        experiment_id = experiment.experiment_id if experiment else client.create_experiment(_experiment())
        known = (read_json(self._run.folder / _FILE) or {}).get("run_id")
        if known:
            client.update_run(known, status="RUNNING")
        else:
            tags = {
                "studio.run_id": self._run.run_id,
                "studio.dataset": dataset.name,
                "studio.dataset_fingerprint": dataset.fingerprint,
            }
            known = client.create_run(experiment_id, tags=tags, run_name=self._run.name).info.run_id
            write_json(self._run.folder / _FILE, {"run_id": known})
            for name, value in self._run.config.model_dump().items():
                client.log_param(known, name, value)
        self._client, self._run_id = client, known
        logger.info("MLflow run %s at %s", known, os.environ[_URI])

    def _log(self, scalars: dict[str, float], step: int) -> None:
        if self._client:
            for name, value in scalars.items():
                self._client.log_metric(self._run_id, name, value, step=step)

    def _end(self, state: str) -> None:
        if not self._client:
            return
        try:
            if state in ("finished", "stopped"):
                self._log_results()
        finally:  # a server that takes no files may still be told the end; otherwise it shows a run that never ends
            self._client.set_terminated(self._run_id, status=_STATES.get(state, "KILLED"))

    def _log_results(self) -> None:
        metrics = read_json(self._run.folder / "metrics.json") or {}
        for split in ("validation", "test"):
            for name, value in metrics.get(split, {}).items():
                if isinstance(value, (int, float)):
                    self._client.log_metric(self._run_id, f"{split}_{name}", value)
        for name in _MODELS:
            if (self._run.folder / name).exists():
                self._client.log_artifact(self._run_id, str(self._run.folder / name))

    def _try(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # of a network, a server or a package that we know nothing of
            logger.warning("MLflow is left alone from here on: %s", str(error).splitlines()[0] if str(error) else error)
            self._client = None


class Tracking:
    """The callbacks that a run asks for, and the last word to who is told."""

    def __init__(self, run: Run, dataset: Dataset) -> None:
        self.callbacks: list[keras.callbacks.Callback] = [TensorBoardLog(run)] if run.config.tensorboard else []
        if os.environ.get(_URI, "").strip():
            self.callbacks.append(MlflowLog(run, dataset))

    def end(self, state: str) -> None:
        """Say how the run has ended."""
        for callback in self.callbacks:
            if isinstance(callback, MlflowLog):
                callback.end(state)


@contextmanager
def tracked(run: Run, dataset: Dataset) -> Iterator[Tracking]:
    """Track a run; one that raises is told to have failed."""
    tracking = Tracking(run, dataset)
    try:
        yield tracking
    except Exception:
        tracking.end("failed")
        raise


def _scalars(model: keras.Model, logs: dict[str, float] | None) -> dict[str, float]:
    scalars = {name: float(value) for name, value in (logs or {}).items() if name in _NAMES}
    return scalars | {"learning_rate": float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))}


def _scalar_metadata() -> Any:
    """What tells TensorBoard that a number is a scalar; `tf.summary.scalar` would, where TensorBoard is installed."""
    metadata = tf.compat.v1.SummaryMetadata()
    metadata.plugin_data.plugin_name = "scalars"
    metadata.data_class = 1  # DATA_CLASS_SCALAR
    return metadata


def _experiment() -> str:
    return os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or "Brain MRI Studio"
