"""What the commands of `python -m core` do: options in, a value for JSON out; progress and warnings by `say`.

Each imports what it needs itself, so that a quick command stays quick.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

from core.errors import ArchiveError, RunError, ScanError, SettingsError, StorageError, StudioError

_AUDITED_AT_ONCE = 1_000  # pictures that are audited in a second or two
_AUDITED_WHILE_WAITING = 20_000  # and in well under a minute
_said: set[str] = set()


def import_dataset(options: argparse.Namespace) -> Any:
    """Import a ZIP or a folder."""
    return _run_import(
        path=_path(options.path), name=options.name, patient_pattern=options.patient_pattern, frame=options.frame
    )


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ArchiveError(f"The path {text!r} cannot be used ({error}). Check it.") from error


def sample(options: argparse.Namespace) -> Any:
    """Make the synthetic sample."""
    return _run_import(name=options.name or "Synthetic sample", images_per_class=options.images_per_class)


def _run_import(**request: Any) -> Any:
    from core.datasets import describe
    from core.importing import create_import, run_import
    from core.workspace import remove_remains

    remove_remains()
    dataset = run_import(create_import(**request), say_progress)
    for note in dataset.notes:
        say(f"Note: {note}")
    if dataset.skipped:
        say(f"Warning: {len(dataset.skipped)} file(s) were left out; see `skipped`.")
    return describe(dataset)


def datasets(options: argparse.Namespace) -> Any:
    """List the data sets."""
    from core.datasets import describe, list_datasets

    return [describe(dataset) for dataset in list_datasets()]


def audit(options: argparse.Namespace) -> Any:
    """Audit a data set."""
    from core.audit import describe_audit
    from core.auditing import run_audit
    from core.datasets import read_dataset

    dataset = read_dataset(options.dataset)
    audit = run_audit(dataset, say_progress)
    if audit.n_label_conflicts > len(audit.label_conflicts):
        say(f"Warning: {len(audit.label_conflicts):,} of {audit.n_label_conflicts:,} label conflicts are listed.")
    return describe_audit(dataset, audit)


def split(options: argparse.Namespace) -> Any:
    """Make a version with a grouped split."""
    from core.datasets import describe, read_dataset
    from core.importing import create_version, run_import
    from core.versions import new_split

    change = new_split(options.validation, options.test, options.seed)
    folder = create_version(read_dataset(options.dataset), change, options.name)
    version = run_import(folder, say_progress)
    for note in version.notes:
        say(f"Note: {note}")
    return describe(version)


def export_dataset(options: argparse.Namespace) -> Any:
    """Write a data set as a ZIP."""
    from core.datasets import read_dataset
    from core.exporting import write_zip

    dataset = read_dataset(options.dataset)
    path = _path(options.output or f"{dataset.dataset_id}.zip")
    path = path / f"{dataset.dataset_id}.zip" if path.is_dir() else path
    if not path.parent.is_dir():
        raise StorageError(f"There is no folder {str(path.parent)!r} to write to. Make it, or choose another --output.")
    write_zip(dataset, path)
    return {"dataset_id": dataset.dataset_id, "path": str(path), "bytes": path.stat().st_size}


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
    from core.runs import check_weights
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


def _follow(run: Any, wait: bool) -> dict[str, Any]:
    """The run as it was started, or, after waiting for its end, with its scores."""
    from core.runs import describe_run

    if not wait:
        return describe_run(run)
    ended = _wait(run.run_id)
    if ended.state in ("failed", "interrupted"):
        raise RunError(f"Run {run.run_id} {ended.state}: {ended.status.error}")
    return describe_run(ended)


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


def delete(options: argparse.Namespace) -> Any:
    """Delete a run or a data set."""
    from core.workspace import delete

    return delete(options.name)


def evaluate(options: argparse.Namespace) -> Any:
    """Scores of a run."""
    from core.evaluation import evaluate_run

    scores = evaluate_run(options.run, options.dataset, options.split)
    if scores["leaks_unknown"]:
        say(f"Warning: the score without leaks is not known. {scores['leaks_unknown']}")
    return scores


def compare(options: argparse.Namespace) -> Any:
    """Compare runs."""
    from core.comparison import compare_runs

    return compare_runs(options.runs)


def predict(options: argparse.Namespace) -> Any:
    """Predict the class of pictures; a bad file among others is no error."""
    from core.prediction import load_classifier
    from core.runs import read_run

    classifier = load_classifier(read_run(options.run))
    results = [_predict_file(classifier, file, options.frame) for file in options.files]
    if all("error" in result for result in results):
        raise ScanError(results[0]["error"])
    return results


def _predict_file(classifier: Any, file: str, frame: int) -> dict[str, Any]:
    from core.scans import load_scan

    try:
        scan = load_scan(file, frame)
    except StudioError as error:
        return {"file": file, "error": str(error)}
    probabilities = classifier.predict([scan])[0]
    return {
        "file": file,
        "class": classifier.class_names[int(probabilities.argmax())],
        "probabilities": dict(zip(classifier.class_names, map(float, probabilities), strict=True)),
        "abstained": None,
        "reason": None,
    }


def say_progress(message: str, done: int, total: int) -> None:
    """Say how far work is; what cannot be counted is said once."""
    if total > 1:
        say(f"{message}: {done} of {total}")
    elif message not in _said:
        _said.add(message)
        say(message)


def say(line: str) -> None:
    """Write a line for people."""
    sys.stderr.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stderr.flush()
