"""The Dataset page's versions: the family of a data set, how each differs from its parent, and what can be done."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.datasets import Dataset, write_notes
from core.exporting import zip_bytes
from core.layouts import SPLITS
from core.runs import list_runs
from core.ui import cached, marking, selection, shell
from core.ui.repair import render_repair
from core.ui.text import count, moment, plain, size
from core.versions import family

_LARGEST_DOWNLOAD = 250 * 2**20  # bytes that a download may hold in the server's memory
_MOST_ROWS = 2_000


def render_versions(dataset: Dataset, datasets: list[Dataset]) -> None:
    """Everything about the versions of a data set."""
    marking.render_draft(dataset)
    _render_family(dataset, datasets)
    left, right = st.columns(2)
    with left:
        _render_notes(dataset)
    with right:
        _render_download(dataset)
    _render_change(dataset, datasets)
    render_repair(dataset, "Split anew", "Make a version")


def _render_family(dataset: Dataset, datasets: list[Dataset]) -> None:
    members = family(dataset, datasets)
    names = {member.dataset_id: member.name for member in members}
    runs = pd.Series([run.config.dataset_id for run in list_runs()], dtype=str).value_counts()
    rows = []
    for member in members:
        audit = cached.audit(member)
        total, freed = cached.disk_use(member)
        rows.append(
            {
                "Version": member.name,
                "Made from": names.get(member.parent or "", "deleted" if member.parent else "import"),
                "Scans": member.n_images,
                "Train / val. / test": " / ".join(f"{member.n_in(split):,}" for split in SPLITS),
                "Leaks": "not audited" if audit is None else f"{audit.n_leaks:,}",
                "Runs": int(runs.get(member.dataset_id, 0)),
                "On disk": size(total),
                "Of its own": size(freed),
                "Made": moment(member.created),
                "Note": member.note,
                "Id": member.dataset_id,
            }
        )
    with st.container(border=True):
        st.subheader("Versions", anchor=False)
        event = st.dataframe(
            pd.DataFrame(rows),
            hide_index=True,
            key=f"versions_table_{dataset.dataset_id}",
            on_select="rerun",
            selection_mode="single-row",
        )
        st.caption(
            f"{count(len(members), 'version')}. Versions share their pictures on disk; deleting one frees what is of "
            "its own. Select a row to open it."
        )
    chosen = event["selection"]["rows"]
    if chosen and members[chosen[0]].dataset_id != dataset.dataset_id:
        selection.remember("dataset", members[chosen[0]].dataset_id)
        st.rerun()


def _render_notes(dataset: Dataset) -> None:
    with st.form(f"notes_{dataset.dataset_id}", height="stretch"):
        st.subheader("Name and note", anchor=False)
        name = st.text_input("Name", dataset.name, key=f"name_{dataset.dataset_id}")
        note = st.text_area("Note", dataset.note, key=f"note_{dataset.dataset_id}")
        if st.form_submit_button("Save", icon=":material/save:", key="save_notes"):
            with shell.showing_errors():
                write_notes(dataset, name, note)
                st.rerun()


def _render_download(dataset: Dataset) -> None:
    with st.container(border=True, height="stretch"):
        st.subheader("Download", anchor=False)
        n_bytes = int(cached.manifest(dataset)["bytes"].sum())
        st.caption(
            f"A ZIP of {size(n_bytes)}: pictures in Train, Validation and Test folders, and a labels.csv. It imports "
            f"again to the same fingerprint ({dataset.fingerprint}). Pixels only; where patients are known, files get "
            "numbers for names."
        )
        if n_bytes > _LARGEST_DOWNLOAD:
            st.caption("It is too large for the browser. On the machine of the server:")
            st.code(f"python -m core zip {dataset.dataset_id} --output PATH", language="sh")
            return
        st.download_button(
            "Download the ZIP",
            data=lambda: zip_bytes(dataset),
            file_name=f"{dataset.dataset_id}.zip",
            mime="application/zip",
            key="download_dataset",
            icon=":material/download:",
            on_click="ignore",
        )


def _render_change(dataset: Dataset, datasets: list[Dataset]) -> None:
    if dataset.parent is None:
        return
    parent = next((other for other in datasets if other.dataset_id == dataset.parent), None)
    with st.container(border=True):
        st.subheader("Difference to its parent", anchor=False)
        for note in dataset.notes:
            st.caption(plain(note))
        if parent is None:
            st.caption("The parent was deleted, so there is nothing to compare with.")
            return
        change = cached.difference(parent, dataset)
        rows = [
            *[(entry["file"], "left out", "", "") for entry in change["excluded"]],
            *[(entry["file"], "class", entry["from"], entry["to"]) for entry in change["relabelled"]],
            *[(entry["file"], "split", entry["from"], entry["to"]) for entry in change["moved"]],
        ]
        st.markdown(
            f"Against {plain(parent.name)}: {count(len(change['excluded']), 'scan')} left out, "
            f"{len(change['relabelled']):,} with another class, {len(change['moved']):,} in another split."
        )
        if rows:
            frame = pd.DataFrame(rows[:_MOST_ROWS], columns=["File", "What", "Before", "Now"])
            st.dataframe(frame, hide_index=True, height=38 + 35 * min(len(frame), 8))
