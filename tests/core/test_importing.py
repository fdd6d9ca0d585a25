"""Imports: all of it or nothing."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import jobs
from core.datasets import Dataset, list_datasets, read_dataset, read_manifest
from core.errors import DatasetError, StorageError, StudioError
from core.exploration import read_exploration
from core.importing import create_import, imports_folder, list_imports, remove_dead_imports, run_import, start_import
from core.scans import load_scan
from core.settings import PROJECT, read_settings
from tests.conftest import picture_bytes

MakeZip = Callable[..., Path]
THREE_SPLITS = {
    f"Data/{split}/{name}/{number}.png": None
    for split in ("Train", "Valid", "Test")
    for name in ("Glioma", "Healthy")
    for number in range(3)
}


def dicom_bytes(patient: str, number: int) -> bytes:
    """A small MR slice of a patient."""
    from pydicom.dataset import Dataset as Dicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    slice_ = Dicom()
    slice_.file_meta = FileMetaDataset()
    slice_.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    slice_.file_meta.MediaStorageSOPClassUID = slice_.SOPClassUID = MRImageStorage
    slice_.file_meta.MediaStorageSOPInstanceUID = slice_.SOPInstanceUID = f"1.2.3.{number + 1}"
    slice_.PatientID = slice_.PatientName = patient
    slice_.Rows = slice_.Columns = 32
    slice_.SamplesPerPixel, slice_.PhotometricInterpretation = 1, "MONOCHROME2"
    slice_.BitsAllocated = slice_.BitsStored = 16
    slice_.HighBit, slice_.PixelRepresentation = 15, 0
    pixels = np.random.default_rng(number).integers(0, 4000, (32, 32), np.uint16)
    slice_.PixelData = pixels.tobytes()
    buffer = io.BytesIO()
    slice_.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something holds."""
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_zip_becomes_a_data_set(make_zip: MakeZip) -> None:
    dataset = run_import(create_import(path=make_zip(THREE_SPLITS, "My scans.zip")))
    assert dataset.dataset_id == "my-scans"
    assert dataset.class_names == ["Glioma", "Healthy"]
    assert dataset.splits == {name: {"Glioma": 3, "Healthy": 3} for name in ("train", "validation", "test")}
    assert dataset.notes == []
    assert [entry.dataset_id for entry in list_datasets()] == ["my-scans"]


def test_stored_pictures_decode_to_what_was_imported(make_zip: MakeZip) -> None:
    members = dict(THREE_SPLITS)
    members["Data/Train/Glioma/photo.jpg"] = picture_bytes(1, "JPEG")
    dataset = run_import(create_import(path=make_zip(members)))
    for number, picture in enumerate(read_manifest(dataset)):
        data = members[picture.file] or picture_bytes(list(members).index(picture.file))
        expected = np.asarray(Image.open(io.BytesIO(data)))
        assert np.array_equal(load_scan(dataset.folder / picture.stored), expected), number
        assert (dataset.folder / picture.thumbnail).exists()


def test_a_folder_gives_the_same_fingerprint_as_its_zip(make_zip: MakeZip, tmp_path: Path) -> None:
    path = make_zip(THREE_SPLITS)
    folder = tmp_path / "folder"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(path), str(folder)], check=True)
    first, second = run_import(create_import(path=path)), run_import(create_import(path=folder))
    assert first.fingerprint == second.fingerprint
    assert first.split_fingerprints["test"] != first.split_fingerprints["train"]


def test_unreadable_and_foreign_files_are_listed_and_not_fatal(make_zip: MakeZip) -> None:
    extra = {"Data/Train/Glioma/broken.png": b"x", "Data/notes.txt": b"hello", "Data/.DS_Store": b"x"}
    dataset = run_import(create_import(path=make_zip(THREE_SPLITS | extra)))
    assert {entry["file"] for entry in dataset.skipped} == {"Data/Train/Glioma/broken.png", "Data/notes.txt"}
    assert all(entry["reason"] for entry in dataset.skipped)
    assert dataset.litter == ["Data/.DS_Store"]
    assert dataset.n_images == 18


