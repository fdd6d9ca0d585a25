"""What the Train page says before a start, and how a run is repeated."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from core.config import make_config
from core.datasets import Dataset
from core.estimate import Estimate, estimate_run, seconds_beside
from core.features import Features
from core.files import write_json
from core.phases import plan_phases
from core.runs import Run, list_runs
from core.slots import take_free_slot
from core.trials import Trial, read_formats, store_format, trial_folder
from tests.pages.test_pages import open_page, words


def put_trial(dataset: Dataset) -> None:
    """The result of a dry run of the custom CNN."""
    formats = {"float32": 100.0, "mixed_bfloat16": 180.0}
    store_format("custom_cnn", formats)
    trial = Trial(
        "mixed_bfloat16", formats, 4.0, {"training": 180.0}, {"training": 500.0}, {"training": 1.0}, None, 1.0, 1536.0
    )
    folder = trial_folder(make_config(dataset, "custom_cnn", {}))
    folder.mkdir(parents=True)
    write_json(folder / "result.json", asdict(trial))


def test_without_a_dry_run_the_form_offers_one_and_starts_it(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr("core.trials.launch", lambda module, *_: started.append(module))
    app = open_page("pages/2_Train.py")
    assert started == [], "auto trials are off in tests"
    app.button(key="start_trial").click().run()
    assert started == ["core.ml.trial"]
    assert "dry run" in words(app)


def test_a_network_is_measured_by_itself_when_it_is_first_chosen(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_AUTO_TRIALS", "1")
    started: list[str] = []
    monkeypatch.setattr("core.trials.launch", lambda module, *_: started.append(module))
    open_page("pages/2_Train.py")
    assert started == ["core.ml.trial"]
    open_page("pages/2_Train.py")
    assert started == ["core.ml.trial"], "one that is under way is left alone"


def test_beside_a_training_nothing_is_measured(
    tiny_dataset: Dataset, workspace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_AUTO_TRIALS", "1")
    monkeypatch.setattr("core.trials.launch", lambda *_: pytest.fail("started"))
    with take_free_slot(workspace / "models"):
        app = open_page("pages/2_Train.py")
    assert "under way" in words(app)
    assert not [button for button in app.button if button.key == "start_trial"]


def test_what_was_measured_can_be_measured_again(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    put_trial(tiny_dataset)
    started: list[str] = []
    monkeypatch.setattr("core.trials.launch", lambda module, *_: started.append(module))
    app = open_page("pages/2_Train.py")
    app.button(key="measure_again").click().run()
    assert started == ["core.ml.trial"]
    assert read_formats() == {}
    assert "dry run" in words(app)


def test_too_little_room_for_features_is_told(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_config(tiny_dataset, "mobilenet_v2", {})
    speeds = {"head": 1000.0, "fine-tuning": 100.0}
    ones = dict.fromkeys(speeds, 1.0)
    trial = Trial("float32", {}, 4.0, speeds, speeds, ones, 200.0, 3.0, 1000.0, feature_bytes=2**20)
    n_train, n_validation = tiny_dataset.n_in("train"), tiny_dataset.n_in("validation")

    def estimate(megabytes: int) -> Estimate:
        monkeypatch.setenv("STUDIO_MAX_CACHE_MB", str(megabytes))
        return estimate_run(tiny_dataset, config, trial)

    enough, fewer, none = (estimate(n_validation + passes * n_train) for passes in (3, 2, 1))
    assert enough.note == ""
    assert "no room for more than 1 of 2 augmented views" in fewer.note
    assert "whole backbone" in none.note
    assert "Compute features" not in none.steps
    assert none.steps["Fine-tuning"] > fewer.steps["Fine-tuning"]


def test_views_count_at_their_own_speed_and_are_part_of_the_time_left(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tiny_dataset, "mobilenet_v2", {})
    speeds = {"head": 1000.0, "fine-tuning": 100.0}
    trial = Trial("float32", {}, 4.0, speeds, speeds, dict.fromkeys(speeds, 1.0), 200.0, 3.0, 1000.0, 2**10, 50.0)
    n_train, n_validation = tiny_dataset.n_in("train"), tiny_dataset.n_in("validation")
    expected = ((n_train + n_validation) / 200 + 2 * n_train / 50) / 0.9
    estimate = estimate_run(tiny_dataset, config, trial)
    assert estimate.steps["Compute features"] == pytest.approx(expected)
    monkeypatch.setattr("core.estimate.read_trial", lambda _: trial)
    features = cast(Features, SimpleNamespace(count_missing_views=lambda phase: 2 * n_train if phase.cut else 0))
    without, beside = (seconds_beside(tiny_dataset, config, plan_phases(config), known) for known in (None, features))
    assert without is not None
    assert beside == pytest.approx(without + 2 * n_train / 50 / 0.9)
    assert without == pytest.approx(estimate.steps["Fine-tuning"] + estimate.steps["Save and score"])


def test_the_estimate_tells_time_memory_and_number_format(tiny_dataset: Dataset) -> None:
    put_trial(tiny_dataset)
    app = open_page("pages/2_Train.py")
    shown = {metric.label: metric for metric in app.metric}
    assert shown["Memory"].value == "1.5 GB"
    assert shown["Number format"].value == "bfloat16"
    assert shown["Number format"].delta == "1.8× as fast"
    assert shown["Estimated time"].value.endswith((" s", " min"))
    assert "start 4 s" in words(app)
    before = shown["Estimated time"].value
    key = next(entry.key for entry in app.number_input if str(entry.key).endswith("_epochs"))
    app.number_input(key=key).set_value(500).run()
    assert next(metric.value for metric in app.metric if metric.label == "Estimated time") != before


def test_weights_that_are_yet_to_be_downloaded_are_no_error(tiny_dataset: Dataset) -> None:
    formats = {"float32": 100.0}
    store_format("mobilenet_v2", formats)
    config = make_config(tiny_dataset, "mobilenet_v2", {"weights": "imagenet-download"})
    speeds = {"head": 1000.0, "fine-tuning": 100.0}
    folder = trial_folder(config)
    folder.mkdir(parents=True)
    write_json(
        folder / "result.json",
        asdict(Trial("float32", formats, 4.0, speeds, speeds, dict.fromkeys(speeds, 1.0), 200.0, 3.0, 1000.0, 2**10)),
    )
    app = open_page("pages/2_Train.py")
    app.radio(key="architecture").set_value("mobilenet_v2").run()
    app.selectbox(key="weights_mobilenet_v2").set_value("imagenet-download").run()
    assert not app.error
    assert "compute features" in words(app)


def test_a_run_is_repeated_with_one_click(finished_run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, str]] = []
    monkeypatch.setattr("core.control.launch", lambda module, folder, log, environment: given.append(environment))
    app = open_page("pages/2_Train.py", "live", run=finished_run.run_id)
    app.button(key="repeat_run").click().run()
    repeated = next(run for run in list_runs() if run.repeat_of == finished_run.run_id)
    assert repeated.config == finished_run.config
    assert given == [{"STUDIO_THREADS": str(finished_run.environment["threads"])}]
