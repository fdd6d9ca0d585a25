"""Every backbone against Keras: range of pixels, weight files, places to cut, heat maps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.catalog import ARCHITECTURES
from core.settings import PROJECT

pytestmark = [pytest.mark.training, pytest.mark.timeout(600)]
PRETRAINED = [entry for entry in ARCHITECTURES.values() if entry.has_backbone]
# The export of the others takes 20 s each and goes the same way; `python -m tests.ml.reference_backbones` does all.
EXPLAINED = ("mobilenet_v2", "efficientnet_v2_b0")
each_backbone = pytest.mark.parametrize("entry", PRETRAINED, ids=lambda entry: entry.key)


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a process with TensorFlow has seen of all backbones."""
    folder = tmp_path_factory.mktemp("pretrained")
    environment = os.environ | {"STUDIO_PRETRAINED": str(folder), "STUDIO_HOME": str(folder)}
    command = [sys.executable, "-m", "tests.ml.reference_backbones", str(folder), *EXPLAINED]
    result = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=580)
    assert result.returncode == 0, result.stderr[-2000:]
    return dict(json.loads(result.stdout.splitlines()[-1]))


@each_backbone
def test_weights_of_both_formats_give_what_keras_gives_for_its_own_preprocessing(
    entry: Any, seen: dict[str, Any]
) -> None:
    assert seen[entry.key]["difference"] < 1e-5


@each_backbone
def test_the_file_that_keras_downloads_is_found_again(entry: Any, seen: dict[str, Any]) -> None:
    assert seen[entry.key]["downloaded"] in entry.weights_files


@each_backbone
def test_the_catalogue_says_how_large_it_is_and_how_many_blocks_open(entry: Any, seen: dict[str, Any]) -> None:
    found = seen[entry.key]
    assert found["million_parameters"] == pytest.approx(entry.parameters, abs=0.05)
    assert found["n_blocks"] == entry.blocks >= entry.defaults["fine_tune_blocks"]
    # Float32 weights of the backbone, and little around them.
    assert entry.download_mb == pytest.approx(4 * entry.parameters, rel=0.05)


@each_backbone
def test_it_can_be_cut_behind_every_block(entry: Any, seen: dict[str, Any]) -> None:
    assert seen[entry.key]["not_cuts"] == []


@pytest.mark.parametrize("key", EXPLAINED)
def test_heat_maps_agree_with_a_gradient(key: str, seen: dict[str, Any]) -> None:
    assert seen[key]["n_maps"] > 0
    assert seen[key]["map_difference"] < 1e-3


def test_heat_maps_of_our_own_networks_agree_with_a_gradient(tmp_path: Path) -> None:
    own = [key for key, entry in ARCHITECTURES.items() if not entry.has_backbone]
    command = [sys.executable, "-m", "tests.ml.reference_heatmap", str(tmp_path), *own]
    result = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr[-2000:]
    for difference, n_maps in json.loads(result.stdout.splitlines()[-1]).values():
        assert n_maps > 0
        assert difference < 1e-3
