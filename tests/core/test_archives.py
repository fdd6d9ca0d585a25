"""ZIPs that lie, and what becomes of them."""

from __future__ import annotations

import io
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.archives import open_source
from core.errors import ArchiveError
from core.importing import create_import, run_import
from core.settings import read_settings
from tests.conftest import picture_bytes

MakeZip = Callable[..., Path]


@pytest.mark.parametrize(
    "name",
    ["../evil.png", "Train/notumor/../glioma/0.png", "/etc/evil.png", "C:/evil.png", "..\\evil.png", "a/b\x07.png"],
)
def test_an_unsafe_name_refuses_the_archive_and_is_named(make_zip: MakeZip, name: str) -> None:
    path = make_zip({"A/1.png": None, name: None})
    with pytest.raises(ArchiveError, match="Entry"), open_source(path):
        pass


def test_a_link_is_refused(make_zip: MakeZip) -> None:
    path = make_zip({"A/1.png": None})
    link = zipfile.ZipInfo("A/link.png")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ArchiveError, match=r"A/link\.png.*link"), open_source(path):
        pass


@pytest.mark.parametrize(
    ("variable", "limit", "members"),
    [
        ("STUDIO_MAX_ENTRIES", "1", {"A/1.png": None, "A/2.png": None}),
        ("STUDIO_MAX_RATIO", "10", {"A/1.png": b"\0" * 100_000}),
        ("STUDIO_MAX_UNPACKED_MB", "0", {"A/1.png": None}),
        ("STUDIO_MAX_ENTRY_MB", "0", {"A/1.png": None}),
        ("STUDIO_MAX_DEPTH", "1", {"A/B/C/1.png": None}),
        ("STUDIO_MAX_NAME_LENGTH", "5", {"A/123456.png": None}),
    ],
)
def test_each_limit_is_kept(
    make_zip: MakeZip, monkeypatch: pytest.MonkeyPatch, variable: str, limit: str, members: dict[str, bytes | None]
) -> None:
    path = make_zip(members)
    if variable == "STUDIO_MAX_RATIO":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("A/1.png", b"\0" * 100_000)
    monkeypatch.setenv(variable, limit)
    with pytest.raises(ArchiveError), open_source(path):
        pass


def test_names_that_differ_only_in_case_are_refused(make_zip: MakeZip) -> None:
    path = make_zip({"A/scan.png": None, "a/Scan.png": None})
    with pytest.raises(ArchiveError, match="same name"), open_source(path):
        pass


def test_a_compression_that_is_not_deflate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bzip2.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("A/1.png", b"x" * 1000)
    with pytest.raises(ArchiveError, match="stored"), open_source(path):
        pass


def test_system_files_are_set_aside(make_zip: MakeZip) -> None:
    path = make_zip({"A/1.png": None, "__MACOSX/A/._1.png": b"x", "A/.DS_Store": b"x", "A/Thumbs.db": b"x"})
    with open_source(path) as source:
        assert [entry.path for entry in source.entries] == ["A/1.png"]
        assert sorted(source.litter) == ["A/.DS_Store", "A/Thumbs.db", "__MACOSX/A/._1.png"]


def test_a_system_file_with_an_odd_name_is_set_aside_too(make_zip: MakeZip) -> None:
    with open_source(make_zip({"A/1.png": None, "A/Icon\r": b""})) as source:
        assert source.litter == ["A/Icon\r"]


def test_odd_names_in_a_folder_become_text(tmp_path: Path) -> None:
    folder = tmp_path / "scans" / "A"
    folder.mkdir(parents=True)
    for name in (b"gr\xfcn.png", b"a\rb.png"):
        (folder / name.decode("utf-8", "surrogateescape")).write_bytes(b"x")
    with open_source(folder.parent) as source:
        assert sorted(entry.path for entry in source.entries) == ["A/a\\x0db.png", "A/gr\\udcfcn.png"]
        assert all(source.read(entry) == b"x" for entry in source.entries)


def test_a_flipped_byte_is_found_when_the_entry_is_read(make_zip: MakeZip) -> None:
    path = make_zip({"A/1.png": b"0123456789" * 100})
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with open_source(path) as source, pytest.raises(ArchiveError, match=r"A/1\.png"):
        source.read(source.entries[0])


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04" + b"\0" * 50])
def test_what_is_no_zip_gets_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "scans.zip"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match="not a ZIP"), open_source(path):
        pass


def test_links_in_a_folder_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside.png").write_bytes(b"x")
    folder = tmp_path / "scans"
    (folder / "A").mkdir(parents=True)
    (folder / "A" / "real.png").write_bytes(b"x")
    (folder / "A" / "link.png").symlink_to(tmp_path / "outside.png")
    with open_source(folder) as source:
        assert [entry.path for entry in source.entries] == ["A/real.png"]


RECORD, LOCAL, END = b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06"
GOOD = {f"{name}/{number}.png": None for name in ("A", "B") for number in range(4)}


