"""The slots of a workspace for work that wants the machine to itself: trainings, and the dry runs that measure it.

Runs wait for one in the order of `core.queue`, each in a small process of its own; a dry run does not wait, it is made
when all are free. No daemon and no web server is needed: the next run starts when a slot's lock is free, however the
last one ended. Imports nothing heavy, because a waiting process should cost next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from core import jobs
from core.queue import dequeue, ensure_queued, list_waiting
from core.settings import read_settings

POLL = 0.25  # seconds between two looks


@contextmanager
def hold_slot(job: jobs.Job) -> Iterator[bool]:
    """Wait for a slot in the order of the queue; gives False if the job was stopped while it waited.

    The job stays first in the queue until it says that it runs, so that nobody overtakes it.
    """
    models = job.folder.parent
    ensure_queued(job.folder)
    slot: FileLock | None = None
    try:
        while slot is None and not job.stop_requested():
            if list_waiting(models)[:1] in ([], [job.folder]):
                slot = _acquire_one(models)
            if slot is None:
                time.sleep(POLL)
        yield slot is not None
    finally:
        if slot is not None:
            slot.release()
        dequeue(job.folder)


@contextmanager
def take_free_slot(models: Path) -> Iterator[bool]:
    """Take the machine if all slots are free now; gives whether it is ours."""
    models.mkdir(parents=True, exist_ok=True)
    taken = [slot for slot in _slots(models) if _acquire(slot)]
    try:
        yield len(taken) == len(_slots(models))
    finally:
        for slot in taken:
            slot.release()


def is_slot_free(models: Path) -> bool:
    """Whether nobody has the machine to himself."""
    if not models.is_dir():
        return True
    with take_free_slot(models) as is_free:
        return is_free


def _acquire_one(models: Path) -> FileLock | None:
    return next((slot for slot in _slots(models) if _acquire(slot)), None)


def _acquire(slot: FileLock) -> bool:
    try:
        slot.acquire(blocking=False)
    except Timeout:
        return False
    return True


def _slots(models: Path) -> list[FileLock]:
    return [FileLock(models / f".slot-{number}.lock") for number in range(max(read_settings().slots, 1))]
