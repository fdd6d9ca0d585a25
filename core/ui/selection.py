"""Which data set, run or section this tab looks at: in the URL, remembered from page to page. Ids and plain values.

The URL wins when it changes (a link, Back, a reload); otherwise the widget does. A parameter is written only when it
really changes, because each write is an entry in the browser's history; the default stands without one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NoReturn

import streamlit as st
from streamlit_option_menu import option_menu

from core.datasets import Dataset
from core.runs import Run
from core.ui.text import plain

_URL_SEEN = "_url_{}"  # key of what the URL said when it was looked at last
_OF_ONE_PAGE = (
    "_url_dataset",
    "_url_run",
    "_view_seen",
    "runs",
    "_runs_seen",
    "_decoded",
    "_predicted",
)
_MOVE = "_move"  # the last move of ours: address before, address after, when
_MOVE_SECONDS = 2.0  # the longest that the browser takes to hear of a new address
PAGE = "_page"  # key of the page that was drawn last in this tab


def choose_dataset(datasets: Sequence[Dataset], label: str = "Data set") -> Dataset:
    """A select box of data sets; `?dataset=` selects."""
    by_id = {dataset.dataset_id: dataset for dataset in datasets}
    chosen = _choose("dataset", list(by_id), label, lambda key: _dataset_title(by_id[key]))
    return by_id[chosen]


def choose_run(
    runs: Sequence[Run], label: str = "Run", default: Run | None = None, *, prefer_default: bool = False
) -> Run:
    """A select box of runs; `?run=` selects.

    Args:
        default: what is chosen where neither the URL nor an earlier choice says.
        prefer_default: let the default go before an earlier choice on another page.
    """
    if prefer_default and _URL_SEEN.format("run") not in st.session_state:
        st.session_state.pop("_chosen_run", None)
    by_id = {run.run_id: run for run in runs}
    ids = list(by_id)
    if default is not None and default.run_id in by_id:
        ids.sort(key=lambda run_id: run_id != default.run_id)
    return by_id[_choose("run", ids, label, lambda key: _run_title(by_id[key]))]


def choose_runs(runs: Sequence[Run]) -> list[Run]:
    """A multi-select of runs; repeated `?run=` selects."""
    by_id = {run.run_id: run for run in runs}
    in_url = [run_id for run_id in st.query_params.get_all("run") if run_id in by_id]
    default = list(by_id)[:2]
    if in_url != st.session_state.get("_runs_seen") or "runs" not in st.session_state:
        st.session_state["runs"] = in_url if len(in_url) > 1 else list(dict.fromkeys(in_url + default))[:2]
    chosen = st.multiselect("Runs", list(by_id), key="runs", format_func=lambda key: _run_title(by_id[key]))
    if chosen != (in_url or default):
        st.query_params["run"] = chosen
        in_url = chosen
    st.session_state["_runs_seen"] = in_url
    return [by_id[run_id] for run_id in chosen]


def choose_section(sections: dict[str, tuple[str, str]]) -> str:
    """The switcher of sections inside a page; `?view=` is its truth.

    Args:
        sections: slug -> (title, Bootstrap icon); the first one is the default, without a parameter.
    """
    slugs = list(sections)
    current = st.query_params.get("view", slugs[0])
    current = current if current in sections else slugs[0]
    titles = [title for title, _ in sections.values()]
    at = slugs.index(current)
    if st.session_state.get("_view_seen", current) != current:
        # The address has moved (a link, Back, a move of ours): a menu drawn anew can neither show the old section nor
        # mistake its own adjustment for a click.
        st.session_state["_view_menu"] = st.session_state.get("_view_menu", 0) + 1
    picked = option_menu(
        None,
        titles,
        icons=[icon for _, icon in sections.values()],
        orientation="horizontal",
        default_index=at,
        key=f"sections_{'_'.join(slugs)}_{st.session_state.get('_view_menu', 0)}",
        styles={
            "container": {"padding": "0.2rem", "background-color": "transparent", "max-width": "100%"},
            # vw is a part of the menu's own width: on a phone a label stays beside its icon, on one line.
            "icon": {"font-size": "clamp(0.7rem, 3vw, 1rem)", "margin-right": "clamp(0.2rem, 1vw, 0.5rem)"},
            "nav-link": {
                "font-family": "var(--font)",
                "font-size": "clamp(0.75rem, 3.3vw, 0.9rem)",
                "padding": "0.4rem 0.1rem",
                "white-space": "nowrap",
            },
            "nav-link-selected": {"font-weight": "600"},
        },
    )
    chosen = slugs[titles.index(picked)] if picked in titles else current
    st.session_state["_view_seen"] = chosen
    if chosen != current:
        show_section(chosen, default=slugs[0])
        st.rerun()
    return current


def show_section(slug: str, *, default: str = "") -> None:
    """Put a section into the URL; it is drawn at the next rerun."""
    if slug == default:
        st.query_params.pop("view", None)
    else:
        st.query_params["view"] = slug


def say_again(key: str) -> None:
    """Send a widget's value to the browser in every run, before the widget is drawn.

    A value that we set is sent once only; if that run is cut short by the next one, the browser would go on showing the
    default while the script has the value.
    """
    if key in st.session_state:
        st.session_state[key] = st.session_state[key]


def remember(kind: str, chosen: str) -> None:
    """Select a data set or run (kind "dataset" or "run") for this page's next rerun and for other pages."""
    st.session_state[f"_chosen_{kind}"] = chosen
    if st.query_params.get(kind) != chosen:
        st.query_params[kind] = chosen


