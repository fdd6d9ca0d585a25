"""The Predict page's views: one scan with its heat map, many scans as a table. Uploads stay in memory only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image
from streamlit.runtime.uploaded_file_manager import UploadedFile

from core.errors import ScanError
from core.explain import compute_heatmap, overlay_heatmap
from core.prediction import Classifier
from core.runs import Run
from core.scans import decode_scan
from core.ui import cached, charts
from core.ui.class_texts import read_class_text
from core.ui.text import count, percent, plain

_VIEW_SIDE = 512  # small scans are enlarged to this, with their own sharp pixels
_LARGEST_VIEW = 1024  # larger ones are made smaller for the screen; the model gets them as they are
_DECODED, _PREDICTED = "_decoded", "_predicted"
_MOST_FRAMES = 20  # of a file that stay decoded


@dataclass(frozen=True, eq=False)
class Upload:
    """A file that was dropped, its first frame decoded or not; `frames` are others of it, by their number from 1."""

    file: UploadedFile
    pixels: np.ndarray | None
    n_frames: int = 1
    error: str = ""
    frames: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def file_id(self) -> str:
        """What tells it from other drops, also of the same file."""
        return self.file.file_id

    @property
    def name(self) -> str:
        """Name of the file."""
        return self.file.name


def read_uploads(files: Sequence[UploadedFile]) -> list[Upload]:
    """Decode dropped files, each once while this page is open; what cannot be read keeps its reason."""
    known: dict[str, Upload] = st.session_state.get(_DECODED, {})
    uploads = {file.file_id: known.get(file.file_id) or _read(file) for file in files}
    st.session_state[_DECODED] = uploads  # emptied when the page is left
    return list(uploads.values())


def _read(file: UploadedFile) -> Upload:
    try:
        scan = decode_scan(file.getvalue(), file.name)
    except ScanError as error:
        return Upload(file, None, error=str(error))
    return Upload(file, scan.pixels, scan.n_frames)


def render_predictions(run: Run, uploads: list[Upload]) -> None:
    """Predict what was dropped: a table for many, one of them large."""
    for upload in uploads:
        if upload.pixels is None:
            st.warning("A file was left out.", icon=":material/broken_image:")
            st.text(upload.error)
    readable = [upload for upload in uploads if upload.pixels is not None]
    if not readable:
        return
    classifier = cached.classifier(run)
    shown = readable[0]
    if len(readable) > 1:
        shown = readable[_render_table(classifier, readable)]
    _render_one(run, classifier, shown)


def _render_table(classifier: Classifier, uploads: list[Upload]) -> int:
    """All predictions; returns the row to show large."""
    ids = (classifier, tuple(upload.file_id for upload in uploads))
    known = st.session_state.get(_PREDICTED)
    if known is None or known[0] != ids:
        known = (ids, classifier.predict([upload.pixels for upload in uploads if upload.pixels is not None]))
        st.session_state[_PREDICTED] = known
    probabilities = known[1]
    names = classifier.class_names
    frame = pd.DataFrame({"File": [upload.name for upload in uploads]})
    frame["Class"] = [names[at] for at in probabilities.argmax(axis=1)]
    frame["Probability"] = probabilities.max(axis=1)
    for at, name in enumerate(names):
        frame[f"p {name}"] = probabilities[:, at]
    with st.container(border=True):
        st.subheader(count(len(uploads), "scan"), anchor=False)
        bar = st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent")
        number = st.column_config.NumberColumn(format="%.3f")
        event = st.dataframe(
            frame,
            hide_index=True,
            key="predictions_table",
            on_select="rerun",
            selection_mode="single-row",
            column_config={"Probability": bar} | {f"p {name}": number for name in names},
        )
        st.download_button(
            "Predictions as CSV",
            frame.to_csv(index=False),
            "predictions.csv",
            "text/csv",
            key="download_predictions",
            icon=":material/download:",
            on_click="ignore",
        )
        of_several = " Files of several frames are predicted by their first." if _any_frames(uploads) else ""
        st.caption(f"Select a row to see that scan below.{of_several}")
    rows = event["selection"]["rows"]
    return rows[0] if rows and rows[0] < len(uploads) else 0


def _any_frames(uploads: list[Upload]) -> bool:
    return any(upload.n_frames > 1 for upload in uploads)


def _choose_frame(upload: Upload) -> np.ndarray:
    """Pixels of the frame to show, decoded once; the first one where the chosen one cannot be read."""
    assert upload.pixels is not None
    if upload.n_frames == 1:
        return upload.pixels
    number = st.number_input(f"Frame (1 to {upload.n_frames})", 1, upload.n_frames, key=f"frame_{upload.file_id}")
    if number > 1 and number not in upload.frames:
        try:
            pixels = decode_scan(upload.file.getvalue(), upload.name, number - 1).pixels
        except ScanError as error:
            st.warning("This frame cannot be read; the first one is shown.", icon=":material/broken_image:")
            st.text(str(error))
            return upload.pixels
        while len(upload.frames) >= _MOST_FRAMES:
            upload.frames.pop(next(iter(upload.frames)))
        upload.frames[number] = pixels
    return upload.frames.get(number, upload.pixels)


def _render_one(run: Run, classifier: Classifier, upload: Upload) -> None:
    pixels = _choose_frame(upload)
    explained = classifier.explain(pixels)
    names = classifier.class_names
    answer = int(explained.probabilities.argmax())
    picture, numbers = st.columns([1, 1])
    with numbers, st.container(border=True):
        st.text(upload.name)
        st.metric(
            "Predicted class",
            plain(names[answer]),
            percent(float(explained.probabilities[answer])),
            delta_arrow="off",
            delta_color="off",
        )
        figure = charts.plot_probabilities([float(p) for p in explained.probabilities], names)
        st.plotly_chart(figure, config=charts.CONFIG, key="probabilities", alt="Probability per class")
        target = st.selectbox("Heat map for", names, index=answer, key=f"heatmap_class_{run.run_id}_{upload.file_id}")
        strength = st.slider("Strength of the heat map", 0.0, 1.0, 0.6, 0.05, key="heatmap_strength")
        _render_meaning(run, names[answer])
    heatmap = compute_heatmap(explained.activation, explained.channel_weights, names.index(target))
    with picture, st.container(border=True):
        st.image(
            overlay_heatmap(_for_screen(pixels), heatmap, strength),
            width="stretch",
            alt=f"The scan with the parts marked that speak for {target}",
        )
        caption = (
            f"Warm parts speak for {plain(target)} (Grad-CAM)."
            if heatmap.any()
            else f"Nothing speaks for {plain(target)}."
        )
        st.caption(caption)


def _render_meaning(run: Run, class_name: str) -> None:
    text = read_class_text(class_name)
    if text:
        st.markdown(text)
    accuracy = run.score("test")
    known = f" On its test scans it was right in {percent(accuracy)} of cases." if accuracy is not None else ""
    st.caption(
        "The probability is how the model divides its certainty among the classes it knows, not the chance of a "
        f"disease: a picture of something else gets an answer too, often a sure one.{known} The heat map shows where "
        "the evidence came from, not where a lesion ends."
    )


def _for_screen(pixels: np.ndarray) -> np.ndarray:
    if max(pixels.shape[:2]) > _LARGEST_VIEW:
        image = Image.fromarray(pixels)
        image.thumbnail((_LARGEST_VIEW, _LARGEST_VIEW), Image.Resampling.BILINEAR)
        return np.asarray(image)
    factor = max(1, _VIEW_SIDE // max(pixels.shape[:2]))
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)
