"""What an import finds before it decodes anything: places of pictures, files left out, and patients.

Ids of patients are in here, in memory; `core.grouping` takes them out of everything that is stored.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

from core.archives import Entry, Source
from core.errors import DatasetError
from core.labelling import NO_FOLDER, Labelling, label_paths
from core.layouts import Place
from core.patients import Groups, Span, find_spans
from core.scans import DICOM_SUFFIXES, SUFFIXES, explain_refusal
from core.tables import Row, Table, is_table, read_table

_MAX_TABLES_MB = 64
_N_EXAMPLES = 3


@dataclass(frozen=True)
class Skipped:
    """A file that was not taken, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Findings:
    """What is to be taken, what is left out, and what is to be told.

    Attributes:
        spans: where the pattern finds an id in a path, the one that counts first.
        origins: where the ids came from, such as "in the column 'patient' of 'labels.csv'".
        unmatched: path of a table, how many of its rows name no picture, and the first of those names.
    """

    places: list[tuple[Entry, Place]]
    skipped: list[Skipped]
    spans: dict[str, list[Span]] = field(repr=False)
    origins: list[str]
    unmatched: list[tuple[str, int, list[str]]] = field(repr=False)


def find_places(source: Source, pattern: str | None = None) -> Findings:
    """Find class, split and patient of every entry that may be a picture.

    Args:
        pattern: regular expression that finds the id of a patient in a path.

    Raises:
        DatasetError: nothing has a class, a labels table cannot be used, or the pattern cannot or finds nothing.
        ArchiveError: a labels table is broken.
    """
    tables = read_tables(source)
    entries = {entry.path: entry for entry in source.entries if not is_table(entry.path)}
    candidates = [path for path in entries if _may_be_picture(path)]
    labelling = label_paths(candidates, tables)
    unmatched = [(table.path, len(rows), _examples(rows)) for table, rows in labelling.unmatched]
    texts = [*entries, *source.litter, *(text for *_, examples in unmatched for text in examples)]
    spans = dict(zip(texts, find_spans(pattern, texts), strict=True)) if pattern else {}
    _check_found(labelling, list(entries), spans)
    skipped = [Skipped(path, reason) for path, reason in labelling.left_out.items()]
    skipped += [
        Skipped(path, explain_refusal(path.rsplit("/", 1)[-1])) for path in entries if not _may_be_picture(path)
    ]
    places = [_with_pattern(place, spans) for place in labelling.places]
    if pattern and not any(spans.get(place.path) for place in places):
        raise DatasetError(
            f"The pattern of patient ids finds nothing in {len(places):,} paths of pictures. Received: {pattern!r}. "
            "Correct it, or import without a pattern."
        )
    return Findings(
        places=[(entries[place.path], place) for place in places],
        skipped=skipped,
        spans=spans,
        origins=_origins(tables, pattern),
        unmatched=unmatched,
    )


def read_tables(source: Source) -> list[Table]:
    """Read the labels tables of a source.

    Raises:
        DatasetError: one cannot be used, or together they are too large.
    """
    found = [entry for entry in source.entries if is_table(entry.path)]
    size = sum(entry.size for entry in found)
    if size > _MAX_TABLES_MB * 2**20:
        raise DatasetError(
            f"The labels tables are too large: {size / 2**20:,.0f} MB; {_MAX_TABLES_MB} MB are read. The first one is "
            f"{found[0].path!r}. Leave out the columns that are not needed."
        )
    return [read_table(entry.path, source.read(entry)) for entry in found]


def _may_be_picture(path: str) -> bool:
    name = path.rsplit("/", 1)[-1].lower()
    return "." not in name or name.endswith((*SUFFIXES, *DICOM_SUFFIXES))


def _with_pattern(place: Place, spans: dict[str, list[Span]]) -> Place:
    found = spans.get(place.path)
    return replace(place, patient=place.path[slice(*found[0])]) if found and not place.patient else place


def _examples(rows: list[Row]) -> list[str]:
    """Names of some rows, each with the row's own patient left out."""
    names = [row.file.replace(row.patient, "…") if row.patient else row.file for row in rows[:_N_EXAMPLES]]
    return [name[:100] for name in names]


def _origins(tables: list[Table], pattern: str | None) -> list[str]:
    columns = Counter(table.patient_column for table in tables if table.patient_column)
    origins = [f"in the column {column[:50]!r} of a labels table" for column in columns]
    return [*origins, f"by the pattern `{pattern}` in the file names"] if pattern else origins


def _check_found(labelling: Labelling, paths: list[str], spans: dict[str, list[Span]]) -> None:
    if labelling.places:
        return
    groups = Groups()
    from_tables = {path: reason for path, reason in labelling.left_out.items() if reason != NO_FOLDER}
    if from_tables:
        path, reason = next(iter(from_tables.items()))
        raise DatasetError(
            f"No picture has a class. The first one, {groups.hide(path, spans.get(path, ()))!r}: {reason} A labels "
            "table stands beside its pictures or above them, and names each by its path from there."
        )
    received = ", ".join(repr(groups.hide(path, spans.get(path, ()))) for path in paths[:3]) or "nothing"
    raise DatasetError(
        "No class folders were found. Put the pictures of each class into a folder of its own, such as "
        f"Train/Glioma/1.jpg or Glioma/1.jpg, or a labels.csv beside them. Received: {received}."
    )
