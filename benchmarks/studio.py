"""The studio as a benchmark uses it: a workspace of its own, real workers, what they wrote."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from core.config import make_config
from core.control import start_run
from core.datasets import Dataset, read_manifest
from core.estimate import estimate_run
from core.importing import create_import, run_import
from core.runs import Run, read_log, read_run
from core.settings import PROJECT, read_settings
from core.trials import ensure_trial


@contextmanager
def workspace(home: Path | None = None) -> Iterator[Path]:
    """An empty workspace that is gone afterwards, or a given one that stays."""
    with tempfile.TemporaryDirectory(prefix="studio-benchmark-", ignore_cleanup_errors=True) as folder:
        path = (home or Path(folder)).resolve()
        path.mkdir(parents=True, exist_ok=True)
        pretrained = {"STUDIO_PRETRAINED": str(read_settings().pretrained)} if read_settings().pretrained else {}
        with mock.patch.dict(os.environ, {"STUDIO_HOME": str(path)} | pretrained):
            yield path


@contextmanager
def serving(log: Path | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A server on a free port that answers: its address, and its process, which leads a group. Killed afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    options = ["--server.port", url.rpartition(":")[2], "--server.headless", "true"]
    command = [sys.executable, "-m", "streamlit", "run", "Home.py", *options]
    with (log or Path(os.devnull)).open("ab") as output:
        process = subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=output, start_new_session=True)
    try:
        _wait_for_answer(url)
        yield url, process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def import_zip(path: Path) -> Dataset:
    """Import a ZIP."""
    say(f"Importing {path.name}")
    return run_import(create_import(path=path.resolve()))


def link_folders(dataset: Dataset, folder: Path) -> Path:
    """The pictures of a data set as SPLIT/CLASS/PICTURE, for programs that want folders."""
    for picture in read_manifest(dataset):
        place = folder / picture.split / picture.label
        place.mkdir(parents=True, exist_ok=True)
        (place / Path(picture.stored).name).symlink_to(dataset.folder / picture.stored)
    return folder


@dataclass(frozen=True)
class Watched:
    """A run that was watched to its end.

    Attributes:
        memory_mb: largest memory of the worker, mapped files not counted.
        left_after_first: seconds that were said to be left after the first epoch, and that really were.
        estimated: seconds that the form would have said before the start.
    """

    run: Run
    memory_mb: float
    left_after_first: tuple[float, float]
    estimated: float


def train(dataset: Dataset, architecture: str, **changes: object) -> Watched:
    """Train to the end, and watch.

    What is measured once per machine (see `core.trials`) is measured before.
    """
    config = make_config(dataset, architecture, changes)
    say(f"Measuring {architecture}")
    trial = ensure_trial(config, lambda *_: None)
    estimated = estimate_run(dataset, config, trial).seconds
    say(f"Training {architecture} {changes or 'with default settings'}")
    run, most, said, first = start_run(dataset, config), 0.0, 0.0, 0.0
    while (run := read_run(run.run_id)).status.is_alive:
        most = max(most, _own_memory(run.status.pid))
        if run.status.progress.get("epoch", 0) > 1 and not first:
            said, first = run.status.seconds_left or 0.0, time.time()
        time.sleep(0.25)
    if run.state != "finished":
        raise SystemExit(f"{run.run_id} {run.state}: {run.status.error}\n{read_log(run)}")
    return Watched(run, most, (said, (run.status.ended_at or first) - first if first else 0.0), estimated)


def seconds_before_start(run: Run) -> float:
    """From Start to the begin of the worker, which `elapsed` in history.csv does not count."""
    return (run.status.started_at or run.status.queued_at) - run.status.queued_at


def training_seconds(run: Run) -> list[float]:
    """Per epoch, without validation."""
    return [float(text) for text in re.findall(r"\(training ([\d.]+) s\)", read_log(run, 10_000))]


def call(module: str, *arguments: object) -> list[dict[str, Any]]:
    """Run a module that prints lines of JSON; other lines are left out."""
    say(f"Running {module.rpartition('.')[2]} {' '.join(str(argument) for argument in arguments[:1])}")
    command = [sys.executable, "-m", module, *map(str, arguments)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(result.stderr[-2000:])
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def say(line: str) -> None:
    """Progress, beside the table."""
    print(line, file=sys.stderr, flush=True)


def _wait_for_answer(url: str) -> None:
    end = time.time() + 60
    while time.time() < end:
        with suppress(OSError), urllib.request.urlopen(f"{url}/_stcore/health", timeout=2):
            return
        time.sleep(0.1)
    raise SystemExit("The server does not answer.")


def _own_memory(pid: int | None) -> float:
    with suppress(psutil.Error):
        if pid:
            memory = psutil.Process(pid).memory_info()
            return float(memory.rss - getattr(memory, "shared", 0)) / 2**20
    return 0.0
