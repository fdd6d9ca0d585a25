"""Predict: ask a model about new scans, and see why it answers."""

import streamlit as st

from core.runs import best_run, list_runs
from core.ui import selection, shell
from core.ui.predicting import read_uploads, render_predictions

with shell.page("predict"):
    scored = [run for run in list_runs() if run.has_scores]
    if not scored:
        shell.empty_state("A prediction needs a trained model. Train one first.", "train", "Train a model")
    else:
        run = selection.choose_run(scored, "Model", default=best_run(scored), prefer_default=True)
        if run.metrics.get("synthetic"):
            shell.synthetic_note()
        files = st.file_uploader(
            "Scans", accept_multiple_files=True, key="scans", help="JPEG, PNG, BMP, TIFF, WebP, DICOM."
        )
        st.caption(":material/lock: Scans are not kept: they are gone when you leave this page.")
        if files:
            render_predictions(run, read_uploads(files))
        else:
            st.info("Drop one scan to see its heat map, or many to get a table.", icon=":material/image_search:")
        shell.research_note()
