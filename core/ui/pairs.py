"""Pairs of twins: a table, and the chosen pair side by side."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.audit import Audit
from core.datasets import Dataset
from core.drafts import read_draft
from core.ui import cached, marking
from core.ui.text import count, plain

_ALL, _LEAKS, _CONFLICTS = "All", "On two sides of a split", "Under two classes"
_MOST_ROWS = 2_000


def render_pairs(dataset: Dataset, audit: Audit) -> None:
    """All pairs that were verified, and the chosen one large."""
    with st.container(border=True):
        st.subheader("Twins", anchor=False)
        if not audit.twins:
            st.caption(":material/check: No two scans show the same picture.")
            return
        frame = cached.twins(dataset)
        choices = [_ALL, _LEAKS, *([_CONFLICTS] if audit.n_label_conflicts else [])]
        chosen = st.radio(
            "Pairs", choices, key=f"pairs_shown_{dataset.dataset_id}", horizontal=True, label_visibility="collapsed"
        )
        if chosen == _LEAKS:
            frame = frame[frame["first_split"] != frame["second_split"]]
        elif chosen == _CONFLICTS:
            frame = frame[frame["first_label"] != frame["second_label"]]
        if frame.empty:
            st.caption("No pair fits this choice.")
            return
        row = _choose_row(
            frame.head(_MOST_ROWS), len(frame), f"pairs_table_{dataset.dataset_id}_{choices.index(chosen)}"
        )
        _render_pair(dataset, row)


def _choose_row(frame: pd.DataFrame, n: int, key: str) -> pd.Series:
    one_class = frame["first_label"] == frame["second_label"]
    shown = pd.DataFrame(
        {
            "What differs": frame["differs"],
            "Alike": 100 * frame["alike"],
            "Splits": frame["first_split"] + " and " + frame["second_split"],
            "Classes": frame["first_label"].where(one_class, frame["first_label"] + " and " + frame["second_label"]),
            "First": frame["first"],
            "Second": frame["second"],
        }
    )
    event = st.dataframe(
        shown,
        hide_index=True,
        key=key,
        on_select="rerun",
        selection_mode="single-row",
        height=38 + 35 * min(len(shown), 6),
        column_config={"Alike": st.column_config.NumberColumn(format="%.2f %%")},
    )
    more = f" The first {_MOST_ROWS:,} are listed." if n > _MOST_ROWS else ""
    st.caption(
        f"{count(n, 'pair')}: those that were compared, every label conflict, and every leak.{more} Select a row to "
        "see both. Alike: how much of one picture's variation the other explains."
    )
    rows = event["selection"]["rows"]
    return frame.iloc[rows[0] if rows and rows[0] < len(frame) else 0]


def _render_pair(dataset: Dataset, row: pd.Series) -> None:
    draft = read_draft(dataset)
    key = f"pair_{dataset.dataset_id}"
    alike = f", {row['alike']:.2%} alike" if pd.notna(row["alike"]) else ""
    st.markdown(f"**{plain(str(row['differs'])).capitalize()}**{alike}")
    chosen = []
    for side, column in zip(("first", "second"), st.columns(2), strict=True):
        stored = str(row[f"{side}_stored"])
        with column:
            st.image(
                cached.scan(dataset.folder / stored),
                width="stretch",
                caption=plain(f"{row[f'{side}_split']} · {row[f'{side}_label']}{marking.describe_mark(draft, stored)}"),
                alt=f"{side.capitalize()} scan of the pair: {row[side]}",
            )
            st.text(str(row[side]))
            if marking.choose_scan(key, stored, f"the {side} scan", is_labelled=True):
                chosen.append(stored)
    st.caption("Tick one to leave it out or to give it another class.")
    if chosen:
        marking.render_actions(dataset, chosen, key)