def test_a_broken_entry_is_listed_and_not_fatal(make_zip: MakeZip) -> None:
    path = make_zip(THREE_SPLITS | {"Data/Train/Glioma/broken.png": b"0123456789" * 100})
    data = bytearray(path.read_bytes())
    data[data.index(b"0123456789") + 5] ^= 1
    path.write_bytes(data)
    dataset = run_import(create_import(path=path))
    assert [entry["file"] for entry in dataset.skipped] == ["Data/Train/Glioma/broken.png"]
    assert dataset.n_images == 18


def test_statistics_are_measured_per_class(tiny_dataset: object) -> None:
    dataset = read_dataset("tiny")
    pixels = read_exploration(dataset)
    n_pixels = {
        name: sum(dataset.splits[split][name] for split in dataset.splits) * 224 * 224 for name in dataset.class_names
    }
    assert {name: int(counts.sum()) for name, counts in pixels.histograms.items()} == n_pixels
    assert all(mean.shape == (128, 128) for mean in pixels.mean_pictures.values())


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"1.png": None, "2.png": None}, "No class folders"),
        ({"Train/A/1.png": None, "Train/A/2.png": None, "Train/A/3.png": None}, "two classes"),
        ({"A/1.png": None, "B/1.png": None}, "at least 3"),
        ({f"A/{n}.png": b"x" for n in range(3)} | {f"B/{n}.png": b"x" for n in range(3)}, "None of 6 files"),
        ({f"Train/A/{n}.png": None for n in range(3)} | {f"Test/B/{n}.png": None for n in range(3)}, "none in train"),
        ({"readme.txt": b"x"}, "No class folders"),
        (
            {
                f"{place}.png": None
                for place in ("Train/A/1", "Train/B/1", "Test/A/2", "Test/A/3", "Test/B/2", "Test/B/3")
            },
            "too few pictures in train to set some aside for validation",
        ),
    ],
)
def test_what_cannot_be_a_data_set_is_told_and_leaves_nothing(
    make_zip: MakeZip, members: dict[str, bytes | None], words: str
) -> None:
    with pytest.raises(DatasetError, match=words):
        run_import(create_import(path=make_zip(members)))
    assert list_datasets() == []
    assert not (list_imports()[0] / "staging").exists()
    assert jobs.read_status(list_imports()[0]).state == "failed"


