"""The command line: one JSON value, progress on standard error, three exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.datasets import Dataset, read_dataset
from core.importing import create_import, run_import
from core.runs import Run
from core.samples import draw_phantom
from core.settings import PROJECT
from tests.conftest import picture_bytes
from tests.core.test_audit import encode, scans
from tests.core.test_importing import wait_for


def core(*arguments: object, code: int = 0) -> Any:
    """Run a command as a user would; gives its JSON."""
    command = [sys.executable, "-m", "core", *map(str, arguments)]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=240)
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stdout + result.stderr
    return json.loads(result.stdout) if code != 2 else result.stderr


def error(*arguments: object) -> str:
    """Message of a command that must fail with an error of ours."""
    found = core(*arguments, code=3)["error"]
    assert found["type"].endswith("Error")
    return str(found["message"])


def test_sample_import_datasets_and_delete(make_zip: Any, workspace: Path) -> None:
    sample = core("sample", "--name", "Mine", "--images-per-class", 6)
    assert sample["dataset_id"] == "mine"
    members = {f"{name}/{number}.png": None for name in ("A", "B") for number in range(10)}
    imported = core("import", make_zip(members, "two.zip"))
    assert {"dataset_id", "name", "class_names", "n_images", "splits", "skipped", "seconds"} <= set(imported)
    assert imported["class_names"] == ["A", "B"]
    assert set(imported["splits"]) == {"train", "validation", "test"}
    assert [entry["dataset_id"] for entry in core("datasets")] == ["two", "mine"]
    assert core("delete", "two")["deleted"] == "two"
    assert "10 patients" in core("import", make_zip(members), "--patient-pattern", r"/(\d+)\.png")["notes"][0]
    assert core("delete", "scans")["deleted"] == "scans"
    assert [entry["dataset_id"] for entry in core("datasets")] == ["mine"]


def test_a_reader_that_has_had_enough_is_no_error(tiny_dataset: Dataset) -> None:
    command = [sys.executable, "-m", "core", "datasets"]
    process = subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(60) == 0


def test_an_estimate_tells_time_memory_and_format(tiny_dataset: Dataset) -> None:
    found = core("estimate", "tiny", "--architecture", "compact_cnn", "--epochs", 2, "--set", "image_size=32")
    assert found["seconds"] == pytest.approx(sum(found["steps"].values()), abs=0.5)
    assert found["number_format"] in found["images_per_second"]
    assert found["memory_mb"] > 100
    assert "no data set" in error("estimate", "none", "--architecture", "compact_cnn")


def test_a_run_whose_data_set_is_gone_cannot_be_repeated(finished_run: Run) -> None:
    assert "no run" in error("repeat", "none")
    (read_dataset("tiny").folder / "dataset.json").unlink()
    assert "its data set" in error("repeat", finished_run.run_id)


def test_audit_split_and_zip(make_zip: Any, tmp_path: Path) -> None:
    members = scans(8) | {"Test/Glioma/again.jpg": encode(draw_phantom(0, (23, 0, 0))[::-1], "JPEG")}
    core("import", make_zip(members))
    found = core("audit", "scans")
    assert {"n_images", "n_distinct", "groups", "leaks", "label_conflicts", "quality", "seconds"} <= set(found)
    assert found["groups"] == [["Train/Glioma/0.png", "Test/Glioma/again.jpg"]]
    assert found["leaks"]["test"] == {
        "n": 1,
        "files": ["Test/Glioma/again.jpg"],
        "by_class": {"Glioma": 1, "Meningioma": 0},
    }
    version = core("split", "scans", "--validation", 0.2, "--test", 0.25, "--seed", 3)
    assert (version["parent"], version["n_images"]) == ("scans", 49)
    assert core("audit", version["dataset_id"])["leaks"]["test"]["n"] == 0
    written = core("zip", version["dataset_id"], "--output", tmp_path)
    assert core("import", written["path"], "--name", "Back")["fingerprint"] == version["fingerprint"]
    assert "no data set" in error("audit", "nothing")
    assert "no data set" in error("split", "nothing")
    assert "test must be" in error("split", "scans", "--test", 2)
    assert "no folder" in error("zip", "scans", "--output", tmp_path / "nowhere" / "x.zip")
    assert "frame must be" in error("import", written["path"], "--frame", "last")


@pytest.mark.training
def test_a_training_on_leaking_data_warns_and_both_scores_are_told(make_zip: Any) -> None:
    members = scans(8) | {"Test/Glioma/again.jpg": encode(draw_phantom(0, (23, 0, 0))[::-1], "JPEG")}
    core("import", make_zip(members))
    command = ["-m", "core", "train", "scans", "--architecture", "custom_cnn", "--epochs", "1", "--wait"]
    result = subprocess.run([sys.executable, *command], cwd=PROJECT, capture_output=True, text=True, timeout=240)
    assert "Warning: 1 of 17 test pictures have a twin" in result.stderr
    scores = core("evaluate", json.loads(result.stdout)["run_id"])
    assert scores["n"] == 17
    assert scores["without_leaks"]["n"] == 16
    assert len(scores["without_leaks"]["accuracy_ci95"]) == 2
    version = core("split", "scans")
    elsewhere = core("evaluate", json.loads(result.stdout)["run_id"], "--dataset", version["dataset_id"])
    assert elsewhere["without_leaks"]["n"] < elsewhere["n"], "what was train before is known to this run"


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["train"], ["sample", "--nonsense"], ["runs", "more"]])
def test_an_unknown_command_or_option_is_two(arguments: list[str]) -> None:
    assert "usage" in core(*arguments, code=2)


def test_errors_of_ours_are_three_and_say_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "bad.zip").write_bytes(b"x")
    assert "not a ZIP" in error("import", tmp_path / "bad.zip")
    assert "no file or folder" in error("import", tmp_path / "nothing.zip")
    assert "cannot be used" in error("import", "~nosuchuser/scans.zip")
    assert "not a ZIP" in error("import", "/" + "a" * 300)
    assert "not a ZIP" in error("import", tmp_path / "bad.zip", "--name", "\udcff")
    assert "no regular expression" in error("import", tmp_path / "bad.zip", "--patient-pattern", "(")
    assert "no data set" in error("train", "nothing", "--architecture", "custom_cnn")
    assert "no run" in error("evaluate", "nothing")
    assert "two different runs" in error("compare", "one")
    assert "no run" in error("stop", "../nothing")
    assert "neither" in error("delete", "nothing")
    assert "images_per_class" in error("sample", "--images-per-class", 1)


def test_a_training_that_cannot_start_says_why(tiny_dataset: Any) -> None:
    assert "must be one of custom_cnn" in error("train", "tiny", "--architecture", "vgg")
    assert "no setting" in error("train", "tiny", "--architecture", "custom_cnn", "--set", "nonsense=1")
    assert "KEY=VALUE" in error("train", "tiny", "--architecture", "custom_cnn", "--set", "nonsense")
    assert "random weights" in error("train", "tiny", "--architecture", "mobilenet_v2")
    assert "no run" in error("train", "tiny", "--architecture", "custom_cnn", "--weights", "nothing")
    assert "epochs" in error("train", "tiny", "--architecture", "custom_cnn", "--epochs", 0)
    assert core("runs") == []


def test_a_setting_of_the_environment_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_THREADS", "many")
    assert "STUDIO_THREADS must be a whole number" in error("sample")


def test_a_workspace_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("STUDIO_HOME", str(tmp_path / "file"))
    assert "STUDIO_HOME" in error("sample")


@pytest.mark.training
def test_train_returns_at_once_and_stop_ends_it(tiny_dataset: Any) -> None:
    started = core("train", "tiny", "--architecture", "custom_cnn", "--epochs", 300, "--set", "patience=0")
    assert started["state"] == "queued"
    assert core("stop", started["run_id"])["run_id"] == started["run_id"]
    wait_for(lambda: core("runs")[0]["state"] == "stopped", seconds=120)
    assert "nothing to stop" in error("stop", started["run_id"])
    assert core("delete", started["run_id"])["kind"] == "run"


@pytest.mark.training
def test_runs_evaluate_compare_and_predict(finished_runs: list[Run], tmp_path: Path) -> None:
    first, second = (run.run_id for run in finished_runs)
    rows = core("runs")
    promised = {"run_id", "state", "architecture", "dataset_id", "epochs", "val_accuracy", "test_accuracy", "seconds"}
    assert all(promised <= set(row) for row in rows)
    scores = core("evaluate", first)
    keys = {"n", "accuracy", "accuracy_ci95", "without_leaks", "class_names", "confusion_matrix", "report", "ece"}
    assert keys <= set(scores)
    assert scores["n"] == sum(map(sum, scores["confusion_matrix"]))
    assert scores["accuracy"] == next(row["test_accuracy"] for row in rows if row["run_id"] == first)
    assert core("evaluate", first, "--split", "validation")["split"] == "validation"
    assert core("evaluate", first, "--split", "train")["n"] > scores["n"]
    assert "split must be" in error("evaluate", first, "--split", "nonsense")
    comparison = core("compare", first, second)
    assert comparison["same_test_set"] is True
    assert set(comparison["mcnemar"]) == {"p_value", "only_first_right", "only_second_right"}
    (tmp_path / "scan.png").write_bytes(picture_bytes(1))
    (tmp_path / "bad.png").write_bytes(b"x")
    good, bad = core("predict", first, tmp_path / "scan.png", tmp_path / "bad.png")
    assert {"file", "class", "probabilities", "abstained", "reason"} == set(good)
    assert sum(good["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert set(bad) == {"file", "error"}
    assert "not a readable picture" in error("predict", first, tmp_path / "bad.png")
    assert "cannot be read" in error("predict", first, tmp_path / "nothing.png")
    assert core("predict", first, tmp_path / "scan.png", "--frame", 0)[0] == good
    assert "1 frame(s), numbered from 0" in error("predict", first, tmp_path / "scan.png", "--frame", 7)


@pytest.mark.training
def test_another_data_set_can_be_evaluated_if_its_classes_are_known(finished_run: Run, make_zip: Any) -> None:
    run_import(create_import(name="Same classes", images_per_class=6))
    assert core("evaluate", finished_run.run_id, "--dataset", "same-classes")["dataset_id"] == "same-classes"
    members = {f"{name}/{number}.png": None for name in ("A", "B") for number in range(10)}
    run_import(create_import(path=make_zip(members), name="Others"))
    assert "does not know: A, B" in error("evaluate", finished_run.run_id, "--dataset", "others")


@pytest.mark.training
def test_a_run_is_paused_resumed_continued_and_discarded(tiny_dataset: Any) -> None:
    small = ("--set", "image_size=32", "--set", "dense_units=8")
    first = core("train", "tiny", "--architecture", "custom_cnn", "--epochs", 400, *small)["run_id"]
    second = core("train", "tiny", "--architecture", "custom_cnn", "--epochs", 2, *small)["run_id"]
    third = core("train", "tiny", "--architecture", "custom_cnn", "--epochs", 400, *small)["run_id"]
    wait_for(lambda: core("runs")[-1]["epochs"] >= 1, seconds=120)
    assert [run["run_id"] for run in core("queue")] == [second, third]
    assert [run["run_id"] for run in core("queue", third)] == [third, second]
    assert core("stop", third)["state"] == "queued"
    assert core("stop", first, "--pause")["state"] in ("stopping", "paused")  # a small network stops within a moment
    by_id = lambda: {run["run_id"]: run for run in core("runs")}  # noqa: E731
    wait_for(lambda: by_id()[first]["state"] == "paused", seconds=120)
    wait_for(lambda: by_id()[second]["state"] == "finished", seconds=120)
    assert by_id()[third]["state"] == "stopped"
    continued = core("resume", second, "--epochs", 3, "--wait")
    assert (continued["state"], continued["epochs"]) == ("finished", 3)
    assert "has 3 epochs" in error("resume", second, "--epochs", 3)
    assert "come to its end" in error("resume", second)
    assert core("resume", first)["state"] == "queued"
    assert core("stop", first, "--discard")["discarded"] is True
    wait_for(lambda: first not in by_id(), seconds=120)
    assert "no run" in error("resume", first)


@pytest.mark.training
def test_a_run_is_packed_and_unpacked_and_the_workspace_cleaned(finished_run: Run, tmp_path: Path) -> None:
    packed = core("pack", finished_run.run_id, "--output", tmp_path)
    assert Path(packed["path"]).stat().st_size == packed["bytes"]
    assert core("unpack", packed["path"])["test_accuracy"] == finished_run.score("test")
    assert "no folder" in error("pack", finished_run.run_id, "--output", tmp_path / "nothing" / "x.zip")
    assert "not a ZIP" in error("unpack", finished_run.folder / "config.json")
    usage = core("storage")
    assert usage["old_checkpoints_bytes"] > 0
    assert core("clean", "--checkpoints")["freed_bytes"] == usage["old_checkpoints_bytes"]
    assert core("storage")["checkpoints_bytes"] == 0
    assert "no checkpoint any more" in error("resume", finished_run.run_id, "--epochs", 9)
    assert core("clean")["freed_bytes"] >= 0
