"""Training, prediction and import against the classic way and against bare work, side by side in one run.

The classic baseline is `benchmarks/classic.py`, the bare train step `benchmarks/bare.py`; ours are real runs of real
workers. `--only` chooses rows.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

from benchmarks import importing
from benchmarks.studio import (
    call,
    import_zip,
    link_folders,
    say,
    seconds_before_start,
    train,
    training_seconds,
    workspace,
)
from core.catalog import find_architecture
from core.datasets import Dataset, read_manifest
from core.history import read_history
from core.machine import explain_machine
from core.prediction import load_classifier, measure_milliseconds
from core.runs import Run
from core.weights import find_imagenet_weights

GOAL = 0.91  # validation accuracy
CLASSIC_SIZE = 224
Row = tuple[str, str, str, str, str]  # what, classic or bare, ours, ratio, target


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    parser.add_argument("zip", type=Path)
    parser.add_argument("--only", nargs="*", choices=list(ROWS), default=list(ROWS))
    parser.add_argument("--classic-epochs", type=int, default=20, help="at most so many to reach the goal")


def run(options: argparse.Namespace) -> None:
    """Measure all rows and print a table."""
    with workspace(), TemporaryDirectory() as folder:
        dataset = import_zip(options.zip)
        folders = link_folders(dataset, Path(folder))
        rows = [row for name in options.only for row in ROWS[name](dataset, folders, options)]
    print(f"Machine: {explain_machine()}. Data: {dataset.n_images:,} pictures.\n")
    print("| | classic or bare | ours | ratio | target |\n|---|--:|--:|--:|--:|")
    for row in rows:
        print(f"| {' | '.join(row)} |")


def measure_mobilenet(dataset: Dataset, folders: Path, options: argparse.Namespace) -> list[Row]:
    """Time to the goal, the whole default run, and one prediction."""
    weights = find_imagenet_weights(find_architecture("mobilenet_v2"))
    if weights is None:
        say("Left out: MobileNetV2, because its ImageNet weights are not on this machine (STUDIO_PRETRAINED)")
        return []
    watched = train(dataset, "mobilenet_v2")
    ours = watched.run
    classic = call(
        "benchmarks.classic", "mobilenet_v2", folders, "--weights", weights.path, "--epochs", options.classic_epochs,
        "--until", GOAL,
    )  # fmt: skip
    before = seconds_before_start(ours)
    reached = [before + row["elapsed"] for row in read_history(ours.folder) if row["val_accuracy"] >= GOAL]
    theirs = [row["elapsed"] for row in classic if row["val_accuracy"] >= GOAL]
    more = "" if theirs else "> "
    to_goal = theirs[0] if theirs else classic[-1]["elapsed"]
    ten = classic[min(9, len(classic) - 1)]
    total = before + float(ours.metrics["training_seconds"])
    return [
        (
            f"MobileNetV2, wall time to {GOAL:.0%} validation accuracy",
            f"{more}{to_goal:.0f} s",
            f"{reached[0]:.1f} s" if reached else "not reached",
            f"{more}{to_goal / reached[0]:.1f}" if reached else "–",
            "≥ 20",
        ),
        (
            "MobileNetV2, whole default run ÷ classic ten epochs",
            f"{ten['elapsed']:.0f} s, test {ten.get('test_accuracy', 0):.1%}",
            f"{total:.0f} s, test {ours.score('test'):.1%}",
            f"{total / ten['elapsed']:.2f}",
            "≤ 0.33",
        ),
        _measure_prediction(dataset, folders, ours),
        _compare_seconds("MobileNetV2, time left after the first epoch, said ÷ true", *watched.left_after_first),
        _compare_seconds("MobileNetV2, estimate before the start ÷ true", watched.estimated, total),
    ]


def _compare_seconds(what: str, said: float, true: float) -> Row:
    return (what, f"{said:.0f} s said", f"{true:.0f} s true", f"{said / true:.2f}" if true else "–", "0.8 to 1.2")


def measure_cnn(dataset: Dataset, folders: Path, options: argparse.Namespace) -> list[Row]:
    """Time per epoch at two sizes, and the overhead over bare train steps.

    The classic way is measured before and after, and the mean told: a machine that others use changes its pace.
    """

    def measure_classic() -> float:
        return float(call("benchmarks.classic", "custom_cnn", folders, "--epochs", 2, "--test-after", 0)[-1]["seconds"])

    rows, before = [], measure_classic()
    targets = {CLASSIC_SIZE: "≥ 3.5", 150: "≥ 10"}
    runs = {size: train(dataset, "custom_cnn", epochs=3, image_size=size) for size in targets}
    classic = (before + measure_classic()) / 2
    for size, target in targets.items():
        watched = runs[size]
        ours = watched.run
        seconds = mean(row["seconds"] for row in read_history(ours.folder)[1:])
        what = f"custom CNN, time per epoch at {size}: classic ({CLASSIC_SIZE}) ÷ ours ({ours.config.number_format})"
        rows.append((what, f"{classic:.1f} s", f"{seconds:.1f} s", f"{classic / seconds:.1f}", target))
    n_train = dataset.n_in("train")
    bare = n_train / call("benchmarks.bare", "custom_cnn", 150, ours.config.number_format)[0]["images_per_second"]
    seconds = mean(training_seconds(ours)[1:])
    rows.append(
        (
            "custom CNN, epoch with augmentation ÷ bare train steps (150, training part)",
            f"{bare:.1f} s",
            f"{seconds:.1f} s",
            f"{seconds / bare:.2f}",
            "≤ 1.15",
        )
    )
    what = f"memory of the worker, {dataset.n_images:,} pictures"
    return [*rows, (what, "–", f"{watched.memory_mb / 1024:.2f} GB", "–", "≤ 3 GB")]


def _measure_prediction(dataset: Dataset, folders: Path, ours: Run) -> Row:
    """From a file to probabilities."""
    first = next(picture for picture in read_manifest(dataset) if picture.split == "test")
    milliseconds = measure_milliseconds(load_classifier(ours), dataset.folder / first.stored, 40)
    classic = call("benchmarks.classic", "predict", folders)[0]["milliseconds"]
    what = "MobileNetV2, one prediction from file to probabilities, p50: `model.predict` ÷ ours"
    return (what, f"{classic:.1f} ms", f"{milliseconds:.1f} ms", f"{classic / milliseconds:.1f}", "≥ 10")


def measure_import(dataset: Dataset, folders: Path, options: argparse.Namespace) -> list[Row]:
    """The whole import against bare decoding."""
    seconds = importing.measure(options.zip, repeats=3)
    bare, ours = min(seconds["bare decoding"]), min(seconds["import"])
    return [("import of the ZIP ÷ bare decoding", f"{bare:.1f} s", f"{ours:.1f} s", f"{ours / bare:.2f}", "≤ 2")]


ROWS: dict[str, Callable[[Dataset, Path, argparse.Namespace], list[Row]]] = {
    "mobilenet": measure_mobilenet,
    "cnn": measure_cnn,
    "import": measure_import,
}
