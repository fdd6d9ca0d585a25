"""Dataset: bring scans in, and see what is in them."""

import streamlit as st

from core.datasets import list_datasets
from core.ui import making, selection, shell
from core.ui.auditing import render_audit
from core.ui.explore import ask_to_delete, render_dataset
from core.ui.importing import render_import
from core.ui.versions import render_versions

SECTIONS = {
    "import": ("Import", "box-arrow-in-down"),
    "explore": ("Explore", "grid-3x3-gap"),
    "audit": ("Audit", "shield-check"),
    "versions": ("Versions", "diagram-2"),
}

with shell.page("dataset"):
    datasets = list_datasets()
    dataset = None
    if datasets:
        with st.container(horizontal=True, vertical_alignment="bottom"):
            dataset = selection.choose_dataset(datasets)
            if st.button("Delete", key="delete_dataset", icon=":material/delete:"):
                ask_to_delete(dataset)
    view = selection.choose_section(SECTIONS)
    making.render_jobs(follow=view == "import")
    if view == "import":
        render_import(datasets)
    elif dataset is None:
        shell.empty_state(
            "There is no data set yet. Import a ZIP or make the sample first.", "dataset", "To the import"
        )
    elif view == "explore":
        render_dataset(dataset)
    elif view == "audit":
        render_audit(dataset)
    else:
        render_versions(dataset, datasets)
