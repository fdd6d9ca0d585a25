"""Promises about the code base itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from core.settings import PROJECT

CORE = [path for path in (PROJECT / "core").rglob("*.py") if path.name != "__init__.py"]
PAGES = [PROJECT / "Home.py", *sorted((PROJECT / "pages").glob("*.py"))]


def module_name(path: Path) -> str:
    """Dotted name of a file."""
    return ".".join(path.relative_to(PROJECT).with_suffix("").parts)


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, also within functions."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def loaded_by(modules: list[str], watched: list[str]) -> str:
    """Which of the watched modules are in memory after importing some, in a fresh process."""
    script = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\n"
    script += f"print([m for m in {watched!r} if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, check=True)
    return result.stdout.strip()


def test_all_of_core_but_ml_leaves_tensorflow_out() -> None:
    modules = [module_name(path) for path in CORE if "ml" not in path.parts and path.name != "__main__.py"]
    assert loaded_by(modules, ["tensorflow", "keras", "sklearn"]) == "[]"


def test_all_of_core_but_ui_leaves_streamlit_out() -> None:
    modules = [module_name(path) for path in CORE if not {"ml", "ui"} & set(path.parts) and path.name != "__main__.py"]
    assert loaded_by(modules, ["streamlit", "plotly", "pandas"]) == "[]"


def test_a_waiting_worker_is_small() -> None:
    heavy = ["tensorflow", "keras", "numpy", "pydantic", "streamlit", "onnxruntime"]
    assert loaded_by(["core.ml.train"], heavy) == "[]"


@pytest.mark.parametrize("path", CORE, ids=module_name)
def test_arrows_run_one_way(path: Path) -> None:
    inside = {name for name in imports_of(path) if name.startswith("core.")}
    if "ui" not in path.parts:
        assert not {name for name in inside if name.startswith("core.ui")}
    if "ml" not in path.parts:
        assert not {name for name in inside if name.startswith("core.ml")}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_is_a_description_of_a_screen(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert ast.get_docstring(tree), "it says in a sentence what it shows"
    assert len(text.splitlines()) <= 120
    assert all(name.split(".")[0] in ("streamlit", "core", "numpy", "pandas") for name in imports_of(path))
    for node in ast.walk(tree):
        assert not isinstance(node, (ast.While, ast.Try)), "pages neither loop nor catch"
        if isinstance(node, ast.FunctionDef):
            assert (node.end_lineno or 0) - node.lineno <= 40
    assert "unsafe_allow_html" not in text


def test_no_user_text_is_drawn_as_html() -> None:
    assert not [path for path in CORE + PAGES if "unsafe_allow_html" in path.read_text(encoding="utf-8")]


def test_every_architecture_has_a_builder() -> None:
    script = (
        "from core.catalog import ARCHITECTURES; from core.ml.architectures import BUILDERS, BACKBONES\n"
        "assert set(BUILDERS) == set(ARCHITECTURES)\n"
        "assert set(BACKBONES) == {key for key, entry in ARCHITECTURES.items() if entry.has_backbone}"
    )
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True, capture_output=True)


@pytest.mark.parametrize("path", CORE, ids=module_name)
def test_public_functions_say_what_they_promise(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
            assert ast.get_docstring(node), node.name
