"""A run as a ZIP, out of one workspace and into another, where it can be looked at, compared and asked.

Checkpoints stay behind: they are large, and only its own machine can go on from them bit for bit. What comes in is read
as carefully as any ZIP: known file names only, within the limits, and its model must open.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

from core.archives import Source, open_source
from core.entries import Entry
from core.errors import ArchiveError, RunError, storage_errors
from core.files import check_free_space, is_plain_name, replacing, slug, staging_folder
from core.run_checks import check_run
from core.runs import Run, read_run
from core.settings import read_settings

_FILES = (
    "config.json", "notes.json", "labels.json", "status.json", "history.csv", "events.jsonl", "train.log",
    "environment.json", "metrics.json", "predictions.csv", "model.keras", "model.onnx", "mlflow.json",
)  # fmt: skip
_TENSORBOARD = re.compile(r"tensorboard/[A-Za-z0-9._-]+")
_REQUIRED = ("config.json", "labels.json", "status.json")
_LONGEST_ID = 100  # leaves room for a number
_STORED = (".keras", ".onnx")  # weights do not get smaller


def write_run(run: Run, path: Path) -> None:
    """Write a run as a ZIP.

    Raises:
        RunError: it is under way.
        StorageError: there is not enough room.
    """
    if run.status.is_alive:
        raise RunError(f"Run {run.run_id!r} is {run.state}. Pack it when it has ended.")
    files = _known_files(run)
    check_free_space(path.parent, packed_size(run))
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in files:
            kind = zipfile.ZIP_STORED if file.suffix in _STORED else zipfile.ZIP_DEFLATED
            archive.write(file, f"{run.run_id}/{_name(run, file)}", kind)


def packed_size(run: Run) -> int:
    """Bytes that go into the ZIP of a run: checkpoints do not."""
    return sum(file.stat().st_size for file in _known_files(run))


def import_run(path: Path) -> Run:
    """Bring a run in from the ZIP of another workspace. Its id is kept, unless there is one of that id here.

    Raises:
        ArchiveError: it is no ZIP of a run, or is damaged or unsafe.
        StorageError: there is not enough room.
    """
    with open_source(path) as source:
        folder, entries = _find_entries(source, path)
        run_id = _free_id(folder)
        models = read_settings().models
        with storage_errors():
            models.mkdir(parents=True, exist_ok=True)
        check_free_space(models, sum(entry.size for entry in entries.values()))
        with staging_folder(models / run_id) as staging:
            for name, entry in entries.items():
                target = staging / name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(source.read(entry))
            check_run(staging)
    return read_run(run_id)


def _known_files(run: Run) -> list[Path]:
    return [file for file in sorted(run.folder.rglob("*")) if file.is_file() and _is_known(_name(run, file))]


def _name(run: Run, file: Path) -> str:
    return file.relative_to(run.folder).as_posix()


def _is_known(name: str) -> bool:
    return name in _FILES or bool(_TENSORBOARD.fullmatch(name))


def _find_entries(source: Source, path: Path) -> tuple[str, dict[str, Entry]]:
    """Name of the run's folder in the ZIP, and its entries by their names in that folder."""
    tops = {entry.path.rpartition("config.json")[0] for entry in source.entries if _is_config(entry.path)}
    if len(tops) != 1:
        raise ArchiveError(
            f"{path.name} is no ZIP of a run, which is one folder with a config.json. Received: {len(source.entries)} "
            f"files, {len(tops)} of them a config.json. Choose a ZIP that Download or `pack` has made."
        )
    top = tops.pop()
    entries = {entry.path.removeprefix(top): entry for entry in source.entries if entry.path.startswith(top)}
    known = {name: entry for name, entry in entries.items() if _is_known(name)}
    missing = [name for name in _REQUIRED if name not in known]
    if missing:
        raise ArchiveError(f"The run in {path.name} lacks {', '.join(missing)}. Pack the run anew.")
    return top.strip("/") or path.stem, known


def _is_config(name: str) -> bool:
    return name == "config.json" or (name.endswith("/config.json") and name.count("/") == 1)


def _free_id(name: str) -> str:
    base = name if is_plain_name(name) and len(name) <= _LONGEST_ID else slug(name, fallback="run")
    base = "run" if base.lower() == "pretrained" else base  # that folder is no run
    models = read_settings().models
    for attempt in range(1, 10_000):
        run_id = base if attempt == 1 else f"{base}-{attempt}"
        if not (models / run_id).exists():
            return run_id
    raise ArchiveError(f"There are too many runs named {base!r} here. Delete some.")
