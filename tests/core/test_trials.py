"""Dry runs: alone on the machine, kept by what they depend on. What they measure is in tests/ml."""

from __future__ import annotations

from pathlib import Path

import pytest

from core import jobs
from core.config import make_config
from core.datasets import Dataset
from core.errors import TrialError
from core.files import write_json
from core.ml.trial import TrialStopped
from core.ml.trial import main as measure
from core.runs import RunStopped
from core.slots import is_slot_free, take_free_slot
from core.trials import (
    ensure_trial,
    forget_trial,
    freeze_number_format,
    read_formats,
    start_trial,
    store_format,
    trial_folder,
)


def quietly(*_: object) -> None:
    """A report to nobody."""


def test_a_dry_run_gives_way_to_a_training(tiny_dataset: Dataset, workspace: Path) -> None:
    folder = workspace / "trial"
    folder.mkdir()
    config = make_config(tiny_dataset, "custom_cnn", {})
    write_json(folder / "request.json", {"config": config.model_dump(), "has_slot": False})
    jobs.write_queued(folder)
    with take_free_slot(workspace / "models") as is_ours:
        assert is_ours
        assert not is_slot_free(workspace / "models")
        with pytest.raises(TrialStopped, match="under way"):
            measure(folder)
    assert is_slot_free(workspace / "models")
    status = jobs.read_status(folder)
    assert status.state == "stopped"
    assert "too low" in (status.error or "")
    assert not (folder / "result.json").exists()


def test_auto_and_the_format_that_it_stands_for_are_one_trial(tiny_dataset: Dataset) -> None:
    def folder(**changes: object) -> Path:
        return trial_folder(make_config(tiny_dataset, "custom_cnn", changes))

    store_format("custom_cnn", {"float32": 1.0, "mixed_bfloat16": 2.0})
    assert folder() == folder(number_format="mixed_bfloat16") == folder(epochs=3, seed=7, learning_rate=0.5)
    others = [folder(number_format="float32"), folder(batch_size=4), folder(image_size=64), folder(dense_units=16)]
    assert len({folder(), *others}) == 5


def test_the_stored_format_is_frozen_and_a_short_run_is_not_worth_a_measurement(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_AUTO_TRIALS", "1")
    monkeypatch.setattr("core.trials.launch", lambda *_: pytest.fail("measured"))
    config = make_config(tiny_dataset, "custom_cnn", {"epochs": 2})
    assert freeze_number_format(config, 100, quietly).number_format == "float32"
    store_format("custom_cnn", {"float32": 1.0, "mixed_bfloat16": 2.0})
    assert freeze_number_format(config, 100, quietly).number_format == "mixed_bfloat16"
    forced = config.model_copy(update={"number_format": "float32"})
    assert freeze_number_format(forced, 100, quietly) == forced
    forget_trial(config)
    assert read_formats() == {}


def test_a_trial_that_dies_is_an_error_in_words_and_a_run_does_without(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_AUTO_TRIALS", "1")

    def launch(module: str, folder: Path, log: str) -> None:
        jobs.Job(folder).end("failed", error="There was not enough memory.")

    monkeypatch.setattr("core.trials.launch", launch)
    config = make_config(tiny_dataset, "custom_cnn", {"epochs": 500})
    with pytest.raises(TrialError, match="not enough memory"):
        ensure_trial(config, quietly)
    assert freeze_number_format(config, 10_000, quietly).number_format == "float32"


def test_stopping_a_run_stops_the_trial_that_it_waits_for(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.trials.launch", lambda *_: None)
    config = make_config(tiny_dataset, "custom_cnn", {})

    def stop(*_: object) -> None:
        raise RunStopped("stopped")

    with pytest.raises(RunStopped):
        ensure_trial(config, stop)
    assert (trial_folder(config) / "stop").exists()


def test_whoever_waits_for_a_dry_run_is_told_how_far_it_is(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_dataset, "custom_cnn", {})
    monkeypatch.setattr("core.trials.launch", lambda *_: None)
    seen: list[tuple[object, ...]] = []

    def end(*told: object) -> None:
        seen.append(told)
        raise RunStopped

    folder = start_trial(config)
    with jobs.hold(folder) as job:
        job.begin("Measuring this machine")
        job.report("Measuring number formats", done=1, total=3)
        with pytest.raises(RunStopped):
            ensure_trial(config, end)
        job.end("stopped")
    assert seen == [("Measuring this machine", 1, 3)]
