"""Commands that start runs, list them, and ask something of them."""

from __future__ import annotations

import argparse
import time
from typing import Any

from core.commands.output import say, say_progress
from core.errors import RunError, SettingsError, StudioError

_AUDITED_AT_ONCE = 1_000  # pictures that are audited in a second or two
_AUDITED_WHILE_WAITING = 20_000  # and in well under a minute


def train(options: argparse.Namespace) -> Any:
    """Start a training, and wait for its end if asked to."""
    from core.config import make_config
    from core.control import start_run
    from core.datasets import read_dataset

    dataset = read_dataset(options.dataset)
    config = make_config(dataset, options.architecture, _changes(options))
    run = start_run(dataset, config, options.name)
    _warn_of_leaks(dataset, may_wait=options.wait)
    return _follow(run, options.wait)


def repeat(options: argparse.Namespace) -> Any:
    """Start a run again, and tell after its end whether it came out the same."""
    from core.control import repeat_run
    from core.runs import read_run

    result = _follow(repeat_run(options.run), options.wait)
    return result | {"repeats": read_run(result["run_id"]).metrics.get("repeats")}


def estimate(options: argparse.Namespace) -> Any:
    """Time and memory of a training."""
    from core.config import make_config
    from core.datasets import read_dataset
    from core.estimate import estimate_run
    from core.run_making import check_weights
    from core.trials import ensure_trial

    dataset = read_dataset(options.dataset)
    config = make_config(dataset, options.architecture, _changes(options))
    check_weights(config)
    trial = ensure_trial(config, say_progress)
    cost = estimate_run(dataset, config, trial)
    return {
        "seconds": round(cost.seconds, 1),
        "steps": {name: round(seconds, 1) for name, seconds in cost.steps.items()},
        "memory_mb": cost.memory_mb,
        "note": cost.note,
        "number_format": trial.number_format,
        "images_per_second": trial.formats,
    }


def runs(options: argparse.Namespace) -> Any:
    """List the runs."""
    from core.runs import describe_run, list_runs

    return [describe_run(run) for run in list_runs()]


def stop(options: argparse.Namespace) -> Any:
    """Stop, pause or discard a run."""
    from core.control import discard_run, stop_run
    from core.jobs import KEEP, PAUSE
    from core.runs import describe_run, read_run

    if options.discard:
        before = describe_run(read_run(options.run))
        discard_run(options.run)
        return before | {"discarded": True}
    return describe_run(stop_run(options.run, PAUSE if options.pause else KEEP))


def resume(options: argparse.Namespace) -> Any:
    """Go on with a run."""
    from core.control import resume_run

    return _follow(resume_run(options.run, options.epochs), options.wait)


def queue(options: argparse.Namespace) -> Any:
    """List the queue, and move a run in it."""
    from core.queue import list_waiting, move
    from core.runs import describe_run, read_run
    from core.settings import read_settings

    if options.run:
        move(read_run(options.run).folder, options.by)
    return [describe_run(read_run(folder.name)) for folder in list_waiting(read_settings().models)]


def _follow(run: Any, wait: bool) -> dict[str, Any]:
    """The run as it was started, or, after waiting for its end, with its scores."""
    from core.runs import describe_run

    if not wait:
        return describe_run(run)
    ended = _wait(run.run_id)
    if ended.state in ("failed", "interrupted"):
        raise RunError(f"Run {run.run_id} {ended.state}: {ended.status.error}")
    return describe_run(ended)


def _wait(run_id: str) -> Any:
    from core.runs import read_run

    said = ""
    while True:
        run = read_run(run_id)
        progress = run.status.progress
        epoch = f", epoch {progress['epoch']} of {progress['epochs']}" if "epoch" in progress else ""
        line = f"{run.state}: {run.status.message}{epoch}"
        if line != said:
            say(line)
            said = line
        if not run.status.is_alive:
            return run
        time.sleep(0.5)


def _changes(options: argparse.Namespace) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for setting in options.set:
        key, mark, value = setting.partition("=")
        if not mark:
            raise SettingsError(f"--set takes KEY=VALUE. Received: {setting!r}.")
        if key in ("dataset_id", "architecture"):
            raise SettingsError(f"--set cannot change {key!r}; it is given by the command's own arguments.")
        changes[key] = value
    for key in ("epochs", "seed", "weights"):
        if getattr(options, key) is not None:
            changes[key] = getattr(options, key)
    return changes


def _warn_of_leaks(dataset: Any, *, may_wait: bool) -> None:
    """The training has started already, so nothing that goes wrong here may end the command."""
    from core.auditing import ensure_audit, read_audit

    try:
        is_quick = dataset.n_images <= (_AUDITED_WHILE_WAITING if may_wait else _AUDITED_AT_ONCE)
        audit = ensure_audit(dataset) if is_quick else read_audit(dataset)
    except StudioError as error:
        say(f"Warning: it could not be looked for leaks. {error}")
        return
    if audit is None:
        say(f"Warning: this data set was not audited for leaks yet; `audit {dataset.dataset_id}` does it.")
        return
    for found, what in ((audit.leaks, "have a twin"), (audit.patient_leaks, "show a patient of whom others stand")):
        for split, leaked in found.items():
            if leaked:
                say(
                    f"Warning: {len(leaked)} of {dataset.n_in(split)} {split} pictures {what} among the pictures that "
                    f"were seen before, so the {split} score will be too good. `split {dataset.dataset_id}` makes a "
                    "version without leaks."
                )
