"""Run folders, `models/RUN/`: reading them; `core.run_making` makes, `core.control` starts and ends runs.

The folder is the truth about a run. Its settings are frozen at the start; afterwards only its worker writes, but for
`notes.json` (name, note, star) and `stop`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core import jobs
from core.catalog import ARCHITECTURES
from core.config import BEFORE_THEY_WERE_SETTINGS, RunConfig, parse_config
from core.curves import best_epoch
from core.datasets import Dataset, read_dataset
from core.errors import RunError, SettingsError, StudioError
from core.failures import KILLED, MEMORY
from core.files import is_plain_name, read_json
from core.history import read_history
from core.settings import read_settings
from core.status import Status

LOG = "train.log"
_CHATTER = re.compile(r"[IWE]\d{4} \d\d:\d\d:\d+\.|WARNING: All log messages before absl::|\d{4}-\d\d-\d\d .*: [IWE] ")


class RunStopped(jobs.JobStopped):
    """Somebody asked for the end of a run."""


@dataclass(frozen=True)
class Run:
    """What is known of a run without opening its large files. `metrics` is empty until it has ended well."""

    run_id: str
    folder: Path
    config: RunConfig
    status: Status
    name: str
    metrics: dict[str, Any] = field(default_factory=dict)
    repeat_of: str | None = None
    asked: dict[str, Any] = field(default_factory=dict)
    continued: tuple[int, ...] = ()
    note: str = ""
    star: bool = False

    @property
    def n_epochs(self) -> int:
        """Epochs of its plan, with those that it was continued for."""
        return self.config.epochs + sum(self.continued)

    @property
    def asked_config(self) -> RunConfig:
        """Its settings as they were asked for, before its worker has decided what was left open."""
        return self.config.model_copy(update=self.asked)

    @property
    def environment(self) -> dict[str, Any]:
        """What it was trained with: versions, threads, number format, data fingerprint. Written when it begins."""
        return read_json(self.folder / "environment.json") or {}

    @property
    def state(self) -> str:
        """One of queued, running, stopping, paused, stopped, finished, failed, interrupted."""
        return self.status.state

    @property
    def title(self) -> str:
        """Name of its architecture."""
        entry = ARCHITECTURES.get(self.config.architecture)
        return entry.title if entry else self.config.architecture

    @property
    def has_scores(self) -> bool:
        """Whether it can be evaluated and can predict."""
        return bool(self.metrics) and (self.folder / "model.onnx").exists()

    @property
    def dataset_name(self) -> str:
        """Name of its data set at the start."""
        return str(self.metrics.get("dataset_name") or self.config.dataset_id)

    def score(self, split: str, name: str = "accuracy") -> float | None:
        """A number of the kept model on validation or test; None without one."""
        scores = self.metrics.get(split)
        value = scores.get(name) if isinstance(scores, dict) else None
        return float(value) if isinstance(value, (int, float)) else None


def list_runs() -> list[Run]:
    """All runs, the newest first. Folders without readable settings are not runs."""
    models = read_settings().models
    folders = [path for path in models.iterdir() if _is_run(path)] if models.is_dir() else []
    found = [run for folder in folders if (run := _read(folder)) is not None]
    return sorted(found, key=lambda run: run.status.queued_at, reverse=True)


def read_run(run_id: str) -> Run:
    """Read one run.

    Raises:
        RunError: there is none of that id.
    """
    folder = read_settings().models / run_id
    run = _read(folder) if is_plain_name(run_id) and _is_run(folder) else None
    if run is None:
        raise RunError(f"There is no run {run_id!r} in this workspace. Choose one from the list.")
    return run


def read_scored_run(run_id: str) -> Run:
    """Read a run that has a model and scores.

    Raises:
        RunError: it has none (yet).
    """
    run = read_run(run_id)
    if not run.has_scores:
        raise RunError(
            f"Run {run_id!r} has no model yet (state: {run.state}). Wait for its end, or choose one that has finished."
        )
    return run


def run_class_names(run: Run) -> list[str]:
    """Class names of a run, sorted; a label is a position in it.

    Raises:
        RunError: labels.json is missing or damaged.
    """
    names = (read_json(run.folder / "labels.json") or {}).get("class_names")
    if not names:
        raise RunError(f"The labels of run {run.run_id!r} are missing or damaged. Train it again.")
    return [str(name) for name in names]


def read_log(run: Run, n_lines: int = 40) -> str:
    """The last lines of train.log, without the chatter of TensorFlow's libraries."""
    try:
        with (run.folder / LOG).open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 64 * 1024))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return "\n".join([line for line in lines if not _CHATTER.match(line)][-n_lines:])


