"""The one slot of a workspace for work that wants the machine to itself: trainings, and the dry runs that measure it.

Runs wait for it in a row, each in a small process of its own; a dry run does not wait, it is made when it is free.

No daemon and no web server is needed: the next run starts when the slot's lock is free, however the last one ended.
Imports nothing heavy, because a waiting process should cost next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from core import jobs

POLL = 0.25  # seconds between two looks


def list_waiting(models: Path) -> list[Path]:
    """Folders of the runs that wait for the slot, the oldest first."""
    waiting = []
    for file in models.glob("[!.]*/status.json"):
        status = jobs.read_status(file.parent)
        if status.state == "queued" and jobs.is_locked(file.parent):
            waiting.append((status.queued_at, file.parent.name, file.parent))
    return [folder for _, _, folder in sorted(waiting)]


@contextmanager
def hold_slot(job: jobs.Job) -> Iterator[bool]:
    """Wait for the slot, first come, first served; gives False if the job was stopped while it waited."""
    models = job.folder.parent
    slot = _lock(models)
    while not job.stop_requested():
        if list_waiting(models)[:1] in ([], [job.folder]):
            try:
                slot.acquire(blocking=False)
                break
            except Timeout:
                pass
        time.sleep(POLL)
    try:
        yield slot.is_locked
    finally:
        slot.release()


@contextmanager
def take_free_slot(models: Path) -> Iterator[bool]:
    """Take the slot if it is free now; gives whether it is ours."""
    models.mkdir(parents=True, exist_ok=True)
    slot = _lock(models)
    with suppress(Timeout):
        slot.acquire(blocking=False)
    try:
        yield slot.is_locked
    finally:
        slot.release()


def is_slot_free(models: Path) -> bool:
    """Whether nobody has the machine to himself."""
    if not models.is_dir():
        return True
    with take_free_slot(models) as is_free:
        return is_free


def _lock(models: Path) -> FileLock:
    return FileLock(models / ".slot.lock")
