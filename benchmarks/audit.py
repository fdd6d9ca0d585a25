"""Time and memory of an audit over data sets of growing size, made of synthetic pictures.

The pictures come in volumes of 20 neighbouring slices, so that each has look-alikes that are no twins, as in real sets;
one in ten is a twin: mirrored or turned, and encoded anew. Each size is audited in a process of its own, whose peak of
memory is told (mapped files not counted; Linux only). What the audit should find is known, so the table also says what
it missed and what it made up.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.datasets import Dataset, Picture, count_splits, write_manifest
from core.files import write_json
from core.layouts import SPLITS
from core.likeness import SYMMETRIES
from core.settings import PROJECT
from core.signatures import FILE, make_signature

_SIDE = 128
_SLICES = 20  # of a volume
_SMOOTH = 4  # slices over which the tissue becomes another one
_TWINS = 10  # one picture in so many

# Memory of its own is sampled: pages of the mapped signatures are given back when somebody else needs them.
_SCRIPT = """
import json, threading, time
from core.auditing import run_audit
from core.datasets import read_dataset

peak = 0
def watch():
    global peak
    while True:
        own = [line for line in open("/proc/self/status") if line.startswith("RssAnon")]
        peak = max(peak, int(own[0].split()[1]))
        time.sleep(0.02)

threading.Thread(target=watch, daemon=True).start()
audit = run_audit(read_dataset("made"))
print(json.dumps({"groups": audit.groups, "seconds": audit.seconds, "peak_mb": peak / 1024}))
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Options of the command line."""
    parser.add_argument("--pictures", type=int, nargs="+", default=[2_500, 10_000, 40_000, 100_000])


def run(options: argparse.Namespace) -> None:
    """Make a data set of each size, audit it, and print a row."""
    print("| pictures | audit, s | s per 1,000 | peak memory, MB | pairs found | missed | made up |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for n in options.pictures:
        with tempfile.TemporaryDirectory() as home:
            expected = _make_dataset(Path(home), n)
            found = _audit_in_a_process(home)
            groups = {frozenset(group) for group in found["groups"]}
            row = (
                f"{n:,}",
                f"{found['seconds']:.1f}",
                f"{1000 * found['seconds'] / n:.2f}",
                f"{found['peak_mb']:.0f}",
                f"{len(groups):,}",
                len(expected - groups),
                len(groups - expected),
            )
            print(f"| {' | '.join(map(str, row))} |", flush=True)


def _audit_in_a_process(home: str) -> dict[str, Any]:
    environment = os.environ | {"STUDIO_HOME": home}
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT], cwd=PROJECT, env=environment, capture_output=True, text=True, check=True
    )
    return dict(json.loads(result.stdout))


def _make_dataset(home: Path, n: int) -> set[frozenset[int]]:
    """Write a data set's manifest, thumbnails and signatures; gives its groups of twins."""
    folder = home / "data" / "made"
    (folder / "thumbnails").mkdir(parents=True)
    rng = np.random.default_rng(n)
    pictures, twins = [], set()
    with (folder / FILE).open("wb") as signatures:
        for at in range(n):
            if at % _TWINS == _TWINS - 1:
                first = at - int(rng.integers(1, _TWINS))
                pixels = SYMMETRIES[int(rng.integers(8))][0](_draw(first))
                twins.add(frozenset((first, at)))
            else:
                pixels = _draw(at)
            picture = Picture(
                file=f"{at}.png",
                stored=f"images/{at:06d}.png",
                split=SPLITS[at % 3],
                label="ab"[at // _SLICES % 2],
                width=_SIDE,
                height=_SIDE,
                colour=False,
                format="PNG",
                bytes=1,
                pixels=str(at),
            )
            pictures.append(picture)
            Image.fromarray(pixels).save(folder / picture.thumbnail, "JPEG", quality=int(rng.integers(70, 95)))
            signatures.write(make_signature(pixels).tobytes())
    write_manifest(folder / "manifest.csv", pictures)
    splits = count_splits(pictures, ["a", "b"])
    dataset = Dataset("made", "Made", ["a", "b"], n, splits, [], [], [], "made", {}, 0.0, 0.0, "sample")
    write_json(folder / "dataset.json", dataset.__dict__)
    return twins


def _draw(at: int) -> np.ndarray:
    """A slice: tissue that changes with the depth in its volume, within a head; uint8 (128, 128)."""
    ends = np.random.default_rng(at // _SLICES)
    height, width = ends.uniform(0.7, 0.95, 2)
    knots = ends.normal(110, 60, (_SLICES // _SMOOTH + 1, 24, 24))
    knot, depth = divmod(at % _SLICES, _SMOOTH)
    tissue = ((1 - depth / _SMOOTH) * knots[knot] + depth / _SMOOTH * knots[knot + 1]).clip(0, 255).astype(np.uint8)
    fine = np.asarray(Image.fromarray(tissue).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC))
    down, across = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    return np.ascontiguousarray(np.where(np.hypot(down / height, across / width) < 1, fine, 6).astype(np.uint8))
