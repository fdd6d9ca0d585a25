"""The splits of an import: those that are given are kept, those that are missing are cut from train."""

from __future__ import annotations

import numpy as np

from core.groups import split_groups

DEFAULT_SEED = 42
DEFAULT_FRACTION = 0.15


def fill_splits(
    splits: list[str | None], labels: list[str], seed: int = DEFAULT_SEED, groups: list[str] | None = None
) -> tuple[list[str], list[str]]:
    """Give every picture a split: those that have one keep it, a missing validation or test is cut from train.

    Args:
        splits: "train", "validation", "test" or None for each picture.
        labels: class name of each picture.
        groups: number of the group that stays on one side, or "", for each picture.

    Returns:
        The splits, and a sentence for the user about each split that was made.
    """
    groups = groups or [""] * len(splits)
    filled = np.array(_follow_groups(splits, groups), dtype=object)
    _, units = np.unique(
        [f"group {group}" if group else f"single {at}" for at, group in enumerate(groups)], return_inverse=True
    )
    made = [split for split in ("validation", "test") if split not in filled]
    train = np.flatnonzero(filled == "train")
    if made:
        filled[train] = split_groups(
            [labels[at] for at in train], units[train], dict.fromkeys(made, DEFAULT_FRACTION), seed
        )
    way = "stratified by class, patients kept whole" if any(groups) else "stratified by class"
    notes = [
        f"No readable picture was given for {split}; {int((filled == split).sum()):,} pictures of train were set "
        f"aside for it ({way}, seed {seed})."
        for split in made
    ]
    return filled.tolist(), notes


def _follow_groups(splits: list[str | None], groups: list[str]) -> list[str]:
    """A picture without a split goes where others of its group are, else to train."""
    given: dict[str, str] = {}
    for split, group in zip(splits, groups, strict=True):
        if split and group:
            given.setdefault(group, split)
    return [split or given.get(group, "train") for split, group in zip(splits, groups, strict=True)]
