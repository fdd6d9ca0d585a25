"""What can be asked of a run, as buttons: stop, pause, discard, resume, finish, continue, repeat, change.

They are drawn by a part of the page that draws itself anew every second, where a dialog would close again; what asks
first does so in a popover.
"""

from __future__ import annotations

import streamlit as st

from core.control import can_resume, discard_run, epochs_left, has_checkpoint, repeat_run, resume_run, stop_run
from core.failures import MEMORY
from core.history import read_history
from core.jobs import PAUSE
from core.runs import Run
from core.ui import forms, selection
from core.ui.text import count

_MORE_EPOCHS = 5


def render_controls(run: Run) -> None:
    """The buttons that mean something in the run's state."""
    with st.container(horizontal=True, vertical_alignment="center"):
        if run.status.is_alive:
            _render_while_alive(run)
        else:
            n_learned = len(read_history(run.folder))
            _render_going_on(run, n_learned)
            _render_again(run)
            _render_finish(run, n_learned)


def _render_while_alive(run: Run) -> None:
    is_stopping = run.state == "stopping"
    label = "Cancel" if run.state == "queued" else "Stop and keep the best"
    if st.button(label, key="stop_training", icon=":material/stop_circle:", disabled=is_stopping):
        stop_run(run.run_id)
        st.rerun()
    if run.state != "queued":
        if st.button("Pause", key="pause_run", icon=":material/pause_circle:", disabled=is_stopping):
            stop_run(run.run_id, PAUSE)
            st.rerun()
        _render_discard(run)


def _render_discard(run: Run) -> None:
    with st.popover("Discard", icon=":material/delete:"):
        st.text("The training ends, and its model, curves and log are deleted. This cannot be undone.")
        if st.button("Discard this run", key="discard_run", type="primary", icon=":material/delete:"):
            discard_run(run.run_id)
            selection.go_to("history")


def _render_going_on(run: Run, n_learned: int) -> None:
    if can_resume(run):
        left = epochs_left(run)
        label = f"Resume ({count(left, 'epoch')} left)" if n_learned and left else "Resume"
        if st.button(label, key="resume_run", type="primary", icon=":material/play_arrow:"):
            resume_run(run.run_id)
            st.rerun()
    elif run.state == "finished" and has_checkpoint(run):
        _render_continue(run, n_learned)


def _render_finish(run: Run, n_learned: int) -> None:
    """Last of all, so that it never comes to lie where the button was that has just been clicked."""
    if can_resume(run) and n_learned and not run.has_scores:
        label = "Finish with what it has learned"
        if st.button(label, key="finish_run", icon=":material/done_all:"):
            stop_run(run.run_id)
            st.rerun()


def _render_continue(run: Run, n_learned: int) -> None:
    with st.popover("Continue", icon=":material/forward:"):
        more = st.number_input("More epochs", 1, 200, _MORE_EPOCHS, key="more_epochs")
        st.caption(
            f"It goes on from its best epoch, with a learning-rate schedule of its own, to {n_learned + int(more)} "
            "epochs. Its present model is kept until the new one is there, and the better of the two stays."
        )
        if st.button("Continue training", key="continue_run", type="primary", icon=":material/play_arrow:"):
            resume_run(run.run_id, epochs=n_learned + int(more))
            st.rerun()


def _render_again(run: Run) -> None:
    smaller = run.config.batch_size // 2
    if run.state in ("failed", "interrupted") and run.status.kind == MEMORY and smaller:
        label = f"Try with a batch size of {smaller}"
        if st.button(label, key="smaller_batch", type="primary", icon=":material/memory:"):
            forms.take_over_settings(run.asked_config.model_copy(update={"batch_size": smaller}))
            selection.go_to("configure", default="configure", dataset=run.config.dataset_id)
    if st.button("Change the settings", key="train_again", icon=":material/tune:"):
        forms.take_over_settings(run.asked_config)
        selection.go_to("configure", default="configure", dataset=run.config.dataset_id)
    if st.button("Repeat this run", key="repeat_run", icon=":material/replay:"):
        selection.go_to("live", run=repeat_run(run.run_id).run_id)
