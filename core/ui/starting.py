"""The start of a training: at once on clean data, after a question where the score would be worth little."""

from __future__ import annotations

import time

import streamlit as st

from core.audit import Audit
from core.auditing import audit_folder, read_audit, start_audit
from core.config import RunConfig
from core.control import start_run
from core.datasets import Dataset
from core.jobs import read_status
from core.ui import making, selection, shell
from core.ui.auditing import describe_leaks, describe_patient_leaks
from core.ui.repair import LABEL
from core.versions import new_split

_PATIENCE = 15.0  # seconds that a start waits for an audit under way


def start_or_ask(dataset: Dataset, config: RunConfig, name: str) -> None:
    """Start a run, or ask first where its data set leaks or is not audited."""
    audit = _wait_for_audit(dataset)
    if audit is not None and not audit.n_leaks and not audit.n_patient_leaks:
        _start(dataset, config, name)
    else:
        _ask(dataset, audit, config, name)


def _start(dataset: Dataset, config: RunConfig, name: str) -> None:
    run = start_run(dataset, config, name)
    selection.go_to("live", run=run.run_id)


def _wait_for_audit(dataset: Dataset) -> Audit | None:
    audit = read_audit(dataset)
    if audit is not None:
        return audit
    folder = start_audit(dataset)
    with st.spinner("Looking for leaks before the start"):
        end = time.time() + _PATIENCE
        while time.time() < end and read_status(folder).is_alive:
            time.sleep(0.2)
    return read_audit(dataset)


@st.dialog("Start on this data set?", width="medium")
def _ask(dataset: Dataset, audit: Audit | None, config: RunConfig, name: str) -> None:
    with shell.showing_errors():
        _explain(dataset, audit)
        with st.container(horizontal=True):
            if audit is not None and st.button(LABEL, key="repair_first", type="primary", icon=":material/healing:"):
                making.start_version(dataset, new_split())
            if st.button("Start anyway", key="start_anyway", icon=":material/play_arrow:"):
                _start(dataset, config, name)


def _explain(dataset: Dataset, audit: Audit | None) -> None:
    if audit is None:
        state = read_status(audit_folder(dataset)).state
        st.markdown(
            "It is still being looked through for leaks."
            if state in ("queued", "running")
            else "It could not be looked through for leaks; see its Audit section."
        )
        st.markdown("If the same picture stands on both sides of a split, the score will be too good.")
        return
    if audit.n_leaks:
        st.markdown(describe_leaks(dataset, audit))
        st.markdown(
            "**What the score will be worth:** on these scans the model is asked what it was told. The test accuracy "
            "will be too good, and Evaluate shows the one without them beside it. A version without leaks gives a "
            "score that can be published."
        )
    else:
        st.markdown(
            f"{describe_patient_leaks(audit)} **The score will be too good:** it says little about new patients."
        )
