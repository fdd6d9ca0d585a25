"""The docs say what is there."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from core.catalog import ARCHITECTURES
from core.settings import PROJECT, Settings, variable_name
from docs.__main__ import PATH, render

README = (PROJECT / "README.md").read_text(encoding="utf-8")
PAGES = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *[f"docs/{path.name}" for path in PROJECT.glob("docs/*.md")]]
FOLDERS = ("core", "pages", "tests", "docs", "benchmarks", "assets", ".streamlit", ".ci")


def test_every_setting_of_the_environment_stands_in_the_readme_with_its_default() -> None:
    for entry in fields(Settings):
        row = next(line for line in README.splitlines() if line.startswith(f"| `{variable_name(entry.name)}` "))
        assert entry.metadata["help"] in row
        if isinstance(entry.default, int):
            assert f"| {entry.default} |" in row


def test_the_page_of_run_settings_is_current() -> None:
    assert PATH.read_text(encoding="utf-8") == render(), "run: python -m docs"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_and_named_file_exists(page: str) -> None:
    text = (PROJECT / page).read_text(encoding="utf-8")
    folder = (PROJECT / page).parent
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if not target.startswith("http"):
            assert (folder / target).exists(), target
    for name in re.findall(r"`((?:core|pages|docs|tests|assets|benchmarks|\.ci|\.streamlit)/[\w./]*)`", text):
        assert (PROJECT / name).exists(), name


def test_every_module_named_in_the_readme_exists() -> None:
    for name in set(re.findall(r"`core\.([\w.]+)`", README)):
        path = PROJECT / "core" / name.replace(".", "/")
        assert path.with_suffix(".py").exists() or path.is_dir(), name


def test_every_architecture_is_described() -> None:
    for entry in ARCHITECTURES.values():
        assert entry.title.lower() in README.lower()


def test_nothing_names_a_path_of_one_machine() -> None:
    files = [*PROJECT.glob("*.*"), *[path for folder in FOLDERS for path in (PROJECT / folder).rglob("*")]]
    for path in files:
        if path.suffix in (".py", ".md", ".toml", ".txt", ""):
            text = path.read_text(encoding="utf-8", errors="ignore") if path.is_file() else ""
            assert not re.search(r"/(home|root|Users|work)/\w", text), path
