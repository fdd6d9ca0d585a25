"""Dataset: bring scans in, and see what is in them."""

import streamlit as st

from core.datasets import list_datasets
from core.ui import selection, shell
from core.ui.explore import ask_to_delete, render_dataset
from core.ui.importing import render_import

with shell.page("dataset"):
    datasets = list_datasets()
    dataset = None
    if datasets:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            dataset = selection.choose_dataset(datasets)
            if st.button("Delete", key="delete_dataset", icon=":material/delete:"):
                ask_to_delete(dataset)
    view = selection.choose_section({"import": ("Import", "box-arrow-in-down"), "explore": ("Explore", "grid-3x3-gap")})
    if view == "import":
        render_import(datasets)
    elif dataset is None:
        shell.empty_state(
            "There is no data set yet. Import a ZIP or make the sample first.", "dataset", "To the import"
        )
    else:
        render_dataset(dataset)
