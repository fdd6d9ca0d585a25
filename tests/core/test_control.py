"""What can be asked of a run, without a training."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from core import jobs
from core.control import can_resume, delete_run, discard_run, repeat_run, resume_run, stop_run
from core.errors import RunError, StorageError
from core.failures import DISK, LOSS
from core.files import read_json, write_json
from core.history import append_epoch
from core.launching import host_name, is_same_process, kill_group, own_start
from core.run_making import create_run
from core.runs import Run, list_runs, read_run
from core.timeline import note_event, read_events
from core.watching import main as watch
from core.workspace import delete_dataset
from tests.conftest import epoch_row
from tests.core.test_importing import wait_for
from tests.core.test_jobs import HOLDER, start

MakeRun = Callable[..., Run]


@pytest.fixture(autouse=True)
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Modules and folders that would have been started."""
    calls: list[tuple[str, str]] = []
    monkeypatch.setattr("core.control.launch", lambda module, folder, *_: calls.append((module, folder.name)))
    return calls


def test_a_stop_says_how_and_is_watched(running_run: Run, launched: list[tuple[str, str]]) -> None:
    assert stop_run(running_run.run_id, jobs.PAUSE).state == "stopping"
    assert jobs.how_to_stop(running_run.folder) == jobs.PAUSE
    assert launched == [("core.watching", running_run.run_id)]
    assert [event.kind for event in read_events(running_run.folder)] == ["stop"]


def test_a_paused_run_is_queued_once_for_two_tabs(make_run: MakeRun, launched: list[tuple[str, str]]) -> None:
    run = make_run("paused", started_at=10.0, ended_at=25.0)
    resumed = resume_run(run.run_id)
    assert (resumed.state, resumed.status.seconds_before) == ("queued", 15.0)
    with pytest.raises(RunError, match="nothing to resume"):
        resume_run(run.run_id)
    from core.control import _queue_again

    with pytest.raises(RunError, match="queued again meanwhile"):
        _queue_again(run)  # the other tab, which still believes that it is paused
    assert launched == [("core.ml.train", run.run_id)]


@pytest.mark.parametrize(
    ("state", "kind", "possible"),
    [
        ("paused", None, True), ("interrupted", None, True), ("failed", DISK, True), ("failed", LOSS, False),
        ("stopped", None, True), ("finished", None, False),
    ],
)  # fmt: skip
def test_who_can_be_resumed(make_run: MakeRun, state: str, kind: str | None, possible: bool) -> None:
    run = make_run("running" if state == "interrupted" else state, kind=kind, error="Why.")
    assert run.state == state
    assert can_resume(run) is possible
    if not possible:
        with pytest.raises(RunError, match=r"come to its end|same way again"):
            resume_run(run.run_id)


def test_a_run_is_continued_to_a_larger_total_only(make_run: MakeRun) -> None:
    run = make_run("finished")
    for epoch in (1, 2, 3):
        append_epoch(run.folder, epoch_row(epoch))
    with pytest.raises(RunError, match="no checkpoint any more"):
        resume_run(run.run_id, 5)
    add_checkpoint(run)
    for epochs in (0, 3, 501):
        with pytest.raises(RunError, match="has 3 epochs"):
            resume_run(run.run_id, epochs)
    resumed = resume_run(run.run_id, 5)
    assert (resumed.n_epochs, resumed.continued, resumed.config.epochs) == (5, (2,), 3)


def test_what_means_nothing_in_continued_is_passed_over(make_run: MakeRun) -> None:
    run = make_run("finished")
    stored = read_json(run.folder / "config.json") or {}
    for continued in (3, None, [1, {"epochs": "x"}, {"epochs": -2}, {"epochs": 4}]):
        write_json(run.folder / "config.json", stored | {"continued": continued})
        assert read_run(run.run_id).n_epochs in (3, 7)


def test_a_run_whose_data_set_is_gone_or_another_is_not_resumed(make_run: MakeRun) -> None:
    run = make_run("paused")
    write_json(run.folder / "environment.json", {"dataset_fingerprint": "another"})
    for act in (resume_run, repeat_run):
        with pytest.raises(RunError, match="not here any more"):
            act(run.run_id)
    delete_run(run.run_id)
    delete_dataset("tiny")


def test_a_run_that_has_ended_is_discarded_at_once(make_run: MakeRun) -> None:
    discard_run(make_run("paused").run_id)
    assert list_runs() == []


