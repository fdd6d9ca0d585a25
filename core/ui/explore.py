"""The Dataset page's view of one data set: what is in it, and what was left out."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.datasets import Dataset
from core.layouts import SPLITS
from core.ui import cached, charts, data_charts, marking, shell
from core.ui.gallery import render_gallery
from core.ui.text import count, duration, percent, plain, size
from core.workspace import delete_dataset


def render_dataset(dataset: Dataset) -> None:
    """Everything about one data set."""
    if dataset.synthetic:
        shell.synthetic_note()
    _render_numbers(dataset)
    for note in dataset.notes:
        st.caption(f":material/info: {plain(note)}")
    _render_counts(dataset)
    with st.container(border=True):
        st.subheader("Scans", anchor=False)
        render_gallery(dataset)
    marking.render_draft(dataset)
    _render_pixels(dataset)
    _render_files(dataset)
    _render_skipped(dataset)


@st.dialog("Delete this data set?")
def ask_to_delete(dataset: Dataset) -> None:
    """Ask first; refused while runs need it."""
    st.text(f"{dataset.name}: {count(dataset.n_images, 'scan')}. This cannot be undone.")
    if st.button("Delete", type="primary", key="confirm_delete_dataset", icon=":material/delete:"):
        with shell.showing_errors():
            delete_dataset(dataset.dataset_id)
            shell.open_page("dataset")


def _render_numbers(dataset: Dataset) -> None:
    sizes = [sum(dataset.splits[split].values()) for split in SPLITS]
    cells = [
        ("Scans", f"{dataset.n_images:,}", None),
        ("Classes", str(len(dataset.class_names)), None),
        *[
            (split.capitalize(), f"{n:,}", f"{percent(n / dataset.n_images)} of all")
            for split, n in zip(SPLITS, sizes, strict=True)
        ],
    ]
    with st.container(horizontal=True):
        for label, value, share in cells:
            st.metric(
                label,
                value,
                share,
                delta_color="off",
                delta_arrow="off",
                border=True,
                width=140,
                height="stretch",
            )


def _render_counts(dataset: Dataset) -> None:
    with st.container(border=True):
        st.subheader("Scans per split and class", anchor=False)
        chart, table = st.columns([2, 3])
        with chart:
            figure = data_charts.plot_split_counts(dataset.splits, dataset.class_names)
            st.plotly_chart(
                figure,
                config=charts.CONFIG,
                key="split_counts",
                alt="Stacked bars of scans per split and class",
            )
        frame = pd.DataFrame(
            {split.capitalize(): [dataset.splits[split][name] for name in dataset.class_names] for split in SPLITS},
            index=pd.Index(dataset.class_names, name="Class"),
        )
        frame["All"] = frame.sum(axis=1)
        frame = pd.concat([frame, frame.sum().to_frame("All").T.rename_axis("Class")])
        shares = 100 * frame["All"] / dataset.n_images
        number = st.column_config.NumberColumn(format="localized")
        columns = dict.fromkeys(frame.columns, number) | {"Share": st.column_config.NumberColumn(format="%.1f%%")}
        with table:
            st.dataframe(frame.assign(Share=shares), column_config=columns)


def _render_pixels(dataset: Dataset) -> None:
    pixels = cached.pixel_statistics(dataset)
    histogram, means = st.columns([3, 2])
    with histogram, st.container(border=True, height="stretch"):
        st.subheader("Grey levels", anchor=False)
        figure = data_charts.plot_intensities(pixels.histograms)
        st.plotly_chart(figure, config=charts.CONFIG, key="intensities", alt="Share of pixels per grey level and class")
        st.caption("Classes whose curves differ may be told apart by brightness alone, which is rarely what one wants.")
    with means, st.container(border=True, height="stretch"):
        st.subheader("Mean picture per class", anchor=False)
        with st.container(horizontal=True):
            for name, mean in pixels.mean_pictures.items():
                st.image(mean, caption=plain(name), width=140, alt=f"Mean of all scans of class {name}")
        st.caption("What all scans of a class share. A sharp outline means that they are cut out the same way.")


def _render_files(dataset: Dataset) -> None:
    frame = cached.manifest(dataset)
    sizes = frame.groupby(["width", "height"]).size().sort_values(ascending=False).reset_index(name="Scans")
    sizes.insert(0, "Size", [f"{row.width} × {row.height}" for row in sizes.itertuples()])
    kinds = frame.groupby(["format", "colour"]).size().sort_values(ascending=False).reset_index(name="Scans")
    kinds["colour"] = kinds["colour"].map({True: "colour", False: "grey"})
    with st.container(border=True):
        st.subheader("Sizes and formats", anchor=False)
        left, right = st.columns(2)
        left.dataframe(sizes[["Size", "Scans"]], hide_index=True, height=_height(len(sizes)))
        kinds = kinds.rename(columns={"format": "Format", "colour": "Pixels"})
        right.dataframe(kinds, hide_index=True, height=_height(len(kinds)))
        st.caption(
            f"{size(float(frame['bytes'].sum()))} of pictures, imported in {duration(dataset.seconds)}. "
            f"Fingerprint {dataset.fingerprint}."
        )


def _render_skipped(dataset: Dataset) -> None:
    n = len(dataset.skipped) + len(dataset.litter)
    with st.container(border=True):
        st.subheader("Left out", anchor=False)
        if not n:
            st.caption("Nothing: every file of the source is in the data set.")
            return
        st.caption(
            f"{count(len(dataset.skipped), 'file')} could not be taken; "
            f"{count(len(dataset.litter), 'system file')} ignored."
        )
        rows = [
            *dataset.skipped,
            *[{"file": name, "reason": "System file, ignored."} for name in dataset.litter],
        ]
        st.dataframe(pd.DataFrame(rows).rename(columns=str.capitalize), hide_index=True, height=_height(min(n, 10)))


def _height(n_rows: int) -> int:
    return 38 + 35 * min(n_rows, 8)
