"""Home: what is here, and what to do next."""

import streamlit as st

from core.datasets import list_datasets
from core.runs import list_runs
from core.ui import home, shell
from core.ui.queueing import render_left_over

with shell.page("home"):
    datasets, runs = list_datasets(), list_runs()
    render_left_over(runs)
    home.render_next_step(datasets, runs)
    home.render_numbers(datasets, runs)
    with st.container(border=True):
        st.subheader("How it works", anchor=False)
        home.render_pipeline()
    home.render_latest_runs(runs)
    shell.research_note()
