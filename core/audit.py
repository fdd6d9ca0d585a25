"""What is wrong with a data set as a whole: twins, leaks, label conflicts, patients on both sides, quality, shortcuts.

Positions are those of the manifest. The result lies in the data set's folder (`audit/result.json`); `core.auditing`
makes it and reads it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations, islice, product
from typing import Any

import numpy as np

from core.balance import imbalance
from core.datasets import Dataset, Picture, read_manifest
from core.jobs import Report
from core.leaks import SEEN_BEFORE, find_leaks
from core.likeness import SYMMETRIES
from core.quality import are_comparable, find_problems
from core.shortcuts import Shortcut, probe_shortcuts
from core.signatures import read_detail, read_signatures
from core.twins import Twin, find_twins

MOST_CONFLICTS = 100_000  # pairs that are listed; their number is always told
_MOST_SOURCES = 20
_CHANGED_BRIGHTNESS = 4.0  # grey levels from which a change is worth a word


@dataclass(frozen=True, eq=False)
class Audit:
    """The result of an audit.

    Attributes:
        fingerprint: of the data set that was audited.
        n_distinct: pictures when twins count as one.
        twins: verified pairs, enough to connect every group.
        groups: positions of each group of twins, two or more.
        leaks: per scored split the pictures with a twin in a split that was seen before.
        label_conflicts: pairs of twins with different classes (at most `MOST_CONFLICTS`), `n_label_conflicts` in all.
        patients: number of patients known, and positions per scored split of pictures whose patient was seen before.
        quality: (position, sentence) of single pictures.
        imbalance: largest ÷ smallest class in train.
    """

    fingerprint: str
    n_images: int
    n_distinct: int
    twins: list[Twin]
    groups: list[list[int]]
    leaks: dict[str, list[int]]
    label_conflicts: list[tuple[int, int]]
    n_label_conflicts: int
    n_patients: int
    patient_leaks: dict[str, list[int]]
    quality: list[tuple[int, str]]
    imbalance: float
    shortcuts: list[Shortcut]
    seconds: float

    @property
    def n_leaks(self) -> int:
        """Pictures of validation and test with a twin that was seen before."""
        return sum(map(len, self.leaks.values()))

    @property
    def n_patient_leaks(self) -> int:
        """Pictures of validation and test whose patient was seen before."""
        return sum(map(len, self.patient_leaks.values()))


def audit_dataset(dataset: Dataset, report: Report | None = None) -> Audit:
    """Audit a data set.

    Args:
        report: told a sentence, the number done and their total.

    Raises:
        DatasetError: its files are damaged.
    """
    started = time.perf_counter()
    say = report or (lambda message, done, total: None)
    say("Reading the pictures' signatures", 0, 1)
    pictures = read_manifest(dataset)
    signatures = read_signatures(dataset)
    folder = dataset.folder
    detail = lru_cache(maxsize=1024)(lambda at: read_detail(folder, pictures[at]))
    twins, groups = find_twins(
        signatures,
        [picture.pixels for picture in pictures],
        detail,
        lambda done, total: say("Comparing pictures that look alike", done, total),
        comparable=are_comparable(pictures),
    )
    say("Looking at single pictures", 0, 1)
    contrasts = np.concatenate(
        [signatures[at : at + 512].std(axis=(1, 2), dtype=np.float32) for at in range(0, len(pictures), 512)]
    )
    quality = find_problems(dataset, pictures, contrasts) + _find_duplicates(pictures, groups)
    say("Trying shortcuts", 0, 1)
    members = collect_groups(groups)
    n_conflicts, conflicts = _find_conflicts(pictures, members)
    patients = [picture.group for picture in pictures]
    return Audit(
        fingerprint=dataset.fingerprint,
        n_images=len(pictures),
        n_distinct=int(groups.max(initial=-1)) + 1,
        twins=twins,
        groups=members,
        leaks=find_leaks([picture.split for picture in pictures], groups.tolist()),
        label_conflicts=conflicts,
        n_label_conflicts=n_conflicts,
        n_patients=len(set(patients) - {""}),
        patient_leaks=find_leaks([picture.split for picture in pictures], patients),
        quality=sorted(quality),
        imbalance=imbalance(dataset.splits["train"]),
        shortcuts=probe_shortcuts(pictures, signatures, groups),
        seconds=round(time.perf_counter() - started, 3),
    )


def collect_groups(groups: np.ndarray) -> list[list[int]]:
    """Positions of each group of two or more, from the group of each picture."""
    order = np.argsort(groups, kind="stable")
    edges = np.flatnonzero(np.diff(groups[order])) + 1
    return [part.tolist() for part in np.split(order, edges) if len(part) > 1]


def describe_difference(twin: Twin, first: Picture, second: Picture) -> str:
    """What differs between two twins, in words."""
    if twin.copied:
        return "the same pixels"
    words = [SYMMETRIES[twin.symmetry][1]] if twin.symmetry else []
    if sorted((first.width, first.height)) != sorted((second.width, second.height)):
        words.append(f"resized ({first.width}×{first.height} and {second.width}×{second.height})")
    if first.colour != second.colour:
        words.append("one in colour, one in grey")
    if twin.brightness >= _CHANGED_BRIGHTNESS:
        words.append(f"brightness changed by {twin.brightness:.0f} grey levels")
    return ", ".join(words) or "re-encoded"


def list_pairs(audit: Audit, pictures: list[Picture]) -> list[dict[str, Any]]:
    """A row for each pair: file, stored name, split and class of both, what differs, how alike they are.

    Besides the verified pairs there is a row for every label conflict, and for every leak one with a picture that was
    seen before; where those two were not compared themselves, `alike` is None. Pairs under two classes come first,
    then those in two splits.
    """
    verified = {(twin.first, twin.second): twin for twin in audit.twins}
    pairs = dict.fromkeys([*verified, *audit.label_conflicts, *_find_sources(audit, pictures)])
    rows = []
    for pair in pairs:
        row: dict[str, Any] = {}
        for side, at in zip(("first", "second"), pair, strict=True):
            picture = pictures[at]
            row |= {side: picture.file, f"{side}_stored": picture.stored}
            row |= {f"{side}_split": picture.split, f"{side}_label": picture.label}
        twin = verified.get(pair)
        differs = (
            describe_difference(twin, pictures[pair[0]], pictures[pair[1]]) if twin else "twins of a third picture"
        )
        rows.append(row | {"differs": differs, "alike": twin.alike if twin else None})
    return sorted(
        rows, key=lambda row: (row["first_label"] == row["second_label"], row["first_split"] == row["second_split"])
    )


def _find_sources(audit: Audit, pictures: list[Picture]) -> Iterator[tuple[int, int]]:
    """For every leak a pair with a picture that was seen before, a compared one where there is one."""
    compared = {(twin.first, twin.second) for twin in audit.twins}
    for split, found in audit.leaks.items():
        leaked = set(found)
        for group in audit.groups:
            # A few are enough: the first of a group is what its copies were compared with.
            seen = [other for other in group if pictures[other].split in SEEN_BEFORE[split]][:_MOST_SOURCES]
            for at in leaked.intersection(group):
                pairs = [(min(at, other), max(at, other)) for other in seen]
                yield next((pair for pair in pairs if pair in compared), pairs[0])


def describe_audit(dataset: Dataset, audit: Audit) -> dict[str, Any]:
    """The contract's JSON for an audit."""
    pictures = read_manifest(dataset)
    files = [picture.file for picture in pictures]

    def leak(split: str) -> dict[str, Any]:
        found = audit.leaks[split]
        by_class = dict.fromkeys(dataset.class_names, 0)
        for at in found:
            by_class[pictures[at].label] += 1
        return {"n": len(found), "files": [files[at] for at in found], "by_class": by_class}

    return {
        "dataset_id": dataset.dataset_id,
        "n_images": audit.n_images,
        "n_distinct": audit.n_distinct,
        "groups": [[files[at] for at in group] for group in audit.groups],
        "leaks": {split: leak(split) for split in SEEN_BEFORE},
        "label_conflicts": [[files[first], files[second]] for first, second in audit.label_conflicts],
        "n_label_conflicts": audit.n_label_conflicts,
        "quality": [{"file": files[at], "problem": problem} for at, problem in audit.quality]
        + [{"file": entry["file"], "problem": f"Left out: {entry['reason']}"} for entry in dataset.skipped],
        "pairs": [
            {"files": [row["first"], row["second"]], "differs": row["differs"], "alike": row["alike"]}
            for row in list_pairs(audit, pictures)
        ],
        "patients": {
            "n": audit.n_patients,
            "leaks": {split: {"n": len(found)} for split, found in audit.patient_leaks.items()},
        },
        "imbalance": round(audit.imbalance, 3),
        "shortcuts": [
            {"name": entry.name, "accuracy": entry.accuracy, "chance": entry.chance, "suspicious": entry.is_suspicious}
            for entry in audit.shortcuts
        ],
        "seconds": audit.seconds,
    }