def patched(data: bytes, signature: bytes, offset: int, new: bytes, which: int = 0) -> bytes:
    """Bytes of a ZIP with some of its n-th record of a kind replaced."""
    at = [i for i in range(len(data)) if data.startswith(signature, i)][which] + offset
    return data[:at] + new + data[at + len(new) :]


def with_member(data: bytes, name: str, content: bytes) -> bytes:
    """A ZIP with one more member."""
    buffer = io.BytesIO(data)
    with zipfile.ZipFile(buffer, "a") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def with_zip64(data: bytes, size: int, packed: int, offset: int) -> bytes:
    """A ZIP whose first record gives its sizes and place in a zip64 field."""
    at = data.index(RECORD)
    n_name = struct.unpack_from("<H", data, at + 28)[0]
    extra = struct.pack("<HHQQQ", 1, 24, size, packed, offset)
    record = bytearray(data[at : at + 46 + n_name])
    struct.pack_into("<LL", record, 20, 2**32 - 1, 2**32 - 1)
    struct.pack_into("<H", record, 30, len(extra))
    struct.pack_into("<L", record, 42, 2**32 - 1)
    data = data[:at] + bytes(record) + extra + data[at + 46 + n_name :]
    end = data.rindex(END)
    size_now = struct.unpack_from("<L", data, end + 12)[0]
    return patched(data, END, 12, struct.pack("<L", size_now + len(extra)))


def not_utf8(data: bytes) -> bytes:
    """A ZIP that says that a name is UTF-8 while it is not."""
    return patched(patched(data, RECORD, 8, u16(0x800)), RECORD, 46, b"\xff")


def u16(value: int) -> bytes:
    """Two bytes."""
    return struct.pack("<H", value)


def u32(value: int) -> bytes:
    """Four bytes."""
    return struct.pack("<L", value)


REFUSED: list[tuple[str, Callable[[bytes], bytes], str]] = [
    ("cut in its directory", lambda data: data[: data.index(RECORD) + 60], "not a ZIP"),
    ("cut directory with an end", lambda data: data[: data.index(RECORD) + 60] + data[data.rindex(END) :], "not a ZIP"),
    ("directory too long", lambda data: patched(data, END, 12, u32(2**31)), "not a ZIP"),
    ("directory too short", lambda data: patched(data, END, 12, u32(50)), "not a ZIP"),
    ("directory in nowhere", lambda data: patched(data, END, 16, u32(2**31)), "not where|not a ZIP|overlaps"),
    ("packed size too large", lambda data: patched(data, RECORD, 20, u32(2**31)), "'A/0.png'.*beyond the end"),
    ("size too large", lambda data: patched(data, RECORD, 24, u32(2**31)), "'A/0.png'.*MB"),
    ("offset in nowhere", lambda data: patched(data, RECORD, 42, u32(2**31)), "'A/0.png'.*not where"),
    ("offset amid an entry", lambda data: patched(data, RECORD, 42, u32(5), which=1), "A/1.png.*(not where|overlaps)"),
    ("two in one place", lambda data: patched(data, RECORD, 42, u32(0), which=1), "'A/1.png'.*overlaps"),
    ("hidden in an extra field", lambda data: patched(data, LOCAL, 28, u16(5000)), "'A/[01].png'.*overlaps"),
    ("zip64 size", lambda data: with_zip64(data, 2**63, 10, 0), "'A/0.png'.*MB"),
    ("zip64 packed size", lambda data: with_zip64(data, 10, 2**63, 0), "'A/0.png'.*beyond the end"),
    ("zip64 offset", lambda data: with_zip64(data, 10, 10, 2**63), "'A/0.png'|not a ZIP"),
    ("zip64 cut", lambda data: patched(with_zip64(data, 9, 9, 0), b"\x01\x00\x18\x00", 2, u16(3)), "not a ZIP|A/0.png"),
    ("encrypted", lambda data: patched(data, RECORD, 8, u16(1)), "'A/0.png'.*encrypted"),
    ("strongly encrypted", lambda data: patched(data, RECORD, 8, u16(0x40)), "'A/0.png'.*encrypted"),
    ("masked header", lambda data: patched(data, RECORD, 8, u16(0x2000)), "'A/0.png'.*encrypted"),
    ("method 99", lambda data: patched(data, RECORD, 10, u16(99)), "'A/0.png'.*stored"),
    ("future version", lambda data: patched(data, RECORD, 6, u16(250)), "not a ZIP"),
    ("a device", lambda data: patched(data, RECORD, 38, u32((stat.S_IFCHR | 0o600) << 16)), "'A/0.png'.*device"),
    ("name with NUL", lambda data: patched(data, RECORD, 46, b"A/0\0png"), "control characters"),
    ("name that is no UTF-8", not_utf8, "not a ZIP"),
    ("the same name twice", lambda data: patched(data, RECORD, 46, b"A/0.png", which=1), "'A/0.png'.*same name"),
    ("file and folder", lambda data: with_member(data, "A/0.png/1.png", b"x"), "A/0.png/1.png.*which is a file"),
    ("folder and file", lambda data: with_member(data, "b", b"x"), "which is a file"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_broken_or_lying_zip_is_refused_with_entry_and_rule(
    make_zip: MakeZip, change: Callable[[bytes], bytes], words: str
) -> None:
    path = make_zip(GOOD)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ArchiveError, match=words):
        run_import(create_import(path=path))
    assert not any(path.name != ".imports" for path in read_settings().data.iterdir())


LEFT_OUT: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("wrong checksum", lambda data: patched(data, RECORD, 16, u32(1))),
    ("size too small", lambda data: patched(data, RECORD, 24, u32(10))),
    ("size of nothing", lambda data: patched(data, RECORD, 24, u32(0))),
    ("another name in front of the entry", lambda data: patched(data, LOCAL, 30, b"B/9.png")),
    ("stored said to be deflated", lambda data: patched(patched(data, RECORD, 10, u16(8)), LOCAL, 8, u16(8))),
    ("patched data", lambda data: patched(data, RECORD, 8, u16(0x20))),
]


