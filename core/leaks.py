"""Leaks: pictures that are scored although the training, or the choice of its best epoch, has seen them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from core.datasets import Dataset, read_manifest
from core.quality import are_comparable
from core.signatures import StackedRows, read_detail, read_signatures
from core.twins import find_twins

# Splits whose pictures training or the choice of the best epoch has seen before a split is scored.
SEEN_BEFORE = {"validation": ("train",), "test": ("train", "validation")}


def find_leaks(splits: list[str], groups: list[Any]) -> dict[str, list[int]]:
    """Positions per scored split of pictures with a member of their group in a split that was seen before.

    Args:
        splits: split of each picture.
        groups: group of each; "" stands alone.
    """
    splits_of: dict[Any, set[str]] = defaultdict(set)
    for split, group in zip(splits, groups, strict=True):
        splits_of[group].add(split)
    return {
        scored: [
            at
            for at, (split, group) in enumerate(zip(splits, groups, strict=True))
            if split == scored and group != "" and not splits_of[group].isdisjoint(seen)
        ]
        for scored, seen in SEEN_BEFORE.items()
    }


def find_foreign_leaks(dataset: Dataset, split: str, trained_on: Dataset) -> list[int]:
    """Positions of the pictures of a split with a twin in train or validation of another data set.

    Raises:
        DatasetError: files of one of them are damaged.
    """
    asked = [(at, picture) for at, picture in enumerate(read_manifest(dataset)) if picture.split == split]
    seen = [
        (at, picture) for at, picture in enumerate(read_manifest(trained_on)) if picture.split in SEEN_BEFORE["test"]
    ]
    owners = [(dataset.folder, picture) for _, picture in asked] + [(trained_on.folder, picture) for _, picture in seen]
    signatures = StackedRows(
        [(read_signatures(dataset), [at for at, _ in asked]), (read_signatures(trained_on), [at for at, _ in seen])]
    )
    pictures = [picture for _, picture in owners]
    _, groups = find_twins(
        signatures,
        [picture.pixels for picture in pictures],
        lambda at: read_detail(*owners[at]),
        comparable=are_comparable(pictures),
    )
    known = set(groups[len(asked) :].tolist())
    return [at for (at, _), group in zip(asked, groups.tolist(), strict=False) if group in known]
