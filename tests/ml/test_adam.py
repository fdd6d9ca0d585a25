"""Our Adam is Keras' Adam."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from core.settings import PROJECT

pytestmark = [pytest.mark.training, pytest.mark.timeout(200)]


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What a process with TensorFlow has seen of both: constant rate, schedule with decay, bfloat16 with decay."""
    command = [sys.executable, "-m", "tests.ml.reference_adam"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=190)
    assert result.returncode == 0, result.stderr[-2000:]
    return dict(json.loads(result.stdout.splitlines()[-1]))


def test_after_several_steps_all_is_as_with_keras(seen: dict[str, Any]) -> None:
    assert [case["kinds"] for case in seen["cases"]] == [["FastAdam", "Adam"], *[["FastAdamW", "AdamW"]] * 2]
    assert max(case["difference"] for case in seen["cases"]) < 1e-5


def test_its_variables_are_those_of_keras(seen: dict[str, Any]) -> None:
    assert all(case["same_layout"] for case in seen["cases"])


def test_it_goes_on_from_variables_that_were_kept_as_arrays(seen: dict[str, Any]) -> None:
    assert seen["restored"] == 0.0


def test_several_devices_have_keras_own(seen: dict[str, Any]) -> None:
    assert seen["several"] == "Adam"
