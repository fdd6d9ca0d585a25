"""Trainings that are interrupted, paused, continued: nothing is lost, and nothing comes out differently."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from core.config import make_config
from core.control import delete_run, resume_run, start_run, stop_run
from core.datasets import Dataset
from core.files import read_json
from core.history import read_history
from core.jobs import DISCARD, PAUSE
from core.runs import Run, list_runs, read_log, read_run
from core.settings import read_settings
from tests.core.test_importing import wait_for
from tests.ml.test_training import run_to_end

pytestmark = pytest.mark.training
LEARNED = ("epoch", "phase", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
SMALL: dict[str, object] = {"epochs": 8, "image_size": 64, "dense_units": 16, "batch_size": 4}


def begin(dataset: Dataset, architecture: str = "custom_cnn", **changes: object) -> Run:
    """Start a run whose epochs take long enough to be interrupted."""
    return start_run(dataset, make_config(dataset, architecture, SMALL | changes))


def wait_for_epoch(run: Run, epoch: int) -> None:
    """Wait until an epoch is announced."""
    end = time.time() + 120
    while len(read_history(run.folder)) < epoch:
        assert read_run(run.run_id).status.is_alive, read_log(run)
        assert time.time() < end, read_log(run)
        time.sleep(0.01)


def kill(run: Run) -> Run:
    """End a run's worker by force, as a reboot would."""
    os.kill(read_run(run.run_id).status.pid or 0, signal.SIGKILL)
    wait_for(lambda: read_run(run.run_id).state == "interrupted", seconds=10)
    return read_run(run.run_id)


def wait_for_end(run: Run) -> Run:
    """Wait for the end, and read the run again."""
    wait_for(lambda: not read_run(run.run_id).status.is_alive, seconds=200)
    return read_run(run.run_id)


@dataclass(frozen=True)
class Outcome:
    """What a training has come to."""

    curve: list[list[object]]
    weights: str
    best_epoch: int


_undisturbed: dict[str, Outcome] = {}


def undisturbed(dataset: Dataset, architecture: str = "custom_cnn", **changes: object) -> Outcome:
    """What these settings come to when nothing gets in the way: trained once for all tests, whose data is the same."""
    key = repr((architecture, sorted(changes.items()), dataset.fingerprint))
    if key not in _undisturbed:
        run = run_to_end(dataset, architecture, **changes)
        assert run.state == "finished", read_log(run)
        _undisturbed[key] = outcome(run)
        delete_run(run.run_id)
    return _undisturbed[key]


def outcome(run: Run) -> Outcome:
    """What a finished training has come to."""
    curve = [[row[name] for name in LEARNED] for row in read_history(run.folder)]
    return Outcome(curve, run.metrics["weights_hash"], run.metrics["best_epoch"])


def assert_same(run: Run, expected: Outcome) -> None:
    """It has learned the same, bit for bit."""
    assert run.state == "finished", read_log(run)
    assert outcome(run) == expected


@pytest.mark.parametrize(
    "changes",
    [{"schedule": "plateau", "patience": 3, "epochs": 12}, {"schedule": "cosine", "weight_decay": 0.01}],
    ids=["plateau and patience", "cosine"],
)
def test_a_killed_training_goes_on_to_the_same_weights(tiny_dataset: Dataset, changes: dict[str, object]) -> None:
    expected = undisturbed(tiny_dataset, **SMALL | changes)
    run = begin(tiny_dataset, **changes)
    wait_for_epoch(run, 2)
    kill(run)
    rows = len(read_history(run.folder))
    (run.folder / "checkpoints" / ".tmp-1-1-0009.npz").write_bytes(b"half written")
    resume_run(run.run_id)
    wait_for_epoch(run, min(rows + 2, len(expected.curve) - 1))
    if read_run(run.run_id).status.is_alive:
        kill(run)  # a second time, in what was resumed
        resume_run(run.run_id)
    assert_same(wait_for_end(run), expected)
    elapsed = [row["elapsed"] for row in read_history(run.folder)]
    assert elapsed == sorted(elapsed), "time goes on, too"
    assert not list(run.folder.rglob(".tmp-*"))


def test_a_paused_training_leaves_the_machine_to_the_next_and_goes_on_to_the_same_weights(
    tiny_dataset: Dataset,
) -> None:
    expected = undisturbed(tiny_dataset, **SMALL)
    run = begin(tiny_dataset)
    wait_for_epoch(run, 2)
    stop_run(run.run_id, PAUSE)
    paused = wait_for_end(run)
    assert (paused.state, paused.has_scores) == ("paused", False)
    resume_run(run.run_id)
    assert_same(wait_for_end(run), expected)


@pytest.mark.parametrize("phase", ["head", "fine-tuning"])
def test_mobilenet_goes_on_in_both_phases_also_when_its_cache_and_its_starting_weights_are_gone(
    tiny_dataset: Dataset, test_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phase: str
) -> None:
    weights = tmp_path / "pretrained"
    shutil.copytree(test_data / "pretrained", weights)
    monkeypatch.setenv("STUDIO_PRETRAINED", str(weights))
    settings: dict[str, object] = {"epochs": 6, "head_epochs": 3, "augmented_views": 1, "batch_size": 4}
    expected = undisturbed(tiny_dataset, "mobilenet_v2", **settings)
    run = start_run(tiny_dataset, make_config(tiny_dataset, "mobilenet_v2", settings))
    wait_for_epoch(run, 1 if phase == "head" else 4)
    kill(run)
    if phase == "head":
        shutil.rmtree(read_settings().cache)  # its features can be made again from what its checkpoint holds
    shutil.rmtree(weights)
    resume_run(run.run_id)
    ended = wait_for_end(run)
    assert_same(ended, expected)
    assert "gone or changed" in read_log(ended, 200)


