"""What commands share: lines for people, and paths as they were typed."""

from __future__ import annotations

import sys
from pathlib import Path

from core.errors import ArchiveError, StorageError

_said: set[str] = set()


def say_progress(message: str, done: int, total: int) -> None:
    """Say how far work is; what cannot be counted is said once."""
    if total > 1:
        say(f"{message}: {done} of {total}")
    elif message not in _said:
        _said.add(message)
        say(message)


def say(line: str) -> None:
    """Write a line for people."""
    sys.stderr.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stderr.flush()


def to_path(text: str) -> Path:
    """A path as somebody typed it.

    Raises:
        ArchiveError: no path can be made of it.
    """
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ArchiveError(f"The path {text!r} cannot be used ({error}). Check it.") from error


def to_zip_path(text: str, stem: str) -> Path:
    """Where to write a ZIP: the path that was given, or `stem`.zip, in the folder that was given or in this one.

    Raises:
        StorageError: there is no such folder.
    """
    path = to_path(text or f"{stem}.zip")
    path = path / f"{stem}.zip" if path.is_dir() else path
    if not path.parent.is_dir():
        raise StorageError(f"There is no folder {str(path.parent)!r} to write to. Make it, or choose another --output.")
    return path
