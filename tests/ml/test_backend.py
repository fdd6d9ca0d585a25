"""Packages are hidden from Keras, and from nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from pathlib import Path

import pytest

from core.ml.backend import OPTIONAL, _hidden
from core.settings import PROJECT


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package that nobody has imported yet."""
    (tmp_path / "studio_optional.py").write_text("here = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "studio_optional", raising=False)
    return "studio_optional"


def test_a_package_is_hidden_for_a_while(package: str) -> None:
    with _hidden(frozenset({package})), pytest.raises(ModuleNotFoundError, match="hidden"):
        import_module(package)
    assert import_module(package).here


def test_another_thread_imports_what_is_hidden_here(package: str) -> None:
    with _hidden(frozenset({package})), ThreadPoolExecutor(1) as pool:
        assert pool.submit(import_module, package).result().here


def test_nothing_stays_behind_after_an_error() -> None:
    before = list(sys.meta_path)
    with pytest.raises(ValueError, match="x"), _hidden(OPTIONAL):
        raise ValueError("x")
    assert sys.meta_path == before


@pytest.mark.training
def test_keras_comes_without_its_optional_packages_and_they_come_afterwards() -> None:
    script = (
        "import gc, json, sys\nfrom core.ml.backend import OPTIONAL, import_keras\n"
        "keras = import_keras()\nloaded = sorted(OPTIONAL & set(sys.modules))\n"
        "import core.ml.training, pandas, sklearn.metrics\n"
        "print(json.dumps([keras.backend.backend(), loaded, gc.isenabled()]))"
    )
    result = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-2000:]
    assert json.loads(result.stdout.splitlines()[-1]) == ["tensorflow", [], True]
