"""What a training keeps as its epochs end: a checkpoint first, then the row in history.csv that announces the epoch."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Protocol

import keras

from core.curves import Epoch, score_of
from core.history import append_epoch, read_history, write_history
from core.ml.checkpoints import Checkpoint, Progress, read_checkpoint, save_checkpoint
from core.phases import Phase
from core.timeline import note_event

logger = logging.getLogger(__name__)


class Remembering(Protocol):
    """A callback with a memory that must outlive its process."""

    def remember(self) -> dict[str, Any]:
        """What it knows, as values for JSON."""

    def recall(self, memory: dict[str, Any]) -> None:
        """Take over what it knew."""


class Keeper:
    """Keeps the checkpoints of a training, and knows where it stands.

    Args:
        network: the whole model; the one being fitted may be a part of it.
        saved: the checkpoint that the training goes on from, if it does.
    """

    def __init__(self, folder: Path, network: keras.Model, monitor: str, saved: Checkpoint | None) -> None:
        self.progress = saved.progress if saved else Progress()
        self._folder, self._network, self._monitor, self._saved = folder, network, monitor, saved
        self._model, self._last_epoch = network, 0
        self._remembering: dict[str, Remembering] = {}
        heal_history(folder, self.progress.rows)

    def n_skipped(self, phases: tuple[Phase, ...], phase: int) -> int:
        """Epochs that early stopping has saved before a phase."""
        if not self._resumes(phase):
            self.progress.skipped = phases[phase - 1].last - self.progress.epoch if phase else 0
        return self.progress.skipped

    def is_over(self, phase: int) -> bool:
        """Whether a phase has been learned already."""
        return phase < self.progress.phase or (phase == self.progress.phase and self.progress.phase_over)

    def enter_phase(self, phase: int) -> None:
        """Give the network what a phase begins with: the best weights so far, or in its middle all as it was."""
        if self._saved is not None:
            self._saved.restore_network(self._network)
        if not self._resumes(phase):
            self.restore_best()
            self.progress.callbacks = {}

    def open_phase(self, phase: int, model: keras.Model, last_epoch: int, remembering: dict[str, Remembering]) -> None:
        """Begin a phase that was entered, or go on in its middle.

        Args:
            model: what is fitted, compiled.
            remembering: the phase's callbacks with a memory, by name.
        """
        self._model, self._last_epoch, self._remembering = model, last_epoch, remembering
        if self._saved is not None and self._resumes(phase):
            self._saved.restore_optimizer(model)
            for name, callback in remembering.items():
                callback.recall(self.progress.callbacks.get(name, {}))
        self._saved = None
        self.progress.phase, self.progress.phase_over = phase, False

    def _resumes(self, phase: int) -> bool:
        """Whether a phase begins in its middle."""
        return self._saved is not None and phase == self.progress.phase and not self.progress.phase_over

    def keep(self, row: Epoch) -> None:
        """Save a checkpoint of the epoch that has ended, then announce the epoch.

        Raises:
            StorageError: the disk is full; the checkpoints before are untouched.
        """
        progress = self.progress
        progress.epoch = int(row["epoch"])
        progress.rows.append(row)
        score = score_of(row, self._monitor)
        is_best = progress.best_score is None or score > progress.best_score
        if is_best:
            progress.best_epoch, progress.best_score = progress.epoch, score
        progress.phase_over = progress.epoch >= self._last_epoch or bool(self._model.stop_training)
        progress.callbacks = {name: callback.remember() for name, callback in self._remembering.items()}
        save_checkpoint(self._folder, self._network, self._model.optimizer, progress)
        append_epoch(self._folder, row)
        if is_best:
            note_event(self._folder, "best", f"epoch {progress.epoch}, validation {row['val_accuracy']:.1%}")

    def restore_best(self) -> None:
        """Give the network the weights of the best epoch; does nothing if no epoch has ended."""
        best = self.progress.best_epoch
        if best is None:
            return
        checkpoint = read_checkpoint(self._folder, best)
        if checkpoint is not None:
            checkpoint.restore_weights(self._network)
            return
        logger.warning("The checkpoint of the best epoch (%d) is gone or damaged; the last weights are kept", best)
        self.progress.best_epoch = self.progress.epoch


def heal_history(folder: Path, rows: list[Epoch]) -> None:
    """Make history.csv say what the checkpoint knows: later epochs are learned anew, lost rows come back."""
    written = read_history(folder)
    if written == rows and (rows or not (folder / "history.csv").exists()):
        return
    if len(written) > len(rows):
        logger.warning("Epochs after epoch %d have no checkpoint that can be used and are learned anew", len(rows))
    write_history(folder, rows)
