"""Turn a ZIP, a folder or the synthetic sample into a data set.

Pictures are decoded once, stripped of everything but pixels, stored under names of ours in a staging folder, and the
folder gets its final name at the very end: a failed, stopped or killed import leaves nothing. Runs as a job
(`python -m core.importing JOB_FOLDER`), or within the command line.
"""

from __future__ import annotations

import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, BinaryIO

from core import jobs, signatures
from core.admission import check_classes, check_splits
from core.archives import Source, open_source
from core.datasets import Dataset, Picture, compute_fingerprint, count_splits, read_dataset, write_manifest
from core.errors import DatasetError, StudioError, storage_errors
from core.exploration import PixelSums, write_exploration
from core.files import is_plain_name, read_json, slug, sync_folder, write_json
from core.findings import find_places
from core.grouping import Grouped, describe_leaks, group_pictures
from core.intake import Taken, take_all
from core.layouts import SPLITS
from core.patients import check_pattern
from core.samples import open_sample
from core.settings import read_settings
from core.splits import fill_splits

_CHUNK = 2**20


class ImportStopped(StudioError):
    """Somebody asked for the end of the import."""


def create_import(
    *,
    path: Path | None = None,
    name: str = "",
    images_per_class: int | None = None,
    upload: BinaryIO | None = None,
    patient_pattern: str = "",
) -> Path:
    """Make the folder of an import job, with what it is to do.

    Args:
        path: ZIP or folder to import; None for the synthetic sample or an upload.
        name: name of the data set; by default that of the file.
        images_per_class: size of the synthetic sample, which is made if it is given.
        upload: a ZIP that is copied into the job's folder, in pieces.
        patient_pattern: regular expression that finds the id of a patient in the path of a picture; empty for none.

    Raises:
        DatasetError: the pattern is no regular expression.
    """
    check_pattern(patient_pattern)
    folder = imports_folder() / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:6]}"
    incoming = folder.with_name(f".new-{folder.name}")  # nobody takes it for a job while a long upload is copied
    with storage_errors():
        incoming.mkdir(parents=True)
        try:
            if upload is not None:
                path = folder / "upload.zip"
                with (incoming / "upload.zip").open("wb") as file:
                    shutil.copyfileobj(upload, file, _CHUNK)
            request = {
                "path": str(path) if path else None,
                "name": name,
                "images_per_class": images_per_class,
                "patient_pattern": patient_pattern,
            }
            write_json(incoming / "request.json", request)
            jobs.write_queued(incoming)
            incoming.rename(folder)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
    return folder


def start_import(folder: Path) -> None:
    """Run an import job in a process of its own."""
    jobs.launch("core.importing", folder, "import.log")


def run_import(folder: Path, on_progress: Callable[[int, int], None] | None = None) -> Dataset:
    """Run an import job in this process.

    Raises:
        StudioError: the source cannot be imported; nothing of it is left.
    """
    request = read_json(folder / "request.json") or {}
    with jobs.hold(folder) as job:
        job.update(state="running", started_at=time.time(), message="Looking through the files")
        try:
            dataset = _import(request, folder, job, on_progress)
        except BaseException as error:
            _remove_payload(folder)
            expected = isinstance(error, StudioError)
            line = str(error) if expected else f"Unexpected error: {type(error).__name__}: {error}"
            job.end("stopped" if isinstance(error, ImportStopped) else "failed", error=line)
            raise
        _remove_payload(folder)
        job.end("finished", message=dataset.dataset_id)
        return dataset


def imports_folder() -> Path:
    """Where import jobs lie."""
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


def _remove_payload(folder: Path) -> None:
    """Remove all of an import but its status."""
    shutil.rmtree(folder / "staging", ignore_errors=True)
    (folder / "upload.zip").unlink(missing_ok=True)


