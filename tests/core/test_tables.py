"""Labels tables: what is read, and what is refused in words."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import DatasetError
from core.labelling import Labelling, label_paths
from core.tables import Table, is_table, read_table


def table(text: str, path: str = "labels.csv") -> Table:
    """A table of a text."""
    return read_table(path, text.encode())


def labelled(paths: list[str], *tables: Table) -> Labelling:
    """What becomes of paths."""
    return label_paths(paths, list(tables))


def placed(paths: list[str], *tables: Table) -> dict[str, tuple[str, str | None, str | None]]:
    """Class, split and patient of the paths that are placed."""
    return {place.path: (place.class_name, place.split, place.patient) for place in labelled(paths, *tables).places}


def test_tables_are_known_by_their_name() -> None:
    assert all(map(is_table, ["labels.csv", "a/LABELS.CSV", "train/_classes.csv"]))
    assert not any(map(is_table, ["notes.csv", "labels.csv/1.png", "my_labels.csv"]))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(
    "header", ["file,label,split,patient", "File_Name,Class-Name,SUBSET,Case ID", "image id,diagnosis,set,Subject_ID"]
)
def test_columns_are_known_by_many_names_and_separators(header: str, separator: str) -> None:
    text = f"{header}\na/1.png,Glioma,Val,p7\n".replace(",", separator)
    assert placed(["a/1.png"], table(text)) == {"a/1.png": ("Glioma", "validation", "p7")}


@pytest.mark.parametrize(
    "data",
    [
        "file,label\nü.png,Größe\n".encode(),
        codecs.BOM_UTF8 + "file,label\nü.png,Größe\n".encode(),
        "file,label\nü.png,Größe\n".encode("utf-16"),
        codecs.BOM_UTF16_BE + "file,label\nü.png,Größe\n".encode("utf-16-be"),
        "file,label\r\nü.png,Größe\r\n".encode("cp1252"),
        "file,label\rü.png,Größe\r".encode(),
        b'\n\n"file","label"\n\n"\xc3\xbc.png","Gr\xc3\xb6\xc3\x9fe"\n,\n',
    ],
)
def test_encodings_and_line_ends(data: bytes) -> None:
    assert placed(["ü.png"], read_table("labels.csv", data)) == {"ü.png": ("Größe", None, None)}


def test_one_column_per_class() -> None:
    text = "filename, Glioma, No tumor\n1.png,1,0\n2.png,0.0,1.0\n3.png,,True\n4.png,1,1\n5.png,0,0\n"
    found = labelled(["1.png", "2.png", "3.png", "4.png", "5.png"], table(text, "_classes.csv"))
    assert [place.class_name for place in found.places] == ["Glioma", "No tumor", "No tumor"]
    assert found.left_out["4.png"] == "_classes.csv marks it with 2 classes, not with one."
    assert found.left_out["5.png"] == "_classes.csv marks it with 0 classes, not with one."


def test_case_and_control_are_classes_where_they_are_marked() -> None:
    assert {row.label for row in table("file,case,control\n1.png,1,0\n2.png,0,1\n").rows} == {"case", "control"}
    patients = table("file,case,old,male\nA/1.png,1,1,1\nA/2.png,0,0,0\nB/3.png,1,0,1\n")
    assert not patients.has_labels
    assert patients.patient_column == "case"


def test_roboflow_tables_speak_of_their_folders() -> None:
    tables = [table("filename,A,B\n1.png,1,0\n2.png,0,1\n", f"R/{name}/_classes.csv") for name in ("train", "valid")]
    paths = ["R/train/1.png", "R/train/2.png", "R/valid/1.png", "R/valid/2.png"]
    assert placed(paths, *tables) == {
        "R/train/1.png": ("A", "train", None),
        "R/train/2.png": ("B", "train", None),
        "R/valid/1.png": ("A", "validation", None),
        "R/valid/2.png": ("B", "validation", None),
    }


@pytest.mark.parametrize(
    "name",
    ["x/1.png", "x\\1.png", "./x/1.png", "x/1", "1.png", "1", "D/x/1.png", "X/1.PNG", "C:\\data\\1.png", "/mnt/1.png"],
)
def test_names_of_files_are_matched(name: str) -> None:
    assert placed(["D/x/1.png", "D/x/2.png"], table(f"file,label\n{name},A\n", "D/labels.csv")) == {
        "D/x/1.png": ("A", None, None)
    }


def test_a_name_that_two_pictures_have_matches_none() -> None:
    found = labelled(["a/1.png", "b/1.png"], table("file,label\n1.png,A\n"))
    assert not found.places
    assert set(found.left_out.values()) == {"labels.csv has no row for it."}
    assert [row.file for row in found.unmatched[0][1]] == ["1.png"]


def test_a_name_alone_does_not_take_a_picture_that_has_its_own_row() -> None:
    found = labelled(["a/1.png"], table("file,label\nb/1.png,B\na/1.png,A\n"))
    assert found.places[0].class_name == "A"
    assert [row.file for row in found.unmatched[0][1]] == ["b/1.png"]


def test_a_table_speaks_only_of_pictures_below_its_folder() -> None:
    found = labelled(["x/A/1.png", "y/A/1.png", "y/B/2.png"], table("file,label\nA/1.png,C\n", "x/labels.csv"))
    assert {place.path: place.class_name for place in found.places} == {
        "x/A/1.png": "C", "y/A/1.png": "A", "y/B/2.png": "B"
    }  # fmt: skip


def test_a_table_without_labels_leaves_the_class_to_the_folders() -> None:
    text = "file,split,patient\nA/1.png,test,p1\nB/2.png,train,p2\n"
    assert placed(["A/1.png", "B/2.png", "B/3.png"], table(text)) == {
        "A/1.png": ("A", "test", "p1"),
        "B/2.png": ("B", "train", "p2"),
        "B/3.png": ("B", None, None),
    }


def test_a_table_wins_over_folders_and_spellings_are_one_class() -> None:
    text = "file,label,split\nTrain/X/1.png,No Tumor,test\nTrain/X/2.png,no_tumor,\nTrain/X/3.png,No Tumor,\n"
    assert placed(["Train/X/1.png", "Train/X/2.png", "Train/X/3.png", "Train/X/4.png"], table(text)) == {
        "Train/X/1.png": ("No Tumor", "test", None),
        "Train/X/2.png": ("No Tumor", "train", None),
        "Train/X/3.png": ("No Tumor", "train", None),
    }


def test_the_nearest_table_wins_and_others_add_what_it_leaves_open() -> None:
    outer = table("file,label,patient\na/1.png,Outer,p1\nb/2.png,Outer,p2\n")
    inner = table("file,label\n1.png,Inner\n", "a/labels.csv")
    assert placed(["a/1.png", "b/2.png"], outer, inner) == {
        "a/1.png": ("Inner", None, "p1"),
        "b/2.png": ("Outer", None, "p2"),
    }


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ("1.png,A,,\n1.png,B,,", "names it twice, with different labels."),
        ("1.png,A,train,\n1.png,A,test,", "names it twice, with different splits."),
        ("1.png,A,,p1\n1.png,A,,p2", "names it twice, with different patients."),
        ("1.png,A,holdout,", "gives it the split 'holdout', none of train, validation and test."),
        ("1.png,,,", "gives no label for it."),
        ('1.png,"A\nB",,', "gives it a label with control characters."),
        (f"1.png,{'A' * 500},,", "gives it a label of over 400 characters."),
    ],
)
def test_a_row_that_cannot_be_used_leaves_its_picture_out(rows: str, reason: str) -> None:
    found = labelled(["1.png"], table(f"file,label,split,patient\n{rows}\n"))
    assert found.left_out == {"1.png": f"labels.csv {reason}"}
    assert not found.places


def test_a_row_twice_with_the_same_words_is_one() -> None:
    assert placed(["1.png"], table("file,label\n1.png,No tumor\n1.png,no_tumor\n")) == {
        "1.png": ("No tumor", None, None)
    }


@pytest.mark.parametrize("word", ["", "-", "NaN", "n/a", "None", "unknown"])
def test_words_for_nothing_are_no_patient(word: str) -> None:
    assert table(f"file,label,patient\n1.png,A,{word}\n").rows[0].patient is None


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b'"', "is empty"),
        (b"\x89PNG\0\0\0", "not a text file"),
        (b"\x81\x8d\x8f\x90", "not a text file"),
        ("file,label\n1.png,A\n".encode("utf-16-le"), "not a text file"),
        (b"label,patient\nA,p1\n", "no column of file names. Received: 'label, patient'"),
        (b"1.png,A,Miller\n", "a first line of 3 cells"),
        (b"file,label\n", "no rows"),
        (b"file\n1.png\n", "neither label nor split nor patient"),
        (b"file,age\n1.png,70\n", "neither label"),
        (b'file,label\n1.png,"' + b"x" * 200_000, "cannot be read as a table"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_in_words(data: bytes, words: str) -> None:
    with pytest.raises(DatasetError, match=words) as caught:
        read_table("a/labels.csv", data)
    assert "'a/labels.csv'" in str(caught.value)
    assert "Miller" not in str(caught.value)


def test_too_many_rows_and_cells_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_MAX_ENTRIES", "3")
    assert len(table("file,label\n" + "1.png,A\n" * 3).rows) == 3
    with pytest.raises(DatasetError, match="over 3 rows"):
        table("file,label\n" + "1.png,A\n" * 4)
    with pytest.raises(DatasetError, match="too many cells"):
        table("file,label\n" + "," * 500)


def test_an_id_is_in_no_repr() -> None:
    read = table("file,label,patient\n1.png,A,Miller\n")
    assert "Miller" not in repr(read) + repr(labelled(["1.png"], read))


words = st.sampled_from(
    ["file", "label", "split", "patient", "A", "0", "1", "train", "1.png", "a/1.png", '"', "", "\0"]
)
lines = st.lists(st.lists(words, max_size=5).map(",".join), max_size=6).map("\n".join)


@given(st.one_of(st.binary(max_size=200), lines.map(str.encode), lines.map(lambda text: text.encode("utf-16"))))
def test_any_bytes_give_rows_or_an_error_of_ours(data: bytes) -> None:
    try:
        read = read_table("labels.csv", data)
    except DatasetError:
        return
    assert read.rows
    check(["1.png", "a/1.png", "b/c/2.jpg"], read)


names = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=6)
some_paths = st.lists(st.lists(names, min_size=1, max_size=4).map("/".join), max_size=8, unique=True)


@given(some_paths, st.data())
def test_any_paths_and_rows_are_placed_or_told_to_be_left_out(paths: list[str], data: st.DataObject) -> None:
    files = data.draw(st.lists(st.one_of(names, st.sampled_from(paths) if paths else names), min_size=1, max_size=5))
    labels = data.draw(st.lists(names, min_size=len(files), max_size=len(files)))
    quoted = [f'"{a}","{b}"' for a, b in zip(files, labels, strict=True) if '"' not in a + b]
    text = "\n".join(["file,label", *quoted, "x,y"])
    check(paths, table(text, data.draw(st.sampled_from(["labels.csv", "a/labels.csv"]))))


def check(paths: list[str], read: Table) -> None:
    """Every path is placed or left out, with a class or a reason."""
    found = labelled(paths, read)
    assert sorted([place.path for place in found.places] + list(found.left_out)) == sorted(paths)
    assert all(place.class_name.strip() for place in found.places)
    assert all(found.left_out.values())
