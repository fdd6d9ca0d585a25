"""Read a ZIP or a folder without trusting it.

A source is a list of entries with checked names, and a way to read one entry within bounds. Nothing is ever unpacked
under the name it brings: callers store under names of their own. Of a ZIP, whatever is unsafe or over a limit refuses
the whole archive with the entry and the rule named; system litter is set aside and listed.
"""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from core.entries import Entry, check_limits, is_litter
from core.errors import ArchiveError
from core.settings import read_settings
from core.zips import check_directory, check_zip

_CHUNK = 2**20
# zipfile raises far more than BadZipFile for a broken archive (29 % of the failures of a test corpus).
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    UnicodeError,
    IndexError,
    ValueError,
    MemoryError,
    OverflowError,
)


class Source:
    """Entries of a ZIP or folder. `litter` lists what was set aside (system files)."""

    def __init__(self, entries: list[Entry], litter: list[str]) -> None:
        self.entries = entries
        self.litter = litter

    def read(self, entry: Entry) -> bytes:
        """Read one entry; safe to call from several threads.

        Raises:
            ArchiveError: the entry is broken or not as long as promised.
        """
        raise NotImplementedError


class _Folder(Source):
    def __init__(self, root: Path) -> None:
        settings = read_settings()
        entries: list[Entry] = []
        litter: list[str] = []
        self._paths: dict[str, Path] = {}
        for path in _walk(root):
            name = _printable(path.relative_to(root).as_posix())
            if is_litter(name):
                litter.append(name)
                continue
            size = path.stat().st_size
            check_limits(name, size, len(entries) + 1, settings)
            entries.append(Entry(name, size))
            self._paths[name] = path
        super().__init__(entries, litter)

    def read(self, entry: Entry) -> bytes:
        try:
            return self._paths[entry.path].read_bytes()
        except OSError as error:
            raise ArchiveError(f"{entry.path} cannot be read ({error.strerror}). Check its rights.") from error


class _Zip(Source):
    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._infos = {}
        entries, litter = [], []
        for info in check_zip(path, archive):
            name = info.filename
            if is_litter(name):
                litter.append(name)
            else:
                entries.append(Entry(name, info.file_size))
                self._infos[name] = info
        super().__init__(entries, litter)

    def read(self, entry: Entry) -> bytes:
        try:
            with self._archive.open(self._infos[entry.path]) as file:
                data = _read_bounded(file, entry)
        except _BROKEN as error:
            raise ArchiveError(f"Entry {entry.path!r} of the ZIP is broken ({error}). Make the ZIP anew.") from error
        if len(data) != entry.size:
            raise ArchiveError(
                f"Entry {entry.path!r} of the ZIP unpacks to {len(data)} bytes, not to the {entry.size} it "
                "promises. Make the ZIP anew."
            )
        return data


@contextmanager
def open_source(path: Path) -> Iterator[Source]:
    """Open a ZIP or a folder.

    Raises:
        ArchiveError: missing, neither of the two, broken, unsafe, or over a limit.
    """
    try:
        if path.is_dir():
            yield _Folder(path)
            return
        check_directory(path)
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise ArchiveError(f"There is no file or folder {str(path)!r}. Check the path.") from None
    except _BROKEN as error:
        raise ArchiveError(
            f"{path.name} is not a ZIP, or is damaged ({error}). Choose a .zip with a folder per class, or make it new."
        ) from error
    with archive:
        yield _Zip(path, archive)


def _printable(name: str) -> str:
    """A file name of this system as text: bytes that are no UTF-8, and control characters, are written out."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def _read_bounded(file: IO[bytes], entry: Entry) -> bytes:
    chunks, length = [], 0
    while length <= entry.size:
        chunk = file.read(_CHUNK)
        if not chunk:
            break
        chunks.append(chunk)
        length += len(chunk)
    return b"".join(chunks)


def _walk(root: Path) -> Iterator[Path]:
    """Files below a folder in a fixed order; links are not followed and not taken."""
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            path = Path(folder) / name
            if path.is_file() and not path.is_symlink():
                yield path
