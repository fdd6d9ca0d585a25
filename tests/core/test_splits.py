"""Stratified splits."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from core.splits import choose_stratified, fill_splits


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


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5), st.floats(0.05, 0.5), st.integers(0, 2**31 - 1))
def test_every_class_gives_its_share_and_keeps_some(sizes: list[int], fraction: float, seed: int) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    chosen = choose_stratified(labels, fraction, seed)
    assert len(set(chosen.tolist())) == len(chosen)
    assert np.array_equal(chosen, choose_stratified(labels, fraction, seed))
    for label, size in enumerate(sizes):
        n = int((labels[chosen] == label).sum())
        assert n == min(max(round(size * fraction), 1), size - 1)
