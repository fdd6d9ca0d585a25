"""What a run has been through and what it was made with: timeline, settings and environment, log."""

from __future__ import annotations

import streamlit as st

from core.runs import Run, read_log
from core.timeline import read_events
from core.ui.text import moment_with_seconds

_MANY = 12  # events from which the list scrolls


def render_story(run: Run) -> None:
    """Three expanders."""
    _render_timeline(run)
    _render_environment(run)
    _render_log(run)


def _render_timeline(run: Run) -> None:
    events = read_events(run.folder)
    if not events:
        return
    with st.expander("Timeline", icon=":material/timeline:"):
        columns = {
            "When": [moment_with_seconds(event.at) for event in events],
            "What": [event.title for event in events],
            "": [event.text for event in events],
        }
        st.dataframe(columns, hide_index=True, width="stretch", height=420 if len(events) > _MANY else "auto")


def _render_environment(run: Run) -> None:
    environment = run.environment
    if not environment:
        return
    with st.expander("Settings and environment", icon=":material/fingerprint:"):
        st.caption("Everything the result depends on. Repeat this run uses the same.")
        rows = run.config.model_dump() | environment
        texts = {
            name: ", ".join(map(str, value)) if isinstance(value, list) else str(value) for name, value in rows.items()
        }
        st.dataframe({"what": list(texts), "value": list(texts.values())}, hide_index=True, height=280, width="stretch")


def _render_log(run: Run) -> None:
    with st.expander("Log", icon=":material/terminal:", expanded=run.state == "failed"):
        st.code(read_log(run) or "The log is empty.", language=None, height=240)
