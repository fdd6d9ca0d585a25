"""Dry runs: a few batches of a network in a process of its own tell its speed, its memory and the faster number format.

A trial needs no data set. Its result lies in `cache/trials/KEY/`, KEY being a hash of the machine and of the settings
that matter, so that it is made once. Which number format is faster is decided once per machine and architecture.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core import jobs
from core.cache import hash_texts
from core.config import RunConfig, input_size
from core.errors import storage_errors
from core.files import read_json, write_json
from core.machine import describe_machine
from core.phases import frozen_layers, starts_pretrained
from core.settings import read_settings

logger = logging.getLogger(__name__)
LOG = "trial.log"
_FORMAT = 2  # raised when a trial measures something else
_PATIENCE = 300.0  # seconds after which a run goes on without a trial
_SMALL_RUN = 5_000  # training pictures over all epochs below which a measurement takes longer than it can save


@dataclass(frozen=True)
class Trial:
    """What a dry run has measured.

    Attributes:
        number_format: the faster one for this architecture on this machine, or the one that was asked for.
        formats: training pictures per second by number format, as far as they were measured.
        start_seconds: from the start of a process until its network is built.
        train_per_second, validate_per_second: pictures per second by phase.
        trace_seconds: by phase, what its first steps take besides, while TensorFlow makes its graphs.
        features_per_second: pictures per second through the frozen backbone; None without one.
        export_seconds: to write a model as ONNX.
        memory_mb: largest memory of the process.
    """

    number_format: str
    formats: dict[str, float]
    start_seconds: float
    train_per_second: dict[str, float]
    validate_per_second: dict[str, float]
    trace_seconds: dict[str, float]
    features_per_second: float | None
    export_seconds: float
    memory_mb: float


def trial_folder(config: RunConfig) -> Path:
    """Folder of the trial for these settings. "auto" and the format that it stands for are the same trial."""
    known = read_formats().get(config.architecture, {}).get("number_format")
    matters = {
        "machine": describe_machine(),
        "architecture": config.architecture,
        "batch_size": config.batch_size,
        "dense_units": config.dense_units,
        "input_size": input_size(config),
        "number_format": None if config.number_format in ("auto", known) else config.number_format,
        "pretrained": starts_pretrained(config),
        "cuts": frozen_layers(config),
        "format": _FORMAT,
    }
    return read_settings().cache / "trials" / hash_texts([repr(sorted(matters.items()))])


def read_trial(config: RunConfig) -> Trial | None:
    """What a trial has measured; None where there is none (yet)."""
    stored = read_json(trial_folder(config) / "result.json")
    try:
        return None if stored is None else Trial(**stored)
    except TypeError:
        return None


def start_trial(config: RunConfig) -> Path:
    """Run a trial in a process of its own; one that is under way or done is left alone."""
    folder = trial_folder(config)
    with storage_errors():
        folder.mkdir(parents=True, exist_ok=True)
        is_known = (folder / "status.json").exists()
        if read_trial(config) is None and not (is_known and jobs.read_status(folder).is_alive):
            (folder / "stop").unlink(missing_ok=True)
            write_json(folder / "request.json", config.model_dump())
            jobs.write_queued(folder)
            jobs.launch("core.ml.trial", folder, LOG)
    return folder


def ensure_trial(config: RunConfig, report: jobs.Report) -> Trial | None:
    """The stored trial, else one that is made now; None if it fails: a run can do without."""
    folder = start_trial(config)
    end = time.time() + _PATIENCE
    while (trial := read_trial(config)) is None:
        status = jobs.read_status(folder)
        if not status.is_alive or time.time() > end:
            logger.warning("The trial did not come to its end: %s", status.error or "it took too long")
            return None
        report("Measuring this machine", 0, 1)
        time.sleep(0.2)
    return trial


def wait_for_trials(report: jobs.Report) -> None:
    """Let a dry run that is under way come to its end: beside a training it would measure too little."""
    end = time.time() + _PATIENCE
    folders = [file.parent for file in (read_settings().cache / "trials").glob("*/lock")]
    while any(jobs.is_locked(folder) for folder in folders) and time.time() < end:
        report("Measuring this machine", 0, 1)
        time.sleep(0.2)


def freeze_number_format(config: RunConfig, n_train: int, report: jobs.Report) -> RunConfig:
    """Replace "auto" by the format that was measured, or is measured now, so that a repeat uses the same."""
    if config.number_format != "auto":
        return config
    known = read_formats().get(config.architecture)
    if known is not None:
        chosen = str(known["number_format"])
    elif n_train * config.epochs < _SMALL_RUN or not read_settings().auto_trials:
        chosen = "float32"
    else:
        trial = ensure_trial(config, report)
        chosen = trial.number_format if trial else "float32"
    return config.model_copy(update={"number_format": chosen})


def read_formats() -> dict[str, dict[str, Any]]:
    """Architecture -> `number_format` and pictures per second of each `formats`, as measured on this machine."""
    return (read_json(_formats_file()) or {}).get(_machine_key(), {})


def store_format(architecture: str, formats: dict[str, float]) -> str:
    """Keep which number format is the fastest for an architecture on this machine; returns it."""
    chosen = max(formats, key=lambda name: formats[name])
    stored = read_json(_formats_file()) or {}
    measured = {architecture: {"number_format": chosen, "formats": formats}}
    stored[_machine_key()] = stored.get(_machine_key(), {}) | measured | {"machine": describe_machine()}
    with storage_errors():
        _formats_file().parent.mkdir(parents=True, exist_ok=True)
    write_json(_formats_file(), stored)
    return chosen


def _machine_key() -> str:
    return hash_texts([repr(sorted(describe_machine().items()))])


def _formats_file() -> Path:
    return read_settings().cache / "trials" / "formats.json"
