"""DICOM pixels to uint8: rescale, window, MONOCHROME1, palettes, frames.

Promise: nothing but pixels leaves this module. No tag is returned, stored, logged or put into a message.
"""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np

from core.errors import ScanError
from core.intensities import apply_window, to_uint8
from core.settings import read_settings

_SUFFIXES = (".dcm", ".dicom", ".ima")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_HEADER_BYTES = 132


def is_dicom(data: bytes, name: str) -> bool:
    """Whether the bytes are a DICOM file: by its mark, or (files without one) by the first tag and the name."""
    if data[128:_HEADER_BYTES] == b"DICM":
        return True
    if len(data) < 8 or ("." in name and not name.lower().endswith(_SUFFIXES)):
        return False
    little, big = struct.unpack("<H", data[:2])[0], struct.unpack(">H", data[:2])[0]
    return little in (0x0002, 0x0008) or big in (0x0002, 0x0008)


def decode(data: bytes, name: str, frame: int) -> tuple[np.ndarray, int]:
    """Decode one frame: uint8 (height, width) or (height, width, 3), and the number of frames.

    Raises:
        ScanError: no pixels in it, a compression that we cannot read, or over a limit.
    """
    import pydicom
    from pydicom.pixels import pixel_array

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings quote values of tags
        header = _read_header(data, name)
        n_frames = _check_header(header, name, frame)
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        _complete(dataset)
        try:
            values = pixel_array(dataset, index=frame)
        except Exception as error:
            syntax = getattr(dataset.file_meta.get("TransferSyntaxUID"), "name", "unknown")
            raise ScanError(
                f"{name} has pixels that cannot be decoded (transfer syntax: {syntax}). "
                "Export it uncompressed, or as PNG."
            ) from error
        return _to_picture(values, dataset, name), n_frames


def _read_header(data: bytes, name: str) -> Any:
    import pydicom

    # A deflated file is unpacked whole by the reader, however large (0.5 MB took 1 GB), so it is told by its bytes.
    if _DEFLATED in data:
        raise ScanError(f"{name} is a deflated DICOM file, which is not read. Export it uncompressed.")
    try:
        return pydicom.dcmread(io.BytesIO(data), force=True, stop_before_pixels=True)
    except Exception as error:
        raise ScanError(f"{name} is a damaged DICOM file. Export it again.") from error


def _check_header(header: Any, name: str, frame: int) -> int:
    rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    n_frames = int(header.get("NumberOfFrames") or 1)
    if not rows or not columns:
        raise ScanError(f"{name} is a DICOM object without a picture (a report, plan or index). Leave it out.")
    settings = read_settings()
    if rows * columns > settings.max_pixels:
        raise ScanError(f"{name} has {columns}×{rows} pixels; at most {settings.max_pixels:,} are decoded.")
    if n_frames > settings.max_frames:
        raise ScanError(f"{name} has {n_frames} frames; at most {settings.max_frames} are read. Split the file.")
    if not 0 <= frame < n_frames:
        raise ScanError(f"{name} has {n_frames} frame(s), numbered from 0. Received: frame={frame}. Choose another.")
    return n_frames


def _complete(dataset: Any) -> None:
    """Files without a meta block leave the transfer syntax to be guessed from how they were read."""
    if "TransferSyntaxUID" in dataset.file_meta:
        return
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _to_picture(values: np.ndarray, dataset: Any, name: str) -> np.ndarray:
    from pydicom.pixels import apply_color_lut, apply_modality_lut

    kind = str(dataset.get("PhotometricInterpretation", ""))
    if kind == "PALETTE COLOR":
        return to_uint8(apply_color_lut(values, dataset), name)
    if values.ndim == 3:
        return to_uint8(values, name)
    measured = np.asarray(apply_modality_lut(values, dataset))
    picture = _windowed(measured, dataset, name)
    return 255 - picture if kind == "MONOCHROME1" else picture


def _windowed(values: np.ndarray, dataset: Any, name: str) -> np.ndarray:
    center, width = _first_number(dataset.get("WindowCenter")), _first_number(dataset.get("WindowWidth"))
    if center is not None and width is not None and width >= 1:
        # DICOM PS3.3 C.11.2.1.2.1: a window of width w maps w - 1 steps
        low = center - 0.5 - (width - 1) / 2
        return apply_window(values, low, low + max(width - 1, 1e-6), name)
    return to_uint8(values, name)


def _first_number(value: Any) -> float | None:
    try:
        first = value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value
        return float(first)
    except (TypeError, ValueError, IndexError):
        return None
