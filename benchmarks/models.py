"""Test accuracy of the default settings over several seeds, on a data set as shipped and on its grouped split.

Settings are chosen on validation, so that both are told. Runs stay in `--home`, if one is given.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean, stdev

from benchmarks.studio import import_zip, say, train, workspace
from core.catalog import ARCHITECTURES
from core.importing import create_version, run_import
from core.machine import explain_machine
from core.versions import new_split


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    parser.add_argument("zip", type=Path)
    parser.add_argument(
        "--architectures", nargs="*", choices=list(ARCHITECTURES), default=["custom_cnn", "mobilenet_v2"]
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=[1, 2, 3])
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting other than its default"
    )
    parser.add_argument("--home", type=Path, help="workspace to keep; a temporary one without it")


def run(options: argparse.Namespace) -> None:
    """Train all of them and print a table."""
    changes = dict(setting.split("=", 1) for setting in options.set)
    rows = []
    with workspace(options.home):
        shipped = import_zip(options.zip)
        grouped = run_import(create_version(shipped, new_split(), ""))
        for name, dataset in (("as shipped", shipped), ("grouped split", grouped)):
            for architecture in options.architectures:
                watched = [train(dataset, architecture, seed=seed, **changes) for seed in options.seeds]
                runs = [found.run for found in watched]
                scores = {split: [found.score(split) or 0.0 for found in runs] for split in ("validation", "test")}
                say(f"{architecture}, {name}: {scores}")
                rows.append((ARCHITECTURES[architecture].title, name, scores, watched))
    seeds = ", ".join(map(str, options.seeds))
    print(f"Machine: {explain_machine()}. Seeds {seeds}; settings other than the defaults: {changes or 'none'}.\n")
    print(
        "| network | data | validation, mean | test, mean (± deviation) | test, each | seconds "
        "| estimate ÷ true | left after one epoch ÷ true |"
    )
    print("|---|---|--:|--:|---|--:|---|---|")
    for title, name, scores, watched in rows:
        test = scores["test"]
        spread = f" (± {stdev(test):.3f})" if len(test) > 1 else ""
        each = ", ".join(f"{value:.3f}" for value in test)
        validation = f"{mean(scores['validation']):.3f}"
        seconds = [float(found.run.metrics["training_seconds"]) for found in watched]
        estimates = ", ".join(f"{found.estimated / true:.2f}" for found, true in zip(watched, seconds, strict=True))
        left = ", ".join(f"{said / true:.2f}" for said, true in (found.left_after_first for found in watched) if true)
        print(
            f"| {title} | {name} | {validation} | {mean(test):.3f}{spread} | {each} | {mean(seconds):.0f} "
            f"| {estimates} | {left} |"
        )
