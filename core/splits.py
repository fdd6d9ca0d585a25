"""Divide pictures into train, validation and test so that each class keeps its share."""

from __future__ import annotations

import numpy as np

DEFAULT_SEED = 42
DEFAULT_FRACTION = 0.15


def choose_stratified(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose the same fraction of every class, at least one picture and never all of them.

    Args:
        labels: class of each picture, any hashable values, shape (n,).
        fraction: 0 to 1.

    Returns:
        Indices into `labels`, sorted. A class of one picture gives none.
    """
    rng = np.random.default_rng(seed)
    chosen = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        n_chosen = min(max(round(len(members) * fraction), 1), len(members) - 1)
        chosen.append(rng.permutation(members)[:n_chosen])
    return np.sort(np.concatenate(chosen)) if chosen else np.array([], dtype=int)


def choose_groups(labels: np.ndarray, groups: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Choose whole groups so that each class gives nearly the same fraction.

    Args:
        labels: class of each picture, shape (n,).
        groups: what must stay together, any hashable values, shape (n,).

    Returns:
        Indices into `labels`, sorted. A class whose pictures are all in one group gives none of its own accord.
    """
    names, classes = np.unique(labels, return_inverse=True)
    _, units = np.unique(groups, return_inverse=True)
    counts = np.zeros((units.max(initial=-1) + 1, len(names)), dtype=int)
    np.add.at(counts, (units, classes), 1)
    total = counts.sum(axis=0)
    target = np.minimum(np.maximum(np.rint(total * fraction), 1), total - 1)
    order = np.random.default_rng(seed).permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]  # large ones first: small ones fill up
    chosen = np.zeros(len(counts), dtype=bool)
    taken = np.zeros(len(names), dtype=int)
    for unit in order:
        after = taken + counts[unit]
        if np.all(after < total) and np.abs(target - after).sum() < np.abs(target - taken).sum():
            chosen[unit], taken = True, after
    for unit in order[::-1]:  # a class that has none yet gets its smallest group
        after = taken + counts[unit]
        if not chosen[unit] and np.all(after < total) and np.any((taken == 0) & (counts[unit] > 0)):
            chosen[unit], taken = True, after
    return np.flatnonzero(chosen[units])


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
    names = np.array(labels, dtype=object)
    units = np.array([group or f"single {number}" for number, group in enumerate(groups)], dtype=object)
    made = [split for split in ("validation", "test") if split not in filled]
    for split in made:
        train = np.flatnonzero(filled == "train")
        remaining = len(train) / max(len(filled), 1) if len(made) == 2 else 1.0
        fraction = DEFAULT_FRACTION / remaining if split == "test" and len(made) == 2 else DEFAULT_FRACTION
        if any(groups):
            filled[train[choose_groups(names[train], units[train], fraction, seed)]] = split
        else:
            filled[train[choose_stratified(names[train], fraction, seed)]] = split
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
