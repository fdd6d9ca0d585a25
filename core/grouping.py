"""Groups of an import: every patient gets a number, which also takes the place of ids that a pattern finds in paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from core.datasets import Picture
from core.findings import Findings, Skipped
from core.patients import Groups, count_ids, suggest_pattern


@dataclass(frozen=True)
class Grouped:
    """What may be stored: without ids."""

    pictures: list[Picture]
    skipped: list[Skipped]
    litter: list[str]
    notes: list[str]


def group_pictures(
    found: Findings,
    pictures: list[Picture],
    patients: Sequence[str | bytes | None],
    skipped: list[Skipped],
    litter: list[str],
) -> Grouped:
    """Number the patients and take their ids out of names and reasons.

    Args:
        patients: id of each picture, or None.
    """
    groups = Groups()
    numbers = [groups.number(patient) for patient in patients]

    def hide(text: str) -> str:
        return groups.hide(text, found.spans.get(text, ()))

    def hide_path(path: str) -> str:
        # A path names a picture to its user and to scripts, so it changes only where he said that it holds ids.
        return hide(path) if found.spans else path

    hidden = _unique([hide_path(picture.file) for picture in pictures])
    notes = _describe_groups(found, numbers, patients)
    n_named = sum(hide(picture.file) != picture.file for picture in pictures)
    if n_named and not found.spans:
        notes.append(
            f"{n_named:,} file names hold the id of a patient, and file names are kept. Rename the files, or import "
            "with a pattern that finds the ids in the names, to keep them out."
        )
    if not any(numbers):
        notes += _suggest([picture.file for picture in pictures])
    for path, n, examples in found.unmatched:
        names = ", ".join(repr(hide(name)) for name in examples)
        notes.append(
            f"{_rows(n)} of {hide(path)!r} {_names(n)} no picture: {names}{' and others' * (n > len(examples))}."
        )
    return Grouped(
        pictures=[
            replace(picture, file=file, group=number)
            for picture, file, number in zip(pictures, hidden, numbers, strict=True)
        ],
        skipped=[_hide_skipped(entry, hide_path(entry.file), groups) for entry in skipped],
        litter=[hide_path(name) for name in litter],
        notes=notes,
    )


def describe_torn_patients(pictures: list[Picture]) -> list[str]:
    """A sentence where patients stand in more than one split."""
    splits: dict[str, set[str]] = {}
    for picture in pictures:
        if picture.group:
            splits.setdefault(picture.group, set()).add(picture.split)
    n = sum(len(found) > 1 for found in splits.values())
    if not n:
        return []
    return [
        f"{n:,} {'patient stands' if n == 1 else 'patients stand'} in more than one split. Scores are too good where "
        "the network has seen other pictures of the same patient; put all pictures of a patient into one split."
    ]


def _hide_skipped(entry: Skipped, hidden: str, groups: Groups) -> Skipped:
    reason = entry.reason.replace(entry.file, hidden)
    reason = reason.replace(entry.file.rsplit("/", 1)[-1], hidden.rsplit("/", 1)[-1])
    return Skipped(hidden, reason if hidden == entry.file else groups.hide(reason))


def _describe_groups(found: Findings, numbers: list[str], patients: Sequence[str | bytes | None]) -> list[str]:
    n = len({number for number in numbers if number})
    if not n:
        return []
    origins = found.origins if any(isinstance(patient, str) for patient in patients) else []
    if any(isinstance(patient, bytes) for patient in patients):
        origins = [*origins, "in the DICOM files"]
    without = numbers.count("")
    rest = f" {without:,} of {len(numbers):,} pictures have none." if without else ""
    return [
        f"{n:,} {'patient was' if n == 1 else 'patients were'} found {' and '.join(origins)}; the pictures of each "
        f"stay together in every split that is made here. Only a number of each is stored.{rest}"
    ]


def _suggest(files: list[str]) -> list[str]:
    pattern = suggest_pattern(files)
    if pattern is None:
        return []
    return [
        f"The file names look as if they held a patient or case id (pattern `{pattern}`, "
        f"{count_ids(pattern, files):,} different). Import again with that pattern to keep each patient on one side of "
        "the splits."
    ]


def _unique(names: list[str]) -> list[str]:
    """The names, with a number added to those that came out the same."""
    seen: set[str] = set(names) if len(set(names)) < len(names) else set()
    given: set[str] = set()
    unique = []
    for name in names:
        path, number = PurePosixPath(name), 2
        while name in given or (number > 2 and name in seen):
            name = str(path.with_name(f"{path.stem}-{number}{path.suffix}"))
            number += 1
        given.add(name)
        unique.append(name)
    return unique


def _rows(n: int) -> str:
    return "1 row" if n == 1 else f"{n:,} rows"


def _names(n: int) -> str:
    return "names" if n == 1 else "name"
