"""Data sets as they lie on disk: `data/DATASET/` with dataset.json, manifest.csv, images/ and thumbnails/.

A data set is immutable once its folder has its name, but for `notes.json` (name and note) and what is derived from it
(`audit/`, `cache/`) or collected on it (`draft.json`). This module reads; `core.importing` makes them.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from core.errors import DatasetError
from core.files import is_plain_name, read_json, write_json, write_text
from core.layouts import SPLITS
from core.settings import read_settings


@dataclass(frozen=True)
class Picture:
    """One row of a manifest.

    Attributes:
        file: its path in the archive it came from.
        stored: its path in the data set's folder.
        pixels: hash of the decoded pixels.
        group: number of a group that must stay on one side of a split, or empty.
    """

    file: str
    stored: str
    split: str
    label: str
    width: int
    height: int
    colour: bool
    format: str
    bytes: int
    pixels: str
    group: str = ""

    @property
    def thumbnail(self) -> str:
        """Path of its small JPEG in the data set's folder."""
        return f"thumbnails/{Path(self.stored).stem}.jpg"


@dataclass(frozen=True)
class Dataset:
    """What dataset.json says. Class names are sorted; a class's index is its position.

    Attributes:
        splits: number of pictures, split -> class -> n.
        skipped: pictures that could not be taken, as {"file", "reason"}.
        litter: system files that were ignored.
        notes: sentences for the user about what was decided when it was made.
        parent: id of the data set that this is a version of; ids are never used twice.
        root: id of the import that it comes from in the end; None for an import itself.
        note: the user's own words; like the name, it can be changed.
        fingerprint: hash over pixels, labels and splits; `split_fingerprints` over one split each.
    """

    dataset_id: str
    name: str
    class_names: list[str]
    n_images: int
    splits: dict[str, dict[str, int]]
    skipped: list[dict[str, str]]
    litter: list[str]
    notes: list[str]
    fingerprint: str
    split_fingerprints: dict[str, str]
    created: float
    seconds: float
    source: str
    synthetic: bool = False
    parent: str | None = None
    root: str | None = None
    note: str = ""

    @property
    def folder(self) -> Path:
        """Where it lies."""
        return read_settings().data / self.dataset_id

    def n_in(self, split: str) -> int:
        """Number of pictures in a split."""
        return sum(self.splits.get(split, {}).values())


def list_datasets() -> list[Dataset]:
    """All data sets, the newest first."""
    folder = read_settings().data
    names = [path.name for path in folder.iterdir() if is_plain_name(path.name)] if folder.is_dir() else []
    found = [dataset for name in names if (dataset := _read(name)) is not None]
    return sorted(found, key=lambda dataset: dataset.created, reverse=True)


def read_dataset(dataset_id: str) -> Dataset:
    """Read one data set.

    Raises:
        DatasetError: there is none of that id.
    """
    dataset = _read(dataset_id) if is_plain_name(dataset_id) else None
    if dataset is None:
        raise DatasetError(f"There is no data set {dataset_id!r} in this workspace. Choose one from the list.")
    return dataset


def write_notes(dataset: Dataset, name: str, note: str) -> None:
    """Rename a data set and change the note on it; its pictures and its id stay.

    Raises:
        DatasetError: the name is empty or over 200 characters.
    """
    name = " ".join(name.split())
    if not 0 < len(name) <= 200:
        raise DatasetError(f"A name has 1 to 200 characters. Received: {len(name)}. Choose another.")
    write_json(dataset.folder / "notes.json", {"name": name, "note": note.strip()[:4000]})


def read_used_ids() -> set[str]:
    """Ids of data sets that were deleted: versions and runs may still speak of them, so they are not given again."""
    try:
        return set((read_settings().data / ".used_ids").read_text(encoding="utf-8").split())
    except OSError:
        return set()


def note_used_id(dataset_id: str) -> None:
    """Keep the id of a data set that is deleted from being given again."""
    # Appended, so that two who delete at once lose nothing; on a full disk deleting goes first.
    with suppress(OSError), (read_settings().data / ".used_ids").open("a", encoding="utf-8") as file:
        file.write(f"{dataset_id}\n")


def read_manifest(dataset: Dataset) -> list[Picture]:
    """Read the row of every picture, in the order of the manifest.

    Raises:
        DatasetError: the manifest is missing or damaged.
    """
    try:
        with (dataset.folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
            pictures = [_picture(row) for row in csv.DictReader(file)]
        if len(pictures) != dataset.n_images:
            raise ValueError(f"{len(pictures)} of {dataset.n_images} rows")
        return pictures
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise DatasetError(
            f"The manifest of data set {dataset.name!r} is damaged ({error}). Delete the data set and import it again."
        ) from error


def write_manifest(path: Path, pictures: Iterable[Picture]) -> None:
    """Write manifest.csv."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, [entry.name for entry in fields(Picture)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(picture) | {"colour": int(picture.colour)} for picture in pictures)
    write_text(path, buffer.getvalue())


def compute_fingerprint(pictures: Iterable[Picture]) -> str:
    """Hash over decoded pixels, label and split; the order and the names of files do not matter."""
    rows = sorted(f"{picture.pixels}\t{picture.label}\t{picture.split}" for picture in pictures)
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16]


def count_splits(pictures: Iterable[Picture], class_names: list[str]) -> dict[str, dict[str, int]]:
    """Number of pictures per split and class, zeros included."""
    counts = {split: dict.fromkeys(class_names, 0) for split in SPLITS}
    for picture in pictures:
        counts[picture.split][picture.label] += 1
    return counts


def describe(dataset: Dataset) -> dict[str, Any]:
    """The contract's JSON for a data set."""
    return {
        "dataset_id": dataset.dataset_id,
        "name": dataset.name,
        "class_names": dataset.class_names,
        "n_images": dataset.n_images,
        "splits": dataset.splits,
        "skipped": dataset.skipped,
        "seconds": dataset.seconds,
        "ignored": dataset.litter,
        "notes": dataset.notes,
        "fingerprint": dataset.fingerprint,
        "synthetic": dataset.synthetic,
        "parent": dataset.parent,
        "note": dataset.note,
    }


def _read(dataset_id: str) -> Dataset | None:
    stored = read_json(read_settings().data / dataset_id / "dataset.json")
    if stored is None:
        return None
    notes = read_json(read_settings().data / dataset_id / "notes.json") or {}
    stored |= {name: str(notes[name]) for name in ("name", "note") if name in notes}
    known = {entry.name for entry in fields(Dataset)}
    try:
        return Dataset(**{name: value for name, value in stored.items() if name in known})
    except TypeError:
        return None


def _picture(row: dict[str, str]) -> Picture:
    return Picture(
        file=row["file"],
        stored=row["stored"],
        split=row["split"],
        label=row["label"],
        width=int(row["width"]),
        height=int(row["height"]),
        colour=row["colour"] == "1",
        format=row["format"],
        bytes=int(row["bytes"]),
        pixels=row["pixels"],
        group=row["group"],
    )
