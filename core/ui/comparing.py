"""The Compare page's views of several runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.comparison import compare_runs, differing_settings
from core.config import RunConfig
from core.evaluation import summarise
from core.history import read_history
from core.runs import Run
from core.ui import cached, charts
from core.ui.text import duration, p_value, percent, plain, size

# title -> (value of a run, whether higher is better, how it is written)
_METRICS: dict[str, tuple[Any, bool | None, Any]] = {
    "Test accuracy": (lambda run: run.score("test"), True, percent),
    "Test accuracy without twins": (lambda run: _without_leaks(run), True, percent),
    "Validation accuracy": (lambda run: run.score("validation"), True, percent),
    "Test loss": (lambda run: run.score("test", "loss"), False, lambda value: f"{value:.3f}"),
    "Test macro F1": (lambda run: run.score("test", "macro_f1"), True, lambda value: f"{value:.3f}"),
    "Test AUC": (lambda run: run.score("test", "auc"), True, lambda value: f"{value:.3f}"),
    "Calibration error": (lambda run: run.score("test", "ece"), False, lambda value: f"{value:.3f}"),
    "Epochs": (lambda run: run.metrics.get("epochs"), None, lambda value: f"{value:,}"),
    "Parameters": (lambda run: run.metrics.get("parameters"), False, lambda value: f"{value:,}"),
    "Model file (ONNX)": (lambda run: run.metrics.get("onnx_bytes"), False, size),
    "Training time": (lambda run: run.metrics.get("training_seconds"), False, duration),
    "One prediction": (lambda run: run.metrics.get("prediction_ms"), False, lambda value: f"{value:.1f} ms"),
}
_ON_TEST = (
    "Test accuracy",
    "Test accuracy without twins",
    "Test loss",
    "Test macro F1",
    "Test AUC",
    "Calibration error",
)


def render_comparison(runs: list[Run]) -> None:
    """Everything about several runs side by side."""
    names = _distinct_names(runs)
    comparison = compare_runs([run.run_id for run in runs])
    _render_test_sets(comparison, names)
    _render_metrics(runs, names, is_comparable=comparison["same_test_set"])
    _render_curves(runs, names)
    _render_classes(runs, names)
    _render_matrices(runs, names)
    _render_settings(runs, names)


def _without_leaks(run: Run) -> float | None:
    score = cached.score_without_leaks(run)
    return None if score is None else score["accuracy"]


def _distinct_names(runs: list[Run]) -> dict[str, str]:
    """Name of each run by id, made distinct where two are called the same."""
    counts = pd.Series([run.name for run in runs]).value_counts()
    return {run.run_id: run.name if counts[run.name] == 1 else f"{run.name} ({run.run_id[-4:]})" for run in runs}


def _render_test_sets(comparison: dict[str, Any], names: dict[str, str]) -> None:
    if not comparison["same_test_set"]:
        st.warning(
            "Not comparable: these runs were scored on different test scans. Their test scores stand side by side for "
            "information, and no best one is marked among them.",
            icon=":material/warning:",
        )
    for pair in comparison["pairs"]:
        result = pair["mcnemar"]
        if result is None:
            continue
        first, second = (plain(names[run_id]) for run_id in pair["runs"])
        verdict = "differ beyond chance" if result["p_value"] < 0.05 else "may differ by chance alone"
        st.caption(
            f":material/balance: {first} and {second} {verdict}: {result['only_first_right']} test scans only the "
            f"first got right, {result['only_second_right']} only the second (McNemar {p_value(result['p_value'])})."
        )


def _render_metrics(runs: list[Run], names: dict[str, str], *, is_comparable: bool) -> None:
    rows: dict[str, list[str]] = {}
    for title, (read, higher, write) in _METRICS.items():
        values = [read(run) for run in runs]
        known = [value for value in values if value is not None]
        written = ["–" if value is None else write(value) for value in values]
        is_marked = higher is not None and len(set(written)) > 1 and (is_comparable or title not in _ON_TEST)
        best = write((max if higher else min)(known)) if is_marked and known else None
        rows[title] = [f"★ {text}" if text == best else text for text in written]
    with st.container(border=True):
        st.subheader("Metrics", anchor=False)
        columns = [names[run.run_id] for run in runs]
        st.dataframe(pd.DataFrame(rows, index=pd.Index(columns)).T, height=38 + 35 * len(rows))
        st.caption("★ marks the best value of a row.")


def _render_curves(runs: list[Run], names: dict[str, str]) -> None:
    histories = {names[run.run_id]: read_history(run.folder) for run in runs}
    with st.container(border=True):
        st.subheader("Learning curves", anchor=False)
        for column, metric in zip(st.columns(2), ("val_accuracy", "val_loss"), strict=True):
            column.plotly_chart(
                charts.plot_run_curves(histories, metric),
                config=charts.CONFIG,
                key=f"compare_{metric}",
                alt=f"{'Validation accuracy' if metric == 'val_accuracy' else 'Validation loss'} of each run by epoch",
            )
        st.caption("Validation accuracy and validation loss.")


def _render_classes(runs: list[Run], names: dict[str, str]) -> None:
    reports = {names[run.run_id]: summarise(cached.predictions(run, "test"))["report"] for run in runs}
    class_names = sorted({name for report in reports.values() for name in report})
    with st.container(border=True):
        st.subheader("F1 per class on test", anchor=False)
        figure = charts.plot_f1(reports, class_names)
        st.plotly_chart(figure, config=charts.CONFIG, key="compare_f1", alt="Bars of F1 per class and run")


def _render_matrices(runs: list[Run], names: dict[str, str]) -> None:
    with st.container(border=True):
        st.subheader("Confusion matrices on test", anchor=False)
        for start in range(0, len(runs), 2):
            for column, run in zip(st.columns(2), runs[start : start + 2], strict=False):
                predictions = cached.predictions(run, "test")
                matrix = np.array(summarise(predictions)["confusion_matrix"])
                with column:
                    st.markdown(f"**{plain(names[run.run_id])}**")
                    st.plotly_chart(
                        charts.plot_confusion(matrix, predictions.class_names, as_percent=False),
                        config=charts.CONFIG,
                        key=f"compare_confusion_{run.run_id}",
                        alt=f"Confusion matrix of {names[run.run_id]}",
                    )


def _render_settings(runs: list[Run], names: dict[str, str]) -> None:
    settings = differing_settings(runs)
    with st.container(border=True):
        st.subheader("Settings that differ", anchor=False)
        if not settings:
            st.caption("None: all settings are the same.")
            return
        titles = {name: RunConfig.model_fields[name].title or name for name in settings}
        rows = {titles[name]: [str(value) for value in values] for name, values in settings.items()}
        st.dataframe(pd.DataFrame(rows, index=pd.Index([names[run.run_id] for run in runs])).T)
