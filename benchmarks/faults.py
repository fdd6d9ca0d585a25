"""What a training survives: kills of its worker at random moments, half of them inside a save; kills of the server.

Makes a small data set in a workspace of its own, kills, resumes, and prints what was lost.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory

from benchmarks.studio import serving
from core.config import make_config
from core.control import resume_run, start_run, stop_run
from core.datasets import Dataset
from core.history import read_history
from core.importing import create_import, run_import
from core.jobs import DISCARD
from core.runs import Run, read_run

_EPOCHS = 500
_SETTINGS = {"epochs": _EPOCHS, "image_size": 96, "dense_units": 128, "batch_size": 8, "number_format": "float32"}
_PATIENCE = 120.0


@dataclass
class Kills:
    """What kills of one kind have done."""

    n: int = 0
    half_written: int = 0
    lost_epochs: int = 0
    resumed: int = 0
    told_after: list[float] = field(default_factory=list)


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of this benchmark."""
    parser.add_argument("--kills", type=int, default=200, help="of the worker; half of them inside a save")
    parser.add_argument("--servers", type=int, default=50, help="kills of the server")
    parser.add_argument("--seed", type=int, default=1)


def run(options: argparse.Namespace) -> None:
    """Kill, resume and print."""
    rng = random.Random(options.seed)
    with TemporaryDirectory() as home:
        os.environ["STUDIO_HOME"] = home
        os.environ["STUDIO_AUTO_TRIALS"] = "0"
        dataset = run_import(create_import(name="Phantoms", images_per_class=24))
        if options.kills:
            run_ = start_run(dataset, make_config(dataset, "custom_cnn", _SETTINGS))
            print("| `kill -9` of the worker | kills | half-written file left | completed epochs lost | resumed "
                  "| state right after (slowest) |\n|---|--:|--:|--:|--:|--:|")  # fmt: skip
            half = options.kills // 2
            run_ = _report("at a random moment", *_kill_workers(dataset, run_, half, rng, in_save=False))
            run_ = _report("inside a save", *_kill_workers(dataset, run_, options.kills - half, rng, in_save=True))
            _discard(run_)
        if options.servers:
            print(f"\n{_kill_servers(dataset, options.servers, rng)}")


def _report(title: str, kills: Kills, run: Run) -> Run:
    slowest = f"{max(kills.told_after):.2f} s" if kills.told_after else "–"
    counts = f"{kills.n} | {kills.half_written} | {kills.lost_epochs} | {kills.resumed} of {kills.n}"
    print(f"| {title} | {counts} | {slowest} |", flush=True)
    return run


def _kill_workers(dataset: Dataset, run: Run, n: int, rng: random.Random, *, in_save: bool) -> tuple[Kills, Run]:
    kills = Kills()
    while kills.n < n:
        if len(read_history(run.folder)) > _EPOCHS - 60:  # before it comes to its end
            _discard(run)
            run = start_run(dataset, make_config(dataset, "custom_cnn", _SETTINGS))
        before = len(read_history(run.folder))
        _wait_for_more(run, before)
        if in_save:
            _wait_for_save(run, rng)
        else:
            time.sleep(rng.uniform(0, 1.5))
        pid = read_run(run.run_id).status.pid or 0
        announced = len(read_history(run.folder))
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        killed = time.time()
        announced = max(announced, len(read_history(run.folder)))
        while read_run(run.run_id).state != "interrupted":
            time.sleep(0.005)
        kills.told_after.append(time.time() - killed)
        kills.n += 1
        kills.half_written += any((run.folder / "checkpoints").glob(".tmp-*"))
        resume_run(run.run_id)
        _wait_for_more(run, announced)
        numbers = [row["epoch"] for row in read_history(run.folder)]
        kills.lost_epochs += announced - len([number for number in numbers if number <= announced])
        log = (run.folder / "train.log").read_text(errors="replace")
        resumed_after = int(log.rsplit("Going on after epoch ", 1)[1].split()[0]) if "Going on after" in log else 0
        kills.lost_epochs += max(announced - resumed_after, 0)
        kills.resumed += numbers == list(range(1, len(numbers) + 1))
    return kills, run


def _wait_for_save(run: Run, rng: random.Random) -> None:
    """Until a file is being written in the folder of the checkpoints."""
    folder, end = run.folder / "checkpoints", time.time() + _PATIENCE
    while time.time() < end:
        if any(entry.name.startswith(".tmp-") for entry in os.scandir(folder)):
            time.sleep(rng.uniform(0, 0.004))
            return


def _wait_for_more(run: Run, than: int) -> None:
    """Until more epochs are announced."""
    _wait(lambda: len(read_history(run.folder)) > than, run)


def _discard(run: Run) -> None:
    stop_run(run.run_id, DISCARD)
    end = time.time() + _PATIENCE
    while run.folder.exists() and time.time() < end:
        time.sleep(0.01)


def _wait(is_true: Callable[[], bool], run: Run) -> None:
    end = time.time() + _PATIENCE
    while not is_true():
        if time.time() > end:
            raise SystemExit(f"Run {run.run_id} did not go on: {read_run(run.run_id).status}")
        time.sleep(0.01)


def _kill_servers(dataset: Dataset, n: int, rng: random.Random) -> str:
    """Kill a server `n` times while a training runs, and look whether the training was disturbed."""
    run = start_run(dataset, make_config(dataset, "custom_cnn", _SETTINGS))
    _wait(lambda: len(read_history(run.folder)) >= 1, run)
    pid, disturbed = read_run(run.run_id).status.pid, 0
    for _ in range(n):
        with serving() as (_, process):
            time.sleep(rng.uniform(0, 0.5))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        before = len(read_history(run.folder))
        _wait_for_more(run, before)
        status = read_run(run.run_id).status
        disturbed += status.state != "running" or status.pid != pid
    _discard(run)
    return f"`kill -9` of the server while a training runs: {n} times, {disturbed} trainings disturbed."
