"""Small files are replaced whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from core.errors import StorageError
from core.files import is_plain_name, read_json, replacing, slug, write_json


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "value.json"
    path.parent.mkdir()
    write_json(path, {"old": 1})

    def write_until_full() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(StorageError, match="disk is full"):
        write_until_full()
    assert read_json(path) == {"old": 1}
    assert [entry.name for entry in path.parent.iterdir()] == ["value.json"]


def test_a_damaged_file_reads_as_none(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": ')
    assert read_json(tmp_path / "a.json") is None
    assert read_json(tmp_path / "nothing.json") is None
    (tmp_path / "deep.json").write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
    assert read_json(tmp_path / "deep.json") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Brain MRI (2443)", "brain-mri-2443"), ("Größe", "grosse"), ("../../etc", "etc"), ("数据", "x"), ("", "x")],
)
def test_slugs_are_safe_names(text: str, expected: str) -> None:
    assert slug(text.replace("ß", "ss"), fallback="x") == expected


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "a\\b", "/a", ".hidden", "a\0b", "x" * 200])
def test_names_that_could_lead_elsewhere_are_not_plain(name: str) -> None:
    assert not is_plain_name(name)
