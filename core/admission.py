"""What pictures must have together to become a data set."""

from __future__ import annotations

from collections import Counter

from core.datasets import Picture
from core.errors import DatasetError
from core.findings import Skipped

MIN_PER_CLASS = 3


def check_classes(pictures: list[Picture], class_names: list[str], skipped: list[Skipped]) -> None:
    """Refuse what has too few classes, or too few pictures in one.

    Raises:
        DatasetError: says which class has how many.
    """
    if not pictures:
        reason = skipped[0].reason if skipped else "there were no files"
        raise DatasetError(f"None of {len(skipped)} files could be read as a picture. The first one: {reason}")
    if len(class_names) < 2:
        raise DatasetError(
            f"A classifier needs at least two classes; only {class_names[0]!r} was found. "
            "Put the pictures of each class into a folder of its own."
        )
    counts = Counter(picture.label for picture in pictures)
    for name in class_names:
        if counts[name] < MIN_PER_CLASS:
            raise DatasetError(
                f"Class {name!r} has {counts[name]} readable picture(s); at least {MIN_PER_CLASS} are needed for three "
                "splits. Add pictures or remove the class."
            )


def check_splits(counts: dict[str, dict[str, int]]) -> None:
    """Refuse splits that are empty, or that hold a class which cannot be learned.

    Args:
        counts: split -> class -> number of pictures.

    Raises:
        DatasetError: says which split or class.
    """
    for split, by_class in counts.items():
        if not sum(by_class.values()):
            raise DatasetError(
                f"There are too few pictures in train to set some aside for {split}. Add pictures, or a {split} folder."
            )
    for name, n in counts["train"].items():
        if not n:
            raise DatasetError(
                f"Class {name!r} has pictures in validation or test but none in train, so it cannot be learned. "
                "Add some to the train folder, or remove the class."
            )
