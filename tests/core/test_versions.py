"""Versions: split anew, changed, described, downloaded, deleted; the parent never changes."""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core import drafts, jobs
from core.auditing import run_audit
from core.datasets import Dataset, list_datasets, read_dataset, read_manifest, write_notes
from core.drafts import EXCLUDED, read_draft
from core.errors import DatasetError, SettingsError, StorageError
from core.exploration import PixelSums, measure_file, read_sums
from core.exporting import write_zip
from core.groups import join_groups, split_groups
from core.importing import create_import, create_version, list_imports, run_import, start_import
from core.samples import draw_phantom
from core.scans import load_scan
from core.signatures import read_signatures
from core.versions import changed_pictures, describe_change, family, new_split
from core.workspace import delete_dataset, measure_disk
from tests.core.test_audit import encode, scans
from tests.core.test_importing import wait_for

MakeZip = Callable[..., Path]


@pytest.fixture
def leaking(make_zip: MakeZip) -> Dataset:
    """Every third scan of train stands in test again, mirrored."""
    members = scans(12)
    for number in range(0, 12, 3):
        members[f"Test/Glioma/twin-{number}.jpg"] = encode(
            draw_phantom(0, (23, number, 0))[:, ::-1], "JPEG", quality=80
        )
    return run_import(create_import(path=make_zip(members), name="Leaking"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that makes the data set, without what is derived from it."""
    derived = ("audit", "cache", "draft.json", "draft.lock", "notes.json")
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in paths
        if path.relative_to(folder).parts[0] not in derived
    }


def test_a_grouped_split_has_no_leak_and_keeps_the_class_shares(leaking: Dataset) -> None:
    before = contents(leaking.folder)
    assert run_audit(leaking).n_leaks == 4
    version = run_import(create_version(leaking, new_split(0.2, 0.2, 7)))
    assert run_audit(version).n_leaks == 0
    assert (version.parent, version.n_images) == (leaking.dataset_id, leaking.n_images)
    for split in ("validation", "test"):
        for name in version.class_names:
            total = sum(version.splits[part][name] for part in version.splits)
            assert abs(version.splits[split][name] - 0.2 * total) <= 1.5
    assert contents(leaking.folder) == before, "a data set never changes"
    assert version.fingerprint != leaking.fingerprint


def test_the_same_seed_gives_the_same_split_and_another_one_another(leaking: Dataset) -> None:
    made = [run_import(create_version(leaking, new_split(0.2, 0.2, seed))).fingerprint for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]


def test_patients_stay_together(make_zip: MakeZip) -> None:
    members = scans(12)
    rows = [f"{file},p{at % 9}" for at, file in enumerate(members)]
    table = {"labels.csv": "\n".join(["file,patient", *rows]).encode()}
    dataset = run_import(create_import(path=make_zip(members | table)))
    assert run_audit(dataset).n_patient_leaks
    version = run_import(create_version(dataset, new_split(0.25, 0.25)))
    splits: dict[str, set[str]] = {}
    for picture in read_manifest(version):
        splits.setdefault(picture.group, set()).add(picture.split)
    assert all(len(found) == 1 for found in splits.values())
    assert run_audit(version).n_patient_leaks == 0


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 25)), min_size=30, max_size=120),
    st.integers(0, 5),
)
def test_groups_are_never_torn(rows: list[tuple[str, int]], seed: int) -> None:
    labels, groups = [label for label, _ in rows], np.array([group for _, group in rows])
    splits = split_groups(labels, groups, {"validation": 0.2, "test": 0.2}, seed)
    assert len({(group, split) for (_, group), split in zip(rows, splits, strict=True)}) == len(set(groups.tolist()))


def test_single_pictures_are_divided_exactly() -> None:
    labels = ["a"] * 100 + ["b"] * 40
    splits = split_groups(labels, np.arange(140), {"validation": 0.2, "test": 0.1}, 0)
    assert Counter(zip(labels, splits, strict=True)) == {
        ("a", "train"): 70,
        ("a", "validation"): 20,
        ("a", "test"): 10,
        ("b", "train"): 28,
        ("b", "validation"): 8,
        ("b", "test"): 4,
    }


def test_twins_and_patients_join_into_one_group() -> None:
    groups = join_groups([[0, 3], [1, 2]], ["", "", "7", "7", "8"])
    assert groups.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (new_split(0.0, 0.2), "validation must be"),
        (new_split(0.2, 0.9), "test must be"),
        (new_split(0.5, 0.5), "together"),
        (new_split(float("nan"), 0.2), "validation must be"),
        (new_split(0.2, 0.2, -1), "seed must be"),
    ],
)
def test_a_split_that_cannot_be_made_is_refused_at_once(leaking: Dataset, change: object, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        create_version(leaking, change)  # type: ignore[arg-type]
    assert len(list_imports()) == 1, "only that of the data set itself"


def test_marked_pictures_become_a_version(leaking: Dataset) -> None:
    pictures = read_manifest(leaking)
    gone, renamed = pictures[0], pictures[1]
    other = next(name for name in leaking.class_names if name != renamed.label)
    drafts.exclude(leaking, [gone.stored])
    drafts.relabel(leaking, [renamed.stored], other)
    version = run_import(create_version(leaking, changed_pictures(read_draft(leaking)), "Mended"))
    change = describe_change(pictures, read_manifest(version))
    assert change["excluded"] == [{"file": gone.file}]
    assert change["relabelled"] == [{"file": renamed.file, "from": renamed.label, "to": other}]
    assert change["moved"] == []
    assert (version.name, version.n_images) == ("Mended", leaking.n_images - 1)
    assert read_draft(leaking) == {}, "what was saved is no mark any more"


def test_a_version_has_the_statistics_that_an_import_would_have_measured(leaking: Dataset) -> None:
    pictures = read_manifest(leaking)
    other = {"Glioma": "Meningioma", "Meningioma": "Glioma"}
    changes = {pictures[2].stored: EXCLUDED, pictures[5].stored: other[pictures[5].label]}
    version = run_import(create_version(leaking, changed_pictures(changes)))
    expected: dict[str, PixelSums] = {}
    for picture in read_manifest(version):
        expected.setdefault(picture.label, PixelSums()).add(measure_file(version.folder / picture.stored))
    for name, sums in read_sums(version).items():
        assert sums.n == expected[name].n
        assert np.array_equal(sums.histogram, expected[name].histogram)
        assert np.array_equal(sums.pictures, expected[name].pictures)
    kept = [at for at, picture in enumerate(pictures) if picture.stored != pictures[2].stored]
    assert np.array_equal(read_signatures(version), read_signatures(leaking)[kept])


def test_marks_without_a_change_are_no_version(leaking: Dataset) -> None:
    picture = read_manifest(leaking)[0]
    drafts.relabel(leaking, [picture.stored], picture.label)
    assert read_draft(leaking) == {}
    with pytest.raises(DatasetError, match="No picture was marked"):
        create_version(leaking, changed_pictures({}))
    with pytest.raises(DatasetError, match="Nothing would change"):
        run_import(create_version(leaking, changed_pictures({picture.stored: picture.label})))
    with pytest.raises(DatasetError, match="not in this data set"):
        run_import(create_version(leaking, changed_pictures({"images/nothing.png": EXCLUDED})))


def test_marks_can_be_taken_back(leaking: Dataset) -> None:
    names = [picture.stored for picture in read_manifest(leaking)[:3]]
    drafts.exclude(leaking, names)
    drafts.restore(leaking, names[:1])
    assert drafts.count_changes(read_draft(leaking)) == (2, 0)
    drafts.clear_draft(leaking)
    assert read_draft(leaking) == {}
    with pytest.raises(DatasetError, match="no class"):
        drafts.relabel(leaking, names, "Nothing")


def test_a_version_that_empties_a_class_is_refused_and_leaves_nothing(leaking: Dataset) -> None:
    changes = {picture.stored: EXCLUDED for picture in read_manifest(leaking) if picture.label == "Glioma"}
    with pytest.raises(DatasetError, match="two classes"):
        run_import(create_version(leaking, changed_pictures(changes)))
    assert [dataset.dataset_id for dataset in list_datasets()] == ["leaking"]
    assert not any((folder / "staging").exists() for folder in list_imports())


def test_a_full_disk_leaves_no_half_version(leaking: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", full)
        patched.setattr("shutil.copyfile", full)
        with pytest.raises(StorageError, match="disk is full"):
            run_import(create_version(leaking, new_split(0.2, 0.2)))
    assert [dataset.dataset_id for dataset in list_datasets()] == ["leaking"]
    assert not any((folder / "staging").exists() for folder in list_imports())


def test_a_killed_version_job_leaves_nothing(workspace: Path) -> None:
    dataset = run_import(create_import(name="Sample", images_per_class=150))
    folder = create_version(dataset, new_split())
    start_import(folder)
    wait_for(lambda: jobs.read_status(folder).state == "running")
    os.kill(jobs.read_status(folder).pid or 0, signal.SIGKILL)
    wait_for(lambda: jobs.read_status(folder).state == "interrupted")
    assert [entry.dataset_id for entry in list_datasets()] == ["sample"]
    assert run_import(create_version(dataset, new_split())).parent == "sample"


def test_without_hard_links_the_pictures_are_copied(leaking: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", refuse)
        version = run_import(create_version(leaking, new_split(0.2, 0.2)))
    picture = read_manifest(version)[0]
    assert np.array_equal(load_scan(version.folder / picture.stored), load_scan(leaking.folder / picture.stored))


def test_parent_and_version_can_be_deleted_without_the_other(leaking: Dataset) -> None:
    version = run_import(create_version(leaking, new_split(0.2, 0.2)))
    total, freed = measure_disk(version)
    assert freed < total / 2, "versions share their pictures"
    delete_dataset(leaking.dataset_id)
    assert all(load_scan(version.folder / picture.stored).size for picture in read_manifest(version))
    assert family(version, list_datasets()) == [read_dataset(version.dataset_id)]


def test_a_family_is_a_data_set_and_all_that_came_from_it(leaking: Dataset, make_zip: MakeZip) -> None:
    child = run_import(create_version(leaking, new_split(0.2, 0.2)))
    grandchild = run_import(create_version(child, new_split(0.2, 0.2, 5)))
    other = run_import(create_import(path=make_zip(scans(), "other.zip")))
    ids = [member.dataset_id for member in family(child, list_datasets())]
    assert ids == [leaking.dataset_id, child.dataset_id, grandchild.dataset_id]
    assert [member.dataset_id for member in family(other, list_datasets())] == [other.dataset_id]


def test_a_name_and_a_note_can_be_changed_and_nothing_else(leaking: Dataset) -> None:
    before = contents(leaking.folder)
    write_notes(leaking, "  My   scans ", "from the course")
    renamed = read_dataset(leaking.dataset_id)
    assert (renamed.name, renamed.note) == ("My scans", "from the course")
    assert contents(leaking.folder) == before
    with pytest.raises(DatasetError, match="1 to 200"):
        write_notes(leaking, " ", "")


def test_a_downloaded_zip_imports_again_to_the_same_fingerprint(make_zip: MakeZip, tmp_path: Path) -> None:
    members: dict[str, bytes] = {}
    for at, (split, name) in enumerate((split, name) for split in ("Train", "Val", "Test") for name in ("a", "B: é/x")):
        folder = f"{split}/{name.replace('/', '∕')}"
        for number in range(3):
            members[f"{folder}/{number}.png"] = encode(draw_phantom(0, (3, at, number)))
        members[f"{folder}/photo.jpg"] = encode(draw_phantom(1, (3, at)), "JPEG", quality=70)
        members[f"{folder}/photo.png"] = encode(np.asarray(Image.fromarray(draw_phantom(3, (3, at))).convert("RGB")))
    rows = [f'"{file}",p{at % 8}' for at, file in enumerate(members)]
    table = {"labels.csv": "\n".join(["file,patient", *rows]).encode()}
    first = run_import(create_import(path=make_zip(members | table)))
    path = tmp_path / "out.zip"
    write_zip(first, path)
    second = run_import(create_import(path=path))
    assert second.fingerprint == first.fingerprint
    assert second.split_fingerprints == first.split_fingerprints
    assert second.class_names == first.class_names
    assert [entry for entry in second.skipped if not entry["file"].endswith("labels.csv")] == []
    together = [Counter(Counter(picture.group for picture in read_manifest(d)).values()) for d in (first, second)]
    assert together[0] == together[1]
    data = path.read_bytes()
    write_zip(first, path)
    assert path.read_bytes() == data, "the same pictures give the same bytes"


def test_a_version_of_the_real_set_has_no_leak_and_comes_back_from_its_zip(
    real_dataset: Dataset, tmp_path: Path
) -> None:
    version = run_import(create_version(real_dataset, new_split()))
    assert run_audit(version).n_leaks == 0
    for name in version.class_names:
        total = sum(version.splits[split][name] for split in version.splits)
        assert abs(version.splits["test"][name] / total - 0.15) < 0.005
    path = tmp_path / "version.zip"
    write_zip(version, path)
    assert run_import(create_import(path=path)).fingerprint == version.fingerprint


def test_an_id_is_never_given_twice(leaking: Dataset, make_zip: MakeZip) -> None:
    child = run_import(create_version(leaking, new_split(0.2, 0.2), "Other"))
    delete_dataset(leaking.dataset_id)
    again = run_import(create_import(path=make_zip(scans(), "another.zip"), name="Leaking"))
    assert again.dataset_id == "leaking-2"
    grandchild = run_import(create_version(child, new_split(0.2, 0.2, 3), "Leaking"))
    ids = [member.dataset_id for member in family(child, list_datasets())]
    assert ids == [child.dataset_id, grandchild.dataset_id], "the data set that took the name is no relative"


def test_a_family_survives_the_loss_of_its_middle(leaking: Dataset) -> None:
    child = run_import(create_version(leaking, new_split(0.2, 0.2)))
    grandchild = run_import(create_version(child, new_split(0.2, 0.2, 3)))
    assert grandchild.name == "Leaking · grouped split", "names do not grow with the generations"
    delete_dataset(child.dataset_id)
    assert [member.dataset_id for member in family(grandchild, list_datasets())] == ["leaking", grandchild.dataset_id]


def test_every_split_gets_every_class_where_its_groups_allow() -> None:
    labels = ["a"] * 30 + ["b"] * 30
    groups = np.repeat(np.arange(6), 10)  # three patients of ten pictures in each class
    splits = split_groups(labels, groups, {"validation": 0.15, "test": 0.15}, 0)
    counts = Counter(zip(labels, splits, strict=True))
    assert set(counts.values()) == {10}
    assert len(counts) == 6
    few = split_groups(["a"] * 3 + ["b"] * 3, np.arange(6), {"validation": 0.15, "test": 0.15}, 0)
    assert len(Counter(zip(["a"] * 3 + ["b"] * 3, few, strict=True))) == 6


def test_a_class_that_cannot_be_divided_is_told(make_zip: MakeZip) -> None:
    members = scans(8)
    rows = [f"{file},{'one' if 'Glioma' in file else at}" for at, file in enumerate(members)]
    table = {"labels.csv": "\n".join(["file,patient", *rows]).encode()}
    dataset = run_import(create_import(path=make_zip(members | table)))
    version = run_import(create_version(dataset, new_split(0.2, 0.2)))
    assert version.splits["train"]["Glioma"] == 24
    assert any("no picture of Glioma in validation, Glioma in test" in note for note in version.notes)


def test_a_mark_on_a_data_set_that_is_gone_makes_no_folder(leaking: Dataset) -> None:
    delete_dataset(leaking.dataset_id)
    with pytest.raises(DatasetError, match="deleted meanwhile"):
        drafts.exclude(leaking, ["images/000001.png"])
    assert not leaking.folder.exists()


def test_a_zip_has_no_name_twice_and_none_that_an_import_sets_aside(make_zip: MakeZip, tmp_path: Path) -> None:
    members = {f"pictures/{at}.png": encode(draw_phantom(0, (5, at))) for at in range(24)}
    members |= {
        "pictures/a.png": encode(draw_phantom(1, (5, 1))),
        "pictures/a.jpg.png": encode(draw_phantom(1, (5, 2))),
    }
    members |= {f"pictures/{n}/a.png": encode(draw_phantom(1, (6, n))) for n in range(6)}
    members |= {f"pictures/a-{n:06d}.png": encode(draw_phantom(1, (7, n))) for n in range(20, 34)}
    names = ("__MACOSX", ".git")
    table = "file,label\n" + "".join(f"{file},{names[at % 2]}\n" for at, file in enumerate(members))
    first = run_import(create_import(path=make_zip(members | {"labels.csv": table.encode()})))
    write_zip(first, tmp_path / "out.zip")
    second = run_import(create_import(path=tmp_path / "out.zip"))
    assert (second.fingerprint, second.n_images) == (first.fingerprint, len(members))


def test_a_zip_says_no_patient_also_not_by_the_names_of_files(make_zip: MakeZip, tmp_path: Path) -> None:
    members = {
        f"{name}/MILLER{at}.png": encode(draw_phantom(0, (5, at, ord(name)))) for name in "AB" for at in range(8)
    }
    table = "file,patient\n" + "".join(f"{file},{file[2:].split('.')[0]}\n" for file in members)
    dataset = run_import(create_import(path=make_zip(members | {"labels.csv": table.encode()})))
    write_zip(dataset, tmp_path / "out.zip")
    assert b"MILLER" not in (tmp_path / "out.zip").read_bytes()
