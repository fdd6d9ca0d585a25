"""Train: choose a network and its settings, start, watch, and find earlier runs."""

import streamlit as st

from core.datasets import list_datasets
from core.runs import list_runs
from core.ui import forms, selection, shell, starting
from core.ui.estimating import render_estimate
from core.ui.history import render_history
from core.ui.live import render_live
from core.ui.queueing import render_left_over, render_queue
from core.ui.run_actions import render_upload
from core.ui.storing import render_storage

SECTIONS = {
    "configure": ("Configure", "sliders"),
    "live": ("Live", "activity"),
    "history": ("History", "clock-history"),
}


def render_configure() -> None:
    """Inputs on the left, what they mean on the right, the start below."""
    datasets = list_datasets()
    if not datasets:
        shell.empty_state("A training needs a data set. Bring one in first.", "dataset", "Import scans")
        return
    forms.fill_form([dataset.dataset_id for dataset in datasets])
    left, right = st.columns([2, 3])
    with left:
        dataset = selection.choose_dataset(datasets)
        architecture = forms.choose_architecture()
        weights = forms.choose_weights(architecture, list_runs())
        below = st.container()
    with right:
        config = forms.choose_settings(dataset, architecture, weights or "random")
        name = st.text_input("Name of the run", placeholder=f"{architecture.title} on {dataset.name}", key="run_name")
        forms.render_data_note(dataset)
        if st.button(
            "Start training",
            key="start_training",
            type="primary",
            icon=":material/play_arrow:",
            disabled=weights is None,
        ):
            starting.start_or_ask(dataset, config, name)
    if weights is not None:
        with below:
            render_estimate(dataset, config)
    forms.render_preview(dataset, config)


with shell.page("train"):
    view = selection.choose_section(SECTIONS)
    runs = list_runs()
    render_left_over(runs)
    if view == "configure":
        render_configure()
    elif not runs:
        shell.empty_state("There is no run yet. Choose a network and start one.", "train", "Configure a training")
        if view == "history":
            render_upload()
    elif view == "live":
        alive = next((run for run in runs if run.status.is_alive), None)
        render_live(selection.choose_run(runs, default=alive))
    else:
        render_queue(runs)
        render_history(runs)
        render_upload()
        render_storage()
