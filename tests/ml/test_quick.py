"""Quick networks do what the plain ones do."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from core.settings import PROJECT

pytestmark = [pytest.mark.training, pytest.mark.timeout(200)]
NETWORKS = ("custom_cnn", "compact_cnn", "mobilenet_v2", "densenet121")
each_network = pytest.mark.parametrize("key", NETWORKS)


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """What a process with TensorFlow has seen of quick networks."""
    command = [sys.executable, "-m", "tests.ml.reference_quick"]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=190)
    assert result.returncode == 0, result.stderr[-2000:]
    return dict(json.loads(result.stdout.splitlines()[-1]))


@each_network
def test_outputs_and_gradients_are_the_same(key: str, seen: dict[str, Any]) -> None:
    assert seen[key]["output"] < 2e-6
    assert seen[key]["gradient"] < 1e-4


@each_network
def test_the_variables_are_the_same_objects_in_the_same_order(key: str, seen: dict[str, Any]) -> None:
    assert seen[key]["shared"]
    assert all(seen[key]["shared"])


@each_network
def test_bfloat16_is_about_as_exact_as_without(key: str, seen: dict[str, Any]) -> None:
    plain, quick = seen[key]["bfloat16"]
    assert quick[0] < 2 * plain[0] + 1e-3
    assert quick[1] < 2 * plain[1]


@pytest.mark.parametrize("key", ["mobilenet_v2", "densenet121"])
def test_of_a_backbone_only_the_products_are_short(key: str, seen: dict[str, Any]) -> None:
    assert seen[key]["short"] == ["Conv2D"]


def test_grey_pictures_may_have_one_channel_where_a_network_sees_them_directly(seen: dict[str, Any]) -> None:
    assert seen["custom_cnn"]["inputs"] == seen["compact_cnn"]["inputs"] == [96, 96, None]
    assert seen["channels"] == 3


@pytest.mark.parametrize("key", ["custom_cnn", "compact_cnn"])
def test_coloured_pictures_are_learned_as_by_the_plain_network(key: str, seen: dict[str, Any]) -> None:
    assert seen[key]["coloured"] < 1e-4


@pytest.mark.parametrize("key", ["mobilenet_v2", "densenet121"])
def test_frozen_batch_normalisation_is_folded(key: str, seen: dict[str, Any]) -> None:
    before, after = seen[key]["n_layers"]
    assert after < before


def test_several_devices_learn_the_plain_network(seen: dict[str, Any]) -> None:
    assert seen["alone"]
