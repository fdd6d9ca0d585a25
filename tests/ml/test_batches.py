"""Batches as TensorFlow gives them."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from core.settings import PROJECT

pytestmark = [pytest.mark.training, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What a process with TensorFlow has seen of batches."""
    command = [sys.executable, "-m", "tests.ml.reference_batches"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=110)
    assert result.returncode == 0, result.stderr[-2000:]
    return dict(json.loads(result.stdout.splitlines()[-1]))


def test_nothing_is_tuned_because_a_phase_would_wait_for_it_at_its_end(seen: dict[str, Any]) -> None:
    assert seen["tuned"] == [False, False]


def test_every_epoch_has_all_pictures(seen: dict[str, Any]) -> None:
    assert seen["sizes"] == [5, 5, 2] * 2


def test_pictures_have_as_many_channels_as_the_network_wants(seen: dict[str, Any]) -> None:
    assert seen["channels"] == {"usual": [3], "grey": [1], "coloured": [3], "mixed": [1, 3]}


def test_one_channel_has_what_is_in_each_of_three(seen: dict[str, Any]) -> None:
    assert seen["same"]


def test_epochs_learn_from_the_views_in_turn_and_each_is_prepared_before_its_first(seen: dict[str, Any]) -> None:
    features = seen["features"]
    assert features["prepared"] == [0, 1, 2]
    assert features["stretches"] == [[3, 3], [4, 4], [5, 6]], "what is there already is fitted in one go"
    assert features["views"] == [[0]] * 3 + [[1]] * 3 + [[2]] * 3 + [[0]] * 3
    assert features["validation"] == [-1]


def test_a_rate_that_falls_on_a_plateau_does_so_over_stretches_too(seen: dict[str, Any]) -> None:
    at_once, in_stretches = seen["rates"]
    assert at_once == in_stretches
    assert at_once[0] == 1.0 > at_once[-1]


def test_between_epochs_the_whole_runs_progress_is_told_and_its_time_left_falls(seen: dict[str, Any]) -> None:
    first, second = seen["between"]
    assert first["message"] == "Computing backbone features (4 of 12)"
    assert (second["epoch"], second["epochs"], second["batch"], second["batches"]) == (6, 9, 3, 3)
    assert first["seconds_left"] > second["seconds_left"] > 15
