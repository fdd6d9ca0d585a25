"""What the workspace takes on disk, and a button that cleans up."""

from __future__ import annotations

import streamlit as st

from core.storage import CACHE, CHECKPOINTS, clean_up, measure_usage
from core.ui.text import size

_FREED = "_freed"  # bytes of the last clean-up, told in the next run of the page


def render_storage() -> None:
    """Sizes and clean-up; measured only when it is opened."""
    expander = st.expander("Storage", icon=":material/hard_drive:", on_change="rerun", key="storage")
    if not expander.open:
        return
    with expander:
        usage = measure_usage()
        with st.container(horizontal=True):
            for label, value in (
                ("Data sets", usage.datasets), ("Runs", usage.runs), ("Checkpoints", usage.checkpoints),
                ("Cache", usage.cache), ("Free", usage.free),
            ):  # fmt: skip
                st.metric(label, size(value), border=True, width=140)
        old = st.checkbox(
            f"Old checkpoints ({size(usage.old_checkpoints)})",
            key="clean_checkpoints",
            help="Of runs that have ended with a model. They can still be used and repeated, but not continued.",
        )
        cache = st.checkbox(
            f"Cache ({size(usage.cache)})",
            key="clean_cache",
            help="Backbones, features, decoded pictures, dry runs: made again when needed, which takes a while.",
        )
        if st.button("Clean up", key="clean_up", icon=":material/cleaning_services:", disabled=not (old or cache)):
            chosen = [kind for kind, is_chosen in ((CHECKPOINTS, old), (CACHE, cache)) if is_chosen]
            st.session_state[_FREED] = clean_up(chosen)
            st.rerun()
        freed = st.session_state.pop(_FREED, None)
        if freed is not None:
            st.success(f"{size(freed)} freed.", icon=":material/check:")
