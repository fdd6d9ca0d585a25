"""Plotly figures: numbers in, figure out. Nothing here reads files or draws on a page.

Colours come from `core.ui.palette`; backgrounds and fonts from Streamlit's theme, so that light and dark both fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.curves import Epoch
from core.ui import palette

HEIGHT = 320
_LONGEST_NAME = 40  # characters
CONFIG = {"displayModeBar": False, "scrollZoom": False}
# Solid in both themes, so that the numbers on them keep their contrast.
_CELL_EMPTY, _CELL_FULL = "#E1E5F8", "#3730A3"
SELECTABLE = CONFIG | {"doubleClick": False}


def plot_curves(history: Sequence[Epoch], metric: str, best: int | None) -> go.Figure:
    """Training and validation over the epochs, with the best epoch and the phases marked.

    Args:
        metric: "accuracy" or "loss".
    """
    figure = go.Figure()
    epochs = [row["epoch"] for row in history]
    for name, key, colour, symbol, dash in (
        ("Training", metric, palette.TRAIN, "circle", "solid"),
        ("Validation", f"val_{metric}", palette.VALIDATION, "square", "dash"),
    ):
        figure.add_scatter(
            name=safe(name),
            x=epochs,
            y=[row[key] for row in history],
            mode="lines+markers",
            line={"color": colour, "dash": dash, "width": 2.5},
            marker={"symbol": symbol, "size": 7},
            hovertemplate="Epoch %{x}: %{y:" + _format(metric) + "}<extra>" + name + "</extra>",
        )
    if best is not None:
        _mark_best(figure, history, metric, best)
    _mark_phases(figure, history)
    figure.update_layout(xaxis=_epoch_axis(len(epochs)), yaxis=_metric_axis(metric))
    return finish(figure)


def plot_run_curves(histories: Mapping[str, Sequence[Epoch]], metric: str) -> go.Figure:
    """One metric of several runs over the epochs, in one chart."""
    figure = go.Figure()
    for at, (name, history) in enumerate(histories.items()):
        figure.add_scatter(
            name=safe(name),
            x=[row["epoch"] for row in history],
            y=[row[metric] for row in history],
            mode="lines+markers",
            line={"color": palette.colour(at), "dash": palette.dash(at), "width": 2.5},
            marker={"symbol": palette.marker(at), "size": 7},
            hovertemplate="Epoch %{x}: %{y:" + _format(metric) + "}<extra>" + safe(name) + "</extra>",
        )
    longest = max((len(history) for history in histories.values()), default=1)
    figure.update_layout(xaxis=_epoch_axis(longest), yaxis=_metric_axis(metric))
    return finish(figure)


def plot_confusion(matrix: np.ndarray, class_names: Sequence[str], *, as_percent: bool) -> go.Figure:
    """Confusion matrix: rows are the true classes. Cells can be clicked (a heat map itself gives no selection)."""
    rows = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(matrix, rows, out=np.zeros(matrix.shape), where=rows > 0)
    n = len(class_names)
    names = [safe(name) for name in class_names]
    figure = go.Figure(
        go.Heatmap(
            z=shares,
            zmin=0,
            zmax=1,
            showscale=False,
            xgap=2,
            ygap=2,
            hoverinfo="skip",
            text=[[f"{shares[i, j]:.1%}" if as_percent else f"{matrix[i, j]:,}" for j in range(n)] for i in range(n)],
            texttemplate="%{text}",  # Plotly chooses black or white by the cell's colour
            textfont={"size": 15 if n <= 8 else 10},
            colorscale=[[0, _CELL_EMPTY], [1, _CELL_FULL]],
        )
    )
    across, down = np.meshgrid(np.arange(n), np.arange(n))
    figure.add_scatter(
        x=across.ravel(),
        y=down.ravel(),
        mode="markers",
        marker={"size": min(46, 280 // n), "symbol": "square", "color": "rgba(0,0,0,0)"},
        customdata=[[names[i], names[j], int(matrix[i, j])] for i in range(n) for j in range(n)],
        hovertemplate="True %{customdata[0]}, predicted %{customdata[1]}: %{customdata[2]} scans<extra></extra>",
        selected={"marker": {"color": "rgba(217,115,13,0.35)"}},
        unselected={"marker": {"opacity": 1}},
        showlegend=False,
    )
    is_crowded = n > 5 or max(map(len, class_names)) > 8
    ticks = {"tickmode": "array", "tickvals": list(range(n)), "ticktext": names, "ticklabeloverflow": "allow"}
    lines = {"showgrid": False, "zeroline": False, "automargin": True}
    figure.update_layout(
        xaxis={"title": "Predicted class", "range": [-0.5, n - 0.5], "tickangle": -40 if is_crowded else 0}
        | ticks
        | lines,
        yaxis={"title": "True class", "range": [n - 0.5, -0.5]} | ticks | lines,
    )
    return finish(figure, max(300, 76 * n + 90))


def plot_f1(reports: dict[str, dict[str, dict[str, float]]], class_names: Sequence[str]) -> go.Figure:
    """F1 per class, the runs side by side."""
    figure = go.Figure()
    for at, (name, report) in enumerate(reports.items()):
        figure.add_bar(
            name=safe(name),
            x=[safe(entry) for entry in class_names],
            y=[report.get(entry, {}).get("f1") for entry in class_names],
            marker_color=palette.colour(at),
            marker_pattern=pattern(at),
            hovertemplate="%{x}: F1 %{y:.3f}<extra>" + safe(name) + "</extra>",
        )
    figure.update_layout(barmode="group", xaxis_type="category", yaxis={"title": "F1", "range": [0, 1.02]})
    return finish(figure)


def plot_probabilities(probabilities: Sequence[float], class_names: Sequence[str]) -> go.Figure:
    """A bar per class."""
    figure = go.Figure(
        go.Bar(
            x=list(probabilities),
            y=[safe(name) for name in class_names],
            orientation="h",
            marker_color=[palette.colour(at) for at in range(len(class_names))],
            text=[f"{value:.1%}" for value in probabilities],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.2%}<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={
            "title": "Probability",
            "range": [0, 1.12],
            "tickformat": ".0%",
            "tickvals": [0, 0.25, 0.5, 0.75, 1],
        },
        yaxis={"autorange": "reversed", "type": "category"},
        showlegend=False,
    )
    return finish(figure, 90 + 46 * len(class_names))


def pattern(at: int) -> dict[str, object]:
    """A light pattern over the colour, so that bars are told apart without it."""
    shape = ("", "/", ".", "x", "\\", "-")[at % 6]
    return {"shape": shape, "fillmode": "overlay", "fgcolor": "rgba(255,255,255,0.45)", "size": 7, "solidity": 0.25}


def _ink() -> str:
    """Colour of texts, at a contrast of 7 or more: Streamlit's own grey for axes has less than 4.5."""
    return "#C4C9D4" if st.context.theme.type == "dark" else "#4A5162"


