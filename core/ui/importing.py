"""The Dataset page's ways in: a ZIP, a folder of the server, the synthetic sample."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from core import importing
from core.datasets import Dataset
from core.errors import DatasetError
from core.intake import FIRST, MIDDLE
from core.patients import check_pattern
from core.samples import DEFAULT_IMAGES_PER_CLASS
from core.settings import read_settings
from core.ui import making, selection
from core.ui.text import count, moment

_FRAME = "frame_choice"


def render_import(datasets: list[Dataset]) -> None:
    """Start imports, and list what is here."""
    upload, other = st.columns(2)
    with upload:
        pattern = _render_patients()
        _render_upload(pattern)
    with other:
        _render_sample()
        _render_server_folder(pattern)
    if datasets:
        _render_list(datasets)


def _render_patients() -> str | None:
    """Ask for the pattern of patient ids; None while it cannot be used.

    It stands above the form, not in it: a pattern that is wrong is told before the upload is sent off and gone.
    """
    is_set = bool(st.session_state.get("patient_pattern"))  # what acts must be seen
    with st.expander("Several pictures of one patient, or several frames?", icon=":material/group:", expanded=is_set):
        st.caption(
            "All pictures of a patient must stay on one side of the splits, or the score is too good. A column "
            "`patient` in a labels.csv says whose they are; so can file names, by a pattern. Only a number is kept."
        )
        pattern = st.text_input(
            "Pattern of the patient id in file names",
            key="patient_pattern",
            placeholder="by default none",
            help=r"A regular expression; what stands in its brackets is the id. `patient(\d+)` finds 12 in "
            r"`patient12_s3.png`; `sub-(\w+?)_` finds A7 in `sub-A7_t1.png`; `^([^/]+)/` takes the outermost folder.",
        ).strip()
        try:
            check_pattern(pattern)
        except DatasetError as error:
            st.warning("This pattern cannot be used.", icon=":material/error:")
            st.text(str(error))
            return None
        st.radio(
            "Of a file with several frames (DICOM volumes, TIFF) take the",
            [FIRST, MIDDLE],
            key=_FRAME,
            horizontal=True,
        )
    return pattern


def _render_upload(pattern: str | None) -> None:
    limit = max(read_settings().max_upload_mb, 1)
    with st.form("upload", clear_on_submit=True):
        st.subheader("Upload a ZIP", anchor=False)
        st.caption(
            "One folder per class, with or without Train, Validation and Test folders above, or a labels.csv beside "
            "the pictures. JPEG, PNG, BMP, TIFF, WebP and DICOM. :material/lock: Nothing leaves this machine."
        )
        file = st.file_uploader("ZIP with scans", type=["zip"], key="dataset_zip", max_upload_size=limit)
        name = st.text_input("Name of the data set", placeholder="by default the name of the file", key="dataset_name")
        if st.form_submit_button(
            "Import", type="primary", key="import_dataset", icon=":material/upload:", disabled=pattern is None
        ):
            if file is None:
                st.warning("Choose a ZIP first.", icon=":material/upload_file:")
                return
            folder = importing.create_import(
                upload=file,
                name=name.strip() or Path(file.name).stem,
                patient_pattern=pattern or "",
                frame=st.session_state.get(_FRAME, FIRST),
            )
            _start(folder)


def _render_sample() -> None:
    with st.container(border=True):
        st.subheader("No data at hand?", anchor=False)
        st.caption(
            f"A synthetic sample: {DEFAULT_IMAGES_PER_CLASS} drawn head phantoms for each of four classes, with a "
            "lesion typical for each. Not scans of people; for trying everything out."
        )
        if st.button("Make the synthetic sample", key="make_sample", icon=":material/draw:"):
            _start(importing.create_import(name="Synthetic sample", images_per_class=DEFAULT_IMAGES_PER_CLASS))


def _render_server_folder(pattern: str | None) -> None:
    root = read_settings().import_root
    if root is None:
        return
    with st.container(border=True):
        st.subheader("From this server", anchor=False)
        choices = _importable(root)
        if not choices:
            st.caption("There is no ZIP or folder in the import folder of this server.")
            return
        chosen = st.selectbox("ZIP or folder", choices, key="server_source")
        if st.button(
            "Import from the server",
            key="import_from_server",
            icon=":material/drive_folder_upload:",
            disabled=pattern is None,
        ):
            _start(
                importing.create_import(
                    path=root / chosen,
                    name=Path(chosen).stem,
                    patient_pattern=pattern or "",
                    frame=st.session_state.get(_FRAME, FIRST),
                )
            )


def _importable(root: Path) -> list[str]:
    """ZIPs and folders directly in the import folder and one level below, without links (they could lead outside)."""
    found = []
    for path in sorted([*root.glob("*"), *root.glob("*/*.zip")]):
        is_inside = path.resolve() == root.resolve() / path.relative_to(root)
        if is_inside and not path.name.startswith(".") and (path.is_dir() or path.suffix.lower() == ".zip"):
            found.append(path.relative_to(root).as_posix())
    return found[:500]


def _start(folder: Path) -> None:
    making.start(folder)
    st.rerun()


def _render_list(datasets: list[Dataset]) -> None:
    with st.container(border=True):
        st.subheader("Data sets in this workspace", anchor=False)
        frame = pd.DataFrame(
            {
                "Name": [dataset.name for dataset in datasets],
                "Scans": [dataset.n_images for dataset in datasets],
                "Classes": [", ".join(dataset.class_names) for dataset in datasets],
                "Kind": ["synthetic" if dataset.synthetic else dataset.source for dataset in datasets],
                "Left out": [len(dataset.skipped) for dataset in datasets],
                "Imported": [moment(dataset.created) for dataset in datasets],
                "Id": [dataset.dataset_id for dataset in datasets],
            }
        )
        event = st.dataframe(
            frame, hide_index=True, key="datasets_table", on_select="rerun", selection_mode="single-row"
        )
        rows = event["selection"]["rows"]
        st.caption(f"{count(len(datasets), 'data set')}. Select a row to open it.")
        if rows:
            selection.go_to("explore", dataset=datasets[rows[0]].dataset_id)
