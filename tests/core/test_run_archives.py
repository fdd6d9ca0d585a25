"""Runs as ZIPs."""

from __future__ import annotations

import json
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

from core.control import left_over_runs
from core.errors import ArchiveError, RunError
from core.evaluation import read_predictions
from core.jobs import stored_state
from core.prediction import load_classifier
from core.run_archives import import_run, write_run
from core.run_notes import LONGEST_NAME, LONGEST_NOTE
from core.runs import Run, list_runs
from core.settings import read_settings

pytestmark = pytest.mark.training


@pytest.fixture
def packed(finished_run: Run, tmp_path: Path) -> Path:
    """The ZIP of a finished run."""
    (finished_run.folder / "tensorboard").mkdir()
    (finished_run.folder / "tensorboard" / "events.1").write_bytes(b"x")
    write_run(finished_run, tmp_path / "run.zip")
    return tmp_path / "run.zip"


def change(path: Path, changes: dict[str, bytes | None]) -> Path:
    """A copy of a ZIP with files changed, added, or (None) left out; names are those in the run's folder."""
    changed = path.with_name("changed.zip")
    with zipfile.ZipFile(path) as before, zipfile.ZipFile(changed, "w") as after:
        top = before.namelist()[0].partition("/")[0]
        kept = {name: before.read(name) for name in before.namelist()}
        for name, data in (kept | {f"{top}/{name}": data for name, data in changes.items()}).items():
            if data is not None:
                after.writestr(name, data)
    return changed


def test_a_run_works_in_another_workspace_as_in_its_own(
    finished_run: Run, packed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = np.random.default_rng(1).integers(0, 255, (80, 80), np.uint8)
    there = load_classifier(finished_run).predict([scan])
    scores = read_predictions(finished_run, "test").y_prob
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "other"))
    run = import_run(packed)
    assert (run.run_id, run.state, run.has_scores) == (finished_run.run_id, "finished", True)
    assert np.array_equal(load_classifier(run).predict([scan]), there)
    assert np.array_equal(read_predictions(run, "test").y_prob, scores)
    assert (run.folder / "tensorboard" / "events.1").exists()
    assert not (run.folder / "checkpoints").exists()
    assert not (run.folder / "lock").exists()


def test_an_id_that_is_taken_gets_a_number(finished_run: Run, packed: Path) -> None:
    assert import_run(packed).run_id == f"{finished_run.run_id}-2"
    assert import_run(packed).run_id == f"{finished_run.run_id}-3"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"config.json": None}, "no ZIP of a run"),
        ({"config.json": b"{"}, "settings of the run"),
        ({"config.json": json.dumps({"dataset_id": "x", "architecture": "nothing"}).encode()}, "cannot be used"),
        ({"labels.json": None}, r"lacks labels.json"),
        ({"labels.json": b'{"class_names": [1]}'}, "labels of the run"),
        ({"labels.json": b'{"class_names": []}'}, "labels of the run"),
        ({"labels.json": b'{"class_names": ["a", "b"]}'}, "tells 4 classes apart, and its labels name 2"),
        ({"model.onnx": b"x"}, "model of the run in the ZIP is damaged"),
        ({"metrics.json": b'{"test": 5}'}, "scores of the run"),
        ({"metrics.json": b'{"test": {"accuracy": "high"}}'}, "scores of the run"),
        ({"metrics.json": b'{"epochs": [1]}'}, "scores of the run"),
        ({"status.json": b'{"state": "dancing"}'}, "state of the run"),
        ({"status.json": b'{"state": "finished", "queued_at": 1e300}'}, "state of the run"),
        ({"status.json": b'{"a": ' + b"[" * 9_000 + b"]" * 9_000 + b"}"}, "state of the run"),
        ({"../../evil": b"x"}, r"'\.\.' in its path"),
        ({"config.json": b" " * 3_000_000}, "STUDIO_MAX_RATIO|settings"),
    ],
    ids=[
        "no settings", "cut off", "another product's", "no labels", "bad labels", "empty labels", "too few labels",
        "bad model", "bad scores", "words for scores", "bad epochs", "unknown state", "no such year",
        "nested", "escape", "blown up",
    ],
)  # fmt: skip
def test_a_zip_that_is_no_run_leaves_nothing(packed: Path, changes: dict[str, bytes | None], words: str) -> None:
    n_runs = len(list_runs())
    with pytest.raises(ArchiveError, match=words):
        import_run(change(packed, changes))
    assert len(list_runs()) == n_runs
    assert not list(read_settings().models.glob(".new-*"))


