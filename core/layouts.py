"""Where a picture's class and split stand in its path.

Recognised, at any depth: `Train|Training / Valid|Validation|Val / Test|Testing` in any case, with the class as the
folder below (or above); or class folders alone.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from itertools import takewhile

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
    """What is said about a picture. `split` is None where nothing says it; `patient` is an id, never to be shown."""

    path: str
    class_name: str
    split: str | None
    patient: str | None = field(default=None, repr=False)


def recognise_layout(paths: list[str]) -> tuple[list[Place], list[str]]:
    """Find class and split of each path (with `/`).

    Returns:
        The places, and the paths that stand in no class folder. Class names that differ only in case or in the
        separator (`No Tumor`, `no_tumor`) are one class, named as most files name it.
    """
    has_splits = any(_split_at(_folders(path)) is not None for path in paths)
    found = _by_split_folder(paths) if has_splits else _by_class_folder(paths)
    found = {path: place for path, place in found.items() if place[0].strip()}
    outside = [path for path in paths if path not in found]
    return unify_classes(Place(path, name, split) for path, (name, split) in found.items()), outside


def unify_classes(places: Iterable[Place]) -> list[Place]:
    """Give classes whose names differ only in case or in the separator the spelling that most pictures have."""
    places = list(places)
    spelling = _common_spelling([place.class_name for place in places])
    return [replace(place, class_name=spelling[class_key(place.class_name)]) for place in places]


def class_key(name: str) -> str:
    """What all spellings of a class have in common."""
    return re.sub(r"[\s_-]+", " ", name).strip().casefold()


def read_split_word(word: str) -> str | None:
    """The split that a word such as `Val` or `TESTING` means; None if it means none."""
    return _SPLIT_WORDS.get(word.strip().lower())


def find_split(path: str) -> str | None:
    """The split that the folders of a path say, the innermost first."""
    folders = _folders(path)
    at = _split_at(folders)
    return None if at is None else read_split_word(folders[at])


def _by_split_folder(paths: list[str]) -> dict[str, tuple[str, str | None]]:
    placed = {path: (folders, at) for path in paths if (at := _split_at(folders := _folders(path))) is not None}
    # The class stands above its splits only where it nowhere stands below: else a stray picture would make a class.
    is_below = any(folders[at + 1 :] for folders, at in placed.values())
    found: dict[str, tuple[str, str | None]] = {}
    for path, (folders, at) in placed.items():
        names = folders[at + 1 :][:1] if is_below else folders[:at][-1:]
        if names:
            found[path] = (names[0], find_split(path))
    return found


def _by_class_folder(paths: list[str]) -> dict[str, tuple[str, str | None]]:
    foldered = {path: folders for path in paths if (folders := _folders(path))}
    if not foldered:
        return {}
    levels = zip(*foldered.values(), strict=False)
    depth = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return {path: (folders[depth], None) for path, folders in foldered.items() if len(folders) > depth}


def _folders(path: str) -> list[str]:
    """Names of the folders of a path, without empty ones and `.`."""
    return [part for part in path.split("/")[:-1] if part.strip() not in ("", ".")]


def _split_at(folders: list[str]) -> int | None:
    """Index of the innermost folder named like a split."""
    for at in range(len(folders) - 1, -1, -1):
        if read_split_word(folders[at]) is not None:
            return at
    return None


def _common_spelling(names: list[str]) -> dict[str, str]:
    spelling: dict[str, str] = {}
    for name, _ in sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])):
        spelling.setdefault(class_key(name), name.strip())
    return spelling
