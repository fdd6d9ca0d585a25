"""The queue of trainings: what waits, in which order, and the runs that waited when the machine went down."""

from __future__ import annotations

import streamlit as st

from core.control import forget_left_over, left_over_runs, requeue_left_over, stop_run
from core.queue import list_waiting, move
from core.runs import Run
from core.settings import read_settings
from core.ui import shell
from core.ui.states import state_badge
from core.ui.text import count

_POLL_SECONDS = 2.0


def render_left_over(runs: list[Run]) -> None:
    """Offer the runs again that waited when the machine went down; nothing where there are none."""
    left = left_over_runs(runs)
    if not left:
        return
    with st.container(border=True):
        waited = "run was waiting for its turn" if len(left) == 1 else "runs were waiting for their turn"
        st.warning(f"{len(left)} {waited} when the machine went down.", icon=":material/power_off:")
        st.text("\n".join(run.name for run in left))
        with st.container(horizontal=True):
            if st.button("Queue again", key="requeue", type="primary", icon=":material/playlist_play:"):
                requeue_left_over()
                st.rerun()
            if st.button("Leave them", key="forget_left_over", icon=":material/close:"):
                forget_left_over()
                st.rerun()


def render_queue(runs: list[Run]) -> None:
    """What waits, in order, to be moved or cancelled; nothing where nothing waits. Looks again by itself."""
    waiting = _waiting_ids()
    if waiting:
        shell.fragment(run_every=_POLL_SECONDS)(_render)(runs, waiting)


def _render(runs: list[Run], expected: list[str]) -> None:
    if _waiting_ids() != expected:  # one has started or was cancelled: the table of runs shows it too
        st.rerun()
    by_id = {run.run_id: run for run in runs}
    waiting = [by_id[run_id] for run_id in expected if run_id in by_id]
    with st.container(border=True):
        st.subheader("Queue", anchor=False)
        slots = max(read_settings().slots, 1)
        st.caption(
            f"{count(slots, 'training')} at a time; the next one starts by itself when one ends, also with no browser "
            "open."
        )
        for at, run in enumerate(waiting):
            _render_place(run, at, is_last=at == len(waiting) - 1)


def _waiting_ids() -> list[str]:
    return [folder.name for folder in list_waiting(read_settings().models)]


def _render_place(run: Run, at: int, *, is_last: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key=f"queued_{run.run_id}"):
        state_badge(run)
        st.text(f"{at + 1}. {run.name}")
        st.space("stretch")
        for label, places, icon, is_off in (
            ("Earlier", -1, "arrow_upward", at == 0),
            ("Later", 1, "arrow_downward", is_last),
        ):
            key = f"{label.lower()}_{run.run_id}"
            if st.button(label, key=key, icon=f":material/{icon}:", disabled=is_off):
                move(run.folder, places)
                st.rerun()
        if st.button("Cancel", key=f"cancel_{run.run_id}", icon=":material/close:"):
            stop_run(run.run_id)
            st.rerun()