@pytest.mark.parametrize("change", [row[1] for row in LEFT_OUT], ids=[row[0] for row in LEFT_OUT])
def test_an_entry_that_is_broken_in_itself_is_left_out_with_the_reason(
    make_zip: MakeZip, change: Callable[[bytes], bytes]
) -> None:
    path = make_zip(GOOD)
    path.write_bytes(change(path.read_bytes()))
    dataset = run_import(create_import(path=path))
    assert [entry["file"] for entry in dataset.skipped] == ["A/0.png"]
    assert dataset.n_images == 7


TAKEN: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("count of entries that lies", lambda data: patched(data, END, 8, u16(60000) * 2)),
    ("count of entries is nothing", lambda data: patched(data, END, 8, u16(0) * 2)),
    ("bytes in front", lambda data: b"#!/bin/sh\n" * 100 + data),
    ("long comment", lambda data: patched(data, END, 20, u16(65535)) + b"x" * 65535),
    ("comment that is an end", lambda data: patched(data, END, 20, u16(22)) + b"PK" + b"\0" * 20),
    ("date in nowhere", lambda data: patched(data, RECORD, 12, u32(0))),
]


@pytest.mark.parametrize("change", [row[1] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_an_odd_but_harmless_zip_is_imported_right(make_zip: MakeZip, change: Callable[[bytes], bytes]) -> None:
    path = make_zip(GOOD)
    path.write_bytes(change(path.read_bytes()))
    dataset = run_import(create_import(path=path))
    assert (dataset.n_images, dataset.skipped) == (8, [])


def test_a_zip_written_to_a_pipe_has_its_sizes_behind_the_data_and_is_imported(tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.data = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.data += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, name in enumerate(GOOD):
            archive.writestr(name, picture_bytes(number))
    (tmp_path / "pipe.zip").write_bytes(pipe.data)
    assert run_import(create_import(path=tmp_path / "pipe.zip")).n_images == 8


def test_two_ways_to_write_an_accent_are_one_name(make_zip: MakeZip) -> None:
    names = [unicodedata.normalize(form, "A/größe-é.png") for form in ("NFC", "NFD")]
    with pytest.raises(ArchiveError, match="same name"), open_source(make_zip(dict.fromkeys(names))):
        pass


def test_far_too_many_records_are_refused_before_they_are_read(
    make_zip: MakeZip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_zip({f"folder{number}/": b"" for number in range(50)} | GOOD)
    with open_source(path) as source:
        assert len(source.entries) == 8
    monkeypatch.setenv("STUDIO_MAX_ENTRIES", "10")
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(ArchiveError, match=r"over 21 files and folders.*STUDIO_MAX_ENTRIES"), open_source(path):
        pass


names = st.text(st.sampled_from("aAéÉßs/.\\:\0 \n~e\u0301"), min_size=1, max_size=9).filter(
    lambda name: name[0] != "\0"
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(names, max_size=6))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_any_names_are_refused_in_words_or_safe(tmp_path: Path, names: list[str]) -> None:
    path = tmp_path / "any.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    try:
        with open_source(path) as source:
            paths = [entry.path for entry in source.entries] + source.litter
            assert all(source.read(entry) == b"x" for entry in source.entries)
    except ArchiveError:
        return
    assert len({unicodedata.normalize("NFC", path.casefold()) for path in paths}) == len(paths)
    for path_ in paths:
        assert not path_.startswith("/")
        assert ".." not in path_.split("/")
        assert "\\" not in path_


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6), st.integers(0, 400))
def test_any_damage_ends_in_an_error_of_ours_or_is_read(
    tmp_path: Path, changes: list[tuple[int, int]], cut: int
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("A/1.png", "B/2.png", "B/"):
            archive.writestr(name, name.encode() * 9)
    data = bytearray(buffer.getvalue())
    for at, value in changes:
        data[at % len(data)] = value
    path = tmp_path / "any.zip"
    path.write_bytes(data[: len(data) - max(cut - 300, 0)])
    with suppress(ArchiveError), open_source(path) as source:
        for entry in source.entries:
            assert len(source.read(entry)) == entry.size
