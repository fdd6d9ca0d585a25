"""What goes to ONNX is what was there before, also where tf2onnx has trouble."""

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
    """Largest difference to the network, by what happened."""
    command = [sys.executable, "-m", "tests.ml.reference_conversion"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=110)
    assert result.returncode == 0, result.stderr[-2000:]
    return dict(json.loads(result.stdout.splitlines()[-1]))


def test_a_converted_network_answers_as_before(seen: dict[str, Any]) -> None:
    assert seen["usual"] < 1e-6


def test_a_pass_that_fails_is_left_out(seen: dict[str, Any]) -> None:
    assert seen["failing pass"] < 1e-6


def test_memory_that_is_let_go_of_is_not_missed(seen: dict[str, Any]) -> None:
    assert seen["little memory"] < 1e-6
