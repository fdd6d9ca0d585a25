"""Class, split and patient from tables and patterns, through a whole import; no id is left of it."""

from __future__ import annotations

import csv
import io
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from core import findings, intake
from core.archives import Source
from core.datasets import Dataset, list_datasets, read_manifest
from core.entries import Entry
from core.errors import DatasetError
from core.findings import Skipped
from core.importing import create_import, run_import
from core.intake import Taken
from tests.core.test_importing import THREE_SPLITS

MakeZip = Callable[..., Path]


def patients_zip(make_zip: MakeZip, template: str = "{name}/patient{patient}_s{number}.png") -> Path:
    """Ten patients with ids of four digits, four pictures of each, half of them per class."""
    members = {
        template.format(name="AB"[patient % 2], patient=4700 + patient, number=number): None
        for patient in range(10)
        for number in range(4)
    }
    return make_zip(members)


def sides(dataset: Dataset) -> dict[str, set[str]]:
    """The splits in which each group stands."""
    found: dict[str, set[str]] = {}
    for picture in read_manifest(dataset):
        found.setdefault(picture.group, set()).add(picture.split)
    return found


def stored_text(workspace: Path) -> str:
    """All that a workspace holds but pictures."""
    files = [path for path in workspace.rglob("*") if path.suffix in (".csv", ".json", ".log", ".txt")]
    return "\n".join(path.read_text() + path.name for path in files)


def test_a_labels_table_gives_class_split_and_patient(make_zip: MakeZip, workspace: Path) -> None:
    rows = [
        (f"pictures/{split}-{number}.png", ("A, b", "+C/d")[number % 2], split, f"Miller{number % 2}{split}")
        for split in ("train", "val", "test")
        for number in range(6)
    ]
    text = io.StringIO()
    csv.writer(text).writerows([("file", "label", "split", "patient"), *rows, ("gone.png", "E", "", "Lost")])
    members = {row[0]: None for row in rows} | {"labels.csv": text.getvalue().encode()}
    dataset = run_import(create_import(path=make_zip(members)))
    assert dataset.class_names == ["+C/d", "A, b"]
    assert dataset.splits == {split: {"+C/d": 3, "A, b": 3} for split in ("train", "validation", "test")}
    assert len(sides(dataset)) == 6
    assert any("6 patients were found in the column 'patient'" in note for note in dataset.notes)
    assert any("1 row of 'labels.csv' names no picture: 'gone.png'" in note for note in dataset.notes)
    assert "Miller" not in stored_text(workspace)
    assert "Lost" not in stored_text(workspace)


def test_patients_of_a_pattern_stay_together_and_only_numbers_are_stored(make_zip: MakeZip, workspace: Path) -> None:
    path = patients_zip(make_zip)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("A/patient4700_broken.png", b"x")
        archive.writestr("A/patient4799_broken.png", b"x")
        archive.writestr("__MACOSX/A/._patient4701_s1.png", b"x")
        archive.writestr("patient4702_notes.txt", b"x")
    dataset = run_import(create_import(path=path, patient_pattern=r"patient(\d+)"))
    assert set(sides(dataset)) == {str(number) for number in range(1, 11)}
    assert all(len(found) == 1 for found in sides(dataset).values())
    assert all(dataset.n_in(split) for split in dataset.splits)
    assert any(r"10 patients were found by the pattern `patient(\d+)`" in note for note in dataset.notes)
    assert "A/patientg1_s0.png" in {picture.file for picture in read_manifest(dataset)}
    assert not re.search(r"\b47\d\d\b|patient\d", stored_text(workspace))


def test_a_pattern_is_suggested_after_an_import_without_groups(make_zip: MakeZip) -> None:
    dataset = run_import(create_import(path=patients_zip(make_zip)))
    assert set(sides(dataset)) == {""}
    assert any("patient or case id (pattern `(?i)patient[-_ ]?(\\d+)`, 10 different)" in note for note in dataset.notes)


def test_patients_in_two_given_splits_are_told(make_zip: MakeZip) -> None:
    template = "{name}/patient{patient}_s{number}.png"
    members = {
        f"{split}/{template.format(name=name, patient=4700 + number, number=number)}": None
        for split in ("Train", "Valid", "Test")
        for name in ("A", "B")
        for number in range(3)
    }
    dataset = run_import(create_import(path=make_zip(members), patient_pattern=r"patient(\d+)"))
    assert any(note.startswith("3 patients stand in more than one split.") for note in dataset.notes)