def test_a_discarded_training_leaves_nothing(tiny_dataset: Dataset) -> None:
    run = begin(tiny_dataset, epochs=300)
    wait_for_epoch(run, 1)
    stop_run(run.run_id, DISCARD)
    wait_for(lambda: not run.folder.exists(), seconds=60)
    assert list_runs() == []


def test_a_finished_run_is_continued_and_keeps_its_model_until_the_new_one_is_there(tiny_dataset: Dataset) -> None:
    run = run_to_end(tiny_dataset, "custom_cnn", **SMALL | {"epochs": 3})
    before = read_history(run.folder)
    resume_run(run.run_id, epochs=8)
    assert read_run(run.run_id).has_scores, "it can still be used"
    wait_for_epoch(run, 5)
    kill(run)
    resume_run(run.run_id)
    continued = wait_for_end(run)
    assert continued.state == "finished", read_log(continued)
    history = read_history(run.folder)
    assert history[:3] == before
    assert [row["epoch"] for row in history] == list(range(1, 9))
    stored = read_json(run.folder / "config.json") or {}
    assert ([entry["epochs"] for entry in stored["continued"]], stored["epochs"]) == ([5], 3)
    assert continued.metrics["epochs"] == 8


def test_a_stopped_run_is_resumed_for_the_rest_of_its_plan(tiny_dataset: Dataset) -> None:
    expected = undisturbed(tiny_dataset, **SMALL)
    run = begin(tiny_dataset)
    wait_for_epoch(run, 1)
    stop_run(run.run_id)
    stopped = wait_for_end(run)
    assert (stopped.state, stopped.has_scores) == ("stopped", True)
    assert len(read_history(run.folder)) < 8
    resume_run(run.run_id)
    assert_same(wait_for_end(run), expected)


def test_an_interrupted_run_can_be_finished_with_what_it_has_learned(tiny_dataset: Dataset) -> None:
    run = begin(tiny_dataset, epochs=300)
    wait_for_epoch(run, 2)
    interrupted = kill(run)
    n_epochs = len(read_history(run.folder))
    assert not interrupted.has_scores
    stop_run(run.run_id)
    stopped = wait_for_end(run)
    assert (stopped.state, stopped.has_scores) == ("stopped", True), read_log(stopped)
    assert len(read_history(run.folder)) == n_epochs


def test_without_any_checkpoint_there_is_nothing_to_finish_but_it_can_begin_anew(tiny_dataset: Dataset) -> None:
    expected = undisturbed(tiny_dataset, **SMALL)
    run = begin(tiny_dataset)
    wait_for_epoch(run, 2)
    kill(run)
    for path in (run.folder / "checkpoints").glob("*.npz"):
        path.write_bytes(b"x")
    stop_run(run.run_id)
    failed = wait_for_end(run)
    assert (failed.state, failed.has_scores) == ("failed", False)
    assert "None of its checkpoints can be read" in (failed.status.error or "")
    resume_run(run.run_id)
    assert_same(wait_for_end(run), expected)


def test_a_worker_that_hangs_is_ended_and_its_best_model_kept(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDIO_STOP_GRACE", "2")
    run = begin(tiny_dataset, epochs=300)
    wait_for_epoch(run, 2)
    hanging = read_run(run.run_id).status.pid or 0
    os.kill(hanging, signal.SIGSTOP)
    assert stop_run(run.run_id).state == "stopping"
    wait_for(lambda: read_run(run.run_id).state == "stopped", seconds=60)
    stopped = read_run(run.run_id)
    assert stopped.has_scores, read_log(stopped)
    assert stopped.status.pid != hanging
    assert len(read_history(run.folder)) < 300


def spoil_small_files(folder: Path) -> None:
    """Cut off what can be made again, and take the lock away."""
    (folder / "history.csv").write_text("epoch,phase\n1,")
    (folder / "status.json").write_text('{"state": "runn')
    (folder / "lock").unlink()


def cut_off(folder: Path) -> None:
    """Cut the newest checkpoint off, and lose the history."""
    newest(folder).write_bytes(newest(folder).read_bytes()[:-1000])
    (folder / "history.csv").unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [(spoil_small_files, ""), (cut_off, "is damaged"), (lambda folder: flip_a_byte(newest(folder)), "is damaged")],
    ids=["small files", "checkpoint cut off and history gone", "bit flipped"],
)
def test_what_was_damaged_is_healed(tiny_dataset: Dataset, spoil: Callable[[Path], None], said: str) -> None:
    expected = undisturbed(tiny_dataset, **SMALL)
    run = begin(tiny_dataset)
    wait_for_epoch(run, 3)
    kill(run)
    spoil(run.folder)
    assert read_run(run.run_id).state == "interrupted"
    resume_run(run.run_id)
    ended = wait_for_end(run)
    assert_same(ended, expected)
    assert said in read_log(ended, 200)


def newest(folder: Path) -> Path:
    """The newest checkpoint of a run."""
    return max((folder / "checkpoints").glob("*.npz"))


def flip_a_byte(path: Path) -> None:
    """Change one byte in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
