"""How the states of a run look: one word, one colour, one icon each."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from core.runs import Run

Colour = Literal["red", "orange", "blue", "green", "violet", "gray"]
_LOOKS: dict[str, tuple[str, Colour, str]] = {
    "queued": ("Waiting", "violet", "schedule"),
    "running": ("Running", "blue", "play_circle"),
    "stopping": ("Stopping", "orange", "stop_circle"),
    "paused": ("Paused", "orange", "pause_circle"),
    "stopped": ("Stopped", "gray", "stop_circle"),
    "finished": ("Finished", "green", "check_circle"),
    "failed": ("Failed", "red", "error"),
    "interrupted": ("Interrupted", "red", "power_off"),
}


STATES = tuple(_LOOKS)


def state_word(state: str) -> str:
    """The word for a state."""
    return _LOOKS[state][0]


def state_badge(run: Run) -> None:
    """A badge with the state of a run."""
    word, colour, icon = _LOOKS[run.state]
    st.badge(word, color=colour, icon=f":material/{icon}:")
