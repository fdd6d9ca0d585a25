"""Shortcut probe: can the class be told without looking at the anatomy?

A naive Bayes classifier on a few bins gets nothing but picture size, or file format, or the border, or the mean
brightness, and is cross-validated. Where it does much better than guessing, a network can do the same, and its score
then says little about tumours. (Twenty lines of NumPy: importing scikit-learn takes longer than the whole audit.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.datasets import Picture

_FOLDS = 5
_BINS = 12  # per property, with as many pictures in each as possible
_MOST = 5_000  # pictures that are enough to tell
_MARGIN = 0.2  # share of the way from chance to certainty from which a shortcut is told,
_ERRORS = 4.0  # if it is also so many standard errors of guessing above chance (there are four tests, and small sets)


@dataclass(frozen=True)
class Shortcut:
    """How well one property predicts the class.

    Attributes:
        name: the property, in words.
        accuracy: balanced accuracy (mean over classes of the share told right), cross-validated; None where the
            property is the same for all pictures.
        chance: what guessing gets.
        n: number of pictures.
    """

    name: str
    accuracy: float | None
    chance: float
    n: int

    @property
    def is_suspicious(self) -> bool:
        """Whether it is well above chance."""
        if self.accuracy is None:
            return False
        error = (self.chance * (1 - self.chance) / max(self.n, 1)) ** 0.5
        return self.accuracy - self.chance > max(_MARGIN * (1 - self.chance), _ERRORS * error)


def probe_shortcuts(
    pictures: list[Picture], signatures: np.ndarray, groups: np.ndarray, seed: int = 42
) -> list[Shortcut]:
    """Cross-validate a small model on each property alone.

    Args:
        signatures: uint8 (n, side, side).
        groups: int (n,); twins share a number and stay in one fold, or the probe would remember instead of predict.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(pictures))[:_MOST])
    names, labels = np.unique([pictures[at].label for at in chosen], return_inverse=True)
    folds = (rng.permutation(groups.max(initial=0) + 1) % _FOLDS)[groups[chosen]]
    chance = 1 / len(names)
    described = _describe([pictures[at] for at in chosen], signatures[chosen])
    return [
        Shortcut(name, _cross_validate(values, labels, folds) if _varies(values) else None, chance, len(chosen))
        for name, values in described.items()
    ]


def _varies(values: np.ndarray) -> bool:
    return bool((values != values[:1]).any())


def _describe(pictures: list[Picture], signatures: np.ndarray) -> dict[str, np.ndarray]:
    """The properties, each as float (n, k)."""
    formats = sorted({picture.format for picture in pictures})
    edges = (signatures[:, :2], signatures[:, -2:], signatures[:, :, :2], signatures[:, :, -2:])
    border = np.concatenate([edge.reshape(len(pictures), -1) for edge in edges], axis=1)
    return {
        "Picture size": np.array([(picture.width, picture.height) for picture in pictures], dtype=float),
        "File format": np.array([(formats.index(picture.format), picture.colour) for picture in pictures], dtype=float),
        "Border": np.stack([border.mean(axis=1), border.std(axis=1), border.max(axis=1)], axis=1).astype(float),
        "Mean brightness": signatures.mean(axis=(1, 2), dtype=np.float32)[:, None].astype(float),
    }


def _cross_validate(values: np.ndarray, labels: np.ndarray, folds: np.ndarray) -> float | None:
    predicted = np.full(len(labels), -1)
    for fold in range(_FOLDS):
        held_out = folds == fold
        if not held_out.all() and held_out.any():
            predicted[held_out] = _predict_bayes(values[~held_out], labels[~held_out], values[held_out])
    judged = predicted >= 0
    right = [
        float((predicted[judged & (labels == label)] == label).mean())
        for label in np.unique(labels)
        if (judged & (labels == label)).any()
    ]
    return float(np.mean(right)) if right else None


def _predict_bayes(known: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Class of each row of `asked` by naive Bayes with equal priors on binned values, learned from `known`."""
    n_classes = int(labels.max()) + 1
    scores = np.zeros((len(asked), n_classes))
    for column in range(known.shape[1]):
        edges = np.unique(np.quantile(known[:, column], np.linspace(0, 1, _BINS + 1)[1:-1], method="inverted_cdf"))
        counts = np.ones((len(edges) + 1, n_classes))
        np.add.at(counts, (np.searchsorted(edges, known[:, column], side="right"), labels), 1)
        chances = np.log(counts / counts.sum(axis=0))
        scores += chances[np.searchsorted(edges, asked[:, column], side="right")]
    return scores.argmax(axis=1)
