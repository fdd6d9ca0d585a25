"""The queue of a workspace: strictly in order, and nobody is lost."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from core import jobs
from core.control import forget_left_over, left_over_runs, requeue_left_over
from core.errors import RunError
from core.queue import dequeue, enqueue, ensure_queued, list_waiting, move
from core.runs import Run, read_run
from core.settings import PROJECT
from core.slots import hold_slot, take_free_slot
from tests.core.test_importing import wait_for
from tests.core.test_jobs import WAITER, new_job, start, state


@pytest.fixture
def waiting(tmp_path: Path) -> list[Path]:
    """Three jobs that wait."""
    folders = [new_job(tmp_path / name) for name in ("c", "a", "b")]
    for folder in folders:
        enqueue(folder)
    return folders


def order(folders: list[Path]) -> list[str]:
    """Names in the order in which they wait."""
    return [folder.name for folder in list_waiting(folders[0].parent)]


def test_jobs_wait_in_the_order_in_which_they_came(waiting: list[Path]) -> None:
    assert order(waiting) == ["c", "a", "b"]
    enqueue(waiting[0])
    assert order(waiting) == ["a", "b", "c"], "who is queued again stands at the end"
    dequeue(waiting[1])
    assert order(waiting) == ["b", "c"]


@pytest.mark.parametrize(("name", "places", "after"), [
    ("b", -1, ["c", "b", "a"]), ("b", -9, ["b", "c", "a"]), ("c", 1, ["a", "c", "b"]), ("c", 9, ["a", "b", "c"]),
])  # fmt: skip
def test_a_waiting_job_can_be_moved(waiting: list[Path], name: str, places: int, after: list[str]) -> None:
    move(waiting[0].parent / name, places)
    assert order(waiting) == after


def test_what_does_not_wait_cannot_be_moved(waiting: list[Path]) -> None:
    jobs.Job(waiting[0]).end("finished")
    with pytest.raises(RunError, match="does not wait any more"):
        move(waiting[0], -1)
    assert order(waiting) == ["a", "b"]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"order": 3}', '{"order": [1, "../a", "gone"]}'])
def test_a_damaged_queue_is_made_anew_from_its_jobs(waiting: list[Path], content: str) -> None:
    (waiting[0].parent / ".queue.json").write_text(content)
    for folder in waiting:
        ensure_queued(folder)
    assert order(waiting) == ["c", "a", "b"]
    assert json.loads((waiting[0].parent / ".queue.json").read_text()) == {"order": ["c", "a", "b"]}


def test_a_moved_job_starts_first(waiting: list[Path]) -> None:
    models = waiting[0].parent
    with take_free_slot(models) as is_ours:
        assert is_ours
        processes = [start(WAITER, folder, 0.2) for folder in waiting]
        wait_for(lambda: all(jobs.is_locked(folder) for folder in waiting))
        move(models / "b", -2)
        assert [state(folder) for folder in waiting] == ["queued"] * 3
    wait_for(lambda: all(state(folder) == "finished" for folder in waiting))
    began = sorted(waiting, key=lambda folder: jobs.read_status(folder).started_at or 0)
    assert [folder.name for folder in began] == ["b", "c", "a"]
    for process in processes:
        assert process.wait() == 0


def test_as_many_run_at_a_time_as_there_are_slots(waiting: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_SLOTS", "2")
    processes = [start(WAITER, folder, 60) for folder in waiting]
    wait_for(lambda: [state(folder) for folder in waiting] == ["running", "running", "queued"])
    with take_free_slot(waiting[0].parent) as is_ours:
        assert not is_ours, "a dry run needs all of them"
    processes[0].kill()
    processes[0].wait()
    wait_for(lambda: state(waiting[2]) == "running")
    for process in processes[1:]:
        process.kill()
        process.wait()


def test_two_who_start_at_once_run_one_after_the_other(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from core import jobs; from core.queue import enqueue\n"
        "folder = Path(sys.argv[1]); folder.mkdir(); jobs.write_queued(folder); enqueue(folder)\n" + WAITER
    )
    names = [f"run-{number}" for number in range(4)]
    processes = [
        subprocess.Popen([sys.executable, "-c", script, str(tmp_path / name), "0.3"], cwd=PROJECT) for name in names
    ]
    for process in processes:
        assert process.wait(60) == 0
    spans = sorted(
        (status.started_at or 0, status.ended_at or 0)
        for status in (jobs.read_status(tmp_path / name) for name in names)
    )
    assert all(ended <= began for (_, ended), (began, _) in itertools.pairwise(spans))


def test_runs_that_waited_when_the_machine_went_down_are_offered_again(
    make_run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    launched: list[str] = []
    monkeypatch.setattr("core.control.launch", lambda module, folder, *_: launched.append(folder.name))
    first, second = make_run("queued", pid=1, queued_at=2.0), make_run("queued", pid=1, queued_at=1.0)
    make_run("running", pid=1, started_at=1.0)
    assert [run.run_id for run in left_over_runs()] == [second.run_id, first.run_id]
    assert list_waiting(first.folder.parent) == []
    requeue_left_over()
    assert launched == [second.run_id, first.run_id]
    assert [folder.name for folder in list_waiting(first.folder.parent)] == launched


def test_runs_that_waited_can_be_left(make_run: Callable[..., Run]) -> None:
    run = make_run("queued", pid=1)
    forget_left_over()
    assert read_run(run.run_id).state == "stopped"
    assert left_over_runs() == []


def test_a_slot_is_not_taken_by_who_was_stopped_while_waiting(waiting: list[Path]) -> None:
    jobs.request_stop(waiting[0])
    with jobs.hold(waiting[0]) as job, hold_slot(job) as is_mine:
        assert not is_mine
    assert order(waiting) == ["a", "b"]
