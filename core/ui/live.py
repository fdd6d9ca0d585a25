"""A run as it goes: state, progress, curves, log, and what can be done with it. Reads the run folder, once a second."""

from __future__ import annotations

import streamlit as st

from core.curves import Epoch, best_epoch
from core.history import read_history
from core.jobs import DISCARD, FINISH, KEEP, PAUSE, how_to_stop
from core.queue import list_waiting
from core.runs import Run, read_run
from core.settings import read_settings
from core.ui import cached, charts, shell
from core.ui.controls import render_controls
from core.ui.states import state_badge
from core.ui.story import render_story
from core.ui.text import DASH, count, decimal, duration, percent, plain, short_duration, size

POLL_SECONDS = 1.0
_STOPPING = {
    None: "",
    KEEP: "; then the best model is saved and scored",
    PAUSE: " and can be resumed later",
    DISCARD: " and is deleted",
    FINISH: "",
}


def render_live(run: Run) -> None:
    """Draw a run, and go on drawing it while it is alive."""
    shell.fragment(run_every=POLL_SECONDS if run.status.is_alive else None)(_render)(run.run_id, run.status.is_alive)


def _render(run_id: str, was_alive: bool) -> None:
    run = read_run(run_id)
    if was_alive and not run.status.is_alive:
        st.rerun()
    history = read_history(run.folder)
    _render_head(run)
    _render_outcome(run)
    _render_numbers(run, history)
    if run.status.is_alive:
        _render_progress(run)
    _render_curves(run, history)
    render_story(run)


def _render_head(run: Run) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        state_badge(run)
        st.text(run.name)
    render_controls(run)


def _render_outcome(run: Run) -> None:
    if run.state == "queued":
        waiting = [folder.name for folder in list_waiting(read_settings().models)]
        place = waiting.index(run.run_id) if run.run_id in waiting else 0
        before = f"{count(place, 'other')} waiting before it" if place else "it is the next one"
        st.info(
            f"It waits its turn ({before}). It starts by itself, also with this tab closed. "
            "The order can be changed in History.",
            icon=":material/schedule:",
        )
    elif run.state == "stopping":
        st.info(f"It ends after the current batch{_STOPPING[how_to_stop(run.folder)]}.", icon=":material/stop_circle:")
    elif run.state in ("failed", "interrupted"):
        title = "The training failed." if run.state == "failed" else "The training was interrupted."
        st.error(title, icon=":material/error:")
        st.text(run.status.error or "")
        if run.has_scores:
            _render_result(run)
    elif run.state == "paused":
        st.info(
            "It is paused, and the machine is free for others. Resume it when you like: it goes on with the epoch in "
            "which it was paused, and comes out as if it had not been.",
            icon=":material/pause_circle:",
        )
    elif run.has_scores:
        _render_result(run)
    elif run.state == "stopped":
        st.info("It was cancelled before it started; there is no model.", icon=":material/info:")


def _render_result(run: Run) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        shell.link("evaluate", "Evaluate", run=run.run_id)
        shell.link("predict", "Predict", run=run.run_id)
        for name, title in (("model.keras", "Keras model"), ("model.onnx", "ONNX model")):
            path = run.folder / name
            st.download_button(
                f"{title} ({size(path.stat().st_size)})",
                data=path.read_bytes,
                file_name=f"{run.run_id}-{name}",
                mime="application/octet-stream",
                key=f"download_{name}",
                icon=":material/download:",
                on_click="ignore",
            )
    repeats = run.metrics.get("repeats")
    if repeats:
        same = (
            "bit for bit the same weights"
            if repeats["equal"]
            else "other weights: versions, the processor or the room for features differ"
        )
        st.caption(f":material/replay: It repeats {plain(repeats['run'])} and has come out with {same}.")
    shell.research_note()


def _render_numbers(run: Run, history: list[Epoch]) -> None:
    best = best_epoch(history, run.config.monitor)
    by_epoch = {row["epoch"]: row for row in history}
    kept = by_epoch.get(best or 0)
    progress = run.status.progress if run.status.is_alive else {}
    speed = round(progress.get("images_per_second") or progress.get("per_second") or 0)
    only_phase = progress.get("only_this_phase")
    cells: list[tuple[str, str, str | None, list[float] | None]] = [
        ("Epoch", f"{len(history)} / {run.n_epochs}", history[-1]["phase"] if history else None, None),
        (
            "Val. accuracy",
            percent(kept["val_accuracy"] if kept else None),
            f"kept: epoch {best}" if kept else None,
            [row["val_accuracy"] for row in history],
        ),
        (
            "Val. loss",
            decimal(kept["val_loss"] if kept else None),
            f"kept: epoch {best}" if kept else None,
            [row["val_loss"] for row in history],
        ),
    ]
    if run.status.is_alive:
        cells.append(("Speed", f"{speed:,}" if speed else DASH, "images per second" if speed else None, None))
        left = run.status.seconds_left
        note = None if left is None else "at most" if only_phase is False else "for this step"
        cells.append(("Time left", short_duration(left), note, None))
    else:
        cells.append(
            (
                "Test accuracy",
                percent(run.score("test")),
                "kept model" if run.has_scores else None,
                None,
            )
        )
        seconds = run.metrics.get("training_seconds") or (history[-1]["elapsed"] if history else None)
        cells.append(("Time", short_duration(seconds), None, None))
    with st.container(horizontal=True):
        for label, value, note, line in cells:
            st.metric(
                label, value, note, delta_color="off", delta_arrow="off", border=True, width=140, height="stretch",
                chart_data=line if line and len(line) > 1 else None,
            )  # fmt: skip


def _render_progress(run: Run) -> None:
    progress = run.status.progress
    message = plain(run.status.message or "Waiting")
    if "epoch" in progress:
        share = ((progress["epoch"] - 1) + progress["batch"] / progress["batches"]) / progress["epochs"]
        st.progress(
            min(share, 1.0),
            text=f"{message}: epoch {progress['epoch']} of {progress['epochs']}, batch {progress['batch']} of "
            f"{progress['batches']}. Time left {duration(progress.get('seconds_left'))}.",
        )
    elif progress.get("total"):
        left = f" Time left {duration(progress.get('seconds_left'))}." if progress.get("seconds_left") else ""
        st.progress(
            min(progress["done"] / progress["total"], 1.0),
            text=f"{message}: {progress['done']:,} of {progress['total']:,}.{left}",
        )
    elif run.state != "queued":
        st.progress(0.0, text=f"{message}…")
    st.caption(
        "It goes on if you leave this page, reload it or close the tab; History finds it again. Stop ends it after "
        "the current batch and keeps the best epoch's model; Pause leaves the machine to others until you resume it."
    )


def _render_curves(run: Run, history: list[Epoch]) -> None:
    best = best_epoch(history, run.config.monitor)
    for column, metric in zip(st.columns(2), ("accuracy", "loss"), strict=True):
        with column, st.container(border=True):
            st.subheader(metric.capitalize(), anchor=False)
            if not history:
                st.caption("The curve begins when the first epoch has ended.")
                continue
            st.plotly_chart(
                cached.curves(run, history, metric, best),
                config=charts.CONFIG,
                key=f"live_{metric}",
                alt=f"{metric.capitalize()} of training and validation over {count(len(history), 'epoch')}",
            )
