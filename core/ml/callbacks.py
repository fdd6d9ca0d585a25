"""Keras callbacks: what they learn goes into the run folder; who shows it is not their business."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras

from core.config import RunConfig
from core.curves import Epoch, score_of
from core.errors import RunError
from core.files import replacing
from core.history import append_epoch
from core.jobs import Job
from core.pace import Pace
from core.runs import RunStopped

logger = logging.getLogger(__name__)
REPORT_EVERY = 0.5  # seconds between two writes of the progress


class StopOnRequest(keras.callbacks.Callback):
    """Ends training after the batch in which the stop flag appears. Setting `stop_training` would validate first."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the flag."""
        if self._job.stop_requested():
            raise RunStopped

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the flag."""
        if self._job.stop_requested():
            raise RunStopped


class BestCheckpoint(keras.callbacks.Callback):
    """Keeps the weights of the best epoch over all phases, saved atomically.

    Args:
        network: the whole model; the one being fitted may be a part of it.
    """

    def __init__(self, network: keras.Model, path: Path, monitor: str) -> None:
        super().__init__()
        self._network, self._path, self._monitor = network, path, monitor
        self._best: tuple[float, float] | None = None
        self.epoch: int | None = None

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save if this epoch is the best so far."""
        score = score_of(logs or {}, self._monitor)
        if self._best is None or score > self._best:
            with replacing(self._path) as temporary:
                self._network.save_weights(temporary)
            self._best, self.epoch = score, epoch + 1

    def restore(self) -> None:
        """Give the network the kept weights; does nothing if no epoch has ended."""
        if self.epoch is not None:
            self._network.load_weights(self._path)


class PhasePatience(keras.callbacks.Callback):
    """Ends a phase after some epochs without improvement."""

    def __init__(self, patience: int, monitor: str) -> None:
        super().__init__()
        self._patience, self._monitor = patience, monitor
        self._best: tuple[float, float] | None = None
        self._waited = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Count epochs without improvement."""
        score = score_of(logs or {}, self._monitor)
        if self._best is None or score > self._best:
            self._best, self._waited = score, 0
            return
        self._waited += 1
        if self._patience and self._waited >= self._patience:
            logger.info("Early stopping: no improvement of %s for %d epochs", self._monitor, self._waited)
            self.model.stop_training = True


class RunRecorder(keras.callbacks.Callback):
    """Records batches (as progress) and epochs (as rows of history.csv) into the run folder, over all phases.

    Args:
        n_images: training pictures of an epoch.
        worker_started: time from which `elapsed` counts.
    """

    def __init__(
        self,
        job: Job,
        config: RunConfig,
        n_images: int,
        worker_started: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._job, self._clock, self._worker_started = job, clock, worker_started
        self._total, self._batch_size, self._n_images = config.epochs, config.batch_size, n_images
        self._batches = -(-n_images // config.batch_size)
        self._phase, self._last_epoch = "", 0
        self._seconds_after: float | None = None
        self._epoch_started = self._trained = self._last_report = 0.0
        self._pace = Pace(self._batches, clock)
        self._epoch, self._learning_rate = 0, math.nan

    def open_phase(self, name: str, last_epoch: int, seconds_after: float | None) -> None:
        """Say what comes next.

        Args:
            last_epoch: number of the phase's last epoch.
            seconds_after: from its end to the end of the run; None if that is not known.
        """
        self._phase, self._last_epoch, self._seconds_after = name, last_epoch, seconds_after
        self._pace = Pace(self._batches, self._clock)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock of the epoch."""
        self._epoch, self._epoch_started = epoch + 1, self._clock()
        self._pace.begin_epoch(self._last_epoch - epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Report the progress, at most every half second."""
        logs = logs or {}
        if not math.isfinite(logs.get("loss", 0.0)):
            raise RunError(
                f"The loss became infinite or not a number in epoch {self._epoch}, batch {batch + 1}. "
                "Lower the learning rate, for example tenfold, and start again."
            )
        self._pace.end_step()
        now = self._clock()
        if now - self._last_report >= REPORT_EVERY:
            self._last_report = now
            self._report("Training", batch + 1, now - self._epoch_started, logs)

    def on_test_begin(self, logs: dict[str, float] | None = None) -> None:
        """Say that validation has begun."""
        self._pace.begin_validation()
        self._trained = self._clock()
        # Read now, of the last step: some schedules set the next epoch's rate before this one is recorded.
        self._learning_rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))
        self._report("Validating", self._batches, self._clock() - self._epoch_started, {})

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Hear how long validation takes."""
        self._pace.end_validation_step()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Append the epoch to history.csv."""
        self._pace.end_epoch()
        now = self._clock()
        row = self._row(logs or {}, now)
        append_epoch(self._job.folder, row)
        logger.info(
            "Epoch %d/%d (%s): loss %.4f, accuracy %.4f, val_loss %.4f, val_accuracy %.4f, %.2f s (training %.2f s)",
            *(row["epoch"], self._total, self._phase, row["loss"], row["accuracy"]),
            *(row["val_loss"], row["val_accuracy"], row["seconds"], self._trained - self._epoch_started),
        )

    def _row(self, logs: dict[str, float], now: float) -> Epoch:
        scores = {name: float(logs[name]) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        return {
            "epoch": self._epoch,
            "phase": self._phase,
            **scores,
            "learning_rate": self._learning_rate,
            "seconds": round(now - self._epoch_started, 3),
            "elapsed": round(now - self._worker_started, 3),
        }

    def _report(self, message: str, batch: int, in_epoch: float, logs: dict[str, float]) -> None:
        seen = min(batch * self._batch_size, self._n_images)
        left = self._pace.seconds_left
        progress: dict[str, Any] = {
            "phase": self._phase,
            "epoch": self._epoch,
            "epochs": self._total,
            "batch": batch,
            "batches": self._batches,
            "images_per_second": seen / in_epoch if in_epoch > 0 else None,
            "seconds_left": None if left is None else left + (self._seconds_after or 0),
            "only_this_phase": self._seconds_after is None,
        }
        progress |= {name: float(logs[name]) for name in ("loss", "accuracy") if name in logs}
        self._job.report(message, **progress)
