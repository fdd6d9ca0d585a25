"""The Evaluate page's view of a run: scores, confusion matrix with its pictures, report, curves in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.curves import describe_convergence, describe_overfitting
from core.evaluation import Predictions, summarise
from core.history import read_history
from core.runs import Run, dataset_of
from core.ui import cached, charts, marking, selection, shell
from core.ui.gallery import render_scans
from core.ui.text import count, decimal, percent, plain

_COUNTS, _PERCENT = "Counts", "Row percent"
_AVERAGES = {"macro_avg": "Macro average", "weighted_avg": "Weighted average"}


def render_scores(run: Run) -> None:
    """Everything about how good a run's kept model is."""
    if run.metrics.get("synthetic"):
        shell.synthetic_note()
    _render_numbers(run)
    _render_without_leaks(run)
    _render_learning(run)
    split = st.radio(
        "Split",
        ["test", "validation"],
        key="scored_split",
        format_func=str.capitalize,
        horizontal=True,
        help="The validation scans chose the best epoch, so their score is a little too good. The test scans did not.",
    )
    predictions = cached.predictions(run, split)
    if not predictions.files:
        st.info(f"There are no {split} scans in this data set.", icon=":material/info:")
        return
    summary = summarise(predictions)
    _render_confusion(run, predictions, np.array(summary["confusion_matrix"]))
    _render_report(run, predictions, summary, split)


def _render_numbers(run: Run) -> None:
    test, validation = run.metrics.get("test", {}), run.metrics.get("validation", {})
    cells = [
        ("Test accuracy", percent(test.get("accuracy")), _interval(test)),
        ("Val. accuracy", percent(validation.get("accuracy")), _interval(validation)),
        ("Test loss", decimal(test.get("loss")), f"val. {decimal(validation.get('loss'))}"),
        ("Test macro F1", decimal(test.get("macro_f1")), f"val. {decimal(validation.get('macro_f1'))}"),
        ("Test AUC", decimal(test.get("auc")), f"val. {decimal(validation.get('auc'))}"),
    ]
    st.caption(
        f"Scores of the kept model on {count(test.get('n', 0), 'test scan')} and "
        f"{count(validation.get('n', 0), 'validation scan')}. Below an accuracy: its 95 % "
        "confidence interval (Wilson). AUC: one class against the rest, mean of the classes."
    )
    with st.container(horizontal=True):
        for label, value, note in cells:
            st.metric(
                label,
                value,
                note,
                delta_color="off",
                delta_arrow="off",
                border=True,
                width=140,
                height="stretch",
            )


def _render_without_leaks(run: Run) -> None:
    """Both test scores: of all scans, and of those that show nothing that was seen before."""
    dataset = dataset_of(run)
    clean = cached.score_without_leaks(run)
    if dataset is None:
        return
    if clean is None:
        st.caption(":material/fact_check: Whether test scans have twins in train or validation was not looked at yet.")
        shell.link("dataset", "Audit the data set", dataset=dataset.dataset_id, view="audit")
        return
    test = run.metrics.get("test", {})
    n_leaked = test.get("n", 0) - clean["n"]
    if not n_leaked:
        st.caption(":material/check_circle: No test scan has a twin in train or validation.")
        return
    with st.container(border=True):
        st.subheader("With and without leaks", anchor=False)
        with st.container(horizontal=True):
            for label, scores in (
                (f"All {test.get('n', 0):,} test scans", test),
                (f"{clean['n']:,} without a twin", clean),
            ):
                st.metric(
                    label,
                    percent(scores.get("accuracy")),
                    _interval(scores),
                    delta_color="off",
                    delta_arrow="off",
                    border=True,
                    width=200,
                    height="stretch",
                )
        st.caption(
            f"{count(n_leaked, 'test scan shows', 'test scans show')} a picture that stands in train or validation "
            "too. The right number leaves them out; it says more about new scans."
        )
        shell.link("dataset", "Look at the leaks and mend the split", dataset=dataset.dataset_id, view="audit")


def _interval(scores: dict[str, Any]) -> str | None:
    interval = scores.get("accuracy_ci95")
    return f"{100 * interval[0]:.1f}–{interval[1]:.1%}" if interval else None


def _render_learning(run: Run) -> None:
    history = read_history(run.folder)
    best = run.metrics.get("best_epoch")
    with st.container(border=True):
        st.subheader("How it learned", anchor=False)
        for column, metric in zip(st.columns(2), ("accuracy", "loss"), strict=True):
            if history:
                column.plotly_chart(
                    cached.curves(run, history, metric, best),
                    config=charts.CONFIG,
                    key=f"curve_{metric}",
                    alt=f"{metric.capitalize()} of training and validation over the epochs",
                )
        st.markdown(f"**Convergence.** {plain(describe_convergence(history))}")
        st.markdown(f"**Overfitting.** {plain(describe_overfitting(history))}")