def test_ids_of_a_column_in_file_names_are_told_and_a_pattern_takes_them_out(
    make_zip: MakeZip, workspace: Path
) -> None:
    files = [f"{name}/Miller-{name}{patient}_{n}.png" for name in "AB" for patient in range(5) for n in range(3)]
    text = "file,patient\n" + "".join(f"{file},{file[2:].rsplit('_', 1)[0]}\n" for file in files)
    path = make_zip(dict.fromkeys(files) | {"labels.csv": text.encode()})
    kept = run_import(create_import(path=path, name="Kept"))
    assert {picture.file for picture in read_manifest(kept)} == set(files)
    assert any(note.startswith("30 file names hold the id of a patient") for note in kept.notes)
    shutil.rmtree(workspace / "data")
    hidden = run_import(create_import(path=path, patient_pattern=r"([A-Z][a-z]+-[AB]\d)"))
    assert "Miller" not in stored_text(workspace)
    assert len({picture.file for picture in read_manifest(hidden)}) == 30
    assert read_manifest(hidden)[0].file == "A/g1_0.png"


@pytest.mark.parametrize(
    ("pattern", "words"),
    [("nothing(\\d+)", "finds nothing in 40 paths"), ("(", "no regular expression"), ("a" * 201, "over 200")],
)
def test_a_pattern_that_cannot_be_used_ends_the_import(make_zip: MakeZip, pattern: str, words: str) -> None:
    with pytest.raises(DatasetError, match=words):
        run_import(create_import(path=patients_zip(make_zip), patient_pattern=pattern))
    assert list_datasets() == []


def test_tables_that_are_too_large_are_refused(make_zip: MakeZip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(findings, "_MAX_TABLES_MB", 0)
    with pytest.raises(DatasetError, match=r"too large.*labels\.csv"):
        run_import(create_import(path=make_zip(THREE_SPLITS | {"labels.csv": b"file,label\n1,A\n"})))


def test_a_table_that_names_no_picture_is_told(make_zip: MakeZip) -> None:
    with pytest.raises(DatasetError, match=r"No picture has a class.*labels\.csv has no row for it"):
        run_import(create_import(path=make_zip({"1.png": None, "labels.csv": b"file,label\n2.png,A\n"})))


def test_a_table_of_labels_splits_and_groups_survives_a_second_import(make_zip: MakeZip) -> None:
    """What an export writes: folders, and a labels.csv that says what folders cannot."""
    labels = ('A/B "x", y;', "=1+1", "größe", "…")
    splits = ("train", "validation", "test")
    rows = [
        (f"Train/class{at}/{number:06d}.png", label, splits[number % 3], str(number % 3 * 4 + at))
        for at, label in enumerate(labels)
        for number in range(6)
    ]
    text = io.StringIO()
    csv.writer(text).writerows([("file", "label", "split", "patient"), *rows])
    members = {row[0]: None for row in rows} | {"labels.csv": text.getvalue().encode()}
    pictures = read_manifest(run_import(create_import(path=make_zip(members))))
    assert [(picture.file, picture.label, picture.split) for picture in pictures] == [row[:3] for row in rows]
    partners = [(a.group == b.group) for a in pictures for b in pictures]
    assert partners == [(a[3] == b[3]) for a in rows for b in rows]


def test_a_hash_from_a_file_groups_what_no_column_or_pattern_names(
    make_zip: MakeZip, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = intake._take

    def take(source: Source, entry: Entry, *rest: Any) -> Taken | Skipped:
        taken = whole(source, entry, *rest)
        return replace(taken, patient=entry.path[-5].encode()) if isinstance(taken, Taken) else taken

    monkeypatch.setattr(intake, "_take", take)
    dataset = run_import(create_import(path=make_zip({f"{n}/{m}.png": None for n in "AB" for m in range(9)})))
    assert len(sides(dataset)) == 9
    assert all(len(found) == 1 for found in sides(dataset).values())
    assert "9 patients were found in the DICOM files" in dataset.notes[0]
