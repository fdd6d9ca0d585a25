"""Write docs/settings.md from the settings of a run: `python -m docs`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from core.catalog import ARCHITECTURES
from core.config import FIXED, GROUPS, RunConfig, group_of, settings_for

PATH = Path(__file__).parent / "settings.md"


def render() -> str:
    """The page as Markdown."""
    lines = [
        "# Settings of a run",
        "",
        "Made from `core/config.py` by `python -m docs`. On the command line: `--set KEY=VALUE`. Batch size and",
        "balanced classes also depend on the data set; the form shows them.",
    ]
    for group in GROUPS:
        head = _row("key", "title", "default", "values", "networks", "meaning")
        lines += ["", f"## {group}", "", head, _row(*["---"] * 6)]
        for name, field in RunConfig.model_fields.items():
            if name not in FIXED and group_of(field) == group:
                cells = (f"`{name}`", field.title, _default(name), _values(field), _networks(name), field.description)
                lines.append(_row(*cells))
    return "\n".join(lines) + "\n"


def _row(*cells: str | None) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _default(name: str) -> str:
    """The default of the networks that have a setting; where they differ, of each."""
    general = RunConfig.model_fields[name].default
    titles: dict[Any, list[str]] = {}
    for key, entry in ARCHITECTURES.items():
        if name in settings_for(key):
            titles.setdefault(entry.defaults.get(name, general), []).append(entry.title)
    if len(titles) == 1:
        return f"`{next(iter(titles))}`"
    return "; ".join(f"`{value}` ({', '.join(having)})" for value, having in titles.items())


def _values(field: Any) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(field.annotation))
    if field.annotation is bool:
        return "`true`, `false`"
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    found = [(sign, getattr(limit, key, None)) for limit in field.metadata for key, sign in signs.items()]
    return ", ".join(f"{sign} {value:,}" for sign, value in found if value is not None)


def _networks(name: str) -> str:
    having = [entry.title for key, entry in ARCHITECTURES.items() if name in settings_for(key)]
    return "all" if len(having) == len(ARCHITECTURES) else ", ".join(having)


if __name__ == "__main__":
    PATH.write_text(render(), encoding="utf-8")