@pytest.mark.parametrize(("frame", "expected"), [("first", 0), ("middle", 2), ("1", 1)])
def test_a_frame_can_be_chosen(make_zip: MakeZip, frame: str, expected: int) -> None:
    pages = [Image.fromarray(np.full((40, 40), 50 * number, np.uint8)) for number in range(4)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    members = THREE_SPLITS | {"Data/Train/Glioma/volume.tif": buffer.getvalue()}
    dataset = run_import(create_import(path=make_zip(members), frame=frame))
    picture = next(picture for picture in read_manifest(dataset) if picture.file.endswith("volume.tif"))
    assert load_scan(dataset.folder / picture.stored)[0, 0] == 50 * expected


def test_a_frame_that_is_not_there_is_told(make_zip: MakeZip) -> None:
    with pytest.raises(DatasetError, match="frame must be"):
        create_import(path=make_zip(THREE_SPLITS), frame="last")
    pages = [Image.fromarray(np.full((40, 40), 9, np.uint8)) for _ in range(2)]
    buffer = io.BytesIO()
    pages[0].save(buffer, "TIFF", save_all=True, append_images=pages[1:])
    members = THREE_SPLITS | {"Data/Train/Glioma/volume.tif": buffer.getvalue()}
    dataset = run_import(create_import(path=make_zip(members), frame="7"))
    assert [entry["file"] for entry in dataset.skipped] == ["Data/Train/Glioma/volume.tif"]
    assert "2 frame(s)" in dataset.skipped[0]["reason"]


def test_dicom_files_of_one_patient_are_one_group_and_say_no_name(make_zip: MakeZip, workspace: Path) -> None:
    members = dict(THREE_SPLITS)
    for number in range(6):
        members[f"Data/Train/Glioma/slice{number}.dcm"] = dicom_bytes(f"Miller^{number // 3}", number)
    dataset = run_import(create_import(path=make_zip(members)))
    groups = [picture.group for picture in read_manifest(dataset) if picture.file.endswith(".dcm")]
    assert groups == ["1", "1", "1", "2", "2", "2"]
    assert not any(b"Miller" in path.read_bytes() for path in workspace.rglob("*") if path.is_file())


def test_a_name_that_is_taken_gets_a_number(make_zip: MakeZip) -> None:
    ids = [run_import(create_import(path=make_zip(THREE_SPLITS), name="Scans")).dataset_id for _ in range(2)]
    assert ids == ["scans", "scans-2"]


def test_an_import_runs_in_a_process_of_its_own(make_zip: MakeZip) -> None:
    folder = create_import(path=make_zip(THREE_SPLITS), name="Scans")
    start_import(folder)
    wait_for(lambda: not jobs.read_status(folder).is_alive)
    status = jobs.read_status(folder)
    assert (status.state, status.message) == ("finished", "scans")
    assert status.pid != os.getpid()


def test_a_killed_import_reads_as_interrupted_and_is_cleared(workspace: Path) -> None:
    folder = create_import(name="Sample", images_per_class=500)
    start_import(folder)
    wait_for(lambda: jobs.read_status(folder).progress.get("done", 0) > 20)
    os.kill(jobs.read_status(folder).pid or 0, signal.SIGKILL)
    wait_for(lambda: jobs.read_status(folder).state == "interrupted")
    remove_dead_imports()
    assert list_datasets() == []
    assert not (folder / "staging").exists()
    assert [path.name for path in read_settings().data.iterdir()] == [".imports"]


def test_a_cancelled_import_leaves_nothing(workspace: Path) -> None:
    folder = create_import(name="Sample", images_per_class=100)
    jobs.request_stop(folder)
    with pytest.raises(StudioError, match="cancelled"):
        run_import(folder)
    assert jobs.read_status(folder).state == "stopped"
    assert list_datasets() == []


def test_a_full_disk_leaves_the_old_data_and_no_half_data_set(
    tiny_dataset: object, make_zip: MakeZip, monkeypatch: pytest.MonkeyPatch
) -> None:
    import errno

    from core import intake

    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(intake, "_write_thumbnail", full)
    with pytest.raises(StorageError, match="disk is full"):
        run_import(create_import(path=make_zip(THREE_SPLITS)))
    assert [dataset.dataset_id for dataset in list_datasets()] == ["tiny"]
    assert not any((folder / "staging").exists() for folder in list_imports())


def test_an_upload_is_gone_after_the_import(make_zip: MakeZip) -> None:
    with make_zip(THREE_SPLITS).open("rb") as upload:
        folder = create_import(upload=upload, name="Upload")
    assert (folder / "upload.zip").exists()
    run_import(folder)
    assert not (folder / "upload.zip").exists()


def test_nothing_personal_is_stored(make_zip: MakeZip, workspace: Path) -> None:
    exif = Image.Exif()
    exif[0x010E] = "Secret Person"
    buffer = io.BytesIO()
    Image.open(io.BytesIO(picture_bytes(1))).save(buffer, "JPEG", exif=exif)
    members = THREE_SPLITS | {"Data/Train/Glioma/photo.jpg": buffer.getvalue()}
    run_import(create_import(path=make_zip(members)))
    assert not any(b"Secret" in path.read_bytes() for path in workspace.rglob("*") if path.is_file())


def test_the_sample_is_labelled_synthetic_and_repeatable(workspace: Path) -> None:
    first = run_import(create_import(name="One", images_per_class=6))
    second = run_import(create_import(name="Two", images_per_class=6))
    assert first.synthetic
    assert "not scans of people" in first.notes[0]
    assert first.fingerprint == second.fingerprint


def test_the_real_set_is_imported_whole(real_dataset: Dataset) -> None:
    dataset = real_dataset
    assert [dataset.n_in(split) for split in ("train", "validation", "test")] == [1695, 502, 246]
    assert dataset.skipped == []
    assert json.loads((dataset.folder / "dataset.json").read_text())["n_images"] == 2443
    assert imports_folder().is_dir()
    assert PROJECT not in dataset.folder.parents
