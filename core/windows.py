"""Stored DICOM values to the picture that a viewer shows, by rescale and window.

The rescale is linear, so instead of rescaling the pixels, the window is brought to the scale of the stored values: no
copy of the picture in floating point is made.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from core.intensities import apply_window, to_uint8, value_range


def to_picture(values: np.ndarray, dataset: Any, name: str, frame: int = 0) -> np.ndarray:
    """Stored values of one frame, (height, width) or (height, width, 3), as uint8 of the same or three channels.

    Args:
        values: what the file stores.
        dataset: its header.
        name: the file's name, for messages.
        frame: the frame's index; files of many frames may have a window for each.

    Raises:
        ScanError: a value is not a number or infinite.
    """
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    kind = str(dataset.get("PhotometricInterpretation", ""))
    if kind == "PALETTE COLOR":
        return to_uint8(apply_color_lut(values, dataset), name)
    if values.ndim == 3:
        return to_uint8(values, name)
    if dataset.get("BitsStored") == 1:
        values = values * np.uint8(255)
    if dataset.get("ModalityLUTSequence"):
        picture = _windowed(np.asarray(apply_modality_lut(values, dataset)), dataset, name, frame, 1.0, 0.0)
    else:
        picture = _windowed(values, dataset, name, frame, *_rescale(dataset, frame))
    return 255 - picture if kind == "MONOCHROME1" else picture


def _windowed(values: np.ndarray, dataset: Any, name: str, frame: int, slope: float, intercept: float) -> np.ndarray:
    window = _window(dataset, frame)
    if window is None:
        if (slope, intercept) == (1.0, 0.0):
            return to_uint8(values, name)
        ends = [slope * end + intercept for end in value_range(values, name)]
        window = (min(0.0, *ends), max(ends))
    low, high = ((end - intercept) / slope for end in window)
    return apply_window(values, low, high, name)


def _rescale(dataset: Any, frame: int) -> tuple[float, float]:
    group = _group(dataset, frame, "PixelValueTransformationSequence")
    slope, intercept = _first_number(group.get("RescaleSlope")), _first_number(group.get("RescaleIntercept"))
    return slope or 1.0, intercept or 0.0


def _window(dataset: Any, frame: int) -> tuple[float, float] | None:
    """Values that become black and white, or None without a usable window."""
    group = _group(dataset, frame, "FrameVOILUTSequence")
    center, width = _first_number(group.get("WindowCenter")), _first_number(group.get("WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    if group.get("VOILUTFunction") == "LINEAR_EXACT":
        return center - width / 2, center + width / 2
    if width < 1:
        return None
    # DICOM PS3.3 C.11.2.1.2.1: a window of width w maps w - 1 steps
    low = center - 0.5 - (width - 1) / 2
    return low, low + max(width - 1, 1e-6)


def _group(dataset: Any, frame: int, sequence: str) -> Any:
    """What holds for one frame: its own group, the one that all frames share, or (older files) the data set."""
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    for group in [*per_frame[frame : frame + 1], *shared[:1]]:
        items = group.get(sequence)
        if items:
            return items[0]
    return dataset


def _first_number(value: Any) -> float | None:
    try:
        first = value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value
        number = float(first)
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) else None
