"""The studio as a benchmark uses it: a workspace of its own, real workers, what they wrote."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import psutil

from core.config import make_config
from core.datasets import Dataset, read_manifest
from core.importing import create_import, run_import
from core.runs import Run, read_log, read_run, start_run
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


def train(dataset: Dataset, architecture: str, **changes: object) -> tuple[Run, float]:
    """Train to the end; gives the run and its largest memory in MB, mapped files not counted.

    What is measured once per machine (see `core.trials`) is measured before.
    """
    config = make_config(dataset, architecture, changes)
    say(f"Measuring {architecture}")
    ensure_trial(config, lambda *_: None)
    say(f"Training {architecture} {changes or 'with default settings'}")
    run, most = start_run(dataset, config), 0.0
    while read_run(run.run_id).status.is_alive:
        most = max(most, _own_memory(read_run(run.run_id).status.pid))
        time.sleep(0.25)
    run = read_run(run.run_id)
    if run.state != "finished":
        raise SystemExit(f"{run.run_id} {run.state}: {run.status.error}\n{read_log(run)}")
    return run, most


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


def _own_memory(pid: int | None) -> float:
    with suppress(psutil.Error):
        if pid:
            memory = psutil.Process(pid).memory_info()
            return float(memory.rss - getattr(memory, "shared", 0)) / 2**20
    return 0.0
