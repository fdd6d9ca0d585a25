"""Jobs: the lock says who is alive, the file alone is never believed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from core import jobs
from core.errors import StudioError
from core.queue import enqueue, list_waiting
from core.settings import PROJECT
from core.slots import hold_slot
from tests.core.test_importing import wait_for

HOLDER = """
import sys, time
from pathlib import Path
from core import jobs
with jobs.hold(Path(sys.argv[1])) as job:
    job.update(state="running", started_at=time.time())
    time.sleep(60)
"""
WAITER = """
import sys, time
from pathlib import Path
from core import jobs
from core.queue import enqueue, list_waiting, move
from core.slots import hold_slot
folder = Path(sys.argv[1])
with jobs.hold(folder) as job, hold_slot(job) as is_mine:
    if is_mine:
        job.update(state="running", started_at=time.time())
        time.sleep(float(sys.argv[2]))
    job.end("finished" if is_mine else "stopped")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A queued job."""
    return new_job(tmp_path / "job")


def new_job(folder: Path) -> Path:
    """A queued job at a path."""
    folder.mkdir(parents=True)
    jobs.write_queued(folder)
    return folder


def start(script: str, *arguments: object) -> subprocess.Popen[bytes]:
    """Run a script in a process of its own."""
    return subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], cwd=PROJECT)


def state(folder: Path) -> str:
    """State as read."""
    return jobs.read_status(folder).state


def test_a_job_whose_worker_lives_is_running(folder: Path) -> None:
    process = start(HOLDER, folder)
    wait_for(lambda: state(folder) == "running")
    assert jobs.read_status(folder).pid == process.pid
    process.kill()
    process.wait()


def test_a_killed_worker_reads_as_interrupted_even_as_a_zombie(folder: Path) -> None:
    process = start(HOLDER, folder)
    wait_for(lambda: state(folder) == "running")
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: state(folder) == "interrupted", seconds=10)
    os.kill(process.pid, 0)  # the zombie still answers: nobody has waited for it yet
    error = jobs.read_status(folder).error or ""
    assert "killed" in error
    assert error.endswith("start it again."), "there is no run here that could be resumed"
    process.wait()


def test_a_status_that_says_running_is_not_believed(folder: Path) -> None:
    jobs.Job(folder).update(state="running", pid=os.getpid())
    assert state(folder) == "interrupted"


def test_a_job_whose_process_never_began_is_interrupted_after_a_grace(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert state(folder) == "queued"
    monkeypatch.setattr(jobs, "START_GRACE", 0.0)
    assert state(folder) == "interrupted"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"state": 3}', '{"stat'])
def test_a_damaged_status_is_told(folder: Path, content: str) -> None:
    (folder / "status.json").write_text(content)
    status = jobs.read_status(folder)
    assert status.state == "interrupted"
    assert "damaged" in (status.error or "")


def test_a_field_of_a_later_version_is_ignored(folder: Path) -> None:
    stored = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(stored | {"new_field": 1, "state": "finished"}))
    assert state(folder) == "finished"


def test_two_workers_cannot_run_one_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = start(HOLDER, folder)
    wait_for(lambda: state(folder) == "running")
    with pytest.raises(StudioError, match="another process"), jobs.hold(folder):
        pass
    process.kill()
    process.wait()


def test_a_stop_shows_at_once(folder: Path) -> None:
    with jobs.hold(folder) as job:
        job.update(state="running")
        jobs.request_stop(folder)
        assert state(folder) == "stopping"
        assert job.stop_requested()


def test_waiting_jobs_run_one_at_a_time_in_order_also_after_a_kill(tmp_path: Path) -> None:
    folders = [new_job(tmp_path / f"run-{number}") for number in (2, 0, 1)]  # the order of queueing, not of names
    processes = []
    for number, folder in enumerate(folders):
        enqueue(folder)
        processes.append(start(WAITER, folder, 60 if number == 0 else 0.5))
        wait_for(lambda folder=folder: jobs.read_status(folder).pid is not None)
    wait_for(lambda: state(folders[0]) == "running")
    assert [state(folder) for folder in folders] == ["running", "queued", "queued"]
    assert list_waiting(tmp_path) == folders[1:]
    processes[0].kill()
    processes[0].wait()
    wait_for(lambda: state(folders[2]) == "finished")
    second, third = (jobs.read_status(folder) for folder in folders[1:])
    assert state(folders[0]) == "interrupted"
    assert (second.ended_at or 0) <= (third.started_at or 0)
    for process in processes[1:]:
        assert process.wait() == 0


def test_a_waiting_job_can_be_cancelled(tmp_path: Path) -> None:
    first, second = new_job(tmp_path / "a"), new_job(tmp_path / "b")
    running = start(WAITER, first, 60)
    wait_for(lambda: state(first) == "running")
    waiting = start(WAITER, second, 60)
    wait_for(lambda: list_waiting(tmp_path) == [second])
    jobs.request_stop(second)
    assert waiting.wait(10) == 0
    assert state(second) == "stopped"
    running.kill()
    running.wait()


def test_a_slot_is_free_again_when_its_holder_is_done(tmp_path: Path) -> None:
    folder = new_job(tmp_path / "a")
    for _ in range(2):
        with jobs.hold(folder) as job, hold_slot(job) as is_mine:
            assert is_mine


def test_a_launched_job_leaves_no_pipe_open(folder: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from core.launching import launch; "
        "launch('core.importing', Path(sys.argv[1]), 'log')"
    )
    command = [sys.executable, "-c", script, str(folder)]
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, timeout=30)  # would wait for an open pipe
    wait_for(lambda: state(folder) == "failed")
