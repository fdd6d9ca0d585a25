"""Compare: two or more runs side by side."""

import streamlit as st

from core.runs import list_runs
from core.ui import selection, shell
from core.ui.comparing import render_comparison

with shell.page("compare"):
    scored = [run for run in list_runs() if run.has_scores]
    if len(scored) < 2:
        shell.empty_state("A comparison needs two runs with a model. Train another one.", "train", "Train a model")
    else:
        runs = selection.choose_runs(scored)
        shell.research_note()
        if len(runs) < 2:
            st.info("Choose two runs or more.", icon=":material/info:")
        else:
            render_comparison(runs)