def _render_confusion(run: Run, predictions: Predictions, matrix: np.ndarray) -> None:
    names = predictions.class_names
    with st.container(border=True):
        st.subheader("Confusion matrix", anchor=False)
        unit = st.radio(
            "Numbers", [_COUNTS, _PERCENT], key="confusion_unit", horizontal=True, label_visibility="collapsed"
        )
        chart, pictures = st.columns([1, 1])
        with chart:
            figure = charts.plot_confusion(matrix, names, as_percent=unit == _PERCENT)
            event = st.plotly_chart(
                figure,
                config=charts.SELECTABLE,
                key="confusion",
                on_select="rerun",
                selection_mode="points",
                alt="Confusion matrix; the boxes beside it choose a cell without a mouse",
            )
            st.caption("Rows are the true classes. Click a cell to see its scans.")
            _take_click(event, names)
            _start_at_worst_cell(matrix, names)
        with pictures:
            _render_cell(run, predictions)


def _take_click(event: Any, names: list[str]) -> None:
    """A new click on a cell moves the two boxes to it."""
    points = event["selection"]["points"]
    clicked = (round(points[0]["y"]), round(points[0]["x"])) if points else None
    if clicked != st.session_state.get("_cell_clicked"):
        st.session_state["_cell_clicked"] = clicked
        if clicked is not None:
            st.session_state["cell_true"], st.session_state["cell_predicted"] = (names[at] for at in clicked)


def _start_at_worst_cell(matrix: np.ndarray, names: list[str]) -> None:
    """Show the most frequent mistake first."""
    if st.session_state.get("cell_true") in names and st.session_state.get("cell_predicted") in names:
        return
    mistakes = matrix - np.diag(np.diag(matrix))
    worst = np.unravel_index(int(mistakes.argmax()), mistakes.shape)
    st.session_state["cell_true"], st.session_state["cell_predicted"] = (names[int(at)] for at in worst)


def _render_cell(run: Run, predictions: Predictions) -> None:
    names = predictions.class_names
    true_box, predicted_box = st.columns(2)
    for key in ("cell_true", "cell_predicted"):
        selection.say_again(key)
    true = true_box.selectbox("True class", names, key="cell_true")
    predicted = predicted_box.selectbox("Predicted class", names, key="cell_predicted")
    mask = (predictions.y_true == names.index(true)) & (predictions.y_pred == names.index(predicted))
    files = np.array(predictions.files, dtype=object)[mask]
    dataset = dataset_of(run)
    if dataset is None:
        st.info("The data set is gone, so its scans cannot be shown.", icon=":material/info:")
        return
    frame = cached.manifest(dataset)
    shown = frame[frame["file"].isin(files)].copy()
    certainty = dict(zip(files, predictions.y_prob[mask].max(axis=1), strict=True))
    shown["caption"] = [f"{certainty[file]:.0%} {predicted}" for file in shown["file"]]
    if shown.empty:
        st.info("No scan is in this cell.", icon=":material/info:")
    else:
        render_scans(dataset, shown, key="cell", captions="caption")
        marking.render_draft(dataset)


def _render_report(run: Run, predictions: Predictions, summary: dict[str, Any], split: str) -> None:
    rows = summary["report"] | {_AVERAGES[name]: row for name, row in summary["averages"].items()}
    frame = pd.DataFrame(rows).T.rename(columns={"f1": "F1"}).rename(columns=str.capitalize)
    frame.index.name = "Class"
    frame["Support"] = frame["Support"].astype(int)
    number = st.column_config.NumberColumn(format="%.3f")
    with st.container(border=True):
        st.subheader("Classification report", anchor=False)
        st.dataframe(frame, column_config=dict.fromkeys(("Precision", "Recall", "F1"), number))
        st.caption(
            f"Accuracy {percent(summary['accuracy'])} on {count(summary['n'], 'scan')}. Calibration error (ECE) "
            f"{decimal(summary['ece'])}: how far stated probabilities are from the share of right answers."
        )
        with st.container(horizontal=True):
            name = f"{run.run_id}-{split}"
            _download("Report as CSV", frame.to_csv(), f"{name}-report.csv")
            _download("Confusion matrix as CSV", _matrix_csv(summary), f"{name}-confusion.csv")
            _download("Predictions as CSV", _predictions_csv(predictions), f"{name}-predictions.csv")


def _matrix_csv(summary: dict[str, Any]) -> str:
    names = summary["class_names"]
    return pd.DataFrame(summary["confusion_matrix"], index=pd.Index(names, name="true"), columns=names).to_csv()


def _predictions_csv(predictions: Predictions) -> str:
    names = predictions.class_names
    frame = pd.DataFrame(predictions.y_prob, columns=[f"p_{name}" for name in names])
    frame.insert(0, "file", predictions.files)
    frame.insert(1, "true", [names[label] for label in predictions.y_true])
    frame.insert(2, "predicted", [names[label] for label in predictions.y_pred])
    return frame.to_csv(index=False)


def _download(label: str, text: str, name: str) -> None:
    st.download_button(
        label, text, name, "text/csv", key=f"download_{name}", icon=":material/download:", on_click="ignore"
    )
