"""The one training slot of a workspace: runs wait for it in a row, each in a small process of its own.

No daemon and no web server is needed: the next run starts when the slot's lock is free, however the last one ended.
Imports nothing heavy, because a waiting process should cost next to nothing.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
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
    slot = FileLock(models / ".slot.lock")
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
