"""Commands about results: scores, comparison, prediction."""

from __future__ import annotations

import argparse
from typing import Any

from core.commands.output import say
from core.errors import ScanError, StudioError


def evaluate(options: argparse.Namespace) -> Any:
    """Scores of a run."""
    from core.evaluation import evaluate_run

    scores = evaluate_run(options.run, options.dataset, options.split)
    if scores["leaks_unknown"]:
        say(f"Warning: the score without leaks is not known. {scores['leaks_unknown']}")
    return scores


def compare(options: argparse.Namespace) -> Any:
    """Compare runs."""
    from core.comparison import compare_runs

    return compare_runs(options.runs)


def predict(options: argparse.Namespace) -> Any:
    """Predict the class of pictures; a bad file among others is no error."""
    from core.prediction import load_classifier
    from core.runs import read_run

    classifier = load_classifier(read_run(options.run))
    results = [_predict_file(classifier, file, options.frame) for file in options.files]
    if all("error" in result for result in results):
        raise ScanError(results[0]["error"])
    return results


def _predict_file(classifier: Any, file: str, frame: int) -> dict[str, Any]:
    from core.scans import load_scan

    try:
        scan = load_scan(file, frame)
    except StudioError as error:
        return {"file": file, "error": str(error)}
    probabilities = classifier.predict([scan])[0]
    return {
        "file": file,
        "class": classifier.class_names[int(probabilities.argmax())],
        "probabilities": dict(zip(classifier.class_names, map(float, probabilities), strict=True)),
        "abstained": None,
        "reason": None,
    }
