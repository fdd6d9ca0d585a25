"""New versions of a data set: split anew, or with pictures left out or given another class. The old one stays as it is.

A version shares the files of its pictures with its parent by hard links, so it costs hardly any disk, and either can be
deleted without the other.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.auditing import ensure_audit
from core.datasets import (
    Dataset,
    Picture,
    compute_fingerprint,
    count_splits,
    read_dataset,
    read_manifest,
    write_manifest,
)
from core.drafts import EXCLUDED
from core.errors import DatasetError, SettingsError
from core.exploration import PixelSums, measure_file, read_sums, write_exploration
from core.groups import join_groups, split_groups
from core.jobs import Report
from core.layouts import SPLITS
from core.signatures import FILE as SIGNATURES
from core.signatures import read_signatures
from core.splits import DEFAULT_FRACTION, DEFAULT_SEED


def new_split(
    validation: float = DEFAULT_FRACTION, test: float = DEFAULT_FRACTION, seed: int = DEFAULT_SEED
) -> dict[str, Any]:
    """A change that splits anew: grouped (twins and patients stay together) and stratified by class."""
    return {"kind": "split", "validation": validation, "test": test, "seed": seed}


def changed_pictures(changes: dict[str, str]) -> dict[str, Any]:
    """A change of single pictures: stored name -> new class, or `core.drafts.EXCLUDED`."""
    return {"kind": "pictures", "changes": changes}


def check_change(parent: Dataset, change: dict[str, Any]) -> None:
    """Refuse at once what cannot become a version.

    Raises:
        SettingsError: the fractions or the seed cannot be used.
        DatasetError: nothing would change.
    """
    if change["kind"] == "pictures":
        if not change["changes"]:
            raise DatasetError("No picture was marked, so a new version would be the same. Mark some first.")
        return
    validation, test = change["validation"], change["test"]
    for name, fraction in (("validation", validation), ("test", test)):
        if not 0.01 <= fraction <= 0.6:
            raise SettingsError(f"{name} must be between 0.01 and 0.6. Received: {fraction}.")
    if validation + test > 0.8:
        raise SettingsError(f"validation and test together may be at most 0.8. Received: {validation + test:.2f}.")
    if not 0 <= change["seed"] < 2**32:
        raise SettingsError(f"seed must be between 0 and {2**32 - 1}. Received: {change['seed']}.")


def build_version(request: dict[str, Any], staging: Path, report: Report) -> Dataset:
    """Put a version together.

    Args:
        request: `parent`, `change` and `name`.
        staging: empty folder that becomes the data set's.
        report: told a sentence, the number of pictures done and of all; may raise to end the work.

    Returns:
        The data set, still without an id.

    Raises:
        StudioError: the parent is gone, or what is left of it is no data set.
    """
    started = time.time()
    parent, change = read_dataset(request["parent"]), request["change"]
    check_change(parent, change)
    old = read_manifest(parent)
    if change["kind"] == "split":
        kept, note = _split_anew(parent, old, change, report)
    else:
        kept, note = _change_pictures(old, change["changes"])
    pictures = [picture for _, picture in kept]
    class_names = sorted({picture.label for picture in pictures})
    counts = count_splits(pictures, class_names)
    _check_version(pictures, class_names, counts)
    _link_files(parent.folder, staging, pictures, report)
    write_manifest(staging / "manifest.csv", pictures)
    _write_signatures(parent, [at for at, _ in kept], staging)
    _write_exploration(parent, old, kept, class_names, staging)
    return replace(
        parent,
        dataset_id="",
        name=str(request.get("name") or "").strip() or _title(parent, change),
        class_names=class_names,
        n_images=len(pictures),
        splits=counts,
        skipped=[],
        litter=[],
        notes=[note, *_tell_missing(counts), *(parent.notes[:1] if parent.synthetic else [])],
        fingerprint=compute_fingerprint(pictures),
        split_fingerprints={
            split: compute_fingerprint(picture for picture in pictures if picture.split == split) for split in SPLITS
        },
        created=started,
        seconds=round(time.time() - started, 3),
        source="version",
        parent=parent.dataset_id,
        root=parent.root or parent.dataset_id,
        note="",
    )


def describe_change(parent: list[Picture], version: list[Picture]) -> dict[str, Any]:
    """How a version differs from its parent: `excluded`, `relabelled` and `moved` (to another split), as lists."""
    now = {picture.stored: picture for picture in version}
    pairs = [(picture, now[picture.stored]) for picture in parent if picture.stored in now]
    return {
        "excluded": [{"file": picture.file} for picture in parent if picture.stored not in now],
        "relabelled": [
            {"file": old.file, "from": old.label, "to": new.label} for old, new in pairs if old.label != new.label
        ],
        "moved": [
            {"file": old.file, "from": old.split, "to": new.split} for old, new in pairs if old.split != new.split
        ],
    }


def family(dataset: Dataset, datasets: Sequence[Dataset]) -> list[Dataset]:
    """A data set, the import that it comes from in the end, and all versions of that, the oldest first."""
    root = dataset.root or dataset.dataset_id
    members = [other for other in datasets if (other.root or other.dataset_id) == root]
    return sorted(members, key=lambda other: other.created)


def _title(parent: Dataset, change: dict[str, Any]) -> str:
    """The parent's name with a word about the change, in place of the word about the one before."""
    words = {"split": " · grouped split", "pictures": " · changed"}
    name = parent.name
    for word in words.values():
        name = name.removesuffix(word)
    return name[:180] + words[change["kind"]]


