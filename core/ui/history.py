"""All runs in a table that can be filtered and sorted; `core.ui.run_actions` does things with the selected ones."""

from __future__ import annotations

import zlib
from datetime import datetime
from typing import Any

import pandas as pd
import streamlit as st

from core.curves import describe_finding
from core.history import read_history
from core.runs import Run, describe_run
from core.ui.run_actions import render_actions
from core.ui.states import STATES, state_word
from core.ui.text import count

_FEW = 4  # runs up to which there is nothing to filter


def render_history(runs: list[Run]) -> None:
    """Filters, the table, and actions for its selected rows."""
    shown = _filter(runs) if len(runs) > _FEW else runs
    if not shown:
        st.info("No run fits the filters. Clear one of them to see more.", icon=":material/filter_alt_off:")
        return
    # The selection is of rows, so it belongs to this list of runs and no other.
    with st.container(key="runs_table"):
        event = st.dataframe(
            _table(shown),
            hide_index=True,
            key=f"runs_{zlib.crc32(''.join(run.run_id for run in shown).encode())}",
            on_select="rerun",
            selection_mode="multi-row",
            column_config=_columns(),
        )
    chosen = [shown[at] for at in event["selection"]["rows"] if at < len(shown)]
    if not chosen:
        hidden = f" {len(runs) - len(shown)} more do not fit the filters." if len(shown) < len(runs) else ""
        st.caption(f"{count(len(shown), 'run')}.{hidden} Select rows to open, compare, name, download or delete them.")
        return
    render_actions(chosen)


def _filter(runs: list[Run]) -> list[Run]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        text = st.text_input(
            "Filter", key="history_filter", placeholder="name, note, data set or network", icon=":material/search:"
        )
        present = [state for state in STATES if any(run.state == state for run in runs)]
        states = st.pills("State", present, selection_mode="multi", key="history_states", format_func=state_word)
        only_starred = st.toggle("Starred only", key="history_starred")
    words = text.casefold().split()
    return [
        run
        for run in runs
        if all(word in _searched(run) for word in words)
        and (not states or run.state in states)
        and (run.star or not only_starred)
    ]


def _searched(run: Run) -> str:
    return f"{run.name} {run.note} {run.dataset_name} {run.title} {run.run_id}".casefold()


def _columns() -> dict[str, Any]:
    column = st.column_config
    return {
        "Star": column.TextColumn("★", width=40, help="Starred"),
        "Run": column.TextColumn(width="medium"),
        "Validation": column.ProgressColumn(min_value=0, max_value=1, format="%.3f", width="small"),
        "Test": column.ProgressColumn(min_value=0, max_value=1, format="%.3f", width="small"),
        "Curve": column.LineChartColumn(y_min=0, y_max=1, width="small", help="Validation accuracy over the epochs"),
        "Time": column.NumberColumn("Time (s)", format="localized", help="Seconds of work, pauses not counted"),
        "Started": column.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
        "Finding": column.TextColumn(width="medium", help="What its curves say"),
    }


def _table(runs: list[Run]) -> pd.DataFrame:
    rows = []
    for run in runs:
        facts, history = describe_run(run), read_history(run.folder)
        rows.append(
            {
                "Star": "★" if run.star else "",
                "Run": run.name,
                "State": state_word(run.state),
                "Validation": facts["val_accuracy"],
                "Test": facts["test_accuracy"],
                "Curve": [row["val_accuracy"] for row in history],
                "Epochs": facts["epochs"],
                "Time": None if facts["seconds"] is None else round(facts["seconds"]),
                "Data set": run.dataset_name,
                "Architecture": run.title,
                "Started": datetime.fromtimestamp(run.status.queued_at),
                "Finding": describe_finding(history),
                "Note": run.note,
                "Id": run.run_id,
            }
        )
    return pd.DataFrame(rows)
