"""Scans as a wall of thumbnails, made at import, with filters and paging."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core.datasets import Dataset
from core.drafts import read_draft
from core.intake import THUMBNAIL
from core.layouts import SPLITS
from core.ui import cached, marking
from core.ui.text import count, plain

SMALL, LARGE = "Small", "Large"
_PER_PAGE = {SMALL: 24, LARGE: 6}
_WIDTH = {SMALL: THUMBNAIL, LARGE: 360}


def render_gallery(dataset: Dataset) -> None:
    """All scans of a data set, to be filtered by split and class."""
    frame = cached.manifest(dataset)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        split = st.selectbox("Split", ["all", *SPLITS], format_func=str.capitalize, key="gallery_split", width=150)
        label = st.selectbox("Class", [None, *dataset.class_names], format_func=_or_all, key="gallery_class", width=220)
        zoom = st.radio("Size", [SMALL, LARGE], key="gallery_size", horizontal=True)
    if split != "all":
        frame = frame[frame["split"] == split]
    if label is not None:
        frame = frame[frame["label"] == label]
    render_scans(dataset, frame, zoom=zoom, key="gallery")


def render_scans(
    dataset: Dataset, frame: pd.DataFrame, *, key: str, zoom: str = SMALL, captions: str = "label"
) -> None:
    """A page of scans from rows of the manifest.

    Args:
        key: prefix of the widgets' keys.
        captions: column whose text stands under each scan.
    """
    if frame.empty:
        st.info("No scan fits this choice.", icon=":material/info:")
        return
    key = f"{key}_{dataset.dataset_id}"  # ticks and pages of one data set are not those of another
    per_page = _PER_PAGE[zoom]
    n_pages = -(-len(frame) // per_page)
    page = 1
    if n_pages > 1:
        page = min(int(st.session_state.get(f"{key}_page", 1)), n_pages)
    rows = frame.iloc[(page - 1) * per_page : page * per_page]
    draft = read_draft(dataset)
    chosen = []
    with st.container(horizontal=True, gap="small"):
        for _, row in rows.iterrows():
            stored = str(row["stored"])
            with st.container(width=_WIDTH[zoom], gap=None):
                _render_scan(
                    dataset.folder, row, _WIDTH[zoom], f"{row[captions]}{marking.describe_mark(draft, stored)}"
                )
                if marking.choose_scan(key, stored, str(row["file"])):
                    chosen.append(stored)
    if n_pages > 1:
        st.pagination(n_pages, key=f"{key}_page")
    st.caption(f"{count(len(frame), 'scan')}, page {page} of {n_pages}. Tick scans to leave them out or correct them.")
    if chosen:
        marking.render_actions(dataset, chosen, key)


def _render_scan(folder: Path, row: pd.Series, width: int, caption: str) -> None:
    path = folder / str(row["thumbnail"] if width == THUMBNAIL else row["stored"])
    if not path.exists():
        st.caption(f":material/broken_image: {plain(str(row['file']))} is missing.")
        return
    alt = f"Scan {row['file']!s}, class {row['label']!s}, split {row['split']}"
    st.image(str(path), caption=plain(caption), width=width, alt=alt)


def _or_all(label: str | None) -> str:
    return label if label is not None else "All"
