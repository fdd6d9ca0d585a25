"""Stored DICOM values to the picture that a viewer shows, by rescale and window.

The rescale is linear, so instead of rescaling the pixels, the window is brought to the scale of the stored values: no
copy of the picture in floating point is made.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from core.bounds import ClockedBytes
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
    groups = _groups(dataset, frame, name)
    slope, intercept = _rescale(_settings_of(groups, "PixelValueTransformationSequence", dataset, name))
    if _items(dataset, "ModalityLUTSequence", name):
        values, slope, intercept = np.asarray(apply_modality_lut(values, dataset)), 1.0, 0.0
    window = _window(_settings_of(groups, "FrameVOILUTSequence", dataset, name))
    picture = _windowed(values, name, window, slope, intercept)
    return 255 - picture if kind == "MONOCHROME1" else picture


def _windowed(
    values: np.ndarray, name: str, window: tuple[float, float] | None, slope: float, intercept: float
) -> np.ndarray:
    if window is None:
        if (slope, intercept) == (1.0, 0.0):
            return to_uint8(values, name)
        ends = [slope * end + intercept for end in value_range(values, name)]
        window = (min(0.0, *ends), max(ends))
    low, high = ((end - intercept) / slope for end in window)
    return apply_window(values, low, high, name)


def _rescale(settings: Any) -> tuple[float, float]:
    slope, intercept = _first_number(settings.get("RescaleSlope")), _first_number(settings.get("RescaleIntercept"))
    return slope or 1.0, intercept or 0.0


def _window(settings: Any) -> tuple[float, float] | None:
    """Values that become black and white, or None without a usable window."""
    center, width = _first_number(settings.get("WindowCenter")), _first_number(settings.get("WindowWidth"))
    if center is None or width is None or width <= 0:
        return None
    if settings.get("VOILUTFunction") == "LINEAR_EXACT":
        return center - width / 2, center + width / 2
    if width < 1:
        return None
    # DICOM PS3.3 C.11.2.1.2.1: a window of width w maps w - 1 steps
    low = center - 0.5 - (width - 1) / 2
    return low, low + max(width - 1, 1e-6)


def _groups(dataset: Any, frame: int, name: str) -> list[Any]:
    """What a file of many frames says of one of them, and then of all."""
    own = _items(dataset, "PerFrameFunctionalGroupsSequence", name)[frame : frame + 1]
    return [*own, *_items(dataset, "SharedFunctionalGroupsSequence", name)[:1]]


def _settings_of(groups: list[Any], sequence: str, dataset: Any, name: str) -> Any:
    """The first of the groups' items of a kind; where they have none (older files), the data set."""
    return next((item for group in groups for item in _items(group, sequence, name)[:1]), dataset)


def _items(dataset: Any, sequence: str, name: str) -> list[Any]:
    """Items of a sequence. pydicom parses it only now, and without a bound, so its bytes are read by a bounded file."""
    from pydicom.filereader import read_sequence

    if sequence not in dataset:
        return []
    element = dataset.get_item(sequence)
    if not isinstance(element.value, bytes):
        return list(element.value or [])
    file = ClockedBytes(element.value, name)
    return list(read_sequence(file, element.is_implicit_VR, element.is_little_endian, len(element.value), "iso8859"))


def _first_number(value: Any) -> float | None:
    try:
        first = value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value
        number = float(first)
    except (TypeError, ValueError, IndexError):
        return None
    return number if math.isfinite(number) else None
