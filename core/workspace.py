"""The workspace as a whole: what needs what, and clearing up."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from core.auditing import audit_folder
from core.cache import cache_folders
from core.control import delete_run
from core.datasets import Dataset, note_used_id, read_dataset
from core.errors import DatasetError, StudioError
from core.files import is_plain_name, read_json, remove_folder
from core.importing import imports_folder, list_imports, remove_dead_imports
from core.jobs import is_locked, read_status, request_stop
from core.runs import runs_of
from core.settings import read_settings

_PATIENCE = 10.0  # seconds in which an audit must have heard that it shall end
REMAINS_AGE = 3600.0  # seconds after which nobody can still be working on a hidden folder


def delete_dataset(dataset_id: str) -> None:
    """Delete a data set.

    Raises:
        DatasetError: there is none, or runs need it.
    """
    dataset = read_dataset(dataset_id)
    needing = runs_of(dataset_id)
    if needing:
        names = ", ".join(run.name for run in needing[:5])
        more = f" and {len(needing) - 5} more" if len(needing) > 5 else ""
        raise DatasetError(
            f"Data set {dataset.name!r} is needed by {len(needing)} run(s): {names}{more}. Delete those first."
        )
    _end_work_on(dataset)
    remove_folder(dataset.folder)
    note_used_id(dataset_id)


def _end_work_on(dataset: Dataset) -> None:
    """Stop an audit of a data set; a version that is being made from it goes first."""
    for folder in list_imports():
        request = read_json(folder / "request.json") or {}
        if request.get("parent") == dataset.dataset_id and read_status(folder).is_alive:
            raise DatasetError(f"A version of {dataset.name!r} is being made. Wait for its end or cancel it.")
    audit = audit_folder(dataset)
    end = time.time() + _PATIENCE
    while is_locked(audit):
        request_stop(audit)
        if time.time() > end:
            raise DatasetError(f"Data set {dataset.name!r} is being audited. Wait for its end or cancel it.")
        time.sleep(0.1)


def measure_disk(dataset: Dataset) -> tuple[int, int]:
    """Bytes of a data set on disk, and how many of them would be freed: versions share their pictures."""
    sizes = [(stat.st_size, stat.st_nlink) for path in dataset.folder.rglob("*") if (stat := _stat(path)) is not None]
    return sum(size for size, _ in sizes), sum(size for size, links in sizes if links == 1)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat() if path.is_file() else None
    except OSError:  # it went while we looked
        return None


def delete(name: str) -> dict[str, Any]:
    """Delete a run or a data set by its id.

    Raises:
        StudioError: there is neither, or it is in use.
    """
    settings = read_settings()
    if is_plain_name(name) and (settings.models / name / "config.json").exists():
        delete_run(name)
        return {"deleted": name, "kind": "run"}
    if is_plain_name(name) and (settings.data / name / "dataset.json").exists():
        delete_dataset(name)
        return {"deleted": name, "kind": "dataset"}
    raise StudioError(f"There is neither a run nor a data set {name!r} in this workspace. See `runs` and `datasets`.")


def remove_remains() -> None:
    """Clear what killed processes left behind: half imports, folders on their way in or out."""
    remove_dead_imports()
    settings = read_settings()
    folders = (settings.data, *settings.data.glob("*/cache"), imports_folder(), settings.models, *cache_folders())
    for folder in folders:
        for remains in [*folder.glob(".trash-*"), *folder.glob(".new-*")]:
            with suppress(FileNotFoundError):  # its owner was faster
                if time.time() - remains.stat().st_mtime > REMAINS_AGE:
                    shutil.rmtree(remains, ignore_errors=True)
