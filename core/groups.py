"""Groups: pictures that must stay on one side of a split. Twins, and pictures of one patient."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from core.layouts import SPLITS
from core.twins import connect_pairs


def join_groups(twins: list[list[int]], patients: list[str]) -> np.ndarray:
    """Number the groups that twins and patients make together: int (n,).

    Args:
        twins: positions of each group of twins.
        patients: group number of each picture's patient, "" where none is known.
    """
    members: dict[str, list[int]] = defaultdict(list)
    for at, patient in enumerate(patients):
        if patient:
            members[patient].append(at)
    pairs = [(group[0], other) for group in [*twins, *members.values()] for other in group[1:]]
    return connect_pairs(len(patients), pairs)


def split_groups(labels: list[str], groups: np.ndarray, fractions: dict[str, float], seed: int) -> list[str]:
    """Give whole groups to splits so that every class keeps its share in each as nearly as they allow.

    Groups are dealt out from the largest to the smallest, each to the split where it makes the squared error of the
    class shares smallest; single pictures, which fit anywhere, then fill what is missing.

    Args:
        labels: class of each picture, n of them.
        groups: group of each picture, int (n,).
        fractions: share of the pictures for each split that is wanted beside train, which gets the rest.

    Returns:
        The split of each picture.
    """
    rng = np.random.default_rng(seed)
    names, classes = np.unique(np.array(labels, dtype=object).astype(str), return_inverse=True)
    shares = np.array([fractions.get(split, 0.0) for split in SPLITS])
    shares[SPLITS.index("train")] = 1 - shares.sum()
    targets = shares[:, None] * np.bincount(classes, minlength=len(names))[None, :]
    missing = targets.copy()
    chosen = np.full(len(labels), -1)
    order = np.argsort(groups, kind="stable")
    members = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    large = [group for group in members if len(group) > 1]
    for at in sorted(rng.permutation(len(large)), key=lambda at: -len(large[at])):
        counts = np.bincount(classes[large[at]], minlength=len(names))
        growth = ((counts**2 - 2 * counts * missing) / np.maximum(targets, 1e-9)).sum(axis=1)
        best = int(growth.argmin())
        missing[best] -= counts
        chosen[large[at]] = best
    for label in range(len(names)):
        singles = rng.permutation(np.flatnonzero((classes == label) & (chosen < 0)))
        chosen[singles] = _fill(len(singles), missing[:, label])
    _fill_empty(chosen, classes, members, np.flatnonzero(shares))
    return [SPLITS[at] for at in chosen]


def _fill_empty(chosen: np.ndarray, classes: np.ndarray, members: list[np.ndarray], wanted: np.ndarray) -> None:
    """Give each wanted split a group of every class that it lacks, the smallest that can be spared; in place.

    Train comes first and takes any group, because what is not in train cannot be learned; of the others none takes a
    group whose split would be left without a class.
    """
    labels = range(int(classes.max(initial=-1)) + 1)
    if all(np.isin(wanted, chosen[classes == label]).all() for label in labels):
        return
    kinds = [np.unique(classes[group]) for group in members]
    present = np.zeros((len(SPLITS), len(labels)), dtype=int)  # groups per split and class
    for group, kind in zip(members, kinds, strict=True):
        present[chosen[group[0]], kind] += 1
    order = sorted(range(len(members)), key=lambda at: len(members[at]))
    train = SPLITS.index("train")
    for split in sorted(wanted, key=lambda split: split != train):
        for label in labels:
            if present[split, label]:
                continue
            for at in order:
                source, kind = chosen[members[at][0]], kinds[at]
                if label in kind and (split == train or (present[source, kind] > 1).all()):
                    chosen[members[at]] = split
                    present[source, kind] -= 1
                    present[split, kind] += 1
                    break


def _fill(n: int, missing: np.ndarray) -> np.ndarray:
    """Deal n pictures of one class to the splits in proportion to what they miss: int (n,)."""
    needs = np.maximum(missing, 0)
    if not needs.sum():
        return np.zeros(n, dtype=int)
    exact = needs * n / needs.sum()
    counts = np.floor(exact).astype(int)
    for at in np.argsort(counts - exact, kind="stable")[: n - counts.sum()]:
        counts[at] += 1
    return np.repeat(np.arange(len(missing)), counts)