def runs_of(dataset_id: str) -> list[Run]:
    """Runs that need a data set."""
    return [run for run in list_runs() if run.config.dataset_id == dataset_id]


def best_run(runs: list[Run]) -> Run | None:
    """The run with the highest validation accuracy (choosing by test would spoil the test).

    Only runs on one data set are compared: the one trained on last, a real one before the synthetic sample.
    """
    scored = [run for run in runs if run.has_scores]
    real = [run for run in scored if not run.metrics.get("synthetic")]
    latest = max(real or scored, key=lambda run: run.status.queued_at, default=None)
    if latest is not None:
        scored = [run for run in scored if run.config.dataset_id == latest.config.dataset_id]
    return max(scored, key=lambda run: run.score("validation") or 0.0, default=None)


def describe_run(run: Run) -> dict[str, Any]:
    """The contract's JSON for a run."""
    history = read_history(run.folder)
    best = best_epoch(history, run.config.monitor)
    by_epoch = {row["epoch"]: row for row in history}
    val_accuracy = run.score("validation")
    if val_accuracy is None and best is not None:
        val_accuracy = by_epoch[best]["val_accuracy"]
    started, ended = run.status.started_at, run.status.ended_at
    until = ended or (time.time() if run.status.is_alive else run.status.updated)
    seconds = max(until - started, 0.0) + run.status.seconds_before if started else run.status.seconds_before or None
    return {
        "run_id": run.run_id,
        "state": run.state,
        "architecture": run.config.architecture,
        "dataset_id": run.config.dataset_id,
        "epochs": len(history),
        "best_epoch": run.metrics.get("best_epoch", best),
        "val_accuracy": val_accuracy,
        "test_accuracy": run.score("test"),
        "seconds": None if seconds is None else round(seconds, 3),
        "name": run.name,
        "error": run.status.error,
    }


def dataset_of(run: Run) -> Dataset | None:
    """The run's data set, or None if it is gone."""
    try:
        return read_dataset(run.config.dataset_id)
    except StudioError:
        return None


def _is_run(folder: Path) -> bool:
    return is_plain_name(folder.name) and folder.name != "pretrained" and (folder / "config.json").is_file()


def _advise(kind: str) -> str:
    """What to do about a run whose process has gone without a word."""
    smaller = {
        MEMORY: ", or choose a smaller batch size",
        KILLED: ", and if it happens again choose a smaller batch size",
    }
    return f"What was done until then is kept: resume it{smaller.get(kind, '')}."


def _read(folder: Path) -> Run | None:
    stored = read_json(folder / "config.json")
    if stored is None:
        return None
    try:
        known = {name: value for name, value in stored.items() if name in RunConfig.model_fields}
        config = parse_config(BEFORE_THEY_WERE_SETTINGS | known)
    except SettingsError:
        return None
    notes = read_json(folder / "notes.json") or {}
    asked = stored.get("asked")
    return Run(
        run_id=folder.name,
        folder=folder,
        config=config,
        status=jobs.read_status(folder, _advise),
        name=str(notes.get("name") or folder.name),
        metrics=read_json(folder / "metrics.json") or {},
        repeat_of=stored.get("repeat_of"),
        asked={name: asked[name] for name in asked if name in RunConfig.model_fields}
        if isinstance(asked, dict)
        else {},
        continued=_read_continued(stored),
        note=str(notes.get("note") or ""),
        star=notes.get("star") is True,
    )


def _read_continued(stored: dict[str, Any]) -> tuple[int, ...]:
    """Epochs of each time that a run was continued; entries that mean nothing are passed over."""
    entries = stored.get("continued")
    numbers = [entry.get("epochs") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return tuple(number for number in numbers if isinstance(number, int) and number > 0)
