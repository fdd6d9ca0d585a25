"""Audits: what is wrong with a data set, and what is not."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core import jobs
from core.audit import describe_audit, list_pairs
from core.auditing import AuditStopped, audit_folder, ensure_audit, read_audit, run_audit, start_audit
from core.datasets import Dataset, read_manifest
from core.errors import DatasetError
from core.importing import create_import, run_import
from core.leaks import find_foreign_leaks, find_leaks
from core.samples import draw_phantom
from core.workspace import delete_dataset
from tests.core.test_importing import wait_for

MakeZip = Callable[..., Path]


def encode(pixels: np.ndarray, format_: str = "PNG", **options: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, **options)
    return buffer.getvalue()


def scans(per_class: int = 4) -> dict[str, bytes]:
    """Different pictures in three splits of two classes."""
    return {
        f"{split}/{name}/{number}.png": encode(draw_phantom(kind, (23, number, at)))
        for at, split in enumerate(("Train", "Valid", "Test"))
        for kind, name in enumerate(("Glioma", "Meningioma"))
        for number in range(per_class)
    }


@pytest.fixture
def make_dataset(make_zip: MakeZip) -> Callable[[dict[str, bytes]], Dataset]:
    """Imports the given members."""
    return lambda members: run_import(create_import(path=make_zip(members)))


@pytest.fixture
def leaking(make_dataset: Callable[[dict[str, bytes]], Dataset]) -> Dataset:
    """A data set with one leak of each kind, a conflict, a duplicate and bad pictures."""
    shown = [draw_phantom(0, (31, number)) for number in range(5)]
    rng = np.random.default_rng(1)
    return make_dataset(
        scans()
        | {
            "Train/Glioma/a.png": encode(shown[0]),
            "Test/Glioma/a-mirrored.jpg": encode(shown[0][:, ::-1], "JPEG", quality=70),
            "Train/Glioma/b.png": encode(shown[1]),
            "Valid/Glioma/b-turned.png": encode(np.rot90(shown[1])),
            "Valid/Glioma/c.png": encode(shown[2]),
            "Test/Glioma/c-small.png": encode(np.asarray(Image.fromarray(shown[2]).resize((150, 150)))),
            "Train/Glioma/d.png": encode(shown[3]),
            "Train/Meningioma/d-copy.png": encode(shown[3]),
            "Train/Glioma/e.png": encode(shown[4]),
            "Train/Glioma/e-again.jpg": encode(shown[4], "JPEG", quality=80),
            "Train/Glioma/blank.png": encode(np.full((80, 80), 9, np.uint8)),
            "Train/Glioma/tiny.png": encode(rng.integers(0, 255, (20, 30), np.uint8)),
            "Train/Glioma/long.png": encode(rng.integers(0, 255, (70, 300), np.uint8)),
            "Train/Glioma/photo.png": encode(rng.integers(0, 255, (90, 90, 3), np.uint8)),
            "Train/Glioma/broken.png": b"\x89PNG nothing",
        }
    )


def test_everything_that_is_wrong_is_found(leaking: Dataset) -> None:
    found = describe_audit(leaking, run_audit(leaking))
    assert found["n_images"] == 24 + 14
    assert found["n_distinct"] == 24 + 14 - 5
    assert {tuple(sorted(group)) for group in found["groups"]} == {
        ("Test/Glioma/a-mirrored.jpg", "Train/Glioma/a.png"),
        ("Train/Glioma/b.png", "Valid/Glioma/b-turned.png"),
        ("Test/Glioma/c-small.png", "Valid/Glioma/c.png"),
        ("Train/Glioma/d.png", "Train/Meningioma/d-copy.png"),
        ("Train/Glioma/e-again.jpg", "Train/Glioma/e.png"),
    }
    assert found["leaks"]["validation"] == {
        "n": 1,
        "files": ["Valid/Glioma/b-turned.png"],
        "by_class": {"Glioma": 1, "Meningioma": 0},
    }
    assert set(found["leaks"]["test"]["files"]) == {"Test/Glioma/a-mirrored.jpg", "Test/Glioma/c-small.png"}
    assert [sorted(pair) for pair in found["label_conflicts"]] == [
        ["Train/Glioma/d.png", "Train/Meningioma/d-copy.png"]
    ]
    problems = {entry["file"].rsplit("/", 1)[-1]: entry["problem"].split(":")[0] for entry in found["quality"]}
    assert problems.pop("broken.png") == "Left out"
    assert problems.pop("photo.png").startswith("In colour")
    # Of two twins in one split, the later one in the archive is the duplicate.
    assert problems == {
        "blank.png": "Blank",
        "tiny.png": "Tiny",
        "long.png": "Extreme shape",
        "e-again.jpg": "Duplicate within train",
        "d-copy.png": "Duplicate within train",
    }


def test_pairs_say_what_differs(leaking: Dataset) -> None:
    pairs = describe_audit(leaking, run_audit(leaking))["pairs"]
    differs = {frozenset(Path(file).name for file in pair["files"]): pair["differs"] for pair in pairs}
    assert differs[frozenset(("a.png", "a-mirrored.jpg"))] == "mirrored left to right"
    assert differs[frozenset(("b.png", "b-turned.png"))].startswith("turned by")
    assert differs[frozenset(("c.png", "c-small.png"))].startswith("resized (")
    assert differs[frozenset(("d.png", "d-copy.png"))] == "the same pixels"
    assert differs[frozenset(("e.png", "e-again.jpg"))] == "re-encoded"
    assert all(0.97 < pair["alike"] <= 1 for pair in pairs)
    assert "d.png" in pairs[0]["files"][0] + pairs[0]["files"][1], "conflicts come first"


def test_clean_data_is_called_clean(make_dataset: Callable[[dict[str, bytes]], Dataset]) -> None:
    found = describe_audit(dataset := make_dataset(scans()), run_audit(dataset))
    assert (found["groups"], found["label_conflicts"], found["quality"]) == ([], [], [])
    assert (found["leaks"]["validation"]["n"], found["leaks"]["test"]["n"]) == (0, 0)
    assert found["n_distinct"] == found["n_images"]


def test_a_leak_is_judged_by_the_whole_group() -> None:
    splits = ["train", "validation", "test", "test", "validation", "test"]
    assert find_leaks(splits, [0, 0, 0, 1, 2, 2]) == {"validation": [1], "test": [2, 5]}
    assert find_leaks(splits, ["", "", "", "", "", ""]) == {"validation": [], "test": []}


def test_patients_on_both_sides_are_told(make_zip: MakeZip) -> None:
    members = scans() | {"labels.csv": b"file,patient\nTrain/Glioma/0.png,Ann\nTest/Glioma/1.png,Ann\n"}
    dataset = run_import(create_import(path=make_zip(members)))
    audit = run_audit(dataset)
    assert audit.n_leaks == 0
    assert audit.n_patients == 1
    assert {split: len(found) for split, found in audit.patient_leaks.items()} == {"validation": 0, "test": 1}


def test_the_result_is_kept_and_read_back(leaking: Dataset) -> None:
    made = run_audit(leaking)
    stored = read_audit(leaking)
    assert stored is not None
    assert stored.__dict__ == made.__dict__
    before = (audit_folder(leaking) / "result.json").stat().st_mtime_ns
    assert ensure_audit(leaking).n_leaks == 3
    assert (audit_folder(leaking) / "result.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 0}', '{"format": 1, "fingerprint": "FINGERPRINT"}'])
def test_a_damaged_result_is_no_result_and_is_made_anew(leaking: Dataset, text: str) -> None:
    run_audit(leaking)
    (audit_folder(leaking) / "result.json").write_text(text.replace("FINGERPRINT", leaking.fingerprint))
    assert read_audit(leaking) is None
    assert ensure_audit(leaking).n_leaks == 3


def test_an_audit_runs_in_a_process_of_its_own(leaking: Dataset) -> None:
    folder = start_audit(leaking)
    wait_for(lambda: not jobs.read_status(folder).is_alive)
    status = jobs.read_status(folder)
    assert (status.state, status.error) == ("finished", None)
    assert status.pid != os.getpid()
    assert read_audit(leaking) is not None


def test_a_killed_audit_reads_as_interrupted_and_can_be_started_again(workspace: Path) -> None:
    dataset = run_import(create_import(name="Sample", images_per_class=60))
    folder = start_audit(dataset)
    wait_for(lambda: jobs.read_status(folder).state == "running")
    os.kill(jobs.read_status(folder).pid or 0, signal.SIGKILL)
    wait_for(lambda: jobs.read_status(folder).state == "interrupted")
    assert read_audit(dataset) is None
    start_audit(dataset)
    wait_for(lambda: read_audit(dataset) is not None)


def test_an_audit_can_be_cancelled(leaking: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    from core import audit as module

    def stop(*arguments: object) -> list[object]:
        jobs.request_stop(audit_folder(leaking))
        return []

    with monkeypatch.context() as patched:
        patched.setattr(module, "find_problems", stop)
        with pytest.raises(AuditStopped):
            run_audit(leaking)
    assert jobs.read_status(audit_folder(leaking)).state == "stopped"
    assert run_audit(leaking).n_leaks == 3


def test_a_data_set_without_signatures_gets_them_once(leaking: Dataset) -> None:
    with_them = run_audit(leaking)
    (audit_folder(leaking) / "result.json").unlink()
    (leaking.folder / "signatures.bin").unlink()
    again = run_audit(leaking)
    assert again.groups == with_them.groups
    assert (leaking.folder / "signatures.bin").exists()


def test_a_shortcut_is_told(make_dataset: Callable[[dict[str, bytes]], Dataset]) -> None:
    members = {}
    for number in range(30):
        for kind, name in enumerate(("A", "B")):
            pixels = draw_phantom(2, (41, number, kind))
            bright = np.clip(pixels.astype(int) + 60 * kind, 0, 255).astype(np.uint8)
            members[f"{name}/{number}.{'jpg' if kind else 'png'}"] = encode(bright, "JPEG" if kind else "PNG")
    audit = run_audit(make_dataset(members))
    found = {entry.name: entry for entry in audit.shortcuts}
    assert found["File format"].accuracy == 1.0
    assert found["Mean brightness"].is_suspicious
    assert found["Picture size"].accuracy is None


def test_no_shortcut_is_seen_in_chance(workspace: Path) -> None:
    dataset = run_import(create_import(name="Sample", images_per_class=60))
    audit = run_audit(dataset)
    assert not any(entry.is_suspicious for entry in audit.shortcuts)


def test_leaks_into_another_data_set_are_found(
    make_dataset: Callable[[dict[str, bytes]], Dataset], leaking: Dataset
) -> None:
    other = make_dataset(
        scans()
        | {"Test/Glioma/mine.png": encode(draw_phantom(1, (77, 1)))}
        | {"Train/Glioma/x.jpg": encode(draw_phantom(0, (31, 0))[::-1], "JPEG", quality=60)}
    )
    # All scans() are in both; those of test were not seen when `leaking` was trained on.
    assert find_foreign_leaks(other, "test", leaking) == []
    assert len(find_foreign_leaks(other, "train", leaking)) == 8 + 1


def test_the_real_set_is_audited(real_dataset: Dataset) -> None:
    dataset = real_dataset
    audit = run_audit(dataset)
    assert {split: len(found) for split, found in audit.leaks.items()} == {"validation": 149, "test": 86}
    assert audit.n_label_conflicts == 0
    stored = json.loads((audit_folder(dataset) / "result.json").read_text())
    assert stored["n_distinct"] == audit.n_distinct


def test_damaged_signatures_are_an_error_in_words(leaking: Dataset) -> None:
    (leaking.folder / "signatures.bin").write_bytes(b"short")
    with pytest.raises(DatasetError, match="signatures"):
        run_audit(leaking)
    status = jobs.read_status(audit_folder(leaking))
    assert status.state == "failed"
    assert "signatures" in (status.error or "")


def test_every_conflict_and_every_leak_has_a_row(make_dataset: Callable[[dict[str, bytes]], Dataset]) -> None:
    same = encode(draw_phantom(0, (31, 9)))
    names = ("Train/Glioma/x1", "Train/Glioma/x2", "Train/Meningioma/x3", "Test/Glioma/x4", "Test/Glioma/x5")
    dataset = make_dataset(scans() | {f"{name}.png": same for name in names})
    audit = run_audit(dataset)
    rows = [{row["first"], row["second"]} for row in list_pairs(audit, read_manifest(dataset))]
    assert audit.n_label_conflicts == len(audit.label_conflicts) == 4
    for other in ("Train/Glioma/x1", "Train/Glioma/x2", "Test/Glioma/x4", "Test/Glioma/x5"):
        assert {"Train/Meningioma/x3.png", f"{other}.png"} in rows
    for leaked in ("Test/Glioma/x4.png", "Test/Glioma/x5.png"):
        assert any(leaked in row and any(file.startswith("Train/") for file in row) for row in rows)


def test_a_large_group_with_one_odd_label_is_counted_at_once() -> None:
    from core.audit import _find_conflicts
    from core.datasets import Picture

    def picture(at: int) -> Picture:
        return Picture(f"{at}", f"{at}", "train", "b" if at == 29_999 else "a", 64, 64, False, "PNG", 1, "same")

    n, pairs = _find_conflicts([picture(at) for at in range(30_000)], [list(range(30_000))])
    assert (n, len(pairs)) == (29_999, 29_999)


def test_chance_is_no_shortcut_on_small_sets() -> None:
    from core.datasets import Picture
    from core.shortcuts import probe_shortcuts

    rng = np.random.default_rng(0)
    alarms = 0
    for _ in range(40):
        pictures = [
            Picture(
                str(at), str(at), "train", "ab"[at % 2], *rng.integers(60, 90, 2).tolist(), False, "PNG", 1, str(at)
            )
            for at in range(24)
        ]
        signatures = rng.integers(0, 255, (24, 64, 64), np.uint8) // rng.integers(1, 9, (24, 1, 1), np.uint8)
        alarms += any(entry.is_suspicious for entry in probe_shortcuts(pictures, signatures, np.arange(24)))
    assert alarms <= 2


def test_deleting_a_data_set_ends_its_audit(workspace: Path) -> None:
    dataset = run_import(create_import(name="Sample", images_per_class=100))
    folder = start_audit(dataset)
    wait_for(lambda: jobs.read_status(folder).state != "queued" or not jobs.read_status(folder).is_alive)
    delete_dataset(dataset.dataset_id)
    assert not dataset.folder.exists()
    with pytest.raises(DatasetError, match="deleted meanwhile"):
        run_audit(dataset)
    assert not dataset.folder.exists()
