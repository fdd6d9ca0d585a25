"""Real trainings of tiny networks in real worker processes."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.config import RunConfig, make_config
from core.control import repeat_run, resume_run, start_run, stop_run
from core.datasets import Dataset, read_dataset, read_manifest
from core.estimate import estimate_run
from core.evaluation import SCORED, read_predictions
from core.files import read_json
from core.history import FIELDS, read_history
from core.importing import create_import, run_import
from core.prediction import load_classifier
from core.run_making import create_run
from core.runs import Run, read_log, read_run
from core.scans import load_scan
from core.settings import PROJECT
from core.trials import ensure_trial, store_format
from tests.core.test_importing import wait_for

pytestmark = pytest.mark.training


def run_to_end(dataset: Dataset, architecture: str, **changes: object) -> Run:
    """Train in a worker and wait for its end."""
    run = start_run(dataset, make_config(dataset, architecture, changes))
    wait_for(lambda: not read_run(run.run_id).status.is_alive, seconds=200)
    return read_run(run.run_id)


def test_a_finished_run_folder_holds_what_the_contract_promises(finished_run: Run) -> None:
    assert finished_run.state == "finished"
    names = {path.name for path in finished_run.folder.iterdir()}
    promised = {
        "config.json", "notes.json", "labels.json", "train.log", "lock", "status.json", "history.csv", "model.keras",
        "model.onnx", "metrics.json", "predictions.csv",
    }  # fmt: skip
    assert promised <= names
    assert not any(name.startswith(".tmp") for name in names)
    header = (finished_run.folder / "history.csv").read_text().splitlines()[0]
    assert tuple(header.split(",")) == FIELDS
    history = read_history(finished_run.folder)
    assert [row["epoch"] for row in history] == [1, 2]
    assert all(row["elapsed"] >= row["seconds"] > 0 for row in history)
    config = read_json(finished_run.folder / "config.json")
    assert config is not None
    assert config["continued"] == []
    assert finished_run.status.pid != os.getpid()


def test_predictions_are_what_the_model_says_of_the_stored_pictures(finished_run: Run) -> None:
    dataset = read_dataset("tiny")
    classifier = load_classifier(finished_run)
    by_file = {picture.file: picture for picture in read_manifest(dataset)}
    for split in SCORED:
        predictions = read_predictions(finished_run, split)
        assert len(predictions.files) == dataset.n_in(split)
        scans = [load_scan(dataset.folder / by_file[file].stored) for file in predictions.files]
        one_by_one = np.concatenate([classifier.predict([scan]) for scan in scans])
        assert np.abs(one_by_one - predictions.y_prob).max() < 1e-6
        assert finished_run.score(split) == (predictions.y_pred == predictions.y_true).mean()


def test_a_repeated_run_has_bit_equal_weights_and_the_same_curve(finished_runs: list[Run]) -> None:
    finished_run, other = finished_runs
    repeated = repeat_run(finished_run.run_id)
    wait_for(lambda: not read_run(repeated.run_id).status.is_alive, seconds=200)
    repeated = read_run(repeated.run_id)
    assert repeated.state == "finished", read_log(repeated)
    assert repeated.metrics["weights_hash"] == finished_run.metrics["weights_hash"]
    assert repeated.metrics["repeats"] == {"run": finished_run.run_id, "equal": True}
    learned = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    first, again = (
        [[row[name] for name in learned] for row in read_history(run.folder)] for run in (finished_run, repeated)
    )
    assert first == again
    for name in ("number_format", "threads", "tensorflow", "dataset_fingerprint", "devices"):
        assert repeated.environment[name] == finished_run.environment[name]
    assert other.metrics["weights_hash"] != finished_run.metrics["weights_hash"]
    assert other.metrics["repeats"] is None


def test_a_dry_run_measures_both_formats_once_and_a_run_takes_the_faster_one(
    tiny_dataset: Dataset,
) -> None:
    config = make_config(tiny_dataset, "compact_cnn", {"epochs": 1, "image_size": 32})
    trial = ensure_trial(config, lambda *_: None)
    assert set(trial.formats) == {"float32", "mixed_bfloat16"}
    assert trial.number_format == max(trial.formats, key=lambda name: trial.formats[name])
    assert estimate_run(tiny_dataset, config, trial).seconds > trial.start_seconds
    store_format("compact_cnn", {"float32": 1.0, "mixed_bfloat16": 2.0})  # whichever it was: what is stored decides
    run = run_to_end(tiny_dataset, "compact_cnn", epochs=1, image_size=32)
    assert run.state == "finished", read_log(run)
    assert run.config.number_format == run.environment["number_format"] == "mixed_bfloat16"
    assert load_classifier(run).predict([np.zeros((32, 32), np.uint8)]).dtype == np.float32


def test_several_devices_learn_each_batch_together(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(tiny_dataset, make_config(tiny_dataset, "compact_cnn", {"epochs": 2, "image_size": 32}))
    command = [sys.executable, "-m", "tests.ml.reference_devices", str(run.folder)]
    for n_epochs in (2, 3):  # and go on from a checkpoint
        result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=200)
        assert result.returncode == 0, result.stdout[-3000:]
        assert "replicas 2" in result.stdout
        trained = read_run(run.run_id)
        assert (trained.state, len(read_history(run.folder))) == ("finished", n_epochs)
        monkeypatch.setattr("core.control.launch", lambda *_: None)
        if n_epochs == 2:
            resume_run(run.run_id, epochs=3)


def test_mobilenet_from_imagenet_weights_runs_both_phases(
    tiny_dataset: Dataset, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_PRETRAINED", str(test_data / "pretrained"))
    run = run_to_end(tiny_dataset, "mobilenet_v2", epochs=3, augmented_views=1)
    assert run.state == "finished", read_log(run)
    history = read_history(run.folder)
    assert [row["phase"] for row in history] == ["head", "fine-tuning", "fine-tuning"]
    assert len({row["val_loss"] for row in history}) == 3, "each phase must learn"


def test_without_room_for_a_cache_the_result_is_a_model_too(
    tiny_dataset: Dataset, test_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_PRETRAINED", str(test_data / "pretrained"))
    monkeypatch.setenv("STUDIO_MAX_CACHE_MB", "0")
    run = run_to_end(tiny_dataset, "mobilenet_v2", epochs=2)
    assert run.state == "finished", read_log(run)
    assert [row["phase"] for row in read_history(run.folder)] == ["head", "fine-tuning"]


def test_a_run_can_start_from_an_earlier_one(finished_run: Run) -> None:
    run = run_to_end(read_dataset("tiny"), "custom_cnn", weights=finished_run.run_id, epochs=1)
    assert run.state == "finished", read_log(run)
    assert f"Weights from run {finished_run.run_id}: 5 layers. The head is kept." in read_log(run)
    assert run.metrics["initial_weights"]["head"] == "kept"


def test_batch_normalisation_arrives_within_few_steps_and_a_run_lends_its_weights_to_other_classes(
    make_zip: Callable[..., Path],
) -> None:
    """Classes that differ in brightness alone: who learns them on train knows them on validation, or BatchNorm lags."""
    first = run_to_end(brightness_set(make_zip, "abcd"), "compact_cnn", epochs=10, batch_size=8, augment=False)
    assert first.state == "finished", read_log(first)
    assert (first.score("validation") or 0) > 0.9
    second = run_to_end(brightness_set(make_zip, "abc"), "compact_cnn", epochs=1, weights=first.run_id)
    assert second.state == "finished", read_log(second)
    started = second.metrics["initial_weights"]
    assert (started["source"], started["head"]) == (first.run_id, "new")
    assert "4 classes apart, this data set has 3" in started["note"]
    assert started["note"] in read_log(second)
    assert second.metrics["class_weights"] is None


def brightness_set(make_zip: Callable[..., Path], labels: str) -> Dataset:
    """Sixteen noisy pictures a class, each class brighter than the one before."""
    rng = np.random.default_rng(3)
    members = {}
    for at, label in enumerate(labels):
        for number in range(16):
            buffer = io.BytesIO()
            pixels = rng.normal(40 + 55 * at, 8, (64, 64)).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(buffer, "PNG")
            members[f"{label}/{number}.png"] = buffer.getvalue()
    return run_import(create_import(path=make_zip(members, f"{labels}.zip"), name=labels))


def test_stop_ends_training_after_the_current_batch_and_keeps_a_model(tiny_dataset: Dataset) -> None:
    run = start_run(tiny_dataset, make_config(tiny_dataset, "custom_cnn", {"epochs": 200, "patience": 0}))
    wait_for(lambda: len(read_history(run.folder)) >= 1, seconds=120)
    stop_run(run.run_id)
    wait_for(lambda: not read_run(run.run_id).status.is_alive, seconds=120)
    stopped = read_run(run.run_id)
    assert stopped.state == "stopped"
    assert stopped.has_scores
    assert len(read_history(run.folder)) < 200
    assert stopped.metrics["best_epoch"] <= len(read_history(run.folder))


def test_a_run_stopped_before_its_first_epoch_ends_keeps_its_last_weights(tiny_dataset: Dataset) -> None:
    run = start_run(tiny_dataset, make_config(tiny_dataset, "custom_cnn", {"epochs": 5}))
    wait_for(lambda: read_run(run.run_id).status.message == "Building the network", seconds=120)
    stop_run(run.run_id)
    wait_for(lambda: not read_run(run.run_id).status.is_alive, seconds=120)
    stopped = read_run(run.run_id)
    assert (stopped.state, stopped.has_scores) == ("stopped", True)
    assert stopped.metrics["best_epoch"] is None
    assert stopped.score("test") is not None


def test_a_killed_worker_reads_as_interrupted_and_the_next_run_starts(tiny_dataset: Dataset) -> None:
    config = make_config(tiny_dataset, "custom_cnn", {"epochs": 100, "patience": 0})
    first = start_run(tiny_dataset, config)
    wait_for(lambda: read_run(first.run_id).state == "running")
    second = start_run(tiny_dataset, config)
    wait_for(lambda: read_run(second.run_id).status.pid is not None)
    time.sleep(1)
    assert read_run(second.run_id).state == "queued"
    os.kill(read_run(first.run_id).status.pid or 0, signal.SIGKILL)
    wait_for(lambda: read_run(first.run_id).state == "interrupted", seconds=10)
    wait_for(lambda: read_run(second.run_id).state == "running", seconds=10)
    os.kill(read_run(second.run_id).status.pid or 0, signal.SIGKILL)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda dataset, config: (dataset.folder / "manifest.csv").write_text("file\n"), "damaged"),
        (
            lambda dataset, config: next((dataset.folder / "images").iterdir()).write_bytes(b"x"),
            "not a readable|not a picture",
        ),
    ],
)
def test_a_failed_run_says_in_one_line_why(
    tiny_dataset: Dataset, spoil: Callable[[Dataset, RunConfig], object], words: str
) -> None:
    config = make_config(tiny_dataset, "custom_cnn", {"epochs": 1})
    spoil(tiny_dataset, config)
    run = start_run(tiny_dataset, config)
    wait_for(lambda: not read_run(run.run_id).status.is_alive, seconds=120)
    failed = read_run(run.run_id)
    assert failed.state == "failed"
    assert re.search(words, failed.status.error or ""), failed.status.error
    assert "\n" not in (failed.status.error or "")
    assert "Traceback" not in read_log(failed)
