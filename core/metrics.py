"""Arrays in, numbers out. Labels are integers (positions in `class_names`); probabilities have shape (n, n_classes)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def compute_accuracy(y_true: np.ndarray, y_pred: np.ndarray) -> float:
    """Share of right answers, 0 to 1; not-a-number for no pictures."""
    return float((y_true == y_pred).mean()) if len(y_true) else math.nan


def compute_wilson_interval(right: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a share (95 % by default).

    Source: E. B. Wilson (1927), doi:10.1080/01621459.1927.10502953.
    """
    if n == 0:
        return 0.0, 1.0
    share = right / n
    center = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, (center - spread) / (1 + z * z / n)), min(1.0, (center + spread) / (1 + z * z / n))


def compute_log_loss(y_true: np.ndarray, y_prob: np.ndarray) -> float:
    """Mean categorical cross-entropy, in nats."""
    if not len(y_true):
        return math.nan
    right = y_prob[np.arange(len(y_true)), y_true]
    return float(-np.log(np.clip(right, 1e-7, 1.0)).mean())


def compute_confusion_matrix(y_true: np.ndarray, y_pred: np.ndarray, n_classes: int) -> np.ndarray:
    """Counts, shape (n_classes, n_classes): rows are the true classes, columns the predicted ones."""
    flat = np.bincount(y_true * n_classes + y_pred, minlength=n_classes * n_classes)
    return flat.reshape(n_classes, n_classes)


def compute_report(confusion_matrix: np.ndarray, class_names: list[str]) -> dict[str, dict[str, float]]:
    """Precision, recall, F1 and support per class; what would divide by zero is 0."""
    right = np.diag(confusion_matrix).astype(float)
    support = confusion_matrix.sum(axis=1)
    precision = _share(right, confusion_matrix.sum(axis=0))
    recall = _share(right, support)
    f1 = _share(2 * precision * recall, precision + recall)
    return {
        name: {
            "precision": float(precision[at]),
            "recall": float(recall[at]),
            "f1": float(f1[at]),
            "support": int(support[at]),
        }
        for at, name in enumerate(class_names)
    }


def compute_averages(report: dict[str, dict[str, float]], confusion_matrix: np.ndarray) -> dict[str, dict[str, float]]:
    """`macro_avg` (every class counts the same) and `weighted_avg` (by support) of a report.

    A class that is neither there nor ever predicted does not count.
    """
    occurs = confusion_matrix.sum(axis=0) + confusion_matrix.sum(axis=1) > 0
    rows = [row for row, counts in zip(report.values(), occurs, strict=True) if counts]
    support = np.array([row["support"] for row in rows], dtype=float)
    averages: dict[str, dict[str, float]] = {}
    for name, weights in (("macro_avg", np.ones(len(rows))), ("weighted_avg", support)):
        total = weights.sum()
        values = {
            key: float(np.dot([row[key] for row in rows], weights) / total) if total else 0.0
            for key in ("precision", "recall", "f1")
        }
        averages[name] = values | {"support": int(support.sum())}
    return averages


def compute_ece(y_true: np.ndarray, y_prob: np.ndarray, n_bins: int = 15) -> float:
    """Expected calibration error: how far the probability of the answer is from its share of right answers.

    Source: C. Guo et al. (2017), "On calibration of modern neural networks", section 2.
    """
    if not len(y_true):
        return math.nan
    confidence = y_prob.max(axis=1)
    right = y_prob.argmax(axis=1) == y_true
    bins = np.clip(np.ceil(confidence * n_bins).astype(int) - 1, 0, n_bins - 1)
    gaps = [
        abs(right[bins == at].mean() - confidence[bins == at].mean()) * (bins == at).mean() for at in np.unique(bins)
    ]
    return float(sum(gaps))


def compute_macro_auc(y_true: np.ndarray, y_prob: np.ndarray) -> float | None:
    """Area under the ROC curve: each class against the rest, mean over the classes; of two classes, that of the second.

    Returns:
        None where a class has no picture: there is nothing to tell it from.

    Source: J. A. Hanley and B. J. McNeil (1982), doi:10.1148/radiology.143.1.7063747.
    """
    n_classes = y_prob.shape[1]
    if len(np.unique(y_true)) < n_classes:
        return None
    classes = [1] if n_classes == 2 else range(n_classes)
    return float(np.mean([_compute_auc(y_true == label, y_prob[:, label]) for label in classes]))


def compute_mcnemar(first_right: np.ndarray, second_right: np.ndarray) -> dict[str, Any]:
    """Exact McNemar test: do two models differ on the same pictures?

    Source: Q. McNemar (1947), doi:10.1007/BF02295996; exact binomial form, two-sided.
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((~first_right & second_right).sum())
    n, fewer = only_first + only_second, min(only_first, only_second)
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    p_value = min(1.0, 2 * tail / 2**n) if n else 1.0
    return {"p_value": p_value, "only_first_right": only_first, "only_second_right": only_second}


def _compute_auc(is_positive: np.ndarray, scores: np.ndarray) -> float:
    """Share of pairs of a positive and a negative in which the positive scores higher; a tie counts half."""
    _, which, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[which]  # from 1; equal scores share the mean of theirs
    n_positive, n_negative = int(is_positive.sum()), int((~is_positive).sum())
    return float((ranks[is_positive].sum() - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative))


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.zeros(len(part)), where=np.asarray(whole) != 0)