def go_to(view: str, *, default: str = "", **chosen: str) -> NoReturn:
    """Show a section of this page with a data set or run chosen (`dataset=`, `run=`), at once."""
    before = _address()
    after = before | {kind: [identity] for kind, identity in chosen.items()} | {"view": [view]}
    if view == default:
        del after["view"]
    # Written down first: a rerun that cuts in while the address is changed would lose the move.
    st.session_state[_MOVE] = (before, after, time.time())
    for kind, identity in chosen.items():
        st.session_state[f"_chosen_{kind}"] = identity
    st.query_params.from_dict(after)
    st.rerun()
    raise AssertionError("a rerun does not come back")


def enter_page(page: str) -> None:
    """Note which page is drawn, and forget what belongs to another one."""
    if st.session_state.get(PAGE) != page:
        for key in (*_OF_ONE_PAGE, _MOVE):
            st.session_state.pop(key, None)
    st.session_state[PAGE] = page
    _redo_move()


def _redo_move() -> None:
    """Go again where we have just gone, if a rerun brings the address from before.

    The browser asks for reruns of its own (a menu that is drawn anew, a timer), and one that it has sent before our new
    address arrived would draw the old section under the new address, and nothing would mend that.
    """
    before, after, when = st.session_state.get(_MOVE, (None, None, 0.0))
    if time.time() - when > _MOVE_SECONDS:
        st.session_state.pop(_MOVE, None)
    elif _address() == before:
        st.query_params.from_dict(after)


def _address() -> dict[str, list[str]]:
    return {key: st.query_params.get_all(key) for key in st.query_params}


def _choose(kind: str, ids: list[str], label: str, title: Callable[[str], str]) -> str:
    in_url = st.query_params.get(kind)
    seen_key, chosen_key = _URL_SEEN.format(kind), f"_chosen_{kind}"
    first_time = seen_key not in st.session_state
    if first_time or in_url != st.session_state[seen_key]:
        wanted = in_url or (st.session_state.get(chosen_key) if first_time else None)
        if in_url and in_url not in ids:
            st.warning(f"There is no {label.lower()} with the id {plain(in_url)} here. Choose one below.")
        st.session_state[kind] = wanted if wanted in ids else ids[0]
    elif st.session_state.get(kind) not in ids:
        remembered = st.session_state.get(chosen_key)
        st.session_state[kind] = remembered if remembered in ids else ids[0]
    say_again(kind)
    chosen = str(st.selectbox(label, ids, key=kind, format_func=title))
    st.session_state[chosen_key] = chosen
    if chosen != (in_url or ids[0]):
        st.query_params[kind] = chosen
    st.session_state[seen_key] = st.query_params.get(kind)
    return chosen


def _dataset_title(dataset: Dataset) -> str:
    mark = " · synthetic" if dataset.synthetic else ""
    return f"{dataset.name} · {dataset.n_images:,} scans{mark} · {dataset.dataset_id}"


def _run_title(run: Run) -> str:
    score = run.score("validation")
    state = "under way" if run.status.is_alive else run.state  # the list is drawn less often than the state changes
    shown = f"validation {score:.1%}" if score is not None else state
    return f"{run.name} · {shown} · {run.run_id[-11:]}"
