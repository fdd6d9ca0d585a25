"""Long work in a process of its own: a folder, a lock, a status file, a stop flag.

Import and training both run through this. The folder is the truth: whoever starts a job writes `queued`; from then on
only the process that holds the folder's lock writes. A job that says it is running while its lock is free was killed,
and reads as `interrupted`. Process ids are recorded, and never believed (a killed child still answers as a zombie).
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from core.errors import StudioError
from core.files import write_json, write_text
from core.launching import count_memory_kills, host_name, machine_start, own_start
from core.status import Status, stored_status

Report = Callable[[str, int, int], None]  # what is done, how much of it, of how much
_REPORT_SECONDS = 0.2
STOP = "stop"  # the flag: a file that says how
KEEP, PAUSE, DISCARD, FINISH = "keep", "pause", "discard", "finish"
_NO_ROOM = 2**20  # bytes free below which a disk is full
START_GRACE = 20.0  # seconds in which a started process must have taken its lock


class JobStopped(StudioError):
    """Somebody asked for the end of a job."""


class Job:
    """The writing side of a job folder, for the process that holds its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._status = stored_status(folder) or Status()

    @property
    def status(self) -> Status:
        """What was written last."""
        return self._status

    def update(self, *, durable: bool = True, **changes: Any) -> None:
        """Change fields of the status and write it."""
        self._status = replace(self._status, updated=time.time(), **changes)
        write_json(self.folder / "status.json", asdict(self._status), durable=durable)

    def begin(self, message: str) -> float:
        """Say that the work begins, which may have waited for its turn for long; returns when that is."""
        now, kills = time.time(), count_memory_kills()
        self.update(state="running", started_at=now, message=message, error=None, progress={}, memory_kills=kills)
        return now

    def report(self, message: str, **progress: Any) -> None:
        """Say how far the work is. Cheap: no fsync. Who can say so does not hang, so a wish to stop counts as heard."""
        if self.stop_requested():
            self.hear_stop()
        self.update(durable=False, message=message, progress=progress)

    def end(self, state: str, *, error: str | None = None, message: str = "", kind: str | None = None) -> None:
        """Write the last state."""
        self.update(state=state, error=error, message=message, kind=kind, ended_at=time.time())

    def stop_requested(self) -> bool:
        """Whether somebody asked for the end of the job. Who asks to finish wants it to go on, to its last step."""
        return how_to_stop(self.folder) not in (None, FINISH)

    def hear_stop(self) -> None:
        """Say that the wish to stop was heard, so that nobody ends the process by force."""
        if self._status.state == "running":
            self.update(state="stopping")


@contextmanager
def failing_in_words(job: Job) -> Iterator[None]:
    """Write the last state of a job whose work raises: stopped or failed, with one line on why; and raise on."""
    try:
        yield
    except BaseException as error:
        line = str(error) if isinstance(error, StudioError) else f"Unexpected error: {type(error).__name__}: {error}"
        job.end("stopped" if isinstance(error, JobStopped) else "failed", error=line)
        raise


def make_reporter(job: Job, stopped: JobStopped, on_progress: Report | None = None) -> Report:
    """A function by which work says how far it is; cheap enough to be called for every picture.

    Args:
        stopped: what it raises when somebody has asked for the end of the job.
        on_progress: told the same.
    """
    step, since, last = "", 0.0, 0.0

    def report(message: str, done: int, total: int) -> None:
        nonlocal step, since, last
        now = time.time()
        if message != step:  # each step has a pace of its own
            step, since, last = message, now, 0.0
        if done != total and now - last < _REPORT_SECONDS:
            return
        last = now
        if job.stop_requested():
            job.hear_stop()
            raise stopped
        left = (now - since) / done * (total - done) if done else None
        speed = done / (now - since) if done and now > since else None
        job.report(message, done=done, total=total, seconds_left=left, per_second=speed)
        if on_progress:
            on_progress(message, done, total)

    return report


