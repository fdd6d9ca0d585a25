"""Small files that are never half written.

Promise: a reader sees the old content or the new one, also after a power cut or with a full disk (temp, fsync, rename,
fsync of the folder). Nothing here knows what the files mean.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from core.errors import StorageError, storage_errors


@contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside `path`; on a clean exit it takes the place of `path` at once.

    Args:
        durable: survive a power cut as well; False saves the fsync for files that are rewritten every second.

    Raises:
        StorageError: the disk is full or may not be written; `path` is untouched.
    """
    # The name stays last: Keras tells a format by its suffixes.
    temporary = path.with_name(f".tmp-{os.getpid()}-{threading.get_ident()}-{path.name}")
    with storage_errors():
        try:
            yield temporary
            if durable:
                _sync(temporary)
            temporary.replace(path)
            if durable:
                sync_folder(path.parent)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace a text file (UTF-8) at once."""
    with replacing(path, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


def write_json(path: Path, value: Any, *, durable: bool = True) -> None:
    """Replace a JSON file at once."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=True) + "\n", durable=durable)


def read_json(path: Path) -> dict[str, Any] | None:
    """Read a JSON object; None when the file is missing or damaged."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # nested thousands deep
        return None
    return value if isinstance(value, dict) else None


@contextmanager
def staging_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder beside `folder`; on a clean exit it gets that name, whole and durable, or not at all.

    If another process has made the same one meanwhile, that one stays: it is for things that come out the same.

    Raises:
        StorageError: the disk is full or may not be written.
    """
    staging = folder.with_name(f".new-{folder.name}-{os.getpid()}-{threading.get_ident()}")
    with storage_errors():
        try:
            staging.mkdir(parents=True)
            yield staging
            for file in staging.rglob("*"):
                if file.is_file():
                    _sync(file)
            try:
                staging.rename(folder)
            except OSError:
                if not folder.is_dir():
                    raise
            sync_folder(folder.parent)
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Delete a folder so that nobody sees it half deleted: renamed out of sight first."""
    trash = folder.with_name(f".trash-{folder.name}-{os.getpid()}")
    with storage_errors():
        folder.replace(trash)
    shutil.rmtree(trash, ignore_errors=True)


def check_free_space(folder: Path, n_bytes: int) -> None:
    """Refuse to begin a large file that cannot fit: writing into a mapped file on a full disk would kill the process.

    Raises:
        StorageError: there is not enough room.
    """
    free = shutil.disk_usage(folder).free
    if free < n_bytes:
        raise StorageError(
            f"The disk has {free / 2**20:,.0f} MB free; {n_bytes / 2**20:,.0f} MB are needed. "
            "Free some space and start again."
        )


def slug(text: str, *, fallback: str) -> str:
    """A short name of lower-case ASCII letters, digits and hyphens, fit for folders and URLs."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")[:48].strip("-") or fallback


def is_plain_name(name: str) -> bool:
    """Whether a name from outside (URL, command line) can only mean an entry of the folder it is joined to."""
    return bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,120}", name))


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power cut (a no-op where folders cannot be opened: Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
