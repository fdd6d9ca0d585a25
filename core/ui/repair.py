"""The repair of a split with one click: a new version in which twins and patients stay together."""

from __future__ import annotations

import streamlit as st

from core.datasets import Dataset, list_datasets
from core.ui import cached, making, shell
from core.ui.text import plain
from core.versions import DEFAULT_FRACTION, DEFAULT_SEED, new_split

LABEL = "Make a version without leaks"


def render_repair(dataset: Dataset, title: str = "Mend the split", label: str = LABEL) -> None:
    """Fractions, seed, and the button."""
    with st.container(border=True):
        st.subheader(title, anchor=False)
        st.caption(
            "A new version of this data set, split anew: twins and scans of one patient stay on one side, and each "
            "class keeps its share as nearly as they allow. This version stays as it is."
        )
        for version in list_datasets():
            audit = cached.audit(version) if version.parent == dataset.dataset_id else None
            if audit is not None and not audit.n_leaks and not audit.n_patient_leaks:
                shell.link("dataset", f"One is there: {plain(version.name)}", dataset=version.dataset_id, view="audit")
                break
        with st.container(horizontal=True, vertical_alignment="bottom"):
            validation = _choose_fraction("Validation")
            test = _choose_fraction("Test")
            seed = st.number_input(
                "Seed", min_value=0, max_value=2**32 - 1, value=DEFAULT_SEED, key="split_seed", width=140
            )
            if st.button(label, key="repair_split", type="primary", icon=":material/healing:"):
                making.start_version(dataset, new_split(validation, test, int(seed)))


def _choose_fraction(label: str) -> float:
    percent = st.number_input(
        f"{label}, percent",
        min_value=1,
        max_value=40,
        value=round(100 * DEFAULT_FRACTION),
        key=f"split_{label.lower()}",
        width=140,
    )
    return int(percent) / 100
