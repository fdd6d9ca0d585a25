"""What the workspace takes on disk, and cleaning up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core import cache
from core.control import can_resume
from core.datasets import Dataset
from core.errors import RunError
from core.files import write_json
from core.importing import create_version, run_import
from core.jobs import Job, hold, write_queued
from core.run_notes import LONGEST_NAME, LONGEST_NOTE, write_run_notes
from core.runs import Run, read_run
from core.settings import read_settings
from core.storage import CACHE, CHECKPOINTS, clean_up, measure_usage, run_size
from core.versions import new_split

MakeRun = Callable[..., Run]


def add_checkpoint(run: Run, n_bytes: int) -> None:
    """A checkpoint of so many bytes."""
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "0001.npz").write_bytes(bytes(n_bytes))


def add_cache(n_bytes: int) -> None:
    """An entry of so many bytes."""
    with cache.new_entry(cache.FEATURES, {"a": 1}) as folder:
        (folder / "x.npy").write_bytes(bytes(n_bytes))


def test_checkpoints_of_runs_that_may_go_on_are_kept(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = {state: make_run(state) for state in ("finished", "paused", "failed")}
    for run in runs.values():
        add_checkpoint(run, 1000)
    monkeypatch.setattr(Run, "has_scores", property(lambda run: run.state == "finished"))
    usage = measure_usage()
    assert (usage.checkpoints, usage.old_checkpoints) == (3000, 1000)
    assert clean_up([CHECKPOINTS]) == 1000
    assert not (runs["finished"].folder / "checkpoints").exists()
    assert (runs["paused"].folder / "checkpoints" / "0001.npz").exists()
    assert (runs["failed"].folder / "checkpoints" / "0001.npz").exists()
    assert can_resume(read_run(runs["paused"].run_id))


def test_the_cache_is_not_cleaned_under_a_training(running_run: Run) -> None:
    add_cache(500)
    with pytest.raises(RunError, match="under way"):
        clean_up([CACHE])
    assert measure_usage().cache >= 500


def test_the_cache_is_cleaned(make_run: MakeRun) -> None:
    add_cache(500)
    assert clean_up([CACHE]) >= 500
    assert measure_usage().cache == 0


def test_dry_runs_are_cleaned_but_not_one_under_way(make_run: MakeRun) -> None:
    trials = read_settings().cache / "trials"
    for name in ("ended", "under way"):
        (trials / name).mkdir(parents=True)
        write_queued(trials / name)
    write_json(trials / "formats.json", {})
    Job(trials / "ended").end("finished")
    size = sum(path.stat().st_size for path in (trials / "ended").iterdir())
    make_run("finished")
    with hold(trials / "under way"):
        assert clean_up([CACHE]) >= size
        assert {path.name for path in trials.iterdir()} == {"under way", "formats.json"}


def test_pictures_that_versions_share_count_once(tiny_dataset: Dataset) -> None:
    before = measure_usage().datasets
    pictures = sum(path.stat().st_size for path in (tiny_dataset.folder / "images").iterdir())
    run_import(create_version(tiny_dataset, new_split(0.2, 0.2)))
    assert measure_usage().datasets - before < pictures


def test_the_size_of_a_run_is_that_of_its_files(make_run: MakeRun) -> None:
    run = make_run("finished")
    before = run_size(run)
    add_checkpoint(run, 12_345)
    assert run_size(run) - before == 12_345


def test_a_run_gets_a_name_a_note_and_a_star(make_run: MakeRun) -> None:
    run = make_run("finished")
    write_run_notes(run, name="  A better\n name ", note=" why ")
    changed = write_run_notes(run, star=True)
    assert (changed.name, changed.note, changed.star) == ("A better name", "why", True)
    for wrong in ({"name": " "}, {"name": "x" * (LONGEST_NAME + 1)}, {"note": "x" * (LONGEST_NOTE + 1)}):
        with pytest.raises(RunError, match="characters"):
            write_run_notes(run, **wrong)  # type: ignore[arg-type]
    assert read_run(run.run_id) == changed
