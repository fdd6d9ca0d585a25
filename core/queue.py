"""The queue of a workspace: `models/.queue.json`, the ids of the runs that wait, in the order of their start.

Nothing of it lives in memory: each waiting run has a small process of its own that looks whether it is first. Entries
of runs that have ended or died are passed over; the file is changed under a lock, so that two who start at once stand
one behind the other. A damaged file is made anew from the runs themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from core import jobs
from core.errors import RunError, storage_errors
from core.files import is_plain_name, read_json, write_json

_PATIENCE = 10.0  # seconds to wait for the lock


def list_waiting(models: Path) -> list[Path]:
    """Folders of the runs that wait, in order. A run whose process has yet to begin counts, for a while."""
    return [folder for folder in _entries(models) if jobs.read_status(folder).state == "queued"]


def enqueue(folder: Path) -> None:
    """Put a run at the end.

    Raises:
        RunError: the queue's file is held by another process for too long.
        StorageError: the disk is full or may not be written.
    """
    _change(folder.parent, lambda order: [*_without(order, folder), folder.name])


def ensure_queued(folder: Path) -> None:
    """Put a run at the end if it is not in the queue, because somebody has lost or damaged the file."""
    if _stored_order(folder.parent) is None or folder not in _entries(folder.parent):
        _change(folder.parent, lambda order: order if folder.name in order else [*order, folder.name])


def dequeue(folder: Path) -> None:
    """Take a run out, if it is in."""
    if folder in _entries(folder.parent):
        _change(folder.parent, lambda order: _without(order, folder))


def move(folder: Path, places: int) -> None:
    """Move a waiting run, forward by a negative number of places; it stops at the ends.

    Raises:
        RunError: it does not wait (any more).
    """

    def moved(order: list[str]) -> list[str]:
        waiting = [name for name in order if jobs.read_status(folder.parent / name).state == "queued"]
        if folder.name not in waiting:
            raise RunError(f"Run {folder.name!r} does not wait any more, so it cannot be moved.")
        at = waiting.index(folder.name)
        waiting.insert(max(at + places, 0), waiting.pop(at))
        return waiting

    _change(folder.parent, moved)


def _without(order: list[str], folder: Path) -> list[str]:
    return [name for name in order if name != folder.name]


def _change(models: Path, change: Callable[[list[str]], list[str]]) -> None:
    try:
        with storage_errors(), FileLock(models / ".queue.lock", timeout=_PATIENCE):
            before = [folder.name for folder in _entries(models)]
            after = change(before)
            if after != before or _stored_order(models) is None:
                write_json(_file(models), {"order": after})
    except Timeout:
        raise RunError("The queue is busy: another process holds its lock. Try again in a moment.") from None


def _entries(models: Path) -> list[Path]:
    order = _stored_order(models)
    if order is None:
        return _queued_runs(models)
    return [models / name for name in dict.fromkeys(order) if (models / name).is_dir()]


def _stored_order(models: Path) -> list[str] | None:
    """Names in the queue's file; None if it is missing or damaged."""
    order = (read_json(_file(models)) or {}).get("order")
    is_whole = isinstance(order, list) and all(isinstance(name, str) and is_plain_name(name) for name in order)
    return order if is_whole else None


def _queued_runs(models: Path) -> list[Path]:
    """What the queue must have been, by the runs' own word."""
    waiting = []
    for file in models.glob("[!.]*/status.json"):
        status = jobs.read_status(file.parent)
        if status.state == "queued":
            waiting.append((status.queued_at, file.parent.name, file.parent))
    return [folder for _, _, folder in sorted(waiting)]


def _file(models: Path) -> Path:
    return models / ".queue.json"
