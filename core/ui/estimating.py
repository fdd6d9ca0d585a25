"""What a training will cost, before its start: time, memory and number format, from a dry run of a few batches."""

from __future__ import annotations

import streamlit as st

from core import jobs
from core.config import RunConfig
from core.datasets import Dataset
from core.estimate import Estimate, estimate_run
from core.machine import explain_machine
from core.settings import read_settings
from core.slots import is_slot_free
from core.status import Status
from core.trials import Trial, forget_trial, read_trial, start_trial, trial_folder
from core.ui import shell
from core.ui.making import render_progress
from core.ui.text import duration, plain, short_duration

_POLL_SECONDS = 1.0
_FORMAT_TITLES = {"float32": "float32", "mixed_bfloat16": "bfloat16"}


def render_estimate(dataset: Dataset, config: RunConfig) -> None:
    """The estimate, or the dry run that it needs; goes on looking until the estimate is there."""
    # Drawn in place when it is there: a rerun of the page would close an open dialog.
    shell.fragment(run_every=None if read_trial(config) else _POLL_SECONDS)(_render)(dataset, config)


def _render(dataset: Dataset, config: RunConfig) -> None:
    with st.container(border=True):
        st.subheader("Before you start", anchor=False)
        trial = read_trial(config)
        if trial is not None:
            _render_numbers(dataset, config, trial)
        else:
            _render_missing(config)


def _render_numbers(dataset: Dataset, config: RunConfig, trial: Trial) -> None:
    estimate = _estimate(dataset, config, trial)
    with st.container(horizontal=True):
        for label, value, note in (
            ("Estimated time", short_duration(estimate.seconds), "until scored"),
            ("Memory", f"{estimate.memory_mb / 1024:.1f} GB", "at most"),
            ("Number format", _FORMAT_TITLES.get(trial.number_format, trial.number_format), _explain_format(trial)),
        ):
            st.metric(label, value, note, delta_color="off", delta_arrow="off", border=True, width=140)
    steps = ", ".join(f"{name.lower()} {duration(seconds)}" for name, seconds in estimate.steps.items())
    early = " Early stopping can make it shorter." if config.patience else ""
    st.caption(f"Measured on this machine ({plain(explain_machine())}): {steps}.{early}")
    if estimate.note:
        st.caption(f":material/warning: {plain(estimate.note)}")
    if st.button("Measure again", key="measure_again", icon=":material/speed:", type="tertiary"):
        forget_trial(config)
        start_trial(config)
        st.rerun()


def _explain_format(trial: Trial) -> str:
    """How much faster the chosen format is than the other one."""
    others = [speed for name, speed in trial.formats.items() if name != trial.number_format]
    if not others or trial.number_format not in trial.formats:
        return "as chosen"
    return f"{trial.formats[trial.number_format] / max(others):.1f}× as fast"


def _render_missing(config: RunConfig) -> None:
    folder = trial_folder(config)
    status = jobs.read_status(folder) if (folder / "status.json").exists() else Status("none")
    if status.is_alive:
        _render_progress(status)
        return
    if status.state in ("failed", "interrupted"):
        st.warning("The dry run did not come to its end, so there is no estimate.", icon=":material/warning:")
        st.text(status.error or "")
    elif not is_slot_free(read_settings().models):
        st.caption(
            "The estimate comes from a dry run of a few batches. A training or another dry run is under way: measured "
            "beside it, the speed would be too low. It is measured when the machine is free."
        )
        return
    elif read_settings().auto_trials:
        _render_progress(jobs.read_status(start_trial(config)))
        return
    if st.button("Estimate time and memory", key="start_trial", icon=":material/speed:"):
        start_trial(config)
        st.rerun()


def _render_progress(status: Status) -> None:
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
