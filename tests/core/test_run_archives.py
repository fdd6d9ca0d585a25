"""Runs as ZIPs."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from core.errors import ArchiveError, RunError
from core.evaluation import read_predictions
from core.prediction import load_classifier
from core.run_archives import import_run, write_run
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
        ({"model.onnx": b"x"}, "model of the run in the ZIP is damaged"),
        ({"../../evil": b"x"}, r"'\.\.' in its path"),
        ({"config.json": b" " * 3_000_000}, "STUDIO_MAX_RATIO|settings"),
    ],
    ids=["no settings", "cut off", "another product's", "no labels", "bad labels", "bad model", "escape", "blown up"],
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


def test_a_run_that_was_under_way_there_reads_as_interrupted(packed: Path, make_status: Callable[[str], bytes]) -> None:
    run = import_run(change(packed, {"status.json": make_status("running")}))
    assert run.state == "interrupted"


@pytest.fixture
def make_status() -> Callable[[str], bytes]:
    """The bytes of a status."""
    buffer = io.StringIO()

    def make(state: str) -> bytes:
        json.dump({"state": state, "pid": 1, "pid_started": 1.0, "updated": 1.0}, buffer)
        return buffer.getvalue().encode()

    return make
