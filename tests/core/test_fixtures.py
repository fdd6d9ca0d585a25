"""Public misbehaving files end in a picture or a sentence, in little time and memory, and leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.settings import PROJECT
from tests.conftest import TEST_DATA

MAX_SECONDS, MAX_MEGABYTES = 5.0, 500.0

# One process meets all files of a folder, so that a file that ends it is found, and one that fills the memory measured.
_SCRIPT = """
import json, sys, time
from pathlib import Path
from core.errors import StudioError
from core.importing import create_import, run_import
from core.scans import load_scan

def status(key):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) / 1024

def reset():
    if not sys.platform.startswith("linux"):
        return None
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    return status("VmRSS")

def meet(path):
    if path.parent.name == "zips":
        run_import(create_import(path=path))
        return "data set"
    pixels = load_scan(path)
    assert pixels.dtype == "uint8" and pixels.ndim in (2, 3) and pixels.shape[2:] in ((), (3,)), path
    return "picture"

files = sorted(Path(sys.argv[1]).iterdir())
for path in [*files[:3], *files]:  # the first ones load what all need
    before, started = reset(), time.perf_counter()
    try:
        outcome = meet(path)
    except StudioError as error:
        outcome = str(error)
    seconds = time.perf_counter() - started
    megabytes = status("VmHWM") - before if before is not None else None
    print(json.dumps([path.name, outcome, seconds, megabytes]), flush=True)
"""


def files_of(folder: str) -> list[str]:
    """Names in a folder of fixtures, none without the fixtures."""
    return sorted(path.name for path in (TEST_DATA / "fixtures" / folder).iterdir()) if TEST_DATA else []


def meet_all(folder: str, workspace: Path) -> list[list[Any]]:
    """Name, outcome, seconds and megabytes of each file."""
    assert TEST_DATA is not None
    result = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(TEST_DATA / "fixtures" / folder)],
        cwd=workspace,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, (result.stdout.splitlines()[-1:], result.stderr[-2000:])
    return [json.loads(line) for line in result.stdout.splitlines()[3:]]


@pytest.mark.parametrize("folder", ["dicom", "images", "zips"])
def test_every_public_misbehaving_file_ends_well(test_data: Path, workspace: Path, folder: str) -> None:
    met = meet_all(folder, workspace)
    assert [name for name, *_ in met] == files_of(folder)
    for name, outcome, seconds, megabytes in met:
        assert outcome in ("picture", "data set") or (len(outcome) > 20 and outcome.endswith(".")), (name, outcome)
        assert seconds < MAX_SECONDS, name
        assert megabytes is None or megabytes < MAX_MEGABYTES, name
    assert [path.name for path in workspace.parent.iterdir()] == ["home"], "something was written outside"
    assert {path.name for path in workspace.iterdir()} <= {"data"}
    if (workspace / "data").exists():
        assert all(path.name.startswith(".") for path in (workspace / "data").iterdir()), "half of a data set was left"


def test_most_pictures_among_them_are_decoded(test_data: Path, workspace: Path) -> None:
    """Refusing everything would be safe as well."""
    decoded = {name for folder in ("dicom", "images") for name, outcome, *_ in meet_all(folder, workspace)
               if outcome == "picture"}  # fmt: skip
    assert len(decoded) > 60
    for syntax in ("693_J2KI", "JPGExtended", "MR_small_RLE", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless",
                   "image_dfl", "JPEG-lossy", "MR_small_bigendian"):  # fmt: skip
        assert f"pydicom__{syntax}.dcm" in decoded
