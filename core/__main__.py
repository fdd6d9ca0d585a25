"""The command line: `python -m core COMMAND …`.

Prints one JSON value on standard output and progress on standard error. Exit codes: 0 done, 2 unknown command or
option, 3 a clear error of ours as `{"error": {"type", "message"}}`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from core.catalog import ARCHITECTURES
from core.commands import care, data, results, runs
from core.commands.output import say
from core.errors import StudioError, storage_errors
from core.splits import DEFAULT_FRACTION, DEFAULT_SEED


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
        say("Interrupted. Trainings that were started go on; see `runs`.")
        return 130
    _print_json(result)
    return 0


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m core", description=__doc__, allow_abbrev=False)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, function: Any, text: str) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.set_defaults(command=function)
        return command

    command = add("sample", data.sample, "Make a small synthetic data set (drawn phantoms).")
    command.add_argument("--name", default="")
    command.add_argument("--images-per-class", type=int, default=48)

    command = add("import", data.import_dataset, "Import a ZIP or a folder as a data set.")
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

    add("datasets", data.datasets, "List the data sets.")
    command = add("audit", data.audit, "Find twins, leaks, label conflicts and bad pictures.")
    command.add_argument("dataset")
    command = add(
        "split", data.split, "Make a version with a grouped stratified split: twins and patients stay together."
    )
    command.add_argument("dataset")
    command.add_argument("--validation", type=float, default=DEFAULT_FRACTION, metavar="F")
    command.add_argument("--test", type=float, default=DEFAULT_FRACTION, metavar="F")
    command.add_argument("--seed", type=int, default=DEFAULT_SEED, metavar="N")
    command.add_argument("--name", default="")
    command = add("zip", data.export_dataset, "Write a data set as a ZIP that imports again to the same fingerprint.")
    command.add_argument("dataset")
    command.add_argument("--output", default="", metavar="PATH")

    def add_settings(command: argparse.ArgumentParser) -> None:
        command.add_argument("dataset")
        command.add_argument("--architecture", required=True, help=" | ".join(ARCHITECTURES))
        command.add_argument("--epochs", type=int, help="total over all phases")
        command.add_argument("--seed", type=int)
        command.add_argument("--weights", help="imagenet | random | the id of an earlier run")
        command.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="any setting of a run")

    add_settings(add("estimate", runs.estimate, "Time and memory of a training, from a dry run of a few batches."))
    command = add("train", runs.train, "Train a classifier.")
    add_settings(command)
    command.add_argument("--name", default="", help="name of the run")
    command.add_argument("--wait", action="store_true", help="wait for the end and print the scores")

    command = add("repeat", runs.repeat, "Train again with the same settings, data, number format and threads.")
    command.add_argument("run")
    command.add_argument(
        "--wait", action="store_true", help="wait, and tell whether the weights are the same bit for bit"
    )

    add("runs", runs.runs, "List the runs.")
    command = add("stop", runs.stop, "Stop a run after its current batch; its best model is kept.")
    command.add_argument("run")
    instead = command.add_mutually_exclusive_group()
    instead.add_argument("--pause", action="store_true", help="keep its place in the training, to be resumed")
    instead.add_argument("--discard", action="store_true", help="delete all that belongs to it")
    command = add("resume", runs.resume, "Go on with a run that was paused, interrupted or stopped.")
    command.add_argument("run")
    command.add_argument("--epochs", type=int, help="new total over all phases, to continue it beyond its plan")
    command.add_argument("--wait", action="store_true", help="wait for the end and print the scores")
    command = add("queue", runs.queue, "List the runs that wait, in order; with RUN, move it in the queue first.")
    command.add_argument("run", nargs="?")
    command.add_argument("--by", type=int, default=-1, metavar="N", help="places; negative is earlier (default: -1)")
    command = add("delete", care.delete, "Delete a run, or a data set that no run needs.")
    command.add_argument("name", metavar="RUN_OR_DATASET")

    command = add("pack", care.pack, "Write a run as a ZIP that another workspace can bring in.")
    command.add_argument("run")
    command.add_argument("--output", default="", metavar="PATH")
    command = add("unpack", care.unpack, "Bring a run in from the ZIP of another workspace.")
    command.add_argument("path")
    add("storage", care.storage, "What the workspace takes on disk.")
    command = add("clean", care.clean, "Remove old checkpoints and the cache, or one of them.")
    command.add_argument("--checkpoints", action="store_true", help="of runs that have ended with a model")
    command.add_argument("--cache", action="store_true", help="what can be made again")

    command = add("evaluate", results.evaluate, "Scores of a run.")
    command.add_argument("run")
    command.add_argument("--dataset")
    command.add_argument("--split", default="test")
    command = add("compare", results.compare, "Compare runs on their test set.")
    command.add_argument("runs", nargs="+", metavar="RUN")
    command = add("predict", results.predict, "Predict the class of pictures.")
    command.add_argument("run")
    command.add_argument("files", nargs="+", metavar="FILE")
    command.add_argument("--frame", type=int, default=0, help="index, from 0, in files of several frames")
    return parser


def _print_json(value: Any) -> None:
    try:
        print(json.dumps(value, indent=2, ensure_ascii=True, default=float), flush=True)
    except BrokenPipeError:  # whoever read it has had enough, such as `head`; Python would flush again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
