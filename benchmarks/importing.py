"""The whole import of a ZIP against bare decoding of the same pictures, side by side in one run.

Bare decoding reads every picture out of the ZIP and decodes it with Pillow, on as many threads as the import has;
nothing is checked, stored or measured. Both are repeated in turn, and the ratio of the fastest ones is told.
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
from PIL import Image

from core.importing import create_import, run_import
from core.scans import SUFFIXES
from core.settings import read_settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    parser.add_argument("zip", type=Path)
    parser.add_argument("--repeats", type=int, default=3)


def run(options: argparse.Namespace) -> None:
    """Time both ways and print a table."""
    seconds = measure(options.zip, options.repeats)
    print("| way | fastest, s | all, s |")
    print("|---|--:|---|")
    for name, values in seconds.items():
        print(f"| {name} | {min(values):.1f} | {', '.join(f'{value:.1f}' for value in values)} |")
    print(f"\nimport ÷ bare decoding: {min(seconds['import']) / min(seconds['bare decoding']):.2f}")


def measure(path: Path, repeats: int) -> dict[str, list[float]]:
    """Seconds of both ways, repeated in turn."""
    seconds: dict[str, list[float]] = {"bare decoding": [], "import": []}
    with tempfile.TemporaryDirectory() as home, mock.patch.dict(os.environ, {"STUDIO_HOME": home}):
        for _ in range(repeats):
            seconds["bare decoding"].append(_time(lambda: _decode(path)))
            seconds["import"].append(_time(lambda: run_import(create_import(path=path.resolve()))))
    return seconds


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _decode(path: Path) -> None:
    with zipfile.ZipFile(path) as archive, ThreadPoolExecutor(read_settings().n_threads) as pool:
        names = [name for name in archive.namelist() if name.lower().endswith(SUFFIXES)]
        for _ in pool.map(lambda name: np.asarray(Image.open(io.BytesIO(archive.read(name)))).shape, names):
            pass
