"""Labels tables: `labels.csv` or `_classes.csv` beside pictures, read within bounds.

A table says of files their class (a column of labels, or one column per class with 0 and 1), their split and their
patient. What a row says wrongly is a problem of that row; a table that says nothing usable is a `DatasetError`.
Which picture a row speaks of is decided in `core.labelling`.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
import unicodedata
from dataclasses import dataclass, field

from core.errors import DatasetError
from core.layouts import read_split_word
from core.settings import read_settings

_NAMES = ("labels.csv", "_classes.csv")
_SEPARATORS = (",", ";", "\t")
_ALIASES = {
    "file": ("file", "filename", "image", "imageid", "imagepath", "path", "name", "picture"),
    "label": ("label", "class", "classname", "category", "diagnosis", "target"),
    "split": ("split", "set", "subset", "partition"),
    "patient": ("patient", "patientid", "case", "caseid", "subject", "subjectid", "group", "groupid"),
}
_MARKS = {"1": True, "1.0": True, "true": True, "0": False, "0.0": False, "false": False, "": False}
_NO_PATIENT = ("", "-", "?", "na", "n/a", "nan", "none", "null", "unknown")
_CELLS_PER_ROW = 100  # on average; more is no table of labels, and would only fill the memory
_HELP = (
    "Give it a first line such as file,label,split,patient; in place of label there may be one column of 0 and 1 per "
    "class, and split and patient may be missing."
)


@dataclass(frozen=True)
class Row:
    """What a row says of one file; None where it says nothing. `problem` is why its picture must be left out."""

    file: str
    label: str | None
    split: str | None
    patient: str | None = field(repr=False)
    problem: str | None = None


@dataclass(frozen=True)
class Table:
    """A labels table. `has_labels` and `patient_column` say which columns it has."""

    path: str
    rows: list[Row]
    has_labels: bool
    patient_column: str | None

    @property
    def folder(self) -> str:
        """Path of its folder, with `/` at the end; empty at the top."""
        return self.path[: self.path.rfind("/") + 1]


def is_table(path: str) -> bool:
    """Whether a file is a labels table by its name."""
    return path.rsplit("/", 1)[-1].lower() in _NAMES


def read_table(path: str, data: bytes) -> Table:
    """Read a labels table: UTF-8, UTF-16 with a mark, or Windows-1252, separated by comma, semicolon or tab.

    Raises:
        DatasetError: it has no column of files, says nothing about them, is empty, over a limit, or no table.
    """
    header, *cells = _split_cells(path, _decode(path, data))
    columns = _find_columns(header)
    if "file" not in columns:
        raise DatasetError(f"{path!r} has no column of file names. Received: {_show(header, columns)}. {_HELP}")
    classes = [] if "label" in columns else _find_classes(header, columns, cells)
    if classes:
        columns = {kind: at for kind, at in columns.items() if at not in classes}
    if not cells:
        raise DatasetError(f"{path!r} has a first line and no rows. Received: {_show(header, columns)}. {_HELP}")
    if not classes and len(columns) == 1:
        raise DatasetError(
            f"{path!r} says neither label nor split nor patient. Received: {_show(header, columns)}. {_HELP}"
        )
    names = {at: header[at].strip() for at in classes}
    longest = read_settings().max_name_length  # a folder could not carry a longer one either
    return Table(
        path=path,
        rows=[_read_row(row, columns, names, longest) for row in cells],
        has_labels=bool(classes) or "label" in columns,
        patient_column=header[columns["patient"]].strip() if "patient" in columns else None,
    )


def _decode(path: str, data: bytes) -> str:
    is_utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16",) if is_utf16 else ("utf-8-sig", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if "\0" not in text:
            return text
    raise DatasetError(f"{path!r} is not a text file. Received: {len(data):,} bytes that are no text. {_HELP}")


def _split_cells(path: str, text: str) -> list[list[str]]:
    """Rows of cells with the separator under which the first line has most known columns."""
    max_rows = read_settings().max_entries
    first = next((line for line in io.StringIO(text, newline="") if line.strip()), "").strip("\r\n")
    separator = max(_SEPARATORS, key=lambda mark: (len(_find_columns(_cells(first, mark))), first.count(mark)))
    if text.count(separator) > _CELLS_PER_ROW * (max_rows + 1):
        raise DatasetError(
            f"{path!r} has too many cells. Received: {text.count(separator):,} times {separator!r}; at most "
            f"{_CELLS_PER_ROW} for each of {max_rows:,} rows are read. Leave out the columns that are not needed."
        )
    rows: list[list[str]] = []
    try:
        for cells in csv.reader(io.StringIO(text, newline=""), delimiter=separator):
            if any(cell.strip() for cell in cells):
                rows.append(cells)
            if len(rows) > max_rows + 1:
                raise DatasetError(
                    f"{path!r} has over {max_rows:,} rows (STUDIO_MAX_ENTRIES). Leave rows out, or raise the limit."
                )
    except csv.Error as error:
        raise DatasetError(
            f"{path!r} cannot be read as a table ({error}). Check its quotation marks and line ends."
        ) from error
    if not rows:
        raise DatasetError(f"{path!r} is empty. {_HELP}")
    return rows


def _cells(line: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=separator), [])
    except csv.Error:
        return []


def _find_columns(header: list[str]) -> dict[str, int]:
    """Position of each known column; of several names for the same, the one that stands first in the aliases."""
    keys = [re.sub(r"[\s_-]+", "", cell).lower() for cell in header]
    found = {kind: [keys.index(alias) for alias in aliases if alias in keys] for kind, aliases in _ALIASES.items()}
    return {kind: at[0] for kind, at in found.items() if at}


def _find_classes(header: list[str], columns: dict[str, int], rows: list[list[str]]) -> list[int]:
    """Columns with one class each. A column `case` of 0 and 1 is a class (beside `control`), not a case id."""
    other = [at for at, name in enumerate(header) if name.strip() and at not in columns.values()]
    marked = [at for at in other if all(_cell(row, at).lower() in _MARKS for row in rows)]
    if marked != other:
        return []
    patient = columns.get("patient")
    with_patient = sorted([*other, patient]) if patient is not None else other
    for candidate in (with_patient, other):
        if len(candidate) > 1 and all(_cell(row, at).lower() in _MARKS for row in rows for at in candidate):
            n_single = sum(len(_marked(row, candidate)) == 1 for row in rows)
            if 2 * n_single > len(rows):
                return candidate
    return []


def _read_row(row: list[str], columns: dict[str, int], classes: dict[int, str], longest: int) -> Row:
    said = {kind: _cell(row, at) for kind, at in columns.items()}
    label, problem = said.get("label"), None
    if classes:
        marked = _marked(row, list(classes))
        label = classes[marked[0]] if len(marked) == 1 else None
        problem = None if label else f"marks it with {len(marked)} classes, not with one."
    elif label is not None:
        problem = _check_label(label, longest)
    split = read_split_word(said.get("split", ""))
    if said.get("split") and split is None:
        problem = problem or f"gives it the split {said['split'][:50]!r}, none of train, validation and test."
    patient = said.get("patient", "")
    return Row(said["file"], label, split, patient if patient.lower() not in _NO_PATIENT else None, problem)


def _check_label(label: str, longest: int) -> str | None:
    """Why a label cannot name a class."""
    if not label:
        return "gives no label for it."
    if len(label) > longest:
        return f"gives it a label of over {longest} characters."
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in label):
        return "gives it a label with control characters."
    return None


def _marked(row: list[str], classes: list[int]) -> list[int]:
    return [at for at in classes if _MARKS[_cell(row, at).lower()]]


def _cell(row: list[str], at: int) -> str:
    return row[at].strip() if at < len(row) else ""


def _show(header: list[str], columns: dict[str, int]) -> str:
    """The first line for a message. Without any known column it may be data, with an id in it, and is not shown."""
    if not columns:
        return f"a first line of {len(header)} cells, none of them a name that is known"
    return repr(", ".join(cell.strip() for cell in header)[:200])
