"""Checkpoints of a training: `checkpoints/EPOCH.npz` in the run folder, all that it takes to go on bit for bit.

A checkpoint is written whole or not at all, and before its epoch is announced. It holds every variable of the network
(the states of its random numbers too) and of the optimizer, and where the training stands. ZIP's checksums tell
whether it verifies; if the newest does not, the one before is used. The best epoch's checkpoint is kept besides.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from core.curves import Epoch
from core.errors import StudioError, storage_errors
from core.files import check_free_space, replacing

logger = logging.getLogger(__name__)
FOLDER = "checkpoints"
_KEPT = 2  # newest ones
_SPARE = 2**20  # bytes that a save leaves free, for the history and the last word


@dataclass
class Progress:
    """Where a training stands after an epoch.

    Attributes:
        epoch: number of the last epoch that has ended; 0 before the first.
        phase: position of its phase in the plan.
        phase_over: whether nothing more is learned in that phase.
        skipped: epochs that early stopping has saved in the phases before.
        best_epoch, best_score: the kept epoch, and its sort key.
        callbacks: what callbacks have to remember, by their names.
        rows: the history until then.
    """

    epoch: int = 0
    phase: int = 0
    phase_over: bool = False
    skipped: int = 0
    best_epoch: int | None = None
    best_score: tuple[float, float] | None = None
    callbacks: dict[str, Any] = field(default_factory=dict)
    rows: list[Epoch] = field(default_factory=list)

    @property
    def elapsed(self) -> float:
        """Seconds of work so far."""
        return float(self.rows[-1]["elapsed"]) if self.rows else 0.0


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A checkpoint that was read and verified."""

    progress: Progress
    network: list[np.ndarray]
    optimizer: list[np.ndarray]

    def restore_network(self, network: keras.Model) -> None:
        """Give a network all its variables back.

        Raises:
            StudioError: it is another network.
        """
        _assign(network.variables, self.network)

    def restore_weights(self, network: keras.Model) -> None:
        """Give a network its weights back, and leave its random numbers where they are."""
        weights = {id(variable) for variable in network.weights}
        pairs = [pair for pair in zip(network.variables, self.network, strict=True) if id(pair[0]) in weights]
        _assign([variable for variable, _ in pairs], [value for _, value in pairs])

    def restore_optimizer(self, model: keras.Model) -> None:
        """Give a compiled model's optimizer its state back."""
        model.optimizer.build(model.trainable_variables)
        _assign(model.optimizer.variables, self.optimizer)


def save_checkpoint(
    folder: Path, network: keras.Model, optimizer: keras.optimizers.Optimizer, progress: Progress
) -> None:
    """Write the checkpoint of an epoch, and remove those that nobody needs any more.

    Raises:
        StorageError: the disk is full or may not be written; the checkpoints before are untouched.
    """
    arrays = {f"network-{at}": _to_array(variable) for at, variable in enumerate(network.variables)}
    arrays |= {f"optimizer-{at}": _to_array(variable) for at, variable in enumerate(optimizer.variables)}
    path = _path(folder, progress.epoch)
    with storage_errors():
        path.parent.mkdir(exist_ok=True)
    check_free_space(path.parent, sum(array.nbytes for array in arrays.values()) + _SPARE)
    arrays["meta"] = np.frombuffer(json.dumps(asdict(progress)).encode(), np.uint8)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
    _prune(folder, progress)


def find_checkpoint(folder: Path) -> Checkpoint | None:
    """The newest checkpoint that verifies; None where there is none."""
    for path in _list(folder):
        checkpoint = _read(path)
        if checkpoint is not None:
            return checkpoint
        logger.warning("Checkpoint %s is damaged; the one before it is used", path.name)
    return None


def remove_half_written(folder: Path) -> None:
    """Remove what a worker that was killed within a save has left; for who holds the run."""
    for place in (folder, folder / FOLDER):
        for path in place.glob(".tmp-*"):
            path.unlink(missing_ok=True)


def read_checkpoint(folder: Path, epoch: int) -> Checkpoint | None:
    """The checkpoint of an epoch; None if it is gone or damaged."""
    return _read(_path(folder, epoch))


def remove_all_but(folder: Path, *epochs: int | None) -> None:
    """Remove the checkpoints of other epochs."""
    keep = {_path(folder, epoch) for epoch in epochs if epoch is not None}
    for path in _list(folder):
        if path not in keep:
            path.unlink(missing_ok=True)


def _prune(folder: Path, progress: Progress) -> None:
    """Keep the newest ones, and what any of them would need as its best one."""
    newest = _list(folder)[:_KEPT]
    needed = {progress.best_epoch}
    for path in newest[1:]:
        known = _read_progress(path)
        needed.add(known.best_epoch if known else None)
    keep = {*newest, *[_path(folder, epoch) for epoch in needed if epoch is not None]}
    for path in _list(folder):
        if path not in keep:
            path.unlink(missing_ok=True)


def _list(folder: Path) -> list[Path]:
    """Checkpoints, the newest first."""
    found = [path for path in (folder / FOLDER).glob("*.npz") if path.stem.isdigit()]
    return sorted(found, key=lambda path: int(path.stem), reverse=True)


def _path(folder: Path, epoch: int) -> Path:
    return folder / FOLDER / f"{epoch:04d}.npz"


def _read(path: Path) -> Checkpoint | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            progress = _parse(stored["meta"])
            network, optimizer = (list(_numbered(stored, kind)) for kind in ("network", "optimizer"))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return Checkpoint(progress, network, optimizer)


def _read_progress(path: Path) -> Progress | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _parse(stored["meta"])
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None


def _parse(meta: np.ndarray) -> Progress:
    stored = json.load(io.BytesIO(meta.tobytes()))
    known = {entry.name for entry in fields(Progress)}
    progress = Progress(**{name: value for name, value in stored.items() if name in known})
    score = progress.best_score
    return replace(progress, best_score=None if score is None else (float(score[0]), float(score[1])))


def _numbered(stored: Any, kind: str) -> Iterator[np.ndarray]:
    n = sum(1 for name in stored.files if name.startswith(f"{kind}-"))
    return (stored[f"{kind}-{at}"] for at in range(n))


def _to_array(variable: keras.Variable) -> np.ndarray:
    value = variable.value
    copies = getattr(value, "values", None)  # of a variable that lies on several devices, all the same
    return np.asarray(keras.ops.convert_to_numpy(copies[0] if isinstance(copies, tuple) else value))


def _assign(variables: list[keras.Variable], values: list[np.ndarray]) -> None:
    shapes = [tuple(variable.shape) for variable in variables]
    if shapes != [value.shape for value in values]:
        raise StudioError(
            "A checkpoint belongs to another network than the run's settings say. Start a new run with these settings."
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