@contextmanager
def hold(folder: Path, timeout: float = 5.0) -> Iterator[Job]:
    """Take the job's lock, say who runs it, and let go of it at the end.

    Args:
        timeout: seconds to wait for the lock; at least a moment, because a reader may hold it while it looks.

    Raises:
        StudioError: another process runs this job.
    """
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(timeout=timeout)
    except Timeout:
        raise StudioError(f"{folder.name} is already run by another process. Wait for its end or stop it.") from None
    try:
        job = Job(folder)
        job.update(pid=os.getpid(), pid_started=own_start(), host=host_name())
        yield job
    finally:
        lock.release()


def write_queued(folder: Path) -> None:
    """First status of a job, by whoever starts it."""
    now = time.time()
    write_json(folder / "status.json", asdict(Status(queued_at=now, updated=now)))


def start_again(kind: str) -> str:
    """What to do about work that left nothing behind when its process ended."""
    return "Nothing of it was kept: start it again."


def read_status(folder: Path, advise: Callable[[str], str] = start_again) -> Status:
    """Status as it really is: what the file says, checked against the lock.

    Args:
        advise: what to do where the process has gone without a word, by the kind of its end.
    """
    status = stored_status(folder)
    if status is None:
        return _without_status(folder)
    if not status.is_alive or is_locked(folder):
        return _with_stop_flag(folder, status)
    again = stored_status(folder) or status  # it may have ended between the two looks
    is_starting = again.state == "queued" and again.pid is None and abs(time.time() - again.queued_at) < START_GRACE
    if not again.is_alive or is_starting:
        return again
    kind, line = _explain_end(folder, again)
    return replace(again, state="interrupted", error=again.error or f"{line} {advise(kind)}", kind=again.kind or kind)


def is_locked(folder: Path) -> bool:
    """Whether a living process holds the job."""
    if not (folder / "lock").exists():
        return False
    lock = FileLock(folder / "lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return True
    lock.release()
    return False


def request_stop(folder: Path, how: str = KEEP) -> None:
    """Ask a job to end after its current step.

    Args:
        how: what becomes of it: KEEP what it has, PAUSE it, DISCARD it, or FINISH: go on with its last step at once.
    """
    write_text(folder / STOP, how, durable=False)


def how_to_stop(folder: Path) -> str | None:
    """How a job was asked to end; None if it was not. A flag without a word means to keep."""
    try:
        text = (folder / STOP).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
    return text if text in (PAUSE, DISCARD, FINISH) else KEEP


def stored_state(folder: Path) -> str | None:
    """What the worker itself has written last; None where that cannot be read."""
    status = stored_status(folder)
    return status.state if status else None


def _with_stop_flag(folder: Path, status: Status) -> Status:
    if status.state == "running" and how_to_stop(folder) not in (None, FINISH):
        return replace(status, state="stopping")
    return status


def _without_status(folder: Path) -> Status:
    if is_locked(folder):  # its worker writes it anew within a second
        return Status(state="running", message="The status file is damaged")
    return Status(
        state="interrupted",
        kind="damaged",
        error="The status file is missing or damaged, and nothing runs here. Resume or start it again, or delete it.",
    )


def _explain_end(folder: Path, status: Status) -> tuple[str, str]:
    """Kind and line for a process that has left no word."""
    if shutil.disk_usage(folder).free < _NO_ROOM:
        return "disk", "The disk is full, so the work could not go on. Free some space."
    if machine_start() > status.updated > 0:
        return "killed", "The machine, or its container, was restarted."
    if status.memory_kills is None or status.host != host_name():
        return "killed", "The process ended without a word: it was killed, by hand or by the system for want of memory."
    if (count_memory_kills() or 0) > status.memory_kills:
        return "memory", (
            "The process ended without a word, and since its work began the system has ended one for want of memory: "
            "perhaps this one."
        )
    return "killed", "The process ended without a word: it was killed."
