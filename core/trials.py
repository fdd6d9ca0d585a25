"""Dry runs: a few batches of a network in a process of its own tell its speed, its memory and the faster number format.

A trial needs no data set, and the machine to itself: it holds the slot that trainings wait for. Its result lies in
`cache/trials/KEY/`, KEY being a hash of the machine and of the settings that matter, so that it is made once. Which
number format is faster is decided once per machine and architecture.
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
from core.errors import TrialError, storage_errors
from core.files import read_json, remove_folder, write_json
from core.launching import launch
from core.machine import describe_machine
from core.phases import frozen_layers, starts_pretrained
from core.settings import read_settings

logger = logging.getLogger(__name__)
LOG = "trial.log"
_FORMAT = 6  # raised when a trial measures something else
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
        feature_bytes: of the frozen layers' outputs for one picture; None without such layers.
        views_per_second: augmented views per second through the backbone, which go no further than the last cut.
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
    feature_bytes: int | None = None
    views_per_second: float | None = None


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


def start_trial(config: RunConfig, *, has_slot: bool = False) -> Path:
    """Run a trial in a process of its own; one that is under way or done is left alone.

    Args:
        has_slot: whether the caller holds the slot of the workspace; otherwise the trial needs it to be free.
    """
    folder = trial_folder(config)
    with storage_errors():
        folder.mkdir(parents=True, exist_ok=True)
        is_known = (folder / "status.json").exists()
        if read_trial(config) is None and not (is_known and jobs.read_status(folder).is_alive):
            (folder / "stop").unlink(missing_ok=True)
            write_json(folder / "request.json", {"config": config.model_dump(), "has_slot": has_slot})
            jobs.write_queued(folder)
            launch("core.ml.trial", folder, LOG)
    return folder


def ensure_trial(config: RunConfig, report: jobs.Report, *, has_slot: bool = False) -> Trial:
    """The stored trial, else one that is made now.

    Raises:
        TrialError: it did not come to its end; the message says why.
        JobStopped: by `report`; the trial ends too.
    """
    folder = start_trial(config, has_slot=has_slot)
    end = time.time() + _PATIENCE
    try:
        while (status := jobs.read_status(folder)).is_alive and time.time() < end:
            report("Measuring this machine", int(status.progress.get("done", 0)), int(status.progress.get("total", 1)))
            time.sleep(0.2)
    finally:
        if jobs.read_status(folder).is_alive:
            jobs.request_stop(folder)
    trial = read_trial(config)
    if trial is None:
        reason = jobs.read_status(folder).error or "It took too long."
        raise TrialError(f"The dry run did not come to its end. {reason}")
    return trial


def forget_trial(config: RunConfig) -> None:
    """Drop what was measured for these settings, the choice of a number format too, so that it is measured anew."""
    folder = trial_folder(config)
    _write_formats({name: entry for name, entry in read_formats().items() if name != config.architecture})
    if folder.is_dir():
        remove_folder(folder)


def freeze_number_format(config: RunConfig, n_train: int, report: jobs.Report) -> RunConfig:
    """Replace "auto" by the format that was measured, or is measured now, so that a repeat uses the same.

    For a worker that holds the slot.
    """
    if config.number_format != "auto":
        return config
    known = read_formats().get(config.architecture)
    if known is not None:
        chosen = str(known["number_format"])
    elif n_train * config.epochs < _SMALL_RUN or not read_settings().auto_trials:
        chosen = "float32"
    else:
        try:
            chosen = ensure_trial(config, report, has_slot=True).number_format
        except TrialError as error:  # a run can do without
            logger.warning("float32 is used: %s", error)
            chosen = "float32"
    return config.model_copy(update={"number_format": chosen})


def read_formats() -> dict[str, dict[str, Any]]:
    """Architecture -> `number_format` and pictures per second of each `formats`, as measured on this machine."""
    return (read_json(_formats_file()) or {}).get(_machine_key(), {}).get("architectures", {})


def store_format(architecture: str, formats: dict[str, float]) -> str:
    """Keep which number format is the fastest for an architecture on this machine; returns it."""
    chosen = max(formats, key=lambda name: formats[name])
    _write_formats(read_formats() | {architecture: {"number_format": chosen, "formats": formats}})
    return chosen


def _write_formats(architectures: dict[str, dict[str, Any]]) -> None:
    """Of this machine; what other machines with the same workspace have measured stays."""
    with storage_errors():
        _formats_file().parent.mkdir(parents=True, exist_ok=True)
    stored = read_json(_formats_file()) or {}
    entry = {"machine": describe_machine(), "architectures": architectures}
    write_json(_formats_file(), stored | {_machine_key(): entry})


def _machine_key() -> str:
    """What was measured otherwise, by an earlier version, does not count."""
    return hash_texts([repr(sorted(describe_machine().items())), str(_FORMAT)])


def _formats_file() -> Path:
    return read_settings().cache / "trials" / "formats.json"
