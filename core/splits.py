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


def fill_splits(splits: list[str | None], labels: list[str], seed: int = DEFAULT_SEED) -> tuple[list[str], list[str]]:
    """Give every picture a split: those that have one keep it, a missing validation or test is cut from train.

    Args:
        splits: "train", "validation", "test" or None for each picture.
        labels: class name of each picture.

    Returns:
        The splits, and a sentence for the user about each split that was made.
    """
    filled = np.array([split or "train" for split in splits], dtype=object)
    names = np.array(labels, dtype=object)
    made = [split for split in ("validation", "test") if split not in filled]
    for split in made:
        train = np.flatnonzero(filled == "train")
        remaining = len(train) / max(len(filled), 1) if len(made) == 2 else 1.0
        fraction = DEFAULT_FRACTION / remaining if split == "test" and len(made) == 2 else DEFAULT_FRACTION
        filled[train[choose_stratified(names[train], fraction, seed)]] = split
    notes = [
        f"No readable picture was given for {split}; {int((filled == split).sum()):,} pictures of train were set "
        f"aside for it (stratified by class, seed {seed})."
        for split in made
    ]
    return filled.tolist(), notes
