"""Marking scans to be left out or given another class, until the marks are saved as a new version."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import drafts
from core.datasets import Dataset
from core.ui import making
from core.ui.text import count, plain
from core.versions import changed_pictures


def describe_mark(draft: dict[str, str], stored: str) -> str:
    """What stands below a scan that is marked; empty for one that is not."""
    if stored not in draft:
        return ""
    return " · will be left out" if draft[stored] == drafts.EXCLUDED else f" → {draft[stored]}"


def render_actions(dataset: Dataset, stored: Sequence[str], key: str) -> None:
    """Buttons for the scans that are chosen, by their stored names."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = st.selectbox("Class", dataset.class_names, key=f"{key}_new_class", width=200)
        relabel = st.button("Give this class", key=f"{key}_relabel", icon=":material/label:", disabled=not stored)
        leave_out = st.button("Leave out", key=f"{key}_exclude", icon=":material/block:", disabled=not stored)
        undo = st.button("Unmark", key=f"{key}_restore", icon=":material/undo:", disabled=not stored)
    if relabel:
        drafts.relabel(dataset, stored, str(label))
    elif leave_out:
        drafts.exclude(dataset, stored)
    elif undo:
        drafts.restore(dataset, stored)
    if relabel or leave_out or undo:
        for name in stored:
            st.session_state.pop(f"{key}_chosen_{name}", None)
        st.rerun()


def render_draft(dataset: Dataset) -> None:
    """What is marked so far, and the way to save it."""
    draft = drafts.read_draft(dataset)
    if not draft:
        return
    n_excluded, n_relabelled = drafts.count_changes(draft)
    with st.container(border=True):
        st.markdown(
            f"**{count(len(draft), 'scan')} marked:** {n_excluded:,} to be left out, {n_relabelled:,} with another "
            "class. The data set stays as it is until you save them as a new version."
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            name = st.text_input(
                "Name of the version", placeholder=f"{dataset.name} · changed", key="draft_name", width=320
            )
            if st.button("Save as a new version", key="save_version", type="primary", icon=":material/save:"):
                making.start_version(dataset, changed_pictures(draft), name)
            if st.button("Clear the marks", key="clear_draft", icon=":material/clear_all:"):
                drafts.clear_draft(dataset)
                st.rerun()
        with st.expander("Which ones"):
            st.text("\n".join(f"{stored}{describe_mark(draft, stored)}" for stored in list(draft)[:200]))


def choose_scan(key: str, stored: str, file: str) -> bool:
    """A box below a scan; says whether it is ticked."""
    return st.checkbox(f"Choose {plain(file)}", key=f"{key}_chosen_{stored}", label_visibility="collapsed")
