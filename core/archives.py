"""Read a ZIP or a folder without trusting it.

A source is a list of entries with checked names, and a way to read one entry within bounds. Nothing is ever unpacked
under the name it brings: callers store under names of their own. Of a ZIP, whatever is unsafe or over a limit refuses
the whole archive with the entry and the rule named; system litter is set aside and listed.
"""

from __future__ import annotations

import os
import stat
import threading
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from core.errors import ArchiveError
from core.settings import Settings, read_settings

_LITTER_FOLDERS = ("__MACOSX", ".git", ".svn", "@eaDir", ".ipynb_checkpoints")
_LITTER_FILES = ("Thumbs.db", "desktop.ini", "ehthumbs.db", "Icon\r", "Icon\\x0d")
_CHUNK = 2**20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
# zipfile raises far more than BadZipFile for a broken archive (29 % of the failures of a test corpus).
_BROKEN = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    NotImplementedError,
    RuntimeError,
    zlib.error,
    EOFError,
    OSError,
    UnicodeError,
    IndexError,
    ValueError,
    MemoryError,
    OverflowError,
)


@dataclass(frozen=True)
class Entry:
    """A file in a source: its path there (with `/`) and its unpacked size in bytes."""

    path: str
    size: int


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
            _check_limits(name, size, len(entries) + 1, settings)
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
        self._lock = threading.Lock()
        self._infos = {}
        entries, litter = [], []
        for info in _checked_infos(path, archive):
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
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise ArchiveError(f"There is no file or folder {str(path)!r}. Check the path.") from None
    except _BROKEN as error:
        raise ArchiveError(
            f"{path.name} is not a ZIP, or is damaged ({error}). Choose a .zip with a folder per class, or make it new."
        ) from error
    with archive:
        yield _Zip(path, archive)


def is_litter(name: str) -> bool:
    """Whether a path is one that systems leave behind and nobody means: `__MACOSX`, `.DS_Store` and the like."""
    parts = name.split("/")
    return any(part in _LITTER_FOLDERS for part in parts) or parts[-1].startswith(".") or parts[-1] in _LITTER_FILES


def _printable(name: str) -> str:
    """A file name of this system as text: bytes that are no UTF-8, and control characters, are written out."""
    text = name.encode("utf-8", "backslashreplace").decode()
    return "".join(character if character.isprintable() else f"\\x{ord(character):02x}" for character in text)


def _checked_infos(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    settings = read_settings()
    infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    seen: dict[str, str] = {}
    total = 0
    for info in archive.infolist():
        _check_name(info)
        _check_kind(info)
    for count, info in enumerate(infos, start=1):
        _check_limits(info.filename, info.file_size, count, settings)
        if info.file_size > settings.max_ratio * max(info.compress_size, 1):
            raise _refused(info, f"unpacks to over {settings.max_ratio} times its size (STUDIO_MAX_RATIO)")
        total += info.file_size
        if total > settings.max_unpacked_mb * 2**20:
            raise _refused(info, f"brings the sum over {settings.max_unpacked_mb} MB (STUDIO_MAX_UNPACKED_MB)")
        folded = info.filename.casefold()
        if folded in seen:
            raise _refused(info, f"has the same name as {seen[folded]!r} (upper and lower case count as the same)")
        seen[folded] = info.filename
    _check_overlap(path, infos)
    return infos


def _check_name(info: zipfile.ZipInfo) -> None:
    for name in (info.filename, info.orig_filename):
        if "\\" in name or name.startswith("/") or name[1:2] == ":":
            raise _refused(info, "has an absolute name or a backslash in it")
        if ".." in name.split("/"):
            raise _refused(info, "has '..' in its path")
        if not is_litter(name) and any(ord(character) < 32 or 127 <= ord(character) < 160 for character in name):
            raise _refused(info, "has control characters in its name")
    if not info.filename:
        raise _refused(info, "has no name")


def _check_kind(info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise _refused(info, "is a link or a device, not a file")
    if info.flag_bits & 0x1:
        raise _refused(info, "is encrypted; remove the password")
    if info.compress_type not in _COMPRESSIONS:
        raise _refused(info, "is compressed in a way other than 'stored' or 'deflated'")


def _check_limits(name: str, size: int, count: int, settings: Settings) -> None:
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


def _check_overlap(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Entries that share bytes are how 70 KB unpack to 4 GB."""
    end = 0
    size = path.stat().st_size
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise _refused(info, "overlaps another entry")
        end = info.header_offset + 30 + info.compress_size
        if end > size:
            raise _refused(info, "reaches beyond the end of the file")


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


def _refused(info: zipfile.ZipInfo, rule: str) -> ArchiveError:
    return ArchiveError(f"Entry {info.filename[:200]!r} of the ZIP {rule}. Nothing was imported; make the ZIP anew.")
