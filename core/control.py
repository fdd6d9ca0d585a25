"""Starting runs, and all that can be asked of one: stop, pause, discard, resume, continue, repeat, delete.

What is asked of a run that trains is a flag in its folder. A small process watches that it is heard, see
`core.watching`. Whoever resumes a run writes `queued` under the run's lock, so that two tabs cannot resume it twice.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock, Timeout

from core import jobs, queue
from core.config import RunConfig
from core.datasets import Dataset
from core.errors import RunError, StudioError, storage_errors
from core.failures import HOPELESS
from core.files import read_json, remove_folder, write_json
from core.history import read_history
from core.launching import launch
from core.run_making import create_run
from core.runs import LOG, Run, dataset_of, list_runs, read_run
from core.settings import variable_name
from core.timeline import note_event

_MOST_EPOCHS = 500
_LAST_WORD = 5.0  # seconds that a process has to end after it has said its last word


def start_run(dataset: Dataset, config: RunConfig, name: str = "") -> Run:
    """Create a run and launch its worker, which waits for its turn by itself."""
    return _begin(create_run(dataset, config, name))


def repeat_run(run_id: str) -> Run:
    """Start a run again with the same settings, data, number format and number of threads.

    Raises:
        RunError: its data set is gone or another one now, or it was trained from a run that is gone.
    """
    source = read_run(run_id)
    dataset = _same_dataset(source, "repeated")
    run = create_run(dataset, source.config, f"{source.name} (repeated)", repeat_of=run_id)
    return _begin(run, threads=source.environment.get("threads"))


def stop_run(run_id: str, how: str = jobs.KEEP) -> Run:
    """Ask a run to end after its current batch; a queued one is cancelled.

    A run that was paused or interrupted is finished: its best model is saved and scored.

    Args:
        how: `core.jobs.KEEP` its best model, PAUSE it to be resumed later, or DISCARD it with all that belongs to it.

    Raises:
        RunError: it has ended, so there is nothing to stop.
    """
    run = read_run(run_id)
    if run.status.is_alive:
        with storage_errors():
            jobs.request_stop(run.folder, how)
        if run.state != "queued":
            note_event(run.folder, "stop", how)
            launch("core.watching", run.folder, LOG)
        return read_run(run_id)
    if how == jobs.KEEP and can_resume(run) and read_history(run.folder):
        return _queue_again(run, finish=True)
    raise RunError(f"Run {run_id!r} is not running (state: {run.state}), so there is nothing to stop.")


def discard_run(run_id: str) -> None:
    """End a run, whatever it does, and delete all that belongs to it, as soon as it has heard."""
    run = read_run(run_id)
    if run.status.is_alive:
        stop_run(run_id, jobs.DISCARD)
    else:
        delete_run(run_id)


def can_resume(run: Run) -> bool:
    """Whether a run can go on from where it ended: paused, interrupted, stopped, or failed for want of something."""
    if run.state == "failed":
        return run.status.kind not in HOPELESS
    if run.state == "stopped":  # one that has a model would lose it, if it had to begin anew
        return epochs_left(run) > 0 and (has_checkpoint(run) or not run.has_scores)
    return run.state in ("paused", "interrupted")


def has_checkpoint(run: Run) -> bool:
    """Whether there is anything to go on from; cleaning up, and the way through a ZIP, leave nothing."""
    return any((run.folder / "checkpoints").glob("*.npz"))


def epochs_left(run: Run) -> int:
    """Epochs of its plan that it has not learned; 0 for one that has come to its end."""
    return 0 if run.state == "finished" else max(run.n_epochs - len(read_history(run.folder)), 0)


def resume_run(run_id: str, epochs: int | None = None) -> Run:
    """Queue a run again: it goes on from its last checkpoint as if nothing had happened.

    Args:
        epochs: new total, to continue a run for more epochs than were planned.

    Raises:
        RunError: it is alive, or has come to its end, or its data set is not the one it began with.
    """
    run = read_run(run_id)
    more = 0 if epochs is None else _check_more(run, epochs)
    if not more and not can_resume(run):
        raise RunError(_explain_no_resume(run))
    return _queue_again(run, more=more)


def requeue_left_over() -> list[Run]:
    """Queue the runs again that waited when the machine went down, in their order."""
    again = []
    for run in left_over_runs():
        with suppress(StudioError):  # one that cannot be queued, because its data is gone, does not keep the others
            again.append(_queue_again(run))
    return again


def forget_left_over() -> None:
    """Let the runs that waited when the machine went down count as cancelled."""
    for run in left_over_runs():
        with suppress(StudioError), _own(run) as job:
            job.end("stopped", message="It waited when the machine went down, and was not queued again.")


def left_over_runs(runs: list[Run] | None = None) -> list[Run]:
    """Runs that waited for their turn when their processes ended, the oldest first."""
    found = [run for run in runs or list_runs() if run.state == "interrupted" and _was_waiting(run)]
    return sorted(found, key=lambda run: run.status.queued_at)


def delete_run(run_id: str) -> None:
    """Delete a run's folder.

    Raises:
        RunError: it still runs.
    """
    run = read_run(run_id)
    end = time.time() + _LAST_WORD
    while not run.status.is_alive and jobs.is_locked(run.folder) and time.time() < end:
        time.sleep(0.05)
    if run.status.is_alive or jobs.is_locked(run.folder):
        raise RunError(f"Run {run_id!r} is {run.state}, or its process is. Stop it first, then delete it.")
    remove_folder(run.folder)
    queue.dequeue(run.folder)


def _was_waiting(run: Run) -> bool:
    return jobs.stored_state(run.folder) == "queued"


def _begin(run: Run, threads: int | None = None) -> Run:
    queue.enqueue(run.folder)
    note_event(run.folder, "queued")
    launch("core.ml.train", run.folder, LOG, {variable_name("threads"): str(threads)} if threads else {})
    return run


def _queue_again(run: Run, *, more: int = 0, finish: bool = False) -> Run:
    """Make a run wait for its turn once more.

    Args:
        more: epochs to learn beyond the plan.
        finish: it shall learn no more, only save and score its best model.
    """
    _same_dataset(run, "resumed")
    with storage_errors(), _own(run) as job:
        if more:
            stored = read_json(run.folder / "config.json") or {}
            entry = {"epochs": more, "at": round(time.time(), 3)}
            write_json(run.folder / "config.json", stored | {"continued": [*_continued(stored), entry]})
        (run.folder / jobs.STOP).unlink(missing_ok=True)
        if finish:
            jobs.request_stop(run.folder, jobs.FINISH)
        ended = run.status.ended_at or run.status.updated
        spent = max(ended - run.status.started_at, 0.0) if run.status.started_at else 0.0
        job.update(
            state="queued", queued_at=time.time(), started_at=None, ended_at=None, pid=None, pid_started=None,
            memory_kills=None, message="", error=None, kind=None, progress={},
            seconds_before=run.status.seconds_before + spent,
        )  # fmt: skip
    if run.state == "interrupted":
        note_event(run.folder, "interrupted", run.status.error or "")
    note_event(run.folder, "continued" if more else "queued", f"{more} more epochs" if more else "")
    queue.enqueue(run.folder)
    threads = run.environment.get("threads")
    launch("core.ml.train", run.folder, LOG, {variable_name("threads"): str(threads)} if threads else {})
    return read_run(run.run_id)


@contextmanager
def _own(run: Run) -> Iterator[jobs.Job]:
    """Hold a run that has ended for a moment, in place of a worker.

    Raises:
        RunError: somebody else holds it, or has queued it again meanwhile.
    """
    lock = FileLock(run.folder / "lock")
    try:
        lock.acquire(timeout=2)
    except Timeout:
        raise RunError(f"Run {run.run_id!r} is being worked on. Look at its state and try again.") from None
    try:
        if jobs.stored_state(run.folder) == "queued" and run.status.queued_at != jobs.Job(run.folder).status.queued_at:
            raise RunError(f"Run {run.run_id!r} was queued again meanwhile.")
        yield jobs.Job(run.folder)
    finally:
        lock.release()


def _check_more(run: Run, epochs: int) -> int:
    """Epochs beyond the plan."""
    if run.status.is_alive:
        raise RunError(f"Run {run.run_id!r} is {run.state}. It can be continued when it has ended.")
    planned = len(read_history(run.folder)) if run.state == "finished" else run.n_epochs
    if not planned < epochs <= _MOST_EPOCHS:
        raise RunError(
            f"Run {run.run_id!r} has {planned} epochs. The new total must be larger, and at most {_MOST_EPOCHS}. "
            f"Received: {epochs}."
        )
    if not read_history(run.folder) or run.state not in ("finished", "stopped", "paused", "interrupted"):
        raise RunError(f"Run {run.run_id!r} ({run.state}) has no epoch from which it could continue. Start a new one.")
    if not has_checkpoint(run):
        raise RunError(
            f"Run {run.run_id!r} has no checkpoint any more to continue from. Start a new run from its weights "
            f"(`--weights {run.run_id}`)."
        )
    return epochs - planned


def _continued(stored: dict[str, object]) -> list[object]:
    entries = stored.get("continued")
    return entries if isinstance(entries, list) else []


def _explain_no_resume(run: Run) -> str:
    if run.status.is_alive:
        return f"Run {run.run_id!r} is {run.state} already, so there is nothing to resume."
    if run.state in ("finished", "stopped"):
        return (
            f"Run {run.run_id!r} has come to its end ({run.state}). Give a larger total of epochs to continue it "
            "(`--epochs`)."
        )
    return f"Run {run.run_id!r} would end in the same way again: {run.status.error} Change its settings instead."


def _same_dataset(run: Run, what: str) -> Dataset:
    """The data set of a run, which must be the one it was trained on."""
    dataset = dataset_of(run)
    trained_on = run.environment.get("dataset_fingerprint")
    if dataset is None or (trained_on and trained_on != dataset.fingerprint):
        raise RunError(
            f"Run {run.run_id!r} cannot be {what}: its data set {run.config.dataset_id!r} is not here any more. "
            "Import the same archive again under that name, then try again."
        )
    return dataset
