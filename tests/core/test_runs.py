"""Run folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from core import jobs
from core.catalog import ARCHITECTURES
from core.config import BEFORE_THEY_WERE_SETTINGS, make_config
from core.control import delete_run, stop_run
from core.datasets import Dataset
from core.errors import DatasetError, RunError, StudioError, WeightsError
from core.files import read_json, write_json
from core.history import append_epoch, read_history
from core.run_making import create_run, freeze_config
from core.runs import Run, describe_run, list_runs, read_log, read_run
from core.settings import read_settings
from core.weights import find_imagenet_weights
from core.workspace import delete, delete_dataset
from tests.conftest import epoch_row

MakeRun = Callable[..., Run]


def test_a_new_run_is_queued_with_frozen_settings(tiny_dataset: Dataset) -> None:
    run = create_run(tiny_dataset, make_config(tiny_dataset, "custom_cnn", {"epochs": 3}), "Mine")
    assert (run.state, run.name, run.config.epochs) == ("queued", "Mine", 3)
    assert {path.name for path in run.folder.iterdir()} == {"config.json", "notes.json", "labels.json", "status.json"}
    assert [entry.run_id for entry in list_runs()] == [run.run_id]


def test_a_half_written_last_line_of_a_history_is_left_out(make_run: MakeRun) -> None:
    run = make_run()
    append_epoch(run.folder, epoch_row(1))
    append_epoch(run.folder, epoch_row(2))
    path = run.folder / "history.csv"
    path.write_text(path.read_text()[:-20])
    assert [row["epoch"] for row in read_history(run.folder)] == [1]


def test_a_running_run_can_be_stopped_but_not_deleted(running_run: Run) -> None:
    with pytest.raises(RunError, match="Stop it first"):
        delete_run(running_run.run_id)
    assert stop_run(running_run.run_id).state == "stopping"


def test_an_ended_run_can_be_deleted_but_not_stopped(failed_run: Run) -> None:
    with pytest.raises(RunError, match="nothing to stop"):
        stop_run(failed_run.run_id)
    delete_run(failed_run.run_id)
    assert list_runs() == []
    assert list(read_settings().models.iterdir()) == []


def test_a_data_set_is_kept_while_runs_need_it(failed_run: Run) -> None:
    with pytest.raises(DatasetError, match="needed by 1 run"):
        delete_dataset("tiny")
    assert delete(failed_run.run_id) == {"deleted": failed_run.run_id, "kind": "run"}
    assert delete("tiny") == {"deleted": "tiny", "kind": "dataset"}
    with pytest.raises(StudioError, match="neither"):
        delete("tiny")


@pytest.mark.parametrize("run_id", ["nothing", "..", "../data/tiny", "pretrained", ""])
def test_a_run_that_is_not_there_is_told(make_run: MakeRun, run_id: str) -> None:
    make_run()
    with pytest.raises(RunError, match="no run"):
        read_run(run_id)


def test_a_folder_with_damaged_settings_is_no_run(make_run: MakeRun) -> None:
    run = make_run()
    (run.folder / "config.json").write_text("{")
    assert list_runs() == []


def test_a_run_with_damaged_scores_does_not_keep_the_others_from_being_listed(make_run: MakeRun) -> None:
    run = make_run("finished")
    stored = read_json(run.folder / "config.json") or {}
    for asked, metrics in (([], {"test": 5}), (None, {"test": {"accuracy": "high"}}), ({}, {"test": None})):
        write_json(run.folder / "config.json", stored | {"asked": asked})
        write_json(run.folder / "metrics.json", metrics)
        (found,) = list_runs()
        assert describe_run(found)["test_accuracy"] is None
        assert found.asked_config == found.config


def test_a_killed_run_is_interrupted(make_run: MakeRun) -> None:
    run = make_run("running", pid=1)
    assert run.state == "interrupted"
    assert describe_run(run)["state"] == "interrupted"
    assert not run.status.is_alive


def test_weights_are_looked_for_in_a_fixed_order(
    tiny_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    architecture = ARCHITECTURES["mobilenet_v2"]
    config = make_config(tiny_dataset, "mobilenet_v2", {})
    with pytest.raises(WeightsError, match="random weights"):
        create_run(tiny_dataset, config)
    assert list_runs() == []
    places = [tmp_path / "keras" / "models", read_settings().models / "pretrained", tmp_path / "mine"]
    monkeypatch.setenv("STUDIO_PRETRAINED", str(places[2]))
    for folder, place in zip(places, ("Keras", "models/pretrained", "STUDIO_PRETRAINED"), strict=True):
        folder.mkdir(parents=True)
        (folder / architecture.weights_files[0]).write_bytes(b"x")
        found = find_imagenet_weights(architecture)
        assert found is not None
        assert place in found.place


def test_a_run_lends_its_weights_only_to_its_own_architecture(finished_run: Run, workspace: Path) -> None:
    from core.datasets import read_dataset

    dataset = read_dataset("tiny")
    create_run(dataset, make_config(dataset, "custom_cnn", {"weights": finished_run.run_id}))
    with pytest.raises(RunError, match="cannot lend"):
        create_run(dataset, make_config(dataset, "mobilenet_v2", {"weights": finished_run.run_id}))


def test_the_best_run_is_of_the_real_data_set_trained_on_last(
    make_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from core.runs import best_run

    monkeypatch.setattr(Run, "has_scores", True)
    runs = []
    for at, (dataset_id, synthetic, accuracy) in enumerate(
        [("real", False, 0.9), ("real", False, 0.8), ("sample", True, 1.0), ("older", False, 0.99)]
    ):
        run = make_run("finished", queued_at=float(-at))
        metrics = {"synthetic": synthetic, "validation": {"accuracy": accuracy}}
        runs.append(replace(run, config=run.config.model_copy(update={"dataset_id": dataset_id}), metrics=metrics))
    assert best_run(runs) is runs[0]
    assert best_run(runs[2:3]) is runs[2]
    assert best_run([]) is None


def test_the_log_leaves_out_what_libraries_say_of_themselves(make_run: MakeRun) -> None:
    run = make_run()
    chatter = [
        "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR",
        "I0000 00:00:1795804671.170302   19302 port.cc:153] oneDNN custom operations are on.",
        "E0000 00:00:1795805911.215761   25552 cuda_platform.cc:52] failed call to cuInit",
        "2026-11-27 18:00:01.123456: I tensorflow/core/util/port.cc:153] oneDNN custom operations are on.",
    ]
    ours = ["18:38:06 Backbone features: 3 views", "18:39:24 Phase head", "Interrupted by E0000"]
    (run.folder / "train.log").write_text("\n".join([*chatter, *ours]))
    assert read_log(run).splitlines() == ours
    assert read_log(run, 1).splitlines() == ours[-1:]


def test_the_status_has_what_the_contract_promises(running_run: Run) -> None:
    import json

    status = json.loads((running_run.folder / "status.json").read_text())
    assert {"state", "pid", "pid_started", "updated"} <= set(status)
    assert jobs.is_locked(running_run.folder)


def test_what_a_worker_decides_is_frozen_and_what_was_asked_for_is_remembered(make_run: Callable[..., Run]) -> None:
    run = make_run("running")
    for change in ({"number_format": "mixed_bfloat16"}, {"augmented_views": 1}):
        run = freeze_config(run, run.config.model_copy(update=change))
    assert (run.config.number_format, run.config.augmented_views) == ("mixed_bfloat16", 1)
    assert (run.asked_config.number_format, run.asked_config.augmented_views) == ("auto", 2)
    assert freeze_config(run, run.config) == run


def test_a_run_from_before_a_setting_existed_reads_as_what_it_did(make_run: Callable[..., Run]) -> None:
    run = make_run("failed")
    stored = read_json(run.folder / "config.json")
    assert stored is not None
    for name in BEFORE_THEY_WERE_SETTINGS:
        del stored[name]
    write_json(run.folder / "config.json", stored)
    config = read_run(run.run_id).config
    assert (config.label_smoothing, config.number_format) == (0.0, "float32")
