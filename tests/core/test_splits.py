"""Stratified splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.groups import split_groups
from core.splits import fill_splits


def test_missing_splits_are_cut_from_train_with_a_note_and_the_seed() -> None:
    splits, notes = fill_splits([None] * 200, ["a"] * 100 + ["b"] * 100)
    assert [splits.count(name) for name in ("train", "validation", "test")] == [140, 30, 30]
    assert len(notes) == 2
    assert all("seed 42" in note for note in notes)


def test_a_given_test_set_is_left_alone() -> None:
    given_splits = ["test"] * 20 + ["train"] * 80
    splits, notes = fill_splits(list(given_splits), ["a", "b"] * 50)
    assert splits[:20] == ["test"] * 20
    assert splits.count("validation") == 12
    assert len(notes) == 1


def test_nothing_is_made_where_all_three_are_there() -> None:
    splits, notes = fill_splits(["train", "validation", "test"], ["a", "a", "a"])
    assert splits == ["train", "validation", "test"]
    assert notes == []


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=5),
    st.floats(0.05, 0.45),
    st.floats(0.05, 0.45),
    st.integers(0, 2**31 - 1),
)
def test_every_class_gives_its_share_and_keeps_some(
    sizes: list[int], validation: float, test: float, seed: int
) -> None:
    labels = [str(label) for label, size in enumerate(sizes) for _ in range(size)]
    fractions = {"validation": validation, "test": test}
    splits = split_groups(labels, np.arange(len(labels)), fractions, seed)
    assert splits == split_groups(labels, np.arange(len(labels)), fractions, seed)
    for label, size in enumerate(sizes):
        found = [split for split, name in zip(splits, labels, strict=True) if name == str(label)]
        assert found.count("train") > 0
        if size >= 3:
            assert {"train", "validation", "test"} == set(found), "no split lacks a class that can be divided"
        for split, fraction in fractions.items():
            # Within a picture of its share, but for the one that a split without any is given or gives.
            assert abs(found.count(split) - size * fraction) <= 1 + (
                size * min(1 - validation - test, *fractions.values()) < 1
            )


def test_groups_stay_whole_in_the_splits_that_are_made() -> None:
    groups = [str(number // 4) for number in range(400)]
    labels = ["ab"[number // 4 % 2] for number in range(400)]
    splits, notes = fill_splits([None] * 400, labels, groups=groups)
    assert len({(split, group) for split, group in zip(splits, groups, strict=True)}) == 100
    for label in "ab":
        found = [split for split, name in zip(splits, labels, strict=True) if name == label]
        assert [found.count(name) for name in ("train", "validation", "test")] == pytest.approx([140, 30, 30], abs=4)
    assert all("patients kept whole" in note for note in notes)


def test_a_picture_without_a_split_goes_where_its_group_is() -> None:
    splits, _ = fill_splits(["train", "test", None, None, "validation"], list("aaaaa"), groups=["1", "2", "2", "", "3"])
    assert splits == ["train", "test", "test", "train", "validation"]


groups_of_pictures = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60)


@given(groups_of_pictures, st.floats(0.05, 0.4), st.integers(0, 2**31 - 1))
def test_whole_groups_are_chosen_and_every_class_keeps_some(
    pictures: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    labels, groups = np.array(pictures).T
    splits = np.array(split_groups(labels.astype(str).tolist(), groups, {"validation": fraction}, seed))
    assert set(splits) <= {"train", "validation"}
    assert set(labels[splits == "train"]) == set(labels)
    assert not set(groups[splits == "validation"]) & set(groups[splits == "train"])


@given(groups_of_pictures)
def test_any_groups_and_given_splits_are_kept(pictures: list[tuple[int, int]]) -> None:
    given_splits: list[str | None] = [[None, "train", "validation", "test"][label] for label, _ in pictures]
    groups = [str(group) if group else "" for _, group in pictures]
    splits, _ = fill_splits(given_splits, ["a"] * len(pictures), groups=groups)
    assert all(given in (None, "train", split) for given, split in zip(given_splits, splits, strict=True))
