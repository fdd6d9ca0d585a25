"""Numbers, checked against scikit-learn where it has them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import classification_report, confusion_matrix, log_loss, roc_auc_score

from core.metrics import (
    compute_accuracy,
    compute_averages,
    compute_confusion_matrix,
    compute_ece,
    compute_log_loss,
    compute_macro_auc,
    compute_mcnemar,
    compute_report,
    compute_wilson_interval,
)

NAMES = ["a", "b", "c"]


@pytest.fixture
def answers() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """True labels, predicted labels and probabilities of 300 pictures."""
    rng = np.random.default_rng(1)
    y_true = rng.integers(0, 3, 300)
    y_prob = rng.dirichlet(np.ones(3), 300) + np.eye(3)[y_true] * 0.5
    y_prob /= y_prob.sum(axis=1, keepdims=True)
    return y_true, y_prob.argmax(axis=1), y_prob


def test_the_report_is_that_of_scikit_learn(answers: tuple[np.ndarray, ...]) -> None:
    y_true, y_pred, _ = answers
    matrix = compute_confusion_matrix(y_true, y_pred, 3)
    assert np.array_equal(matrix, confusion_matrix(y_true, y_pred))
    expected = classification_report(y_true, y_pred, target_names=NAMES, output_dict=True)
    report = compute_report(matrix, NAMES)
    rows = report | {name.replace("_", " "): row for name, row in compute_averages(report, matrix).items()}
    for name, row in rows.items():
        assert row["f1"] == pytest.approx(expected[name]["f1-score"])
        assert row["precision"] == pytest.approx(expected[name]["precision"])
        assert row["recall"] == pytest.approx(expected[name]["recall"])
        assert row["support"] == expected[name]["support"]
    assert compute_accuracy(y_true, y_pred) == pytest.approx(expected["accuracy"])


def test_a_class_that_does_not_occur_does_not_lower_the_average() -> None:
    y_true = np.array([0, 1, 0, 1])
    matrix = compute_confusion_matrix(y_true, y_true, 3)
    assert compute_averages(compute_report(matrix, NAMES), matrix)["macro_avg"]["f1"] == 1.0


def test_the_area_under_the_curve_is_that_of_scikit_learn(answers: tuple[np.ndarray, ...]) -> None:
    y_true, _, y_prob = answers
    assert compute_macro_auc(y_true, y_prob) == pytest.approx(roc_auc_score(y_true, y_prob, multi_class="ovr"))
    coarse = np.round(y_prob, 1) + 0.01  # many ties
    coarse /= coarse.sum(axis=1, keepdims=True)
    assert compute_macro_auc(y_true, coarse) == pytest.approx(roc_auc_score(y_true, coarse, multi_class="ovr"))


def test_the_area_of_two_classes_is_that_of_the_second() -> None:
    y_true, second = np.array([0, 0, 1, 1, 1]), np.array([0.2, 0.6, 0.6, 0.9, 0.1])
    y_prob = np.stack([1 - second, second], axis=1)
    assert compute_macro_auc(y_true, y_prob) == pytest.approx(roc_auc_score(y_true, second))


def test_there_is_no_area_where_a_class_is_missing() -> None:
    y_prob = np.full((4, 3), 1 / 3)
    assert compute_macro_auc(np.array([0, 1, 0, 1]), y_prob) is None
    assert compute_macro_auc(np.array([0, 1, 2, 1]), y_prob) == 0.5


def test_the_loss_is_that_of_scikit_learn(answers: tuple[np.ndarray, ...]) -> None:
    y_true, _, y_prob = answers
    assert compute_log_loss(y_true, y_prob) == pytest.approx(log_loss(y_true, y_prob))


def test_a_class_without_pictures_or_answers_scores_zero() -> None:
    report = compute_report(compute_confusion_matrix(np.array([0, 0]), np.array([0, 1]), 3), NAMES)
    assert report["c"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}
    assert report["b"]["precision"] == 0.0


def test_wilson_interval_of_a_textbook_example() -> None:
    low, high = compute_wilson_interval(81, 263)
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert compute_wilson_interval(0, 0) == (0.0, 1.0)


@given(st.integers(1, 500), st.data())
def test_the_interval_holds_the_share(n: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, n))
    low, high = compute_wilson_interval(right, n)
    assert 0 <= low <= right / n + 1e-12
    assert right / n - 1e-12 <= high <= 1


def test_calibration_error_of_sure_and_wrong_is_one_and_of_honest_is_small() -> None:
    y_true = np.array([0, 1] * 500)
    assert compute_ece(y_true, np.eye(2)[1 - y_true]) == pytest.approx(1.0)
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1, 20_000)
    honest = np.where(rng.random(20_000) < confidence, 0, 1)
    assert compute_ece(honest, np.stack([confidence, 1 - confidence], axis=1)) < 0.02


def test_mcnemar_counts_who_alone_was_right() -> None:
    first = np.array([True] * 15 + [False] * 5 + [True] * 80)
    second = np.array([False] * 15 + [True] * 5 + [True] * 80)
    result = compute_mcnemar(first, second)
    assert (result["only_first_right"], result["only_second_right"]) == (15, 5)
    assert result["p_value"] == pytest.approx(0.0414, abs=1e-4)  # two-sided binomial test, 5 of 20
    assert compute_mcnemar(first, first)["p_value"] == 1.0


def test_no_pictures_give_no_numbers() -> None:
    empty = np.array([], dtype=int)
    assert math.isnan(compute_accuracy(empty, empty))
    assert math.isnan(compute_ece(empty, np.zeros((0, 3))))
