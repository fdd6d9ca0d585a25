"""Balanced classes: how much a training picture of each class counts, so that every class counts the same."""

from __future__ import annotations

from collections.abc import Mapping

NEEDED = 1.5  # largest ÷ smallest class from which balancing is on by default


def imbalance(counts: Mapping[str, int]) -> float:
    """Pictures of the largest class per picture of the smallest that has any; 1 if there are none."""
    present = [n for n in counts.values() if n]
    return max(present) / min(present) if present else 1.0


def weigh_classes(counts: Mapping[str, int]) -> dict[str, float]:
    """Weight of a picture of each class: the same sum for all classes, a mean of 1 over all pictures."""
    n_present = sum(1 for n in counts.values() if n)
    total = sum(counts.values())
    return {name: total / (max(n, 1) * max(n_present, 1)) for name, n in counts.items()}
