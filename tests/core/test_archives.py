"""ZIPs that lie, and what becomes of them."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from core.archives import open_source
from core.errors import ArchiveError, StudioError
from core.importing import create_import, list_imports, run_import
from core.settings import read_settings

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


def test_no_public_misbehaving_archive_leaves_anything_behind(test_data: Path, workspace: Path) -> None:
    files = sorted((test_data / "fixtures/zips").iterdir())
    assert len(files) > 80
    for file in files:
        with pytest.raises(StudioError):  # none of them holds pictures in class folders
            run_import(create_import(path=file))
        assert not any(path.name != ".imports" for path in read_settings().data.iterdir())
    leftovers = {path.name for folder in list_imports() for path in folder.iterdir()}
    assert leftovers == {"lock", "request.json", "status.json"}
    assert {path.name for path in workspace.iterdir()} == {"data"}
