"""Imports and versions under way, as the Dataset page shows them: progress, time left, cancel, and why one failed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from core import importing, jobs
from core.datasets import Dataset, list_datasets
from core.status import Status
from core.ui import selection, shell
from core.ui.text import duration
from core.workspace import remove_remains

_WATCHED = "_imports_watched"  # names of the jobs that this tab has seen under way


def start(folder: Path) -> None:
    """Run a job that makes a data set, and watch it in this tab."""
    importing.start_import(folder)
    st.session_state.setdefault(_WATCHED, []).append(folder.name)


def start_version(parent: Dataset, change: dict[str, Any], name: str = "") -> None:
    """Make a new version, and watch that on the Dataset page."""
    start(importing.create_version(parent, change, name))
    shell.open_page("dataset", dataset=parent.dataset_id, view="versions")


def render_jobs(*, follow: bool) -> None:
    """Everything under way, polled while there is something.

    Args:
        follow: open what is made also where this tab did not start it: it may have before a reload.
    """
    _remove_remains()
    folders = importing.list_imports()
    is_running = any(jobs.read_status(folder).is_alive for folder in folders)
    shell.fragment(run_every=0.5 if is_running else None)(_render_jobs)(is_running, follow)


def _render_jobs(was_running: bool, follow: bool) -> None:
    is_running = False
    watched: list[str] = st.session_state.setdefault(_WATCHED, [])
    for folder in reversed(importing.list_imports()):
        status = jobs.read_status(folder)
        if status.is_alive:
            is_running = True
            if follow and folder.name not in watched:
                watched.append(folder.name)
            _render_progress(folder, status)
        elif folder.name in watched and status.state == "finished":
            _open(folder.name, status.message)
        elif status.state in ("failed", "interrupted", "stopped"):
            _render_failure(folder, status)
    if was_running and not is_running:
        st.rerun()


@st.cache_data(ttl=20, show_spinner=False)
def _remove_remains() -> None:
    """Not at every rerun of every tab."""
    remove_remains()


def _open(job: str, dataset_id: str) -> None:
    """Go to what was made: of a version its audit is of interest, of an import what is in it."""
    dataset = next((dataset for dataset in list_datasets() if dataset.dataset_id == dataset_id), None)
    is_version = dataset is not None and dataset.parent
    st.toast("The version is there." if is_version else "The data set is there.", icon=":material/check_circle:")
    st.session_state[_WATCHED].remove(job)
    if dataset is None:  # deleted already
        return
    selection.go_to("audit" if dataset.parent else "explore", dataset=dataset_id)


def _render_progress(folder: Path, status: Status) -> None:
    with st.container(border=True):
        render_progress(status)
        st.caption("This goes on if you leave the page or close the tab.")
        if st.button("Cancel", key=f"cancel_{folder.name}", icon=":material/close:"):
            jobs.request_stop(folder)


def render_progress(status: Status) -> None:
    """A bar with what is done, how far, and the time left."""
    done, total = status.progress.get("done", 0), status.progress.get("total", 0)
    counted = f" {done:,} of {total:,}." if total > 1 else ""
    left = f" Time left about {duration(status.seconds_left)}." if status.seconds_left is not None else ""
    st.progress(done / total if total else 0.0, text=f"{status.message or 'Starting'}.{counted}{left}")


def _render_failure(folder: Path, status: Status) -> None:
    with st.container(border=True):
        st.error("It was cancelled." if status.state == "stopped" else "It failed.", icon=":material/error:")
        st.text(status.error or "")
        st.caption("Nothing was changed: no half data set is left behind.")
        if st.button("Dismiss", key=f"dismiss_{folder.name}"):
            importing.remove_import(folder)
            st.rerun()