def test_files_that_a_run_does_not_have_are_left_out(packed: Path) -> None:
    run = import_run(change(packed, {"evil.py": b"x", "tensorboard/deep/er": b"x", "lock": b"", "stop": b""}))
    names = {path.name for path in run.folder.rglob("*")}
    assert not names & {"evil.py", "er", "lock", "stop"}


@pytest.mark.parametrize("content", [b"", b"not a ZIP", b"PK\x05\x06" + bytes(18)])
def test_what_is_no_zip_is_told(workspace: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(ArchiveError):
        import_run(tmp_path / "x.zip")
    with pytest.raises(ArchiveError, match="There is no file"):
        import_run(tmp_path / "gone.zip")


def test_a_run_under_way_is_not_packed(running_run: Run, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="when it has ended"):
        write_run(running_run, tmp_path / "x.zip")


@pytest.mark.parametrize("state", ["queued", "running", "stopping"])
def test_a_run_that_was_under_way_there_reads_as_interrupted_and_waits_for_nothing(packed: Path, state: str) -> None:
    status = {"state": state, "queued_at": time.time(), "updated": time.time()}
    run = import_run(change(packed, {"status.json": json.dumps(status).encode()}))
    assert run.state == "interrupted"
    assert stored_state(run.folder) != "interrupted"  # which is derived, never written
    assert "in another workspace" in str(run.status.error)
    assert left_over_runs() == []


def test_a_score_of_no_pictures_is_no_damage(packed: Path) -> None:
    scores = b'{"test": {"n": 0, "accuracy": NaN, "auc": null, "accuracy_ci95": [NaN, NaN]}, "validation": {"n": 1}}'
    assert import_run(change(packed, {"metrics.json": scores})).has_scores


def test_a_run_whose_settings_ask_for_nothing_readable_is_refused(packed: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        config = json.loads(archive.read(next(name for name in archive.namelist() if name.endswith("config.json"))))
    for asked in ([], None, 5):
        with pytest.raises(ArchiveError, match="settings of the run"):
            import_run(change(packed, {"config.json": json.dumps(config | {"asked": asked}).encode()}))


@pytest.mark.parametrize("name", ["pretrained", "Pretrained", "x" * 121, ".hidden", "\u00e4 b"])
def test_every_name_of_a_folder_becomes_an_id_twice(packed: Path, tmp_path: Path, name: str) -> None:
    renamed = tmp_path / "renamed.zip"
    with zipfile.ZipFile(packed) as before, zipfile.ZipFile(renamed, "w") as after:
        for entry in before.namelist():
            after.writestr(f"{name}/{entry.partition('/')[2]}", before.read(entry))
    found = [import_run(renamed).run_id, import_run(renamed).run_id]
    assert set(found) <= {run.run_id for run in list_runs()}
    assert len(set(found)) == 2
    assert not (read_settings().models / "pretrained").exists()


def test_a_name_and_a_note_that_are_too_long_are_cut(packed: Path) -> None:
    notes = json.dumps({"name": "x\ny" * 500, "note": "z" * 9_000, "star": "yes"}).encode()
    run = import_run(change(packed, {"notes.json": notes}))
    assert (len(run.name), len(run.note), run.star) == (LONGEST_NAME, LONGEST_NOTE, False)
    assert "\n" not in run.name
