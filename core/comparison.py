"""Two or more runs side by side; says itself when they cannot be compared."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from core.config import RunConfig
from core.errors import RunError
from core.evaluation import read_predictions
from core.metrics import compute_mcnemar
from core.runs import Run, describe_run, read_scored_run


def compare_runs(run_ids: list[str]) -> dict[str, Any]:
    """Compare the scores of runs on their test sets.

    Returns:
        `runs`; `same_test_set` for all of them; `pairs`, each with `runs`, `same_test_set` and `mcnemar` (None for
        different test sets); and `mcnemar` of the pair when there are just two.

    Raises:
        RunError: fewer than two different runs, or one has no scores.
    """
    if len(set(run_ids)) < 2:
        raise RunError(f"compare needs two different runs or more. Received: {', '.join(run_ids) or 'none'}.")
    runs = [read_scored_run(run_id) for run_id in dict.fromkeys(run_ids)]
    pairs = [_compare_pair(first, second) for first, second in combinations(runs, 2)]
    return {
        "runs": [describe_run(run) for run in runs],
        "same_test_set": all(pair["same_test_set"] for pair in pairs),
        "mcnemar": pairs[0]["mcnemar"] if len(pairs) == 1 else None,
        "pairs": pairs,
    }


def have_same_test_set(first: Run, second: Run) -> bool:
    """Whether both were scored on the same test pictures with the same labels."""
    own, other = first.metrics.get("test_fingerprint"), second.metrics.get("test_fingerprint")
    return own is not None and own == other


def differing_settings(runs: list[Run]) -> dict[str, list[Any]]:
    """Settings that are not the same for all: name -> value per run."""
    settings = [run.config.model_dump() for run in runs]
    return {
        name: [entry[name] for entry in settings]
        for name in RunConfig.model_fields
        if len({str(entry[name]) for entry in settings}) > 1
    }


def _compare_pair(first: Run, second: Run) -> dict[str, Any]:
    same = have_same_test_set(first, second)
    return {
        "runs": [first.run_id, second.run_id],
        "same_test_set": same,
        "mcnemar": _mcnemar(first, second) if same else None,
    }


def _mcnemar(first: Run, second: Run) -> dict[str, Any] | None:
    one, two = read_predictions(first, "test"), read_predictions(second, "test")
    where = {file: at for at, file in enumerate(two.files)}
    if set(where) != set(one.files):  # the same pictures under other names: no pairing without guessing
        return None
    order = [where[file] for file in one.files]
    return compute_mcnemar(one.y_true == one.y_pred, (two.y_true == two.y_pred)[order])
