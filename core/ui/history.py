"""All runs in a table, and what can be done with the selected ones."""

from __future__ import annotations

import zlib

import pandas as pd
import streamlit as st

from core.control import delete_run
from core.history import read_history
from core.runs import Run, describe_run
from core.ui import selection, shell
from core.ui.states import state_word
from core.ui.text import count, duration, moment


def render_history(runs: list[Run]) -> None:
    """The table, and actions for its selected rows."""
    # The selection is of rows, so it belongs to this list of runs and no other.
    with st.container(key="runs_table"):
        event = st.dataframe(
            _table(runs),
            hide_index=True,
            key=f"runs_{zlib.crc32(''.join(run.run_id for run in runs).encode())}",
            on_select="rerun",
            selection_mode="multi-row",
            column_config={
                "Run": st.column_config.TextColumn(width="medium"),
                "Validation": st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.3f", width="small"),
                "Test": st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.3f", width="small"),
                "Curve": st.column_config.LineChartColumn(
                    y_min=0, y_max=1, width="small", help="Validation accuracy over the epochs"
                ),
            },
        )
    chosen = [runs[at] for at in event["selection"]["rows"] if at < len(runs)]
    if not chosen:
        st.caption(f"{count(len(runs), 'run')}. Select rows to open, compare or delete them.")
        return
    _render_actions(chosen)


def _table(runs: list[Run]) -> pd.DataFrame:
    rows = []
    for run in runs:
        facts = describe_run(run)
        rows.append(
            {
                "Run": run.name,
                "State": state_word(run.state),
                "Validation": facts["val_accuracy"],
                "Test": facts["test_accuracy"],
                "Curve": [row["val_accuracy"] for row in read_history(run.folder)],
                "Epochs": facts["epochs"],
                "Time": duration(facts["seconds"]),
                "Data set": run.dataset_name,
                "Architecture": run.title,
                "Started": moment(run.status.queued_at),
                "Id": run.run_id,
            }
        )
    return pd.DataFrame(rows)


def _render_actions(chosen: list[Run]) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        if len(chosen) == 1:
            if st.button("Open", key="open_run", type="primary", icon=":material/open_in_new:"):
                selection.go_to("live", run=chosen[0].run_id)
            if chosen[0].has_scores:
                shell.link("evaluate", "Evaluate", run=chosen[0].run_id)
                shell.link("predict", "Predict", run=chosen[0].run_id)
        scored = [run for run in chosen if run.has_scores]
        if len(scored) > 1 and st.button("Compare", key="compare_runs", icon=":material/compare_arrows:"):
            shell.open_page("compare", run=[run.run_id for run in scored])
        if st.button("Delete", key="delete_runs", icon=":material/delete:"):
            _ask_to_delete(chosen)


@st.dialog("Delete runs?")
def _ask_to_delete(chosen: list[Run]) -> None:
    st.text("\n".join(run.name for run in chosen))
    st.caption("Models, scores and logs of these runs are deleted. This cannot be undone.")
    if st.button("Delete", type="primary", key="confirm_delete_runs", icon=":material/delete:"):
        with shell.showing_errors():
            for run in chosen:
                delete_run(run.run_id)
            st.rerun()
