"""Plotly figures of data sets: numbers in, figure out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from core.shortcuts import Shortcut
from core.ui import palette
from core.ui.charts import finish, pattern, safe


def plot_split_counts(splits: dict[str, dict[str, int]], class_names: Sequence[str]) -> go.Figure:
    """Stacked bars: pictures per split and class."""
    figure = go.Figure()
    for at, name in enumerate(class_names):
        figure.add_bar(
            name=safe(name),
            y=[split.capitalize() for split in splits],
            x=[counts[name] for counts in splits.values()],
            orientation="h",
            marker_color=palette.colour(at),
            marker_pattern=pattern(at),
            hovertemplate="%{y}: %{x:,} scans<extra>" + safe(name) + "</extra>",
        )
    figure.update_layout(barmode="stack", yaxis_autorange="reversed", xaxis_title="Scans")
    return finish(figure, 240)


def plot_intensities(histograms: dict[str, np.ndarray]) -> go.Figure:
    """Share of pixels per grey level and class, in steps of 4 levels; black is left out of the scale."""
    figure = go.Figure()
    for at, (name, counts) in enumerate(histograms.items()):
        shares = counts.reshape(64, 4).sum(axis=1) / max(counts.sum(), 1)
        figure.add_scatter(
            name=safe(name),
            x=np.arange(64) * 4 + 2,
            y=shares,
            mode="lines",
            line={"color": palette.colour(at), "dash": palette.dash(at)},
            hovertemplate="Grey level %{x:.0f}: %{y:.2%}<extra>" + safe(name) + "</extra>",
        )
    highest = max(float((c.reshape(64, 4).sum(axis=1) / max(c.sum(), 1))[2:].max()) for c in histograms.values())
    figure.update_layout(
        xaxis_title="Grey level (0 black, 255 white)",
        yaxis={"title": "Share of pixels", "tickformat": ".1%", "range": [0, highest * 1.15 or 1]},
    )
    return finish(figure)


def plot_shortcuts(shortcuts: Sequence[Shortcut]) -> go.Figure:
    """Bars: share told right by each property alone, with a line at what guessing gets."""
    figure = go.Figure()
    figure.add_bar(
        y=[entry.name for entry in shortcuts],
        x=[entry.accuracy for entry in shortcuts],
        orientation="h",
        marker_color=[palette.COLOURS[1] if entry.is_suspicious else palette.NEUTRAL for entry in shortcuts],
        text=[f"{entry.accuracy:.1%}" for entry in shortcuts],
        textposition="auto",
        hovertemplate="%{y} alone: %{x:.1%}<extra></extra>",
        showlegend=False,
    )
    figure.add_vline(x=shortcuts[0].chance, line_dash="dash", annotation_text="guessing", annotation_position="top")
    figure.update_layout(
        xaxis={"title": "Classes told right", "tickformat": ".0%", "range": [0, 1]}, yaxis_autorange="reversed"
    )
    return finish(figure, 130 + 40 * len(shortcuts))
