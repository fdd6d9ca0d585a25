"""The command line: `python -m core COMMAND …`.

Prints one JSON value on standard output and progress on standard error. Exit codes: 0 done, 2 unknown command or
option, 3 a clear error of ours as `{"error": {"type", "message"}}`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from core.catalog import ARCHITECTURES
from core.errors import ArchiveError, RunError, ScanError, SettingsError, StorageError, StudioError, storage_errors
from core.splits import DEFAULT_FRACTION, DEFAULT_SEED

_AUDITED_AT_ONCE = 1_000  # pictures that are audited in a second or two
_AUDITED_WHILE_WAITING = 20_000  # and in well under a minute


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _build_parser().parse_args(arguments)
    try:
        with storage_errors():
            result = options.command(options)
    except StudioError as error:
        _print_json({"error": {"type": type(error).__name__, "message": str(error)}})
        return 3
    except KeyboardInterrupt:
        _say("Interrupted. Trainings that were started go on; see `runs`.")
        return 130
    _print_json(result)
    return 0


def _import(options: argparse.Namespace) -> Any:
    try:
        path = Path(options.path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ArchiveError(f"The path {options.path!r} cannot be used ({error}). Check it.") from error
    return _run_import(path=path, name=options.name, patient_pattern=options.patient_pattern, frame=options.frame)


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ArchiveError(f"The path {text!r} cannot be used ({error}). Check it.") from error


def _sample(options: argparse.Namespace) -> Any:
    return _run_import(name=options.name or "Synthetic sample", images_per_class=options.images_per_class)


def _run_import(**request: Any) -> Any:
    from core.datasets import describe
    from core.importing import create_import, run_import
    from core.workspace import remove_remains

    remove_remains()
    dataset = run_import(create_import(**request), _say_progress)
    for note in dataset.notes:
        _say(f"Note: {note}")
    if dataset.skipped:
        _say(f"Warning: {len(dataset.skipped)} file(s) were left out; see `skipped`.")
    return describe(dataset)


def _datasets(options: argparse.Namespace) -> Any:
    from core.datasets import describe, list_datasets

    return [describe(dataset) for dataset in list_datasets()]


def _audit(options: argparse.Namespace) -> Any:
    from core.audit import describe_audit
    from core.auditing import run_audit
    from core.datasets import read_dataset

    dataset = read_dataset(options.dataset)
    audit = run_audit(dataset, _say_progress)
    if audit.n_label_conflicts > len(audit.label_conflicts):
        _say(f"Warning: {len(audit.label_conflicts):,} of {audit.n_label_conflicts:,} label conflicts are listed.")
    return describe_audit(dataset, audit)


def _split(options: argparse.Namespace) -> Any:
    from core.datasets import describe, read_dataset
    from core.importing import create_version, run_import
    from core.versions import new_split

    change = new_split(options.validation, options.test, options.seed)
    folder = create_version(read_dataset(options.dataset), change, options.name)
    version = run_import(folder, _say_progress)
    for note in version.notes:
        _say(f"Note: {note}")
    return describe(version)


def _export_dataset(options: argparse.Namespace) -> Any:
    from core.datasets import read_dataset
    from core.exporting import write_zip

    dataset = read_dataset(options.dataset)
    path = _path(options.output or f"{dataset.dataset_id}.zip")
    path = path / f"{dataset.dataset_id}.zip" if path.is_dir() else path
    if not path.parent.is_dir():
        raise StorageError(f"There is no folder {str(path.parent)!r} to write to. Make it, or choose another --output.")
    write_zip(dataset, path)
    return {"dataset_id": dataset.dataset_id, "path": str(path), "bytes": path.stat().st_size}


def _train(options: argparse.Namespace) -> Any:
    from core.config import make_config
    from core.datasets import read_dataset
    from core.runs import start_run

    dataset = read_dataset(options.dataset)
    config = make_config(dataset, options.architecture, _changes(options))
    run = start_run(dataset, config, options.name)
    _warn_of_leaks(dataset, may_wait=options.wait)
    return _follow(run, options.wait)


def _repeat(options: argparse.Namespace) -> Any:
    from core.runs import read_run, repeat_run

    result = _follow(repeat_run(options.run), options.wait)
    return result | {"repeats": read_run(result["run_id"]).metrics.get("repeats")}


def _estimate(options: argparse.Namespace) -> Any:
    from core.config import make_config
    from core.datasets import read_dataset
    from core.estimate import estimate_run
    from core.trials import ensure_trial

    dataset = read_dataset(options.dataset)
    config = make_config(dataset, options.architecture, _changes(options))
    trial = ensure_trial(config, _say_progress)
    if trial is None:
        raise RunError("The dry run did not come to its end, so there is no estimate. Start the training without one.")
    estimate = estimate_run(dataset, config, trial)
    return {
        "seconds": round(estimate.seconds, 1),
        "steps": {name: round(seconds, 1) for name, seconds in estimate.steps.items()},
        "memory_mb": estimate.memory_mb,
        "number_format": trial.number_format,
        "images_per_second": trial.formats,
    }


def _follow(run: Any, wait: bool) -> dict[str, Any]:
    """The run as it was started, or, after waiting for its end, with its scores."""
    from core.runs import describe_run

    if not wait:
        return {"run_id": run.run_id, "state": run.state}
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
        _say(f"Warning: it could not be looked for leaks. {error}")
        return
    if audit is None:
        _say(f"Warning: this data set was not audited for leaks yet; `audit {dataset.dataset_id}` does it.")
        return
    for found, what in ((audit.leaks, "have a twin"), (audit.patient_leaks, "show a patient of whom others stand")):
        for split, leaked in found.items():
            if leaked:
                _say(
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
            _say(line)
            said = line
        if not run.status.is_alive:
            return run
        time.sleep(0.5)


def _runs(options: argparse.Namespace) -> Any:
    from core.runs import describe_run, list_runs

    return [describe_run(run) for run in list_runs()]


def _stop(options: argparse.Namespace) -> Any:
    from core.runs import describe_run, stop_run

    return describe_run(stop_run(options.run))


def _delete(options: argparse.Namespace) -> Any:
    from core.workspace import delete

    return delete(options.name)


def _evaluate(options: argparse.Namespace) -> Any:
    from core.evaluation import evaluate_run

    scores = evaluate_run(options.run, options.dataset, options.split)
    if scores["leaks_unknown"]:
        _say(f"Warning: the score without leaks is not known. {scores['leaks_unknown']}")
    return scores


def _compare(options: argparse.Namespace) -> Any:
    from core.comparison import compare_runs

    return compare_runs(options.runs)


def _predict(options: argparse.Namespace) -> Any:
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


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(command=function)
        return command

    command = add("sample", _sample, "Make a small synthetic data set (drawn phantoms).")
    command.add_argument("--name", default="")
    command.add_argument("--images-per-class", type=int, default=48)

    command = add("import", _import, "Import a ZIP or a folder as a data set.")
    command.add_argument("path")
    command.add_argument("--name", default="")
    command.add_argument(
        "--patient-pattern",
        default="",
        metavar="REGEX",
        help="finds the id of a patient in the path of a picture, such as patient(\\d+); only a number is stored",
    )

    command.add_argument(
        "--frame", default="first", metavar="first|middle|N", help="which frame of a file of several (N from 0)"
    )

    add("datasets", _datasets, "List the data sets.")
    command = add("audit", _audit, "Find twins, leaks, label conflicts and bad pictures.")
    command.add_argument("dataset")
    command = add("split", _split, "Make a version with a grouped stratified split: twins and patients stay together.")
    command.add_argument("dataset")
    command.add_argument("--validation", type=float, default=DEFAULT_FRACTION, metavar="F")
    command.add_argument("--test", type=float, default=DEFAULT_FRACTION, metavar="F")
    command.add_argument("--seed", type=int, default=DEFAULT_SEED, metavar="N")
    command.add_argument("--name", default="")
    command = add("zip", _export_dataset, "Write a data set as a ZIP that imports again to the same fingerprint.")
    command.add_argument("dataset")
    command.add_argument("--output", default="", metavar="PATH")

    def add_settings(command: argparse.ArgumentParser) -> None:
        command.add_argument("dataset")
        command.add_argument("--architecture", required=True, help=" | ".join(ARCHITECTURES))
        command.add_argument("--epochs", type=int, help="total over all phases")
        command.add_argument("--seed", type=int)
        command.add_argument("--weights", help="imagenet | random | the id of an earlier run")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of a run")

    add_settings(add("estimate", _estimate, "Time and memory of a training, from a dry run of a few batches."))
    command = add("train", _train, "Train a classifier.")
    add_settings(command)
    command.add_argument("--name", default="", help="name of the run")
    command.add_argument("--wait", action="store_true", help="wait for the end and print the scores")

    command = add("repeat", _repeat, "Train again with the same settings, data, number format and threads.")
    command.add_argument("run")
    command.add_argument(
        "--wait", action="store_true", help="wait, and tell whether the weights are the same bit for bit"
    )

    add("runs", _runs, "List the runs.")
    command = add("stop", _stop, "Stop a run after its current batch; its best model is kept.")
    command.add_argument("run")
    command = add("delete", _delete, "Delete a run, or a data set that no run needs.")
    command.add_argument("name", metavar="RUN_OR_DATASET")

    command = add("evaluate", _evaluate, "Scores of a run.")
    command.add_argument("run")
    command.add_argument("--dataset")
    command.add_argument("--split", default="test")
    command = add("compare", _compare, "Compare runs on their test set.")
    command.add_argument("runs", nargs="+", metavar="RUN")
    command = add("predict", _predict, "Predict the class of pictures.")
    command.add_argument("run")
    command.add_argument("files", nargs="+", metavar="FILE")
    command.add_argument("--frame", type=int, default=0, help="index, from 0, in files of several frames")
    return parser


def _print_json(value: Any) -> None:
    try:
        print(json.dumps(value, indent=2, ensure_ascii=True, default=float), flush=True)
    except BrokenPipeError:  # whoever read it has had enough, such as `head`; Python would flush again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _say_progress(message: str, done: int, total: int) -> None:
    _say(f"{message}: {done} of {total}" if total > 1 else message)


def _say(line: str) -> None:
    print(line.encode("utf-8", "backslashreplace").decode(), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
