"""`STUDIO_HOME/cache/`: what runs share and can be made again. Bounded in size; the longest unused goes first.

An entry is a folder `cache/KIND/KEY/`. Its key is a hash of everything it depends on, so that it never has to be
checked for being out of date; `entry.json` says what that was. Entries are never changed, only made and removed; on
systems that let a mapped file be deleted, whoever has one open keeps it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.errors import StorageError
from core.files import check_free_space, remove_folder, staging_folder, write_json
from core.settings import read_settings

FEATURES = "features"  # outputs of frozen layers for all pictures of a split
BACKBONES = "backbones"  # frozen layers as ONNX
_KINDS = (FEATURES, BACKBONES)
_KEY_BYTES = 16


def find_entry(kind: str, depends_on: dict[str, Any]) -> Path | None:
    """Folder of an entry, which counts as used now; None if it has to be made."""
    folder = _folder(kind, depends_on)
    try:
        os.utime(folder / "entry.json")
    except OSError:
        return None
    return folder


@contextmanager
def new_entry(kind: str, depends_on: dict[str, Any]) -> Iterator[Path]:
    """Give an empty folder to make an entry in; on a clean exit it is there, whole, for everybody.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    with staging_folder(_folder(kind, depends_on)) as staging:
        yield staging
        write_json(staging / "entry.json", depends_on)


def make_room(n_bytes: int, keep: list[Path]) -> None:
    """Remove the longest unused entries until so much more fits into STUDIO_MAX_CACHE_MB.

    Args:
        keep: folders of entries that are needed now.

    Raises:
        StorageError: the disk itself has no room.
    """
    sizes = {folder: _size(folder) for folder in _entries()}
    total = sum(sizes.values())
    for folder in sorted(sizes, key=_last_used):
        if total + n_bytes <= read_settings().max_cache_mb * 2**20:
            break
        if folder not in keep:
            # Another process was faster, or reads it on a system that holds on to it.
            with suppress(OSError, StorageError):
                remove_folder(folder)
                total -= sizes[folder]
    cache = read_settings().cache
    cache.mkdir(parents=True, exist_ok=True)
    check_free_space(cache, n_bytes)


def measure_cache() -> int:
    """Bytes of all entries."""
    return sum(_size(folder) for folder in _entries())


def clear_cache() -> int:
    """Remove all entries; returns the bytes that were freed. What a training has open stays until it lets go."""
    freed = measure_cache()
    for folder in _entries():
        with suppress(OSError, StorageError):
            remove_folder(folder)
    return freed


def cache_folders() -> list[Path]:
    """The folders in which entries lie."""
    return [read_settings().cache / kind for kind in _KINDS]


def hash_file(path: Path) -> str:
    """Hash of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=_KEY_BYTES)).hexdigest()


def hash_texts(texts: list[str]) -> str:
    """Hash of a list of texts, in order."""
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=_KEY_BYTES).hexdigest()


def _folder(kind: str, depends_on: dict[str, Any]) -> Path:
    return read_settings().cache / kind / hash_texts([json.dumps(depends_on, sort_keys=True)])


def _entries() -> list[Path]:
    return [path.parent for folder in cache_folders() for path in folder.glob("[!.]*/entry.json")]


def _last_used(folder: Path) -> float:
    try:
        return (folder / "entry.json").stat().st_mtime
    except OSError:
        return 0.0


def _size(folder: Path) -> int:
    total = 0
    for path in folder.glob("*"):
        with suppress(OSError):
            total += path.stat().st_size
    return total
