"""Where class and split stand in a path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.layouts import Place, find_split, recognise_layout, unify_classes


def found(paths: list[str]) -> set[tuple[str, str | None]]:
    """Classes and splits of paths."""
    return {(place.class_name, place.split) for place in recognise_layout(paths)[0]}


@pytest.mark.parametrize(
    ("folder", "split"),
    [
        ("Train", "train"), ("TRAINING", "train"), ("Valid", "validation"), ("validation", "validation"),
        ("Val", "validation"), ("Test", "test"), ("testing", "test"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("above", ["", "Dataset/", "a/b/c/"])
def test_split_folders_are_known_in_any_case_and_depth(folder: str, split: str, above: str) -> None:
    assert found([f"{above}{folder}/Glioma/1.jpg"]) == {("Glioma", split)}


def test_class_folders_alone_have_no_split() -> None:
    assert found(["Data/Glioma/1.jpg", "Data/Pituitary/2.jpg"]) == {("Glioma", None), ("Pituitary", None)}


def test_class_folders_may_hold_further_folders() -> None:
    assert found(["D/Glioma/p1/1.jpg", "D/Other/p2/2.jpg"]) == {("Glioma", None), ("Other", None)}
    assert found(["Train/Glioma/p1/1.jpg"]) == {("Glioma", "train")}


def test_the_class_may_stand_above_the_split() -> None:
    assert found(["Glioma/train/1.jpg", "Glioma/test/2.jpg"]) == {("Glioma", "train"), ("Glioma", "test")}


def test_a_stray_picture_beside_the_class_folders_makes_no_class() -> None:
    places, outside = recognise_layout(["brain/Train/preview.png", "brain/Train/Glioma/1.png", "brain/Test/No/2.png"])
    assert {place.class_name for place in places} == {"Glioma", "No"}
    assert outside == ["brain/Train/preview.png"]


def test_empty_parts_and_dots_are_no_folders() -> None:
    assert found(["./A/1.png", ".//B/2.png"]) == {("A", None), ("B", None)}


def test_spellings_of_one_class_become_one() -> None:
    paths = ["Train/No Tumor/1.jpg", "Train/No Tumor/2.jpg", "Test/no_tumor/3.jpg", "Test/NO-TUMOR/4.jpg"]
    assert {name for name, _ in found(paths)} == {"No Tumor"}


def test_pictures_outside_class_folders_are_told() -> None:
    places, outside = recognise_layout(["D/A/1.jpg", "D/B/2.jpg", "D/readme.jpg", "top.jpg"])
    assert len(places) == 2
    assert sorted(outside) == ["D/readme.jpg", "top.jpg"]


names = st.text(st.characters(blacklist_characters="/\0", blacklist_categories=("Cs",)), min_size=1, max_size=12)


@given(st.lists(st.lists(names, min_size=1, max_size=5).map("/".join), max_size=20, unique=True))
def test_every_path_is_placed_or_told_to_be_outside(paths: list[str]) -> None:
    places, outside = recognise_layout(paths)
    assert sorted([place.path for place in places] + outside) == sorted(paths)
    assert all(place.class_name.strip() for place in places)


def test_the_innermost_split_folder_counts() -> None:
    assert find_split("Test/A/train/1.png") == "train"
    assert find_split("a/Val/1.png") == "validation"
    assert find_split("train.png") is None


def test_a_patient_is_in_no_repr() -> None:
    assert "Miller" not in repr(Place("1.png", "A", None, "Miller"))


@given(st.lists(names.filter(str.strip), max_size=20))
def test_unifying_twice_changes_nothing(classes: list[str]) -> None:
    once = unify_classes([Place(str(number), name, None) for number, name in enumerate(classes)])
    assert unify_classes(once) == once
    assert all(place.class_name.strip() == place.class_name != "" for place in once)
