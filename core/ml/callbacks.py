"""Keras callbacks: what they learn goes into the run folder; who shows it is not their business."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import Any

import keras

from core.config import RunConfig
from core.curves import Epoch, score_of
from core.errors import LossError
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
        self._look()

    def on_test_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Look at the flag."""
        self._look()

    def _look(self) -> None:
        _end_on_request(self._job)


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

    def remember(self) -> dict[str, Any]:
        """The best score and how long it has stood."""
        return {"best": self._best, "waited": self._waited}

    def recall(self, memory: dict[str, Any]) -> None:
        """Take over what it knew."""
        best = memory.get("best")
        self._best = None if best is None else (float(best[0]), float(best[1]))
        self._waited = int(memory.get("waited", 0))


class Plateau(keras.callbacks.ReduceLROnPlateau):
    """Halves the rate when validation stops improving; Keras' own forgets its best value when a fit begins."""

    _MEMORY = ("best", "wait", "cooldown_counter")

    def __init__(self, learning_rate: float) -> None:
        super().__init__(monitor="val_loss", factor=0.5, patience=2, min_lr=learning_rate / 100)
        self._recalled: dict[str, Any] = {}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Begin with what is known."""
        super().on_train_begin(logs)
        for name, value in self._recalled.items():
            setattr(self, name, value)

    def remember(self) -> dict[str, Any]:
        """The best loss, and how long it has stood."""
        return {name: float(getattr(self, name)) for name in self._MEMORY}

    def recall(self, memory: dict[str, Any]) -> None:
        """Take over what it knew."""
        self._recalled = {name: memory[name] for name in self._MEMORY if name in memory}


class RunRecorder(keras.callbacks.Callback):
    """Records batches as progress, and hands on epochs as rows of history.csv, over all phases.

    Args:
        n_epochs: of the whole run.
        n_images: training pictures of an epoch.
        worker_started: time from which `elapsed` counts; earlier by what an interrupted worker had done.
        keep: told each row when its epoch has ended.
    """

    def __init__(
        self,
        job: Job,
        config: RunConfig,
        n_epochs: int,
        n_images: int,
        worker_started: float,
        keep: Callable[[Epoch], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__()
        self._job, self._clock, self._worker_started = job, clock, worker_started
        self._total, self._batch_size, self._n_images = n_epochs, config.batch_size, n_images
        self._keep = keep
        self._batches = -(-n_images // config.batch_size)
        self._phase, self._last_epoch = "", 0
        self._seconds_beside: float | None = None
        self._epoch_started = self._epoch_ended = self._trained = self._last_report = 0.0
        self._pace = Pace(self._batches, clock)
        self._epoch, self._learning_rate = 0, math.nan

    def open_phase(self, name: str, last_epoch: int) -> None:
        """Say what comes next, and the number of the phase's last epoch."""
        self._phase, self._last_epoch, self._seconds_beside = name, last_epoch, None
        self._pace = Pace(self._batches, self._clock)

    def expect(self, seconds_beside: float | None) -> None:
        """Say how long the run takes beside the epochs of this phase; None if that is not known."""
        self._seconds_beside = seconds_beside

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock of the epoch."""
        self._epoch, self._epoch_started = epoch + 1, self._clock()
        self._pace.begin_epoch(self._last_epoch - epoch)

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Report the progress, at most every half second."""
        logs = logs or {}
        if not math.isfinite(logs.get("loss", 0.0)):
            raise LossError(
                f"The loss became infinite or not a number in epoch {self._epoch}, batch {batch + 1}. "
                "Lower the learning rate, for example tenfold, and start again."
            )
        self._pace.end_step()
        now = self._clock()
        if now - self._last_report >= REPORT_EVERY:
            self._last_report = now
            self._report("Training", batch + 1, now - self._epoch_started, logs)

    def report_features(self, message: str, done: int, total: int) -> None:
        """Say how far the features of the epochs to come are, between two epochs; ends training on request."""
        _end_on_request(self._job)
        now = self._clock()
        if now - self._last_report >= REPORT_EVERY:
            self._last_report = now
            waited = now - self._epoch_ended
            self._report(f"{message} ({done:,} of {total:,})", self._batches, 0.0, {}, waited)

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
        """Keep the epoch. Its log line comes last: it is announced only when its checkpoint stands."""
        now = self._clock()
        row = self._row(logs or {}, now)
        self._keep(row)
        self._pace.end_epoch()
        self._epoch_ended = now
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

    def _report(self, message: str, batch: int, in_epoch: float, logs: dict[str, float], waited: float = 0.0) -> None:
        """Report the progress; `waited` are seconds of those beside the epochs that are over already."""
        seen = min(batch * self._batch_size, self._n_images)
        left = self._pace.seconds_left
        progress: dict[str, Any] = {
            "phase": self._phase,
            "epoch": self._epoch,
            "epochs": self._total,
            "batch": batch,
            "batches": self._batches,
            "images_per_second": seen / in_epoch if in_epoch > 0 else None,
            "seconds_left": None if left is None else max(left + (self._seconds_beside or 0) - waited, 0.0),
            "only_this_phase": self._seconds_beside is None,
        }
        progress |= {name: float(logs[name]) for name in ("loss", "accuracy") if name in logs}
        self._job.report(message, **progress)


def _end_on_request(job: Job) -> None:
    if job.stop_requested():
        job.hear_stop()
        raise RunStopped