def _import(
    request: dict[str, Any], folder: Path, job: jobs.Job, on_progress: Callable[[int, int], None] | None
) -> Dataset:
    started = time.time()
    staging = folder / "staging"
    with _open(request) as source, storage_errors():
        (staging / "images").mkdir(parents=True)
        (staging / "thumbnails").mkdir()
        found = find_places(source, request.get("patient_pattern"))
        skipped = list(found.skipped)
        pictures: list[Picture] = []
        patients: list[str | bytes | None] = []
        sums: dict[str, PixelSums] = {}
        with (staging / signatures.FILE).open("wb") as signature_file:
            for done, result in enumerate(take_all(source, found.places, staging), start=1):
                if isinstance(result, Taken):
                    pictures.append(result.picture)
                    patients.append(result.patient)
                    sums.setdefault(result.picture.label, PixelSums()).add(result.sums)
                    signature_file.write(signatures.shrink(result.sums.pictures).tobytes())
                else:
                    skipped.append(result)
                _report(job, done, len(found.places), started, on_progress)
        grouped = group_pictures(found, pictures, patients, skipped, source.litter)
        pictures, dataset = _describe(request, grouped, started)
        write_manifest(staging / "manifest.csv", pictures)
        write_exploration(staging, [sums[name] for name in dataset.class_names])
        return _settle(staging, dataset)


@contextmanager
def _open(request: dict[str, Any]) -> Iterator[Source]:
    if request.get("images_per_class") is not None:
        yield open_sample(int(request["images_per_class"]))
        return
    with open_source(Path(str(request.get("path")))) as source:
        yield source


def _report(
    job: jobs.Job, done: int, total: int, started: float, on_progress: Callable[[int, int], None] | None
) -> None:
    if done % 25 and done != total:
        return
    if job.stop_requested():
        raise ImportStopped("The import was cancelled; nothing of it was kept.")
    left = (time.time() - started) / done * (total - done)
    job.report("Checking and storing pictures", done=done, total=total, seconds_left=left)
    if on_progress:
        on_progress(done, total)


def _describe(request: dict[str, Any], grouped: Grouped, started: float) -> tuple[list[Picture], Dataset]:
    """Check the classes, give every picture its split, and say what the data set is."""
    pictures = grouped.pictures
    class_names = sorted({picture.label for picture in pictures})
    check_classes(pictures, class_names, grouped.skipped)
    splits, notes = fill_splits(
        [picture.split or None for picture in pictures],
        [picture.label for picture in pictures],
        groups=[picture.group for picture in pictures],
    )
    pictures = [replace(picture, split=split) for picture, split in zip(pictures, splits, strict=True)]
    notes = [*grouped.notes, *notes, *describe_leaks(pictures)]
    counts = count_splits(pictures, class_names)
    check_splits(counts)
    synthetic = request.get("images_per_class") is not None
    path = Path(str(request.get("path") or "Synthetic sample"))
    if synthetic:
        notes = [
            "These are drawn phantoms, not scans of people: for trying the studio out, not for results.",
            *notes,
        ]
    return pictures, Dataset(
        dataset_id="",
        name=(request.get("name") or "").strip() or path.stem,
        class_names=class_names,
        n_images=len(pictures),
        splits=counts,
        skipped=[asdict(entry) for entry in grouped.skipped],
        litter=grouped.litter,
        notes=notes,
        fingerprint=compute_fingerprint(pictures),
        split_fingerprints={
            split: compute_fingerprint(picture for picture in pictures if picture.split == split) for split in SPLITS
        },
        created=started,
        seconds=round(time.time() - started, 3),
        source="sample" if synthetic else "folder" if path.is_dir() else "zip",
        synthetic=synthetic,
    )


def _settle(staging: Path, dataset: Dataset) -> Dataset:
    """Give the folder its name: from now on the data set is there."""
    data = read_settings().data
    base = slug(dataset.name, fallback="dataset")
    for attempt in range(1, 10_000):
        dataset_id = base if attempt == 1 else f"{base}-{attempt}"
        if (data / dataset_id).exists():
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
        run_import(Path(sys.argv[1]))
    except StudioError as error:
        sys.exit(str(error))
