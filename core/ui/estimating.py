"""What a training will cost, before its start: time, memory and number format, from a dry run of a few batches."""

from __future__ import annotations

import streamlit as st

from core import jobs
from core.config import RunConfig
from core.datasets import Dataset
from core.estimate import Estimate, estimate_run
from core.machine import explain_machine
from core.runs import list_runs
from core.settings import read_settings
from core.trials import Trial, read_trial, start_trial, trial_folder
from core.ui import shell
from core.ui.making import render_progress
from core.ui.text import duration, plain, short_duration

_FORMAT_TITLES = {"float32": "float32", "mixed_bfloat16": "bfloat16"}


def render_estimate(dataset: Dataset, config: RunConfig) -> None:
    """The estimate, or the dry run that it needs."""
    with st.container(border=True):
        st.subheader("Before you start", anchor=False)
        trial = read_trial(config)
        if trial is not None:
            _render(dataset, config, trial)
        else:
            _render_missing(dataset, config)


def _render(dataset: Dataset, config: RunConfig, trial: Trial) -> None:
    estimate = _estimate(dataset, config, trial)
    with st.container(horizontal=True):
        for label, value, note in (
            ("Estimated time", short_duration(estimate.seconds), "until scored"),
            ("Memory", f"{estimate.memory_mb / 1024:.1f} GB", "largest"),
            ("Number format", _FORMAT_TITLES.get(trial.number_format, trial.number_format), _explain_format(trial)),
        ):
            st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True, width=140)
    steps = ", ".join(f"{name.lower()} {duration(seconds)}" for name, seconds in estimate.steps.items())
    early = " Early stopping can make it shorter." if config.patience else ""
    st.caption(f"Measured on this machine ({plain(explain_machine())}): {steps}.{early}")


def _explain_format(trial: Trial) -> str:
    """How much faster the chosen format is than the other one."""
    others = [speed for name, speed in trial.formats.items() if name != trial.number_format]
    if not others or trial.number_format not in trial.formats:
        return "as chosen"
    return f"{trial.formats[trial.number_format] / max(others):.1f}× as fast"


def _render_missing(dataset: Dataset, config: RunConfig) -> None:
    folder = trial_folder(config)
    status = jobs.read_status(folder) if (folder / "status.json").exists() else None
    if status is not None and status.is_alive:
        shell.fragment(run_every=0.5)(_render_trial)(config)
        return
    if status is not None and status.state in ("failed", "interrupted"):
        st.warning("The dry run did not come to its end, so there is no estimate.", icon=":material/warning:")
        st.text(status.error or "")
    elif any(run.state == "running" for run in list_runs()):
        st.caption(
            "The estimate comes from a dry run of a few batches. A training is running: measured beside it, the speed "
            "would be too low. It is measured when the machine is free."
        )
    elif read_settings().auto_trials:
        start_trial(config)
        shell.fragment(run_every=0.5)(_render_trial)(config)
        return
    if st.button("Estimate time and memory", key="start_trial", icon=":material/speed:"):
        start_trial(config)
        st.rerun()


def _render_trial(config: RunConfig) -> None:
    status = jobs.read_status(trial_folder(config))
    if not status.is_alive:
        st.rerun()
    render_progress(status)
    st.caption(
        "A dry run of a few batches tells how long a training will take, how much memory it needs and which number "
        "format is faster here. It is made once for each network and batch size; you need not wait for it."
    )


@st.cache_data(max_entries=64, ttl=30, show_spinner=False)
def _estimate_cached(_dataset: Dataset, dataset_id: str, config: str, _trial: Trial, trial: str) -> Estimate:
    return estimate_run(_dataset, RunConfig.model_validate_json(config), _trial)


def _estimate(dataset: Dataset, config: RunConfig, trial: Trial) -> Estimate:
    return _estimate_cached(dataset, dataset.dataset_id, config.model_dump_json(), trial, repr(trial))
