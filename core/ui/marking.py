"""Marking scans to be left out or given another class, until the marks are saved as a new version."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import streamlit as st

from core import drafts
from core.datasets import Dataset
from core.ui import cached, making, shell
from core.ui.text import count, spoken
from core.versions import changed_pictures

_MOST_LINES = 200


def describe_mark(draft: dict[str, str], stored: str) -> str:
    """What stands below a scan that is marked; empty for one that is not."""
    if stored not in draft:
        return ""
    return " · will be left out" if draft[stored] == drafts.EXCLUDED else f" → {draft[stored]}"


def render_actions(dataset: Dataset, stored: Sequence[str], key: str) -> None:
    """Buttons for the scans that are chosen, by their stored names."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        label = str(st.selectbox("Class", dataset.class_names, key=f"{key}_new_class", width=200))
        marks: tuple[tuple[str, str, str, Callable[[], None]], ...] = (
            ("Give this class", "relabel", "label", lambda: drafts.relabel(dataset, stored, label)),
            ("Leave out", "exclude", "block", lambda: drafts.exclude(dataset, stored)),
            ("Unmark", "restore", "undo", lambda: drafts.restore(dataset, stored)),
        )
        for title, name, icon, mark in marks:
            st.button(
                title, key=f"{key}_{name}", icon=f":material/{icon}:", on_click=_mark, args=(mark, list(stored), key)
            )


def _mark(mark: Callable[[], None], stored: list[str], key: str) -> None:
    """Runs before the page is drawn anew: only then can the boxes be emptied."""
    with shell.showing_errors():
        mark()
        for name in stored:
            st.session_state[f"{key}_chosen_{name}"] = False


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
            frame = cached.manifest(dataset)
            files = dict(zip(frame["stored"], frame["file"], strict=True))
            lines = [
                f"{files.get(stored, stored)}{describe_mark(draft, stored)}" for stored in list(draft)[:_MOST_LINES]
            ]
            more = [f"and {len(draft) - _MOST_LINES:,} more"] if len(draft) > _MOST_LINES else []
            st.text("\n".join([*lines, *more]))


def choose_scan(key: str, stored: str, label: str, *, is_labelled: bool = False) -> bool:
    """A box below a scan; says whether it is ticked. Its label can be for screen readers only."""
    visibility: Literal["visible", "collapsed"] = "visible" if is_labelled else "collapsed"
    return st.checkbox(f"Choose {spoken(label)}", key=f"{key}_chosen_{stored}", label_visibility=visibility)
