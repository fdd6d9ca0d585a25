"""Class, split and patient of every picture, from its folders and from the labels tables above it.

A table speaks of the pictures below its own folder. Where several do, the nearest wins, and a table wins over folders.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from core.layouts import Place, class_key, find_split, recognise_layout, unify_classes
from core.tables import Row, Table

NO_FOLDER = "It lies in no class folder."


@dataclass(frozen=True)
class Labelling:
    """What became of the paths: placed, or left out with a reason; and what to tell of the tables.

    Attributes:
        unmatched: for each table, the rows that name no picture; their patients are ids, never to be shown.
    """

    places: list[Place]
    left_out: dict[str, str]
    unmatched: list[tuple[Table, list[Row]]] = field(default_factory=list)


def label_paths(paths: list[str], tables: list[Table]) -> Labelling:
    """Find class, split and patient of each path (with `/`); every path is placed or left out."""
    nearest_first = sorted(tables, key=lambda table: table.folder.count("/"), reverse=True)
    said: dict[str, list[tuple[Table, Row]]] = {path: [] for path in paths}
    left_out: dict[str, str] = {}
    needs_label: dict[str, Table] = {}
    unmatched = []
    below = _paths_below({table.folder for table in tables}, paths)
    for table in nearest_first:
        rows, unused = match_rows(table, below[table.folder])
        unmatched += [(table, unused)] if unused else []
        for path, row in rows.items():
            said[path].append((table, row))
            if row.problem and path not in left_out:
                left_out[path] = f"{table.path} {row.problem}"
        if table.has_labels:
            for path in below[table.folder]:
                needs_label.setdefault(path, table)
    by_folder, outside = recognise_layout([path for path in paths if path not in needs_label])
    classes = {place.path: place.class_name for place in by_folder}
    for path, table in needs_label.items():
        label = next((row.label for _, row in said[path] if row.label), None)
        if label:
            classes[path] = label
        else:
            left_out.setdefault(path, f"{table.path} has no row for it.")
    left_out |= {path: left_out.get(path, NO_FOLDER) for path in outside}
    places = [_place(path, classes[path], said[path]) for path in paths if path in classes and path not in left_out]
    return Labelling(unify_classes(places), left_out, unmatched)


def match_rows(table: Table, paths: list[str]) -> tuple[dict[str, Row], list[Row]]:
    """Find the picture of each row: by its path from the table's folder or one above, with or without the suffix, or
    by its name alone where only one picture below the folder has it.

    Args:
        paths: pictures below the table's folder.

    Returns:
        The row of each picture that has one, with a problem where two rows contradict each other; and the rows that
        name no picture.
    """
    by_path = _index((_folded(path), path) for path in paths)
    by_stem = _index((_without_suffix(_folded(path)), path) for path in paths)
    by_name = _index((_folded(path).rsplit("/", 1)[-1], path) for path in paths)
    by_name_stem = _index((_without_suffix(_folded(path).rsplit("/", 1)[-1]), path) for path in paths)
    exact = set(paths)
    bases = _folders_up(table.folder)
    found: dict[str, Row] = {}
    by_name_only = []
    for row in table.rows:
        names = [base + _normal(row.file) for base in bases]
        folded = [_folded(name) for name in names]
        path = next((name for name in names if name in exact), None) or _first(by_path, folded)
        path = path or _first(by_stem, folded)
        if path is None:
            by_name_only.append(row)
        else:
            found[path] = _merge(found[path], row) if path in found else row
    unmatched = []
    named: dict[str, Row] = {}
    for row in by_name_only:
        name = _folded(_normal(row.file)).rsplit("/", 1)[-1]
        path = _first(by_name, [name]) or _first(by_name_stem, [name])
        if path is None or path in found:
            unmatched.append(row)
        else:
            named[path] = _merge(named[path], row) if path in named else row
    return found | named, unmatched


def _merge(first: Row, second: Row) -> Row:
    """One row of two for the same picture."""
    problem = first.problem or second.problem
    if first.label and second.label and class_key(first.label) != class_key(second.label):
        problem = "names it twice, with different labels."
    elif first.split and second.split and first.split != second.split:
        problem = "names it twice, with different splits."
    elif first.patient and second.patient and first.patient != second.patient:
        problem = "names it twice, with different patients."
    return Row(
        first.file,
        first.label or second.label,
        first.split or second.split,
        first.patient or second.patient,
        problem,
    )


def _place(path: str, class_name: str, said: list[tuple[Table, Row]]) -> Place:
    split = next((row.split for _, row in said if row.split), None) or find_split(path)
    patient = next((row.patient for _, row in said if row.patient), None)
    return Place(path, class_name, split, patient)


def _paths_below(folders: set[str], paths: list[str]) -> dict[str, list[str]]:
    """The paths below each of the folders (with `/` at the end)."""
    below: dict[str, list[str]] = {folder: [] for folder in folders}
    for path in paths:
        for folder in _folders_up(path[: path.rfind("/") + 1]) if folders else []:
            if folder in below:
                below[folder].append(path)
    return below


def _folders_up(folder: str) -> list[str]:
    """A folder and those above it, up to the top, which is empty."""
    ups = [folder]
    while folder:
        folder = folder[: folder.rfind("/", 0, -1) + 1]
        ups.append(folder)
    return ups


def _index(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Names that only one path has -> that path."""
    pairs = list(pairs)
    counts = Counter(name for name, _ in pairs)
    return {name: path for name, path in pairs if counts[name] == 1}


def _first(index: dict[str, str], names: list[str]) -> str | None:
    return next((index[name] for name in names if name in index), None)


def _normal(name: str) -> str:
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    return "/".join(parts)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


def _without_suffix(name: str) -> str:
    folder, mark, last = name.rpartition("/")
    return folder + mark + (last.rsplit(".", 1)[0] if "." in last[1:] else last)
