"""Memory of a training's worker on many synthetic pictures, mapped files not counted.

The pictures are drawn phantoms with noise of their own, so that no two are the same. It takes about a quarter of an
hour for 50,000.
"""

from __future__ import annotations

import argparse
import io
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks.studio import import_zip, say, train, workspace
from core.machine import explain_machine
from core.samples import CLASSES, draw_phantom

ROWS = {"custom_cnn": {"epochs": 1}, "mobilenet_v2": {"epochs": 2}}
_DRAWN = 24  # phantoms of each class that the pictures are made of


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--only", nargs="*", choices=list(ROWS), default=list(ROWS), help="networks")


def run(options: argparse.Namespace) -> None:
    """Train on them, and print a table."""
    with TemporaryDirectory() as folder, workspace():
        path = Path(folder) / "synthetic.zip"
        say(f"Drawing {options.pictures:,} pictures")
        write_pictures(path, options.pictures)
        dataset = import_zip(path)
        path.unlink()
        watched = {name: train(dataset, name, **ROWS[name]) for name in options.only}
    print(f"Machine: {explain_machine()}. Data: {dataset.n_images:,} synthetic pictures.\n")
    print("| | memory, GB | target |\n|---|--:|--:|")
    for name, run in watched.items():
        print(f"| {name} | {run.memory_mb / 1024:.2f} | ≤ 3 |")


def write_pictures(path: Path, n: int) -> None:
    """A ZIP of so many JPEG files, a folder for each class."""
    rng = np.random.default_rng(1)
    drawn = [[draw_phantom(at, (1, at, number)) for number in range(_DRAWN)] for at in range(len(CLASSES))]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for number in range(n):
            at = number % len(CLASSES)
            phantom = drawn[at][number // len(CLASSES) % _DRAWN].astype(np.int16)
            noisy = phantom + rng.integers(-9, 10, phantom.shape, np.int16)
            buffer = io.BytesIO()
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=85)
            archive.writestr(f"{CLASSES[at]}/{number:06d}.jpg", buffer.getvalue())
