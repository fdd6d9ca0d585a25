"""A disk that fills up while a network learns: nothing is lost, and it goes on when there is room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from core.config import make_config
from core.control import resume_run
from core.datasets import Dataset
from core.errors import StorageError
from core.failures import DISK
from core.history import read_history
from core.importing import create_import, run_import
from core.run_making import create_run
from core.runs import list_runs, read_log, read_run
from tests.ml.test_resuming import SMALL, assert_same, begin, undisturbed, wait_for_end, wait_for_epoch

pytestmark = pytest.mark.training


@pytest.fixture
def small_disk(workspace: Path) -> Iterator[Path]:
    """A workspace on a disk of its own of 400 MB."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(workspace)]
    if sys.platform != "linux" or os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("a disk of a chosen size can be made by root on Linux only")
    yield workspace
    subprocess.run(["umount", "-l", str(workspace)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Write a file that leaves so many bytes, while others write too."""
    ballast = disk / "ballast"
    with suppress(OSError), ballast.open("wb", buffering=0) as file:
        while (room := shutil.disk_usage(disk).free - leave) > 0:
            file.write(bytes(min(room, 2**20)))
    return ballast


@pytest.mark.parametrize("leave", [3 * 2**19, 0], ids=["no room for a checkpoint", "no room for a word"])
def test_a_training_on_a_full_disk_is_interrupted_and_goes_on_when_there_is_room(small_disk: Path, leave: int) -> None:
    dataset = run_import(create_import(name="Tiny", images_per_class=8))
    expected = undisturbed(dataset, **SMALL)
    run = begin(dataset)
    wait_for_epoch(run, 2)
    ballast = fill(small_disk, leave)
    ended = wait_for_end(run)
    assert (ended.state, ended.status.kind) == ("interrupted", DISK), read_log(ended)
    assert "Free some space" in (ended.status.error or "")
    n_kept = len(read_history(run.folder))
    assert n_kept >= 2
    ballast.unlink()
    resume_run(run.run_id)
    assert_same(wait_for_end(run), expected)


def test_nothing_starts_or_is_imported_on_a_full_disk(small_disk: Path) -> None:
    dataset: Dataset = run_import(create_import(name="Tiny", images_per_class=8))
    fill(small_disk, 50_000)
    with pytest.raises(StorageError, match="MB are needed"):
        create_run(dataset, make_config(dataset, "custom_cnn", {}))
    with pytest.raises(StorageError, match="disk is full"):
        run_import(create_import(name="Another", images_per_class=48))
    assert list_runs() == []
    assert [path.name for path in (small_disk / "data").iterdir() if not path.name.startswith(".")] == ["tiny"]
    (small_disk / "ballast").unlink()
    run = create_run(dataset, make_config(dataset, "custom_cnn", {}))
    assert read_run(run.run_id).state == "queued"