def test_a_run_does_not_start_without_room(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("finished")
    usage = replace_free(10 * 2**20)
    monkeypatch.setattr("core.files.shutil.disk_usage", usage)
    from core.datasets import read_dataset

    with pytest.raises(StorageError, match="10 MB free"):
        create_run(read_dataset("tiny"), run.config)
    assert len(list_runs()) == 1


def add_checkpoint(run: Run) -> None:
    """A file that counts as a checkpoint."""
    (run.folder / "checkpoints").mkdir()
    (run.folder / "checkpoints" / "0003.npz").write_bytes(b"x")


def replace_free(n_bytes: int) -> Callable[[object], object]:
    """A disk with so many bytes free."""
    import shutil
    import tempfile

    usage = shutil.disk_usage(tempfile.gettempdir())
    return lambda folder: usage._replace(free=n_bytes)


def test_a_process_is_only_ended_if_it_is_the_one_that_was_meant() -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    import psutil

    began = psutil.Process(process.pid).create_time()
    assert not kill_group(process.pid, began + 100, host_name()), "the process id was used again"
    assert not kill_group(process.pid, began, "another-machine")
    assert not kill_group(process.pid, None, None)
    assert process.poll() is None
    assert kill_group(process.pid, began, host_name())
    wait_for(lambda: not is_same_process(process.pid, began, None))  # a zombie, until we look
    process.wait()
    assert is_same_process(None, own_start(), None) is False


def test_a_worker_that_has_heard_is_not_ended(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_STOP_GRACE", "0")
    run = make_run()
    with jobs.hold(run.folder) as job:
        job.update(state="running")
        jobs.request_stop(run.folder)
        job.hear_stop()
        watch(run.folder)  # would end this very process
        assert jobs.read_status(run.folder).state == "stopping"


def test_a_worker_that_says_how_far_it_is_has_heard(make_run: MakeRun) -> None:
    run = make_run()
    with jobs.hold(run.folder) as job:
        job.update(state="running")
        jobs.request_stop(run.folder, jobs.FINISH)
        job.report("Saving the model")
        assert jobs.stored_state(run.folder) == "running", "to finish is no stop"
        jobs.request_stop(run.folder)
        job.report("Scoring validation and test pictures", done=1, total=2)
        assert jobs.stored_state(run.folder) == "stopping"


def test_a_worker_that_does_not_hear_a_pause_is_ended_and_paused(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_STOP_GRACE", "0")
    run = make_run()
    process = start(HOLDER, run.folder)
    wait_for(lambda: jobs.stored_state(run.folder) == "running")
    jobs.request_stop(run.folder, jobs.PAUSE)
    watch(run.folder)
    assert process.wait(5) != 0
    assert read_run(run.run_id).state == "paused"


def test_a_stop_flag_without_a_word_means_to_keep(make_run: MakeRun) -> None:
    run = make_run("running")
    assert jobs.how_to_stop(run.folder) is None
    for content in ("", "nonsense", "\x00"):
        (run.folder / "stop").write_text(content)
        assert jobs.how_to_stop(run.folder) == jobs.KEEP


def test_a_damaged_line_of_a_timeline_is_passed_over(make_run: MakeRun) -> None:
    run = make_run()
    note_event(run.folder, "started")
    with (run.folder / "events.jsonl").open("a") as file:
        file.write('{"at": "x"}\n[]\n{"at": 1')
    assert [event.title for event in read_events(run.folder)] == ["Started"]


def test_a_run_of_a_machine_whose_clock_ran_ahead_is_told_right(make_run: MakeRun) -> None:
    run = make_run("queued", queued_at=time.time() + 86_400, pid=None)
    assert run.state == "interrupted", "nobody has begun it, and nobody will"
    with jobs.hold(run.folder) as job:
        job.update(state="running", started_at=time.time() + 86_400)
        assert read_run(run.run_id).state == "running"
    assert read_run(run.run_id).state == "interrupted"


def test_after_a_restart_of_the_machine_it_is_said_so(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("running", started_at=1.0)
    assert "killed" in (run.status.error or "")
    monkeypatch.setattr(jobs, "machine_start", lambda: time.time() + 1)
    assert "restarted" in (read_run(run.run_id).status.error or "")


@pytest.mark.parametrize(("before", "now", "kind"), [(3, 4, "memory"), (3, 3, "killed"), (None, 4, "killed")])
def test_a_process_that_the_system_ended_for_want_of_memory_is_told_from_one_that_was_killed(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch, before: int | None, now: int, kind: str
) -> None:
    run = make_run("running", host=host_name(), memory_kills=before)
    monkeypatch.setattr(jobs, "count_memory_kills", lambda: now)
    assert read_run(run.run_id).status.kind == kind
    error = read_run(run.run_id).status.error or ""
    assert ("perhaps this one" in error) == (kind == "memory")
    assert "resume it" in error
    assert "batch size" in error


def test_a_resumed_run_that_waits_knows_nothing_of_the_ends_before(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.control.launch", lambda *_: None)
    monkeypatch.setattr(jobs, "count_memory_kills", lambda: 9)
    run = make_run("running", host=host_name(), memory_kills=3)
    assert run.status.kind == "memory"
    with jobs.hold(resume_run(run.run_id).folder):
        pass
    assert read_run(run.run_id).status.kind == "killed"


def test_fields_of_a_status_that_mean_nothing_take_no_list_down(make_run: MakeRun) -> None:
    run = make_run("finished")
    stored = read_json(run.folder / "status.json") or {}
    for nonsense in ({"queued_at": "x"}, {"updated": None}, {"progress": 3}, {"error": ["x"]}, {"pid": {}}):
        write_json(run.folder / "status.json", stored | nonsense)
        assert [entry.state for entry in list_runs()] == ["finished"]
    write_json(run.folder / "status.json", stored | {"state": "nonsense"})
    assert list_runs()[0].state == "interrupted"
    assert replace(list_runs()[0].status, state="x").is_alive is False
