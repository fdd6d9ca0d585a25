"""Patients: ids become the numbers of groups that stay on one side of every split.

An id comes from a column of a labels table, from the file name by a pattern that the user confirms, or, as a keyed
hash, from a DICOM file. It is held in memory while an import runs, and never stored, logged or shown.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import warnings
from collections.abc import Sequence

from core.errors import DatasetError
from core.settings import PROJECT

_MAX_LENGTH = 200
_DEADLINE = 20.0  # seconds for all file names together; a pattern in earnest needs less than one
_COVERED = 0.9
_MAX_WORDS = 8  # of an id such as TCGA-CS-4941, when it is looked for in a name
_SUGGESTIONS = (
    r"(TCGA-\w\w-\w{4})",
    r"(?i)patient[-_ ]?(\d+)",
    r"(?i)subject[-_ ]?(\d+)",
    r"(?i)sub-([a-z0-9]+)",
    r"(?i)case[-_ ]?(\d+)",
    r"(?i)(?<![a-z0-9])(?:pat|pt|p)[-_ ]?(\d+)(?![a-z0-9])",
)

Span = tuple[int, int]


def number_groups(ids: Sequence[str | bytes | None]) -> list[str]:
    """Numbers "1", "2", … in the order in which ids appear; "" where there is none."""
    groups = Groups()
    return [groups.number(patient) for patient in ids]


class Groups:
    """The number of every patient, while an import runs."""

    def __init__(self) -> None:
        self._numbers: dict[str | bytes, str] = {}
        self._words: dict[str, str] = {}

    def number(self, patient: str | bytes | None) -> str:
        """Number of a patient, the next one for a new patient; "" for None."""
        if not patient:
            return ""
        number = self._numbers.setdefault(patient, str(len(self._numbers) + 1))
        # Numbers of few digits are in every file name, and tell nobody's name.
        if isinstance(patient, str) and not (patient.isdigit() and len(patient) < 4):
            self._words.setdefault(patient.casefold(), number)
        return number

    def hide(self, text: str, spans: Sequence[Span] = ()) -> str:
        """A text with `g12` in place of the id of patient 12.

        Args:
            spans: where a pattern found ids in the text. Beyond them, the id of any patient who has a number is found
                where it stands between characters that are neither letters nor digits.
        """
        patient = text[slice(*spans[0])] if spans else ""
        for start, end in sorted(spans, reverse=True):
            if text[start:end] == patient:
                text = f"{text[:start]}g{self.number(patient)}{text[end:]}"
        return self._hide_words(text) if self._words else text

    def _hide_words(self, text: str) -> str:
        parts = re.split(r"([\W_]+)", text)  # words at even places, what is between them at odd ones
        at = 0
        while at < len(parts):
            for end in range(min(at + 2 * _MAX_WORDS, len(parts) + 1), at, -1):
                number = self._words.get("".join(parts[at:end]).casefold())
                if number:
                    parts[at:end] = [f"g{number}"]
                    break
            at += 2
        return "".join(parts)


def check_pattern(pattern: str) -> None:
    """Refuse a pattern that is no regular expression.

    Raises:
        DatasetError: it is too long or cannot be compiled.
    """
    if len(pattern) > _MAX_LENGTH:
        raise DatasetError(
            f"The pattern of patient ids is over {_MAX_LENGTH} characters long. Received: {len(pattern)} characters. "
            "Shorten it."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError, MemoryError) as error:
        raise DatasetError(
            f"The pattern of patient ids is no regular expression ({error}). Received: {pattern!r}. "
            r"Correct it; an example is patient(\d+)."
        ) from error


def apply_pattern(pattern: str, files: Sequence[str]) -> list[str | None]:
    """The id in each path: the group named `patient`, else the first group, else the whole match; None without one.

    Raises:
        DatasetError: see `find_spans`.
    """
    found = find_spans(pattern, files)
    return [file[spans[0][0] : spans[0][1]] if spans else None for file, spans in zip(files, found, strict=True)]


def find_spans(pattern: str, files: Sequence[str]) -> list[list[Span]]:
    """Where a pattern finds ids in each path: first the one that counts, then further ones.

    The search runs in a process of its own, because a pattern such as `(a+)+$` can take years and Python cannot
    interrupt it otherwise.

    Raises:
        DatasetError: the pattern cannot be used, or takes too long.
    """
    check_pattern(pattern)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "core.patients"],
            input=json.dumps([pattern, list(files)]),
            capture_output=True,
            cwd=PROJECT,
            encoding="ascii",
            timeout=_DEADLINE,
            check=True,
        )
    except (subprocess.TimeoutExpired, subprocess.CalledProcessError):
        # From None: the process was given the file names, and a traceback must not hold them.
        raise DatasetError(
            f"The pattern of patient ids takes over {_DEADLINE:.0f} seconds or too much memory for {len(files):,} file "
            f"names. Received: {pattern!r}. Use a simpler one, without repetitions inside repetitions."
        ) from None
    return [[(start, end) for start, end in spans] for spans in json.loads(result.stdout)]


def suggest_pattern(files: Sequence[str]) -> str | None:
    """A pattern by which the file names seem to hold patients: it fits nearly all files, and some share an id."""
    for pattern in _SUGGESTIONS:
        compiled = re.compile(pattern)
        ids = [match[1] for file in files if (match := compiled.search(file))]
        if len(ids) >= _COVERED * len(files) and 2 <= len(set(ids)) < len(ids):
            return pattern
    return None


def count_ids(pattern: str, files: Sequence[str]) -> int:
    """How many different ids a suggested pattern finds."""
    compiled = re.compile(pattern)
    return len({match[1] for file in files if (match := compiled.search(file))})


def _search(pattern: str, files: Sequence[str]) -> list[list[Span]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiled = re.compile(pattern)
    group: str | int = "patient" if "patient" in compiled.groupindex else min(compiled.groups, 1)
    spans = [[match.span(group) for match in compiled.finditer(file)] for file in files]
    return [[(start, end) for start, end in found if start < end] for found in spans]


if __name__ == "__main__":
    json.dump(_search(*json.load(sys.stdin)), sys.stdout)
