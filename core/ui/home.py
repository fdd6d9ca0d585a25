"""The overview: numbers of the workspace, the next step, the pipeline, the latest runs."""

from __future__ import annotations

import streamlit as st

from core.datasets import Dataset
from core.runs import Run, best_run
from core.ui import cached, shell
from core.ui.states import state_badge
from core.ui.text import count, moment, percent, plain

_STEPS = (
    ("dataset", "1. Dataset", "A ZIP of scans goes in; see what is in it and what is wrong with it."),
    ("train", "2. Train", "A custom CNN or MobileNetV2 learns, live, in a process of its own."),
    ("evaluate", "3. Evaluate", "Confusion matrix, report and curves of the best epoch."),
    ("compare", "4. Compare", "Models side by side on the same test scans."),
    ("predict", "5. Predict", "New scans, with a heat map of what the model looked at."),
)


def render_next_step(datasets: list[Dataset], runs: list[Run]) -> None:
    """One sentence and one link."""
    with st.container(border=True):
        st.subheader("Next step", anchor=False)
        sentence, key, label, parameters = _next_step(datasets, runs)
        st.text(sentence)
        shell.link(key, label, icon="arrow_forward", **parameters)


def render_numbers(datasets: list[Dataset], runs: list[Run]) -> None:
    """How much is here."""
    best = best_run(runs)
    alive = sum(run.status.is_alive for run in runs)
    with st.container(horizontal=True):
        st.metric("Data sets", len(datasets), border=True, width=150, height="stretch")
        scans = sum(dataset.n_images for dataset in datasets)
        st.metric("Scans", f"{scans:,}", border=True, width=150, height="stretch")
        running = f"{alive} running or waiting" if alive else None
        st.metric(
            "Runs",
            len(runs),
            running,
            delta_color="off",
            delta_arrow="off",
            border=True,
            width=150,
            height="stretch",
        )
        score = best.score("validation") if best else None
        st.metric(
            "Best validation accuracy",
            percent(score),
            plain(best.name) if best else None,
            delta_color="off",
            delta_arrow="off",
            border=True,
            width=250,
            height="stretch",
        )


def render_pipeline() -> None:
    """The pipeline in one picture, and its steps as links."""
    st.image(
        str(shell.ASSETS / "pipeline.svg"),
        alt="Dataset, Train, Evaluate, Compare, Predict: one after the other",
    )
    for column, (key, label, sentence) in zip(st.columns(len(_STEPS)), _STEPS, strict=True):
        with column:
            shell.link(key, label)
            st.caption(sentence)


def render_latest_runs(runs: list[Run]) -> None:
    """The five newest runs, each with a link."""
    if not runs:
        return
    with st.container(border=True):
        st.subheader("Latest runs", anchor=False)
        for run in runs[:5]:
            with st.container(horizontal=True, vertical_alignment="center"):
                state_badge(run)
                st.text(f"{run.name} · {moment(run.status.queued_at)} · validation {percent(run.score('validation'))}")
                if run.has_scores:
                    shell.link("evaluate", "Evaluate", run=run.run_id)
                else:
                    shell.link("train", "Watch", run=run.run_id, view="live")


def _next_step(datasets: list[Dataset], runs: list[Run]) -> tuple[str, str, str, dict[str, str]]:
    running = next((run for run in runs if run.status.is_alive), None)
    scored = [run for run in runs if run.has_scores]
    if not datasets:
        return (
            "Bring in a ZIP of scans, or make the synthetic sample to try things out.",
            "dataset",
            "Import scans",
            {},
        )
    if running is not None:
        return "A training is under way.", "train", "Watch it", {"view": "live", "run": running.run_id}
    audit = cached.audit(datasets[0])
    if audit is not None and (audit.n_leaks or audit.n_patient_leaks):
        return (
            f"{datasets[0].name} has scans on both sides of its split: see what that means, and mend it.",
            "dataset",
            "Look at the audit",
            {"view": "audit", "dataset": datasets[0].dataset_id},
        )
    if not runs:
        return f"{count(len(datasets), 'data set')} ready: train a first model.", "train", "Train a model", {}
    if not scored:
        return (
            "No run has a model yet: see what happened, or start another one.",
            "train",
            "Runs",
            {"view": "history"},
        )
    if len(scored) == 1:
        return "See how good the model is.", "evaluate", "Evaluate it", {"run": scored[0].run_id}
    return (
        f"{count(len(scored), 'model')} ready: compare them, or predict new scans.",
        "compare",
        "Compare models",
        {},
    )
