"""Audits as jobs: `python -m core.auditing FOLDER`, where FOLDER is `data/DATASET/audit/`.

The result is derived from an immutable data set, so it is made once and kept beside it.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, astuple
from pathlib import Path

from core import jobs
from core.audit import Audit, audit_dataset
from core.datasets import Dataset, read_dataset
from core.errors import DatasetError, StudioError, storage_errors
from core.files import read_json, write_json
from core.launching import launch
from core.shortcuts import Shortcut
from core.twins import Twin

LOG = "audit.log"
_FORMAT = 1  # raised when what an audit finds changes, so that older results are made anew


class AuditStopped(jobs.JobStopped):
    """Somebody asked for the end of an audit."""


def audit_folder(dataset: Dataset) -> Path:
    """Folder of a data set's audit job and result."""
    return dataset.folder / "audit"


def read_audit(dataset: Dataset) -> Audit | None:
    """The stored audit, or None where there is none (yet), or it is damaged or out of date."""
    stored = read_json(audit_folder(dataset) / "result.json")
    if stored is None or stored.pop("format", None) != _FORMAT or stored.get("fingerprint") != dataset.fingerprint:
        return None
    try:
        stored["twins"] = [Twin(*entry) for entry in stored["twins"]]
        stored["shortcuts"] = [Shortcut(**entry) for entry in stored["shortcuts"]]
        for name in ("quality", "label_conflicts"):
            stored[name] = [tuple(entry) for entry in stored[name]]
        return Audit(**stored)
    except (KeyError, TypeError, ValueError):
        return None


def start_audit(dataset: Dataset) -> Path:
    """Run an audit in a process of its own; one that is under way or done is left alone."""
    folder = _prepare(dataset)
    is_known = (folder / "status.json").exists()
    if read_audit(dataset) is None and not (is_known and jobs.read_status(folder).is_alive):
        jobs.write_queued(folder)
        launch("core.auditing", folder, LOG)
    return folder


def ensure_audit(dataset: Dataset, on_progress: jobs.Report | None = None) -> Audit:
    """The stored audit, else one that is made now, in this process.

    Raises:
        StudioError: the data set is damaged, the disk full, or the audit under way in another process does not end.
    """
    stored = read_audit(dataset)
    return stored if stored is not None else run_audit(dataset, on_progress)


def run_audit(dataset: Dataset, on_progress: jobs.Report | None = None) -> Audit:
    """Audit a data set in this process, and store the result.

    Raises:
        StudioError: the data set is damaged, the disk full, or another process does not end its audit.
    """
    folder = _prepare(dataset)
    _check_there(dataset)
    with jobs.hold(folder, timeout=600) as job:
        stored = read_audit(dataset)  # another process may have made it while we waited
        if stored is not None:
            return stored
        (folder / "stop").unlink(missing_ok=True)  # of an earlier one
        job.begin("Starting")
        stopped = AuditStopped("The audit was cancelled. Start it again when you want it.")
        try:
            with jobs.failing_in_words(job), storage_errors():
                audit = audit_dataset(dataset, jobs.make_reporter(job, stopped, on_progress))
                write_json(folder / "result.json", {"format": _FORMAT} | _to_json(audit))
        except BaseException:
            _check_there(dataset)
            raise
        job.end("finished")
        return audit


def _prepare(dataset: Dataset) -> Path:
    folder = audit_folder(dataset)
    with storage_errors():
        if dataset.folder.is_dir():
            folder.mkdir(exist_ok=True)
    return folder


def _check_there(dataset: Dataset) -> None:
    if not dataset.folder.is_dir():
        raise DatasetError(f"Data set {dataset.name!r} was deleted meanwhile.") from None


def _to_json(audit: Audit) -> dict[str, object]:
    twins = [astuple(twin) for twin in audit.twins]
    stored = {name: getattr(audit, name) for name in audit.__dataclass_fields__}
    return stored | {"twins": twins, "shortcuts": [asdict(entry) for entry in audit.shortcuts]}


if __name__ == "__main__":
    try:
        run_audit(read_dataset(Path(sys.argv[1]).parent.name))
    except StudioError as error:
        sys.exit(str(error))
