"""What can be done with runs that are selected in the history: open, compare, name, download, delete."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from core.control import delete_run
from core.run_archives import import_run, packed_size, write_run
from core.run_notes import LONGEST_NAME, LONGEST_NOTE, write_run_notes
from core.runs import Run, list_runs
from core.storage import run_size
from core.ui import forms, selection, shell
from core.ui.text import count, size

_LARGEST_DOWNLOAD = 300 * 2**20  # bytes that a browser's download may hold in the server's memory
_MOST_NAMES = 10


def render_actions(chosen: list[Run]) -> None:
    """Buttons for one run, and for several."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(chosen) == 1:
            _render_for_one(chosen[0])
        scored = [run for run in chosen if run.has_scores]
        if len(scored) > 1 and st.button("Compare", key="compare_runs", icon=":material/compare_arrows:"):
            shell.open_page("compare", run=[run.run_id for run in scored])
        is_starred = all(run.star for run in chosen)
        if st.button("Take the star off" if is_starred else "Star", key="star_runs", icon=":material/star:"):
            for run in chosen:
                write_run_notes(run, star=not is_starred)
            st.rerun()
        if st.button("Delete", key="delete_runs", icon=":material/delete:"):
            _ask_to_delete(chosen)


def render_upload() -> None:
    """Bring a run in from another workspace."""
    with st.expander("Bring in a run", icon=":material/upload:"):
        st.caption("A ZIP that Download has made in another workspace: it can be evaluated, compared and asked here.")
        file = st.file_uploader("ZIP of a run", type=["zip"], key="run_zip")
        if st.button("Bring it in", key="import_run", icon=":material/upload:"):
            if file is None:
                st.warning("Choose a ZIP first.", icon=":material/upload_file:")
                return
            with TemporaryDirectory() as folder:
                path = Path(folder) / Path(file.name).name
                path.write_bytes(file.getbuffer())
                run = import_run(path)
            selection.go_to("live", run=run.run_id)


def _render_for_one(run: Run) -> None:
    if st.button("Open", key="open_run", type="primary", icon=":material/open_in_new:"):
        selection.go_to("live", run=run.run_id)
    if run.has_scores:
        shell.link("evaluate", "Evaluate", run=run.run_id)
        shell.link("predict", "Predict", run=run.run_id)
    if st.button("Name and note", key="edit_run", icon=":material/edit:"):
        _ask_for_notes(run)
    if st.button("Change the settings", key="clone_run", icon=":material/tune:"):
        forms.take_over_settings(run.asked_config)
        selection.go_to("configure", default="configure", dataset=run.config.dataset_id)
    if not run.status.is_alive:
        _render_download(run)


def _render_download(run: Run) -> None:
    n_bytes = packed_size(run)
    is_too_large = n_bytes > _LARGEST_DOWNLOAD
    st.download_button(
        "Download",
        data=lambda: _zip_bytes(run),
        file_name=f"{run.run_id}.zip",
        mime="application/zip",
        key="download_run",
        icon=":material/download:",
        on_click="ignore",
        disabled=is_too_large,
        help=f"{size(n_bytes)} are too large for a browser. Pack it on the server: python -m core pack {run.run_id}"
        if is_too_large
        else "Settings, curves, models and scores as a ZIP, which another workspace can bring in",
    )


def _zip_bytes(run: Run) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.zip"
        write_run(run, path)
        return path.read_bytes()


@st.dialog("Name and note")
def _ask_for_notes(run: Run) -> None:
    name = st.text_input("Name", run.name, max_chars=LONGEST_NAME, key=f"name_{run.run_id}")
    note = st.text_area("Note", run.note, max_chars=LONGEST_NOTE, key=f"note_{run.run_id}")
    if st.button("Save", type="primary", key="save_run_notes", icon=":material/save:"):
        with shell.showing_errors():
            write_run_notes(run, name=name, note=note)
            st.rerun()


@st.dialog("Delete runs?")
def _ask_to_delete(chosen: list[Run]) -> None:
    names = [run.name for run in chosen]
    more = f"\nand {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    st.text("\n".join(names[:_MOST_NAMES]) + more)
    freed = size(sum(run_size(run) for run in chosen))
    st.caption(f"Their models, scores and logs are deleted, which frees {freed}. This cannot be undone.")
    ids = {run.run_id for run in chosen}
    heirs = [run for run in list_runs() if run.config.weights in ids and run.run_id not in ids]
    if heirs:
        st.caption(
            f":material/info: {count(len(heirs), 'other run')} began with these weights: what was learned from them "
            "stays, but cannot be repeated."
        )
    if st.button("Delete", type="primary", key="confirm_delete_runs", icon=":material/delete:"):
        with shell.showing_errors():
            for run in chosen:
                delete_run(run.run_id)
            st.rerun()
