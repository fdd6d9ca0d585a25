"""The frame of every page: configuration, logo, sidebar, title, and the one place where our errors are shown."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ParamSpec

import streamlit as st

from core.errors import StudioError
from core.settings import PROJECT
from core.ui import compat, selection

compat.drop_reruns_of_gone_fragments()

P = ParamSpec("P")
ASSETS = PROJECT / "assets"
# key: (file, title, icon, sentence under the title)
PAGES = {
    "home": ("Home.py", "Home", "home", "What is here, and what to do next."),
    "dataset": (
        "pages/1_Dataset.py",
        "Dataset",
        "folder_open",
        "Bring scans in, see what is in them and what is wrong with them.",
    ),
    "train": (
        "pages/2_Train.py",
        "Train",
        "model_training",
        "Choose a network, start it and watch it learn.",
    ),
    "evaluate": ("pages/3_Evaluate.py", "Evaluate", "analytics", "How good a model is, class by class."),
    "compare": ("pages/4_Compare.py", "Compare", "compare_arrows", "Two or more models side by side."),
    "predict": (
        "pages/5_Predict.py",
        "Predict",
        "image_search",
        "Ask a model about new scans, and see why it answers.",
    ),
}
_SECTIONS = (
    ("", ("home",)),
    ("Data", ("dataset",)),
    ("Models", ("train", "evaluate", "compare")),
    ("Use", ("predict",)),
)


@contextmanager
def page(key: str) -> Iterator[None]:
    """Draw the frame of a page around its body; expected errors of the body become a message."""
    _, title, _, sentence = PAGES[key]
    st.set_page_config(
        page_title=f"{title} · Brain MRI Studio" if key != "home" else "Brain MRI Studio",
        page_icon=str(ASSETS / "icon.png"),
        layout="wide",
        initial_sidebar_state="auto",
    )
    selection.enter_page(key)
    st.logo(str(ASSETS / "logo.svg"), size="large", icon_image=str(ASSETS / "icon.png"))
    _draw_sidebar()
    st.title("Brain MRI Studio" if key == "home" else title, anchor=False)
    st.caption(sentence)
    with showing_errors():
        yield


@contextmanager
def showing_errors() -> Iterator[None]:
    """Show an expected error as a message instead of the rest of a body."""
    try:
        yield
    except StudioError as error:
        # No Markdown: the message may quote names from a user's files.
        with st.container(border=True):
            st.error("This did not work.", icon=":material/error:")
            st.text(str(error))


def fragment(run_every: float | None) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """A part of a page that reruns on its own, with our errors shown in it.

    Args:
        run_every: seconds between reruns, or None for only when something in it is used.
    """

    def decorate(body: Callable[P, None]) -> Callable[P, None]:
        @functools.wraps(body)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
            with showing_errors():
                body(*args, **kwargs)

        return st.fragment(guarded, run_every=run_every)

    return decorate


def link(key: str, label: str, icon: str | None = None, **parameters: str) -> None:
    """A link to another page, with parameters for its URL."""
    file, _, own_icon, _ = PAGES[key]
    st.page_link(file, label=label, icon=f":material/{icon or own_icon}:", query_params=parameters or None)


def open_page(key: str, **parameters: str | list[str]) -> None:
    """Go to another page at once."""
    st.switch_page(PAGES[key][0], query_params=parameters)


def empty_state(sentence: str, key: str, label: str, **parameters: str) -> None:
    """What belongs here, and the link to the step before."""
    with st.container(border=True):
        st.info(sentence, icon=":material/info:")
        link(key, label, **parameters)


def research_note() -> None:
    """Stands on every page that shows a result."""
    st.caption(":material/science: For research and teaching, not for diagnosis.")


def synthetic_note() -> None:
    """Stands where pictures or results of the synthetic sample are shown."""
    st.caption(":material/draw: Synthetic data: drawn phantoms, not scans of people.")


def _draw_sidebar() -> None:
    with st.sidebar:
        for caption, keys in _SECTIONS:
            if caption:
                st.caption(caption)
            for key in keys:
                link(key, PAGES[key][1])
        st.space("small")
        st.caption(":material/lock: Nothing leaves this machine.")
        st.caption(":material/science: For research and teaching, not for diagnosis.")