def finish(figure: go.Figure, height: int = HEIGHT) -> go.Figure:
    """Size, ink and backgrounds that fit both themes."""
    ink = _ink()
    figure.update_xaxes(tickfont_color=ink, title_font_color=ink)
    figure.update_yaxes(tickfont_color=ink, title_font_color=ink)
    figure.update_layout(
        height=height,
        margin={"l": 10, "r": 10, "t": 36, "b": 10},
        legend={
            "font": {"color": ink},
            "traceorder": "normal",
            "orientation": "h",
            "y": 1.02,
            "yanchor": "bottom",
            "x": 0,
        },
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
    )
    return figure


def _mark_best(figure: go.Figure, history: Sequence[Epoch], metric: str, best: int) -> None:
    row = next((row for row in history if row["epoch"] == best), None)
    if row is None:
        return
    figure.add_scatter(
        name=f"Kept: epoch {best}",
        x=[best],
        y=[row[f"val_{metric}"]],
        mode="markers",
        marker={
            "symbol": "star",
            "size": 15,
            "color": palette.TEST,
            "line": {"width": 1, "color": "#FFFFFF"},
        },
        hovertemplate="Epoch %{x}: %{y:" + _format(metric) + "}<extra>kept</extra>",
    )


def _mark_phases(figure: go.Figure, history: Sequence[Epoch]) -> None:
    for before, after in pairwise(history):
        if before["phase"] != after["phase"]:
            at = (before["epoch"] + after["epoch"]) / 2
            figure.add_vline(
                x=at,
                line={"dash": "dot", "color": palette.NEUTRAL, "width": 1.5},
                annotation={
                    "text": after["phase"],
                    "font": {"size": 12, "color": _ink()},
                    "yanchor": "top",
                },
            )


def _epoch_axis(n_epochs: int) -> dict[str, object]:
    step = max(1, -(-n_epochs // 12))
    return {
        "title": "Epoch",
        "dtick": step,
        "tick0": 1,
        "range": [0.5, max(n_epochs, 2) + 0.5],
        "zeroline": False,
    }


def _metric_axis(metric: str) -> dict[str, object]:
    if "accuracy" in metric:
        return {"title": "Accuracy", "tickformat": ".0%", "rangemode": "normal"}
    return {"title": "Loss", "rangemode": "tozero"}


def _format(metric: str) -> str:
    return ".1%" if "accuracy" in metric else ".4f"


def safe(text: str) -> str:
    """A user's name as a text of Plotly, which reads some HTML: made harmless, and shortened."""
    text = text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
