"""Put a data set together from a ZIP, a folder or the synthetic sample, in a staging folder.

Pictures are decoded once, stripped of everything but pixels, and stored under names of ours.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from core import signatures
from core.admission import check_classes, check_splits
from core.archives import Source, open_source
from core.datasets import Dataset, Picture, compute_fingerprint, count_splits, write_manifest
from core.exploration import PixelSums, write_exploration
from core.findings import find_places
from core.grouping import Grouped, describe_torn_patients, group_pictures
from core.intake import FIRST, Taken, take_all
from core.jobs import Report
from core.layouts import SPLITS
from core.samples import open_sample
from core.splits import fill_splits


def assemble(request: dict[str, Any], staging: Path, report: Report) -> Dataset:
    """Take in what an import asks for.

    Args:
        staging: empty folder that becomes the data set's.
        report: told a sentence, the number of pictures done and of all; may raise to end the import.

    Returns:
        The data set, still without an id.

    Raises:
        StudioError: the source cannot become a data set.
    """
    started = time.time()
    with _open(request) as source:
        (staging / "images").mkdir()
        (staging / "thumbnails").mkdir()
        frame = str(request.get("frame") or FIRST)
        found = find_places(source, request.get("patient_pattern"))
        skipped = list(found.skipped)
        pictures: list[Picture] = []
        patients: list[str | bytes | None] = []
        sums: dict[str, PixelSums] = {}
        with (staging / signatures.FILE).open("wb") as signature_file:
            for done, result in enumerate(take_all(source, found.places, staging, frame), start=1):
                if isinstance(result, Taken):
                    pictures.append(result.picture)
                    patients.append(result.patient)
                    sums.setdefault(result.picture.label, PixelSums()).add(result.sums)
                    signature_file.write(result.signature.tobytes())
                else:
                    skipped.append(result)
                report("Checking and storing pictures", done, len(found.places))
        grouped = group_pictures(found, pictures, patients, skipped, source.litter)
        pictures, dataset = _describe(request, grouped, started)
        write_manifest(staging / "manifest.csv", pictures)
        write_exploration(staging, [sums[name] for name in dataset.class_names])
        return dataset


@contextmanager
def _open(request: dict[str, Any]) -> Iterator[Source]:
    if request.get("images_per_class") is not None:
        yield open_sample(int(request["images_per_class"]))
        return
    with open_source(Path(str(request.get("path")))) as source:
        yield source


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
    notes = [*grouped.notes, *notes, *describe_torn_patients(pictures)]
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
