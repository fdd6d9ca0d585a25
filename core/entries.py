"""Entries of a ZIP or folder: their names, their limits, and those that nobody means."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import ArchiveError
from core.settings import Settings

_LITTER_FOLDERS = ("__MACOSX", ".git", ".svn", "@eaDir", ".ipynb_checkpoints")
_LITTER_FILES = ("Thumbs.db", "desktop.ini", "ehthumbs.db", "Icon\r", "Icon\\x0d")


@dataclass(frozen=True)
class Entry:
    """A file in a source: its path there (with `/`) and its unpacked size in bytes."""

    path: str
    size: int


def is_litter(name: str) -> bool:
    """Whether a path is one that systems leave behind and nobody means: `__MACOSX`, `.DS_Store` and the like."""
    parts = name.split("/")
    return any(part in _LITTER_FOLDERS for part in parts) or parts[-1].startswith(".") or parts[-1] in _LITTER_FILES


def check_limits(name: str, size: int, count: int, settings: Settings) -> None:
    """Refuse an entry that is over a limit.

    Args:
        count: number of this entry.

    Raises:
        ArchiveError: names the entry, the limit and its setting.
    """
    rules = (
        (count > settings.max_entries, f"is one more than {settings.max_entries} files (STUDIO_MAX_ENTRIES)"),
        (size > settings.max_entry_mb * 2**20, f"is over {settings.max_entry_mb} MB (STUDIO_MAX_ENTRY_MB)"),
        (len(name) > settings.max_name_length, f"has over {settings.max_name_length} characters in its name"),
        (
            name.count("/") > settings.max_depth,
            f"lies over {settings.max_depth} folders deep (STUDIO_MAX_DEPTH)",
        ),
    )
    for broken, rule in rules:
        if broken:
            raise ArchiveError(f"Entry {name[:200]!r} {rule}. Leave it out, or raise the limit.")
