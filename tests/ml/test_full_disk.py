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

from core import jobs
from core.config import make_config
from core.control import delete_run, resume_run
from core.datasets import Dataset
from core.errors import StorageError
from core.exporting import write_zip
from core.failures import DISK
from core.history import read_history
from core.importing import create_import, run_import
from core.queue import enqueue, list_waiting, move
from core.run_archives import write_run
from core.run_making import create_run
from core.run_notes import write_run_notes
from core.runs import list_runs, read_log, read_run
from core.settings import read_settings
from tests.ml.test_resuming import SMALL, assert_same, begin, undisturbed, wait_for_end, wait_for_epoch
from tests.pages.test_pages import open_page, words

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


def test_the_history_works_on_a_full_disk_and_loses_no_note(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.control.launch", lambda *_: None)
    dataset = run_import(create_import(name="Tiny", images_per_class=8))
    config = make_config(dataset, "custom_cnn", {})
    first, second, ended = (create_run(dataset, config, name) for name in ("One", "Two", "Three"))
    with jobs.hold(ended.folder) as job:
        job.end("stopped")
    for run in (first, second):
        enqueue(run.folder)
    write_run_notes(first, note="Keep me")
    fill(small_disk, 0)
    with pytest.raises(StorageError, match="disk is full"):
        write_run_notes(first, name="Another", star=True)
    with pytest.raises(StorageError, match="disk is full"):
        move(second.folder, -1)
    assert [path.name for path in list_waiting(read_settings().models)] == [first.run_id, second.run_id]
    assert (read_run(first.run_id).name, read_run(first.run_id).note) == ("One", "Keep me")
    with pytest.raises(StorageError):
        write_zip(dataset, small_disk / "scans.zip")
    with pytest.raises(StorageError):
        write_run(read_run(ended.run_id), small_disk / "run.zip")
    assert not [*small_disk.glob("*.zip"), *small_disk.glob(".tmp-*")], "nothing half written"
    app = open_page("pages/2_Train.py", "history")
    app.button(key=f"later_{first.run_id}").click().run()
    assert not app.exception
    assert "disk is full" in words(app)
    delete_run(ended.run_id)
    assert {run.run_id for run in list_runs()} == {first.run_id, second.run_id}
