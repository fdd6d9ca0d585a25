"""A data set as a ZIP that other tools understand, and that imports again to the same fingerprint.

Pictures lie in `Train/CLASS/name.png`, as most tools want them; `labels.csv` says file, label, split and patient group
exactly, also where a class has a name that no folder can have. Pixels only, as they are stored; of patients only
numbers.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from core.datasets import Dataset, Picture, read_manifest
from core.entries import is_litter
from core.files import check_free_space, replacing

_FOLDERS = {"train": "Train", "validation": "Validation", "test": "Test"}
_DATE = (1980, 1, 1, 0, 0, 0)  # the same pictures give the same bytes


def write_zip(dataset: Dataset, path: Path) -> None:
    """Write a data set's ZIP.

    Raises:
        StorageError: there is not enough room.
    """
    pictures = read_manifest(dataset)
    check_free_space(path.parent, sum(picture.bytes for picture in pictures))
    with replacing(path) as temporary, temporary.open("wb") as file:
        _write(dataset, pictures, file)


def zip_bytes(dataset: Dataset) -> bytes:
    """A data set's ZIP in memory, for a download."""
    buffer = io.BytesIO()
    _write(dataset, read_manifest(dataset), buffer)
    return buffer.getvalue()


def _write(dataset: Dataset, pictures: list[Picture], file: IO[bytes]) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["file", "label", "split", "patient"])
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:  # JPEG and PNG are compressed already
        for picture, name in zip(pictures, _names(pictures), strict=True):
            writer.writerow([name, picture.label, picture.split, picture.group])
            archive.writestr(zipfile.ZipInfo(name, _DATE), (dataset.folder / picture.stored).read_bytes())
        archive.writestr(zipfile.ZipInfo("labels.csv", _DATE), table.getvalue())


def _names(pictures: list[Picture]) -> Iterator[str]:
    """A path for each picture, unique also where upper and lower case are the same.

    Where patients are known, the names of files may hold their ids, so our own numbers take their place.
    """
    has_patients = any(picture.group for picture in pictures)
    taken: set[str] = set()
    for picture in pictures:
        number, suffix = Path(picture.stored).stem, Path(picture.stored).suffix
        folder = f"{_FOLDERS[picture.split]}/{_plain(picture.label)}"
        stem = number if has_patients else _plain(PurePosixPath(picture.file).stem)
        name = f"{folder}/{stem}{suffix}"
        while name.casefold() in taken:
            stem = f"{stem}-{number}"
            name = f"{folder}/{stem}{suffix}"
        taken.add(name.casefold())
        yield name


def _plain(text: str) -> str:
    """A text as the name of a file or folder that no system and no import sets aside."""
    name = unicodedata.normalize("NFC", re.sub(r"[^\w .()+-]", "_", text)[:80].strip(" .")) or "_"
    return f"{name}_" if is_litter(name) or is_litter(f"{name}/x") else name
