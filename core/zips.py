"""What a ZIP must keep to before anything of it is read: names, kinds, limits, and no two entries in one place."""

from __future__ import annotations

import os
import stat
import struct
import unicodedata
import zipfile
from pathlib import Path
from typing import BinaryIO

from core.entries import check_limits, is_litter
from core.errors import ArchiveError
from core.settings import read_settings

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1 | 0x40 | 0x2000  # the entry, strongly, or with its header masked
_END = struct.Struct("<4s4H2LH")  # end of central directory record
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_RECORD_SIZE, _LOCAL_SIZE = 46, 30


def check_directory(path: Path) -> None:
    """Refuse a ZIP with far too many records, before `zipfile` makes an object of each.

    Raises:
        ArchiveError: there are over twice as many records (files and folders) as there may be entries.
    """
    most = 2 * read_settings().max_entries + 1
    with path.open("rb") as file:
        start, size = _find_directory(file)
        file.seek(start)
        n_records = position = 0
        while position < size:
            record = file.read(_RECORD_SIZE)
            if len(record) < _RECORD_SIZE or record[:4] != b"PK\x01\x02":
                return  # `zipfile` finds the words for it
            n_records += 1
            if n_records > most:
                raise ArchiveError(
                    f"{path.name} lists over {most:,} files and folders, twice as many as may be imported "
                    "(STUDIO_MAX_ENTRIES). Nothing was imported; divide it, or raise the limit."
                )
            length = sum(struct.unpack("<3H", record[28:34]))
            file.seek(length, os.SEEK_CUR)
            position += _RECORD_SIZE + length


def check_zip(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Check all entries of a ZIP.

    Returns:
        The entries that are files.

    Raises:
        ArchiveError: names the first entry that breaks a rule, and the rule.
    """
    settings = read_settings()
    infos = [info for info in archive.infolist() if not info.filename.endswith("/")]
    seen: dict[str, str] = {}
    total = 0
    for info in archive.infolist():
        _check_name(info)
        _check_kind(info)
    for count, info in enumerate(infos, start=1):
        check_limits(info.filename, info.file_size, count, settings)
        if info.file_size > settings.max_ratio * max(info.compress_size, 1):
            raise _refused(info, f"unpacks to over {settings.max_ratio} times its size (STUDIO_MAX_RATIO)")
        total += info.file_size
        if total > settings.max_unpacked_mb * 2**20:
            raise _refused(info, f"brings the sum over {settings.max_unpacked_mb} MB (STUDIO_MAX_UNPACKED_MB)")
        folded = _fold(info.filename)
        if folded in seen:
            raise _refused(
                info,
                f"has the same name as {seen[folded][:200]!r} (upper and lower case, and the ways to write an accent, "
                "count as the same)",
            )
        seen[folded] = info.filename
    _check_folders(infos, seen)
    _check_overlap(path, archive.start_dir, infos)
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
    if info.flag_bits & _ENCRYPTED:
        raise _refused(info, "is encrypted; remove the password")
    if info.compress_type not in _COMPRESSIONS:
        raise _refused(info, "is compressed in a way other than 'stored' or 'deflated'")


def _check_folders(infos: list[zipfile.ZipInfo], files: dict[str, str]) -> None:
    """A name cannot be a file and the folder of another file."""
    for info in infos:
        folder = _fold(info.filename)
        while "/" in folder:
            folder = folder.rpartition("/")[0]
            if folder in files:
                raise _refused(info, f"lies in {files[folder][:200]!r}, which is a file of the same ZIP")


def _check_overlap(path: Path, directory: int, infos: list[zipfile.ZipInfo]) -> None:
    """Entries that share bytes are how 70 KB unpack to 4 GB."""
    end = 0
    with path.open("rb") as file:
        for info in sorted(infos, key=lambda info: info.header_offset):
            if info.header_offset < end:
                raise _refused(info, "overlaps another entry")
            file.seek(min(info.header_offset, directory))  # what is beyond may be too far to seek
            header = file.read(_LOCAL_SIZE)
            if len(header) < _LOCAL_SIZE or header[:4] != b"PK\x03\x04":
                raise _refused(info, "is not where the directory of the ZIP says")
            end = info.header_offset + _LOCAL_SIZE + sum(struct.unpack("<2H", header[26:30])) + info.compress_size
            if end > directory:
                raise _refused(info, "reaches beyond the end of the entries")


def _find_directory(file: BinaryIO) -> tuple[int, int]:
    """Start and size of the central directory, as `zipfile` looks for it; (0, 0) where there is none."""
    length = file.seek(0, os.SEEK_END)
    file.seek(max(length - 2**16 - _END.size, 0))
    tail = file.read()
    at = len(tail) - _END.size
    if at < 0 or tail[at : at + 4] != b"PK\x05\x06" or tail[-2:] != b"\0\0":
        at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) < at + _END.size:
        return 0, 0
    end = length - len(tail) + at
    size = _END.unpack_from(tail, at)[5]
    at_64 = at - _LOCATOR_64.size - _END_64.size
    if at_64 >= 0 and tail[at - _LOCATOR_64.size :][:4] == b"PK\x06\x07" and tail[at_64:][:4] == b"PK\x06\x06":
        end -= _LOCATOR_64.size + _END_64.size
        size = _END_64.unpack_from(tail, at_64)[8]
    return max(end - size, 0), size


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())


def _refused(info: zipfile.ZipInfo, rule: str) -> ArchiveError:
    return ArchiveError(f"Entry {info.filename[:200]!r} of the ZIP {rule}. Nothing was imported; make the ZIP anew.")
