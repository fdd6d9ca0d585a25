"""Why a training failed, in one line for a person, and what to change.

Imports nothing heavy: errors of TensorFlow are known by their names and words.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass

from core.errors import DatasetError, LossError, ScanError, StorageError, StudioError, WeightsError

MEMORY, DISK, DATA, LOSS, WEIGHTS, KILLED, OTHER = "memory", "disk", "data", "loss", "weights", "killed", "other"
HOPELESS = (LOSS, DATA)  # going on from the last checkpoint would end in the same way
_NO_MEMORY = re.compile(
    r"\bOOM\b|out of memory|bad_alloc|failed to allocate|cannot allocate memory|unable to allocate|resource exhausted",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"no space left|disk quota exceeded|errno = 28\b", re.IGNORECASE)
_TOO_LARGE = "There was not enough memory. Choose a smaller batch size, or close other programs, and start again."
_LINE = 200  # characters of an error of others


@dataclass(frozen=True)
class Failure:
    """A kind, by which the page offers a remedy, and a sentence."""

    kind: str
    line: str


def classify(error: BaseException) -> Failure:
    """What went wrong and what to change."""
    text = _first_line(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError" or _NO_MEMORY.search(text):
        return Failure(MEMORY, _TOO_LARGE)
    if isinstance(error, StorageError):
        return Failure(DISK, str(error))
    if _is_full_disk(error, text):
        return Failure(DISK, "The disk is full. Free some space, then resume: what was learned until then is kept.")
    if isinstance(error, StudioError):
        return Failure(_kind_of(error), str(error))
    if isinstance(error, (KeyboardInterrupt, SystemExit)):
        return Failure(KILLED, "The training was interrupted from outside. Resume it.")
    name = type(error).__name__
    return Failure(OTHER, f"Unexpected error ({name}: {text}). The log below says more; please report it.")


def _kind_of(error: StudioError) -> str:
    for type_, kind in ((LossError, LOSS), (WeightsError, WEIGHTS), ((ScanError, DatasetError), DATA)):
        if isinstance(error, type_):
            return kind
    return OTHER


def _is_full_disk(error: BaseException, text: str) -> bool:
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or bool(_NO_SPACE.search(text))


def _first_line(error: BaseException) -> str:
    """First line of an error; TensorFlow tells the place of the graph in many more."""
    lines = str(error).strip().splitlines()
    return lines[0][:_LINE] if lines else ""
