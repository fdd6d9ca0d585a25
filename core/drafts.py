"""Drafts: changes to single pictures that were collected on the pages and not yet saved as a new version.

A draft lies in the data set's folder (`draft.json`), so that it survives a reload, and is shared by everybody who works
on the data set.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from filelock import FileLock, Timeout

from core.datasets import Dataset, read_manifest
from core.errors import DatasetError, storage_errors
from core.files import read_json, write_json

_PATIENCE = 10.0  # seconds to wait while somebody else writes
EXCLUDED = ""  # what a draft says in place of a class


def read_draft(dataset: Dataset) -> dict[str, str]:
    """Changes by the picture's stored name: its new class, or `EXCLUDED`."""
    stored = read_json(dataset.folder / "draft.json") or {}
    return {str(name): str(label) for name, label in stored.items()}


def exclude(dataset: Dataset, stored: Iterable[str]) -> None:
    """Note that pictures shall be left out."""
    _change(dataset, dict.fromkeys(stored, EXCLUDED))


def relabel(dataset: Dataset, stored: Iterable[str], label: str) -> None:
    """Note that pictures shall have another class; a picture that has it already is unmarked.

    Raises:
        DatasetError: it is none of the data set's classes.
    """
    if label not in dataset.class_names:
        raise DatasetError(f"{label!r} is no class of this data set. Choose one of {', '.join(dataset.class_names)}.")
    names = set(stored)
    labels = {picture.stored: picture.label for picture in read_manifest(dataset) if picture.stored in names}
    restore(dataset, [name for name, old in labels.items() if old == label])
    _change(dataset, {name: label for name, old in labels.items() if old != label})


def restore(dataset: Dataset, stored: Iterable[str]) -> None:
    """Take back what was noted for pictures."""
    names = set(stored)
    with _locked(dataset):
        _write(dataset, {name: label for name, label in read_draft(dataset).items() if name not in names})


def count_changes(draft: dict[str, str]) -> tuple[int, int]:
    """Number of pictures that a draft leaves out, and that it gives another class."""
    n_excluded = sum(label == EXCLUDED for label in draft.values())
    return n_excluded, len(draft) - n_excluded


def clear_draft(dataset: Dataset) -> None:
    """Take back everything."""
    with _locked(dataset):
        (dataset.folder / "draft.json").unlink(missing_ok=True)


def forget_changes(dataset: Dataset, changes: dict[str, str]) -> None:
    """Take back what a new version has taken over; what was marked since stays."""
    with _locked(dataset):
        left = {name: label for name, label in read_draft(dataset).items() if changes.get(name) != label}
        _write(dataset, left)


def _change(dataset: Dataset, changes: dict[str, str]) -> None:
    with _locked(dataset):
        _write(dataset, read_draft(dataset) | changes)


def _write(dataset: Dataset, draft: dict[str, str]) -> None:
    write_json(dataset.folder / "draft.json", draft)


@contextmanager
def _locked(dataset: Dataset) -> Iterator[None]:
    if not (dataset.folder / "dataset.json").exists():  # a lock would make the folder again
        raise DatasetError(f"Data set {dataset.name!r} was deleted meanwhile. Choose another one.")
    try:
        with storage_errors(), FileLock(dataset.folder / "draft.lock", timeout=_PATIENCE):
            yield
    except Timeout:
        raise DatasetError("Somebody else is marking scans of this data set just now. Try again in a moment.") from None
