"""Where a picture's class and split stand in its path.

Recognised, at any depth: `Train|Training / Valid|Validation|Val / Test|Testing` in any case, with the class as the
folder below (or above); or class folders alone.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from dataclasses import dataclass

SPLITS = ("train", "validation", "test")
_SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass(frozen=True)
class Place:
    """What a path says about a picture. `split` is None where the folders do not say."""

    path: str
    class_name: str
    split: str | None


def recognise_layout(paths: list[str]) -> tuple[list[Place], list[str]]:
    """Find class and split of each path (with `/`).

    Returns:
        The places, and the paths that stand in no class folder. Class names that differ only in case or in the
        separator (`No Tumor`, `no_tumor`) are one class, named as most files name it.
    """
    has_splits = any(_split_at(path.split("/")[:-1]) is not None for path in paths)
    found = _by_split_folder(paths) if has_splits else _by_class_folder(paths)
    found = {path: place for path, place in found.items() if place[0].strip()}
    outside = [path for path in paths if path not in found]
    spelling = _common_spelling([name for name, _ in found.values()])
    return [Place(path, spelling[_key(name)], split) for path, (name, split) in found.items()], outside


def _by_split_folder(paths: list[str]) -> dict[str, tuple[str, str | None]]:
    found: dict[str, tuple[str, str | None]] = {}
    for path in paths:
        folders = path.split("/")[:-1]
        at = _split_at(folders)
        if at is None:
            continue
        below, above = folders[at + 1 :], folders[:at]
        if below or above:
            found[path] = (below[0] if below else above[-1], _SPLIT_WORDS[folders[at].strip().lower()])
    return found


def _by_class_folder(paths: list[str]) -> dict[str, tuple[str, str | None]]:
    foldered = [path for path in paths if "/" in path]
    if not foldered:
        return {}
    shared = posixpath.commonpath([posixpath.dirname(path) for path in foldered])
    depth = len(shared.split("/")) if shared else 0
    split_paths = {path: path.split("/") for path in foldered}
    return {path: (parts[depth], None) for path, parts in split_paths.items() if len(parts) > depth + 1}


def _split_at(folders: list[str]) -> int | None:
    """Index of the innermost folder named like a split."""
    for at in range(len(folders) - 1, -1, -1):
        if folders[at].strip().lower() in _SPLIT_WORDS:
            return at
    return None


def _common_spelling(names: list[str]) -> dict[str, str]:
    spelling: dict[str, str] = {}
    for name, _ in sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])):
        spelling.setdefault(_key(name), name.strip())
    return spelling


def _key(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()
