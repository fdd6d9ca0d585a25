"""Long work in a process of its own: a folder, a lock, a status file, a stop flag.

Import and training both run through this. The folder is the truth: whoever starts a job writes `queued`; from then on
only the process that holds the folder's lock writes. A job that says it is running while its lock is free was killed,
and reads as `interrupted`. Process ids are recorded for people and never believed
(a killed child still answers as a zombie).
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from filelock import FileLock, Timeout

from core.errors import StudioError
from core.files import read_json, write_json
from core.settings import PROJECT, settings_environment

Report = Callable[[str, int, int], None]  # what is done, how much of it, of how much
_REPORT_SECONDS = 0.2
ALIVE = ("queued", "running", "stopping", "paused")
START_GRACE = 20.0  # seconds in which a started process must have taken its lock


class JobStopped(StudioError):
    """Somebody asked for the end of a job."""


@dataclass(frozen=True)
class Status:
    """What is known of a job. Times are seconds since the epoch."""

    state: str = "queued"
    pid: int | None = None
    pid_started: float | None = None
    updated: float = 0.0
    queued_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""
    error: str | None = None
    progress: dict[str, Any] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether the job still runs or waits."""
        return self.state in ALIVE

    @property
    def seconds_left(self) -> float | None:
        """Time left by the job's own estimate."""
        return self.progress.get("seconds_left")


class Job:
    """The writing side of a job folder, for the process that holds its lock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._status = _stored_status(folder) or Status()

    def update(self, *, durable: bool = True, **changes: Any) -> None:
        """Change fields of the status and write it."""
        self._status = replace(self._status, updated=time.time(), **changes)
        write_json(self.folder / "status.json", asdict(self._status), durable=durable)

    def report(self, message: str, **progress: Any) -> None:
        """Say how far the work is. Cheap: no fsync."""
        self.update(durable=False, message=message, progress=progress)

    def end(self, state: str, *, error: str | None = None, message: str = "") -> None:
        """Write the last state."""
        self.update(state=state, error=error, message=message, ended_at=time.time())

    def stop_requested(self) -> bool:
        """Whether somebody asked for the end of the job."""
        return (self.folder / "stop").exists()


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
        job.update(pid=os.getpid(), pid_started=_process_start())
        yield job
    finally:
        lock.release()


def write_queued(folder: Path) -> None:
    """First status of a job, by whoever starts it."""
    now = time.time()
    write_json(folder / "status.json", asdict(Status(queued_at=now, updated=now)))


def launch(module: str, folder: Path, log: str, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Start `python -m module folder` in a session of its own; it outlives us, and no pipe stays open.

    Args:
        environment: variables that it gets besides ours.
    """
    own_session: dict[str, Any] = (
        {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined,unused-ignore]
        if os.name == "nt"
        else {"start_new_session": True}
    )
    with (folder / log).open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-m", module, str(folder)],
            cwd=PROJECT,
            env=settings_environment() | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=True,
            **own_session,
        )


def read_status(folder: Path) -> Status:
    """Status as it really is: what the file says, checked against the lock."""
    status = _stored_status(folder)
    if status is None:
        return Status(state="failed", error="The status file is missing or damaged. Delete this entry and start anew.")
    if not status.is_alive or is_locked(folder):
        return _with_stop_flag(folder, status)
    again = _stored_status(folder) or status  # it may have ended between the two looks
    if not again.is_alive or (again.pid is None and time.time() - again.queued_at < START_GRACE):
        return again
    return replace(
        again,
        state="interrupted",
        error="The process ended without a word: it was killed, or the machine was shut down. Start it again.",
    )


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


def request_stop(folder: Path) -> None:
    """Ask a job to end after its current step."""
    (folder / "stop").touch()


def _with_stop_flag(folder: Path, status: Status) -> Status:
    if status.state == "running" and (folder / "stop").exists():
        return replace(status, state="stopping")
    return status


def _stored_status(folder: Path) -> Status | None:
    stored = read_json(folder / "status.json")
    if stored is None or not isinstance(stored.get("state"), str):
        return None
    known = {entry.name for entry in fields(Status)}
    return Status(**{name: value for name, value in stored.items() if name in known})


def _process_start() -> float:
    import psutil

    return float(psutil.Process().create_time())