def _find_conflicts(pictures: list[Picture], groups: list[list[int]]) -> tuple[int, list[tuple[int, int]]]:
    """Number of pairs of twins with different classes, and the first of them."""
    n = 0
    for group in groups:
        counts: dict[str, int] = defaultdict(int)
        for at in group:
            counts[pictures[at].label] += 1
        n += (len(group) ** 2 - sum(count**2 for count in counts.values())) // 2
    pairs = (pair for group in groups for pair in _pairs_across(pictures, group))
    return n, list(islice(pairs, MOST_CONFLICTS))


def _pairs_across(pictures: list[Picture], group: list[int]) -> Iterator[tuple[int, int]]:
    """Pairs of a group whose classes differ; without looking at those whose do not."""
    by_label: dict[str, list[int]] = defaultdict(list)
    for at in group:
        by_label[pictures[at].label].append(at)
    for one, two in combinations(by_label.values(), 2):
        yield from ((min(pair), max(pair)) for pair in product(one, two))


def _find_duplicates(pictures: list[Picture], groups: np.ndarray) -> list[tuple[int, str]]:
    """Pictures whose twin stands before them in the same split."""
    first: dict[tuple[int, str], int] = {}
    found = []
    for at, (group, picture) in enumerate(zip(groups.tolist(), pictures, strict=True)):
        other = first.setdefault((group, picture.split), at)
        if other != at:
            found.append((at, f"Duplicate within {picture.split}: the same picture as {pictures[other].file}."))
    return found