def _check_version(pictures: list[Picture], class_names: list[str], counts: dict[str, dict[str, int]]) -> None:
    if len(class_names) < 2:
        left = f"only class {class_names[0]!r}" if class_names else "no picture"
        raise DatasetError(f"With these marks {left} would be left, and two classes are needed. Unmark some.")
    for split, by_class in counts.items():
        if not sum(by_class.values()):
            raise DatasetError(
                f"No picture would be left for {split}. There are {len(pictures):,} pictures; those of one group of "
                "twins or of one patient stay together. Choose other fractions, or add pictures."
            )
    for name, n in counts["train"].items():
        if not n:
            raise DatasetError(
                f"Class {name!r} would have no picture in train, so it could not be learned. Its pictures are too few, "
                "or all of one group of twins or one patient. Add pictures, or leave the class out."
            )


def _tell_missing(counts: dict[str, dict[str, int]]) -> list[str]:
    missing = [f"{name} in {split}" for split in ("validation", "test") for name, n in counts[split].items() if not n]
    return [f"There is no picture of {', '.join(missing)}: too few groups of it to divide."] if missing else []


def _split_anew(
    parent: Dataset, pictures: list[Picture], change: dict[str, Any], report: Report
) -> tuple[list[tuple[int, Picture]], str]:
    audit = ensure_audit(parent, report)
    groups = join_groups(audit.groups, [picture.group for picture in pictures])
    fractions = {"validation": change["validation"], "test": change["test"]}
    splits = split_groups([picture.label for picture in pictures], groups, fractions, change["seed"])
    moved = sum(split != picture.split for split, picture in zip(splits, pictures, strict=True))
    patients = f" and of {audit.n_patients:,} patients" if audit.n_patients else ""
    note = (
        f"Split anew from {parent.name!r}: {change['validation']:.0%} for validation, {change['test']:.0%} for test, "
        f"seed {change['seed']}, stratified by class. The pictures of {len(audit.groups):,} groups of twins{patients} "
        f"stay together. {moved:,} of {len(pictures):,} pictures changed sides."
    )
    return list(enumerate(replace(old, split=new) for old, new in zip(pictures, splits, strict=True))), note


def _change_pictures(pictures: list[Picture], changes: dict[str, str]) -> tuple[list[tuple[int, Picture]], str]:
    unknown = set(changes) - {picture.stored for picture in pictures}
    if unknown:
        raise DatasetError(f"{len(unknown)} marked picture(s) are not in this data set. Clear the marks and try again.")
    kept = [
        (at, replace(picture, label=changes.get(picture.stored, picture.label)))
        for at, picture in enumerate(pictures)
        if changes.get(picture.stored) != EXCLUDED
    ]
    n_excluded = len(pictures) - len(kept)
    n_relabelled = sum(picture.label != pictures[at].label for at, picture in kept)
    if not n_excluded + n_relabelled:
        raise DatasetError("Nothing would change: the marked pictures have these classes already. Mark others.")
    return kept, f"{n_excluded:,} picture(s) were left out and {n_relabelled:,} given another class."


def _link_files(parent: Path, staging: Path, pictures: list[Picture], report: Report) -> None:
    for folder in ("images", "thumbnails"):
        (staging / folder).mkdir()
    for done, picture in enumerate(pictures, start=1):
        for name in (picture.stored, picture.thumbnail):
            try:
                os.link(parent / name, staging / name)
            except FileNotFoundError:
                raise DatasetError(
                    f"{name} of the parent is missing: it is damaged, or was deleted meanwhile."
                ) from None
            except OSError:  # a file system without hard links
                shutil.copyfile(parent / name, staging / name)
        report("Taking over the pictures", done, len(pictures))


def _write_signatures(parent: Dataset, kept: list[int], staging: Path) -> None:
    signatures = read_signatures(parent)
    with (staging / SIGNATURES).open("wb") as file:
        for at in range(0, len(kept), 512):
            file.write(signatures[kept[at : at + 512]].tobytes())


def _write_exploration(
    parent: Dataset, old: list[Picture], kept: list[tuple[int, Picture]], class_names: list[str], staging: Path
) -> None:
    """Only pictures that went or changed their class are measured again."""
    sums = read_sums(parent)
    labels = {at: picture.label for at, picture in kept}
    for at, picture in enumerate(old):
        if labels.get(at) == picture.label:
            continue
        measured = measure_file(parent.folder / picture.stored)
        sums[picture.label].add(measured, -1)
        if at in labels:
            sums.setdefault(labels[at], PixelSums()).add(measured)
    write_exploration(staging, [sums[name] for name in class_names])
