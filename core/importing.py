"""Jobs that make a data set: from a ZIP, a folder or the synthetic sample, or as a new version of another one.

A data set is put together in a staging folder, which gets its final name at the very end: a job that fails, is stopped
or killed leaves nothing. Runs as a process (`python -m core.importing JOB_FOLDER`), or within the command line.
"""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from core import jobs
from core.assembly import assemble
from core.auditing import run_audit
from core.datasets import Dataset, read_dataset, read_used_ids
from core.drafts import forget_changes
from core.errors import DatasetError, StudioError, storage_errors
from core.files import is_plain_name, read_json, slug, sync_folder, write_json
from core.intake import FIRST, check_frame
from core.launching import launch
from core.patients import check_pattern
from core.settings import read_settings
from core.versions import build_version, check_change

_CHUNK = 2**20


class ImportStopped(jobs.JobStopped):
    """Somebody asked for the end of the import."""


def create_import(
    *,
    path: Path | None = None,
    name: str = "",
    images_per_class: int | None = None,
    upload: BinaryIO | None = None,
    patient_pattern: str = "",
    frame: str = FIRST,
) -> Path:
    """Make the folder of an import job, with what it is to do.

    Args:
        path: ZIP or folder to import; None for the synthetic sample or an upload.
        name: name of the data set; by default that of the file.
        images_per_class: size of the synthetic sample, which is made if it is given.
        upload: a ZIP that is copied into the job's folder, in pieces.
        patient_pattern: regular expression that finds the id of a patient in the path of a picture; empty for none.
        frame: which one to take of a file of several: `first`, `middle`, or its number from 0.

    Raises:
        DatasetError: the pattern is no regular expression, or the frame cannot be understood.
    """
    check_pattern(patient_pattern)
    check_frame(frame)
    request = {
        "path": str(path) if path else None,
        "name": name,
        "images_per_class": images_per_class,
        "patient_pattern": patient_pattern,
        "frame": frame,
    }
    return _create_job(request, upload)


def create_version(parent: Dataset, change: dict[str, Any], name: str = "") -> Path:
    """Make the folder of a job that makes a new version of a data set.

    Args:
        change: what `core.versions.new_split` or `core.versions.changed_pictures` gives.
        name: name of the version; by default that of the parent with a word about the change.

    Raises:
        DatasetError: the change cannot be made.
    """
    check_change(parent, change)
    return _create_job({"parent": parent.dataset_id, "name": name, "change": change})


def start_import(folder: Path) -> None:
    """Run an import job in a process of its own."""
    launch("core.importing", folder, "import.log")


def run_import(folder: Path, on_progress: jobs.Report | None = None) -> Dataset:
    """Run an import job in this process.

    Raises:
        StudioError: the source cannot be imported; nothing of it is left.
    """
    request = read_json(folder / "request.json") or {}
    with jobs.hold(folder) as job:
        job.begin("Looking through the files")
        report = jobs.make_reporter(job, ImportStopped("It was cancelled; nothing of it was kept."), on_progress)
        with jobs.failing_in_words(job):
            try:
                with storage_errors():
                    make = build_version if "parent" in request else assemble
                    (folder / "staging").mkdir()
                    dataset = _settle(folder / "staging", make(request, folder / "staging", report))
            finally:
                _remove_payload(folder)  # first of all: on a full disk this makes room for the last word
        job.end("finished", message=dataset.dataset_id)
        if dataset.parent and request["change"]["kind"] == "pictures":
            with suppress(StudioError):  # the version is there; marks that stay do no harm
                forget_changes(read_dataset(dataset.parent), request["change"]["changes"])
        return dataset


def imports_folder() -> Path:
    """Where these jobs lie."""
    return read_settings().data / ".imports"


def list_imports() -> list[Path]:
    """Folders of the import jobs, the oldest first."""
    folder = imports_folder()
    return sorted(path for path in folder.iterdir() if is_plain_name(path.name)) if folder.is_dir() else []


def remove_import(folder: Path) -> None:
    """Forget an import that has ended."""
    if not jobs.read_status(folder).is_alive:
        shutil.rmtree(folder, ignore_errors=True)


def remove_dead_imports(keep_seconds: float = 3600.0) -> None:
    """Clear what killed imports left at once, and what ended ones left to be read after a while."""
    for folder in list_imports():
        status = jobs.read_status(folder)
        if status.is_alive:
            continue
        _remove_payload(folder)
        if time.time() - (status.ended_at or status.updated) > keep_seconds:
            shutil.rmtree(folder, ignore_errors=True)


def _create_job(request: dict[str, Any], upload: BinaryIO | None = None) -> Path:
    folder = imports_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    incoming = folder.with_name(f".new-{folder.name}")  # nobody takes it for a job while a long upload is copied
    with storage_errors():
        incoming.mkdir(parents=True)
        try:
            if upload is not None:
                request = request | {"path": str(folder / "upload.zip")}
                with (incoming / "upload.zip").open("wb") as file:
                    shutil.copyfileobj(upload, file, _CHUNK)
            write_json(incoming / "request.json", request)
            jobs.write_queued(incoming)
            incoming.rename(folder)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    return folder


def _remove_payload(folder: Path) -> None:
    """Remove all of an import but its status."""
    shutil.rmtree(folder / "staging", ignore_errors=True)
    (folder / "upload.zip").unlink(missing_ok=True)


def _settle(staging: Path, dataset: Dataset) -> Dataset:
    """Give the folder its name: from now on the data set is there."""
    data = read_settings().data
    base = slug(dataset.name, fallback="dataset")
    used = read_used_ids()
    for attempt in range(1, 10_000):
        dataset_id = base if attempt == 1 else f"{base}-{attempt}"
        if dataset_id in used or (data / dataset_id).exists():
            continue
        write_json(staging / "dataset.json", asdict(replace(dataset, dataset_id=dataset_id)))
        try:
            staging.rename(data / dataset_id)
        except OSError:  # somebody else was faster with the same name
            if (data / dataset_id).exists():
                continue
            raise
        sync_folder(data)
        return read_dataset(dataset_id)
    raise DatasetError(f"There are too many data sets named {dataset.name!r}. Choose another name.")


if __name__ == "__main__":
    try:
        run_audit(run_import(Path(sys.argv[1])))
    except StudioError as error:
        sys.exit(str(error))
