"""DICOM pixels to uint8: rescale, window, MONOCHROME1, palettes, frames, compressed and deflated files.

Promise: nothing but pixels leaves this module, and a number for the patient that means nothing outside this process.
Only the tags that describe pixels are read, with the patient's identifier, which is hashed at once with a key that is
drawn when the process starts and kept nowhere. No tag is stored, logged or put into a message.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import struct
import warnings
import zlib
from typing import Any, NamedTuple

import numpy as np

from core.bounds import ClockedBytes, check_frames, check_memory, check_size
from core.codestreams import check_codestream, decode_codestream, is_ours
from core.errors import ScanError
from core.settings import read_settings
from core.windows import to_picture

logging.getLogger("pydicom").disabled = True  # it logs the values of tags that it cannot read

_SUFFIXES = (".dcm", ".dicom", ".ima")
_DEFLATED = "1.2.840.10008.1.2.1.99"
_RLE = "1.2.840.10008.1.2.5"
_HEADER_BYTES = 132
_CHUNK = 2**20
_KEY = secrets.token_bytes(32)
_NOBODY = {"", "anonymous", "anonymized", "anonymised", "anon", "none", "unknown"}
_TAGS = (
    "PatientID", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration", "NumberOfFrames", "Rows",
    "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "WindowCenter", "WindowWidth",
    "VOILUTFunction", "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "RedPaletteColorLookupTableDescriptor",
    "GreenPaletteColorLookupTableDescriptor", "BluePaletteColorLookupTableDescriptor",
    "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData", "BluePaletteColorLookupTableData",
    "SegmentedRedPaletteColorLookupTableData", "SegmentedGreenPaletteColorLookupTableData",
    "SegmentedBluePaletteColorLookupTableData", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "FloatPixelData", "DoubleFloatPixelData", "PixelData",
)  # fmt: skip


class DicomPicture(NamedTuple):
    """A decoded frame: uint8 pixels (height, width) or (height, width, 3), frames in the file, hash of the patient."""

    pixels: np.ndarray
    n_frames: int
    patient: bytes | None


def is_dicom(data: bytes, name: str) -> bool:
    """Whether the bytes are a DICOM file: by its mark, or (files without one) by the first tag and the name."""
    if data[128:_HEADER_BYTES] == b"DICM":
        return True
    if len(data) < 8 or ("." in name and not name.lower().endswith(_SUFFIXES)):
        return False
    little, big = struct.unpack("<H", data[:2])[0], struct.unpack(">H", data[:2])[0]
    return little in (0x0002, 0x0008) or big in (0x0002, 0x0008)


def decode_dicom(data: bytes, name: str, frame: int) -> DicomPicture:
    """Decode one frame (an index from 0).

    Raises:
        ScanError: no pixels in it, a compression that we cannot read, or over a limit.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings quote values of tags
        data = _inflate(data, name)
        header = _read(data, name, stop_before_pixels=True)
        n_frames = _check_header(header, len(data), name, frame)
        dataset = _read(data, name)
        _complete(dataset)
        try:
            values = _read_pixels(dataset, name, frame, n_frames)
        except ScanError:
            raise
        except Exception:  # `from None`: what a reader raises may quote a tag
            raise ScanError(f"{name} {_describe_failure(dataset)}") from None
        return DicomPicture(to_picture(values, dataset, name, frame), n_frames, _hash_patient(header))


def _inflate(data: bytes, name: str) -> bytes:
    """The bytes of a deflated file without its meta block, any other file as it is.

    pydicom inflates without a bound (0.5 MB took 1 GB). So the size is counted first, in pieces that are dropped.
    """
    from pydicom.filereader import read_dataset

    start = _HEADER_BYTES if data[128:_HEADER_BYTES] == b"DICM" else 0
    file = ClockedBytes(data, name)
    file.seek(start)
    try:
        meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
        is_deflated = str(meta.get("TransferSyntaxUID", "")) == _DEFLATED
    except ScanError:
        raise
    except Exception:  # no meta block
        return data
    if not is_deflated:
        return data
    packed, limit = data[file.tell() :], read_settings().max_entry_mb * 2**20
    counter, size, rest = zlib.decompressobj(-zlib.MAX_WBITS), 0, packed
    try:
        while rest and not counter.eof and size <= limit:
            size += len(counter.decompress(rest, _CHUNK))
            rest = counter.unconsumed_tail
        if size <= limit:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed)
    except zlib.error:
        raise ScanError(f"{name} is a deflated DICOM file that is damaged. Export it again.") from None
    raise ScanError(
        f"{name} is a deflated DICOM file of more than {limit // 2**20} MB, unpacked (STUDIO_MAX_ENTRY_MB). "
        "Make it smaller."
    )


def _read(data: bytes, name: str, stop_before_pixels: bool = False) -> Any:
    import pydicom

    try:
        file = ClockedBytes(data, name)
        return pydicom.dcmread(file, force=True, stop_before_pixels=stop_before_pixels, specific_tags=list(_TAGS))
    except ScanError:
        raise
    except Exception:
        raise ScanError(f"{name} is a damaged DICOM file. Export it again.") from None


def _check_header(header: Any, n_bytes: int, name: str, frame: int) -> int:
    rows, columns = int(header.get("Rows") or 0), int(header.get("Columns") or 0)
    n_frames = int(header.get("NumberOfFrames") or 1)
    n_channels = int(header.get("SamplesPerPixel") or 1)
    if not rows or not columns:
        raise ScanError(f"{name} is a DICOM object without a picture (a report, plan or index). Leave it out.")
    check_size(columns, rows, name)
    check_frames(n_frames, frame, name)
    if n_channels not in (1, 3):
        raise ScanError(f"{name} has {n_channels} channels; 1 or 3 are read. Export it as grey or RGB.")
    n_values = rows * columns * (3 if header.get("PhotometricInterpretation") == "PALETTE COLOR" else n_channels)
    n_bytes_each = max(1, int(header.get("BitsAllocated") or 8) // 8)
    check_memory(n_values * (3 * n_bytes_each + 3) + 2 * n_bytes, name)  # as measured, rounded up
    return n_frames


def _complete(dataset: Any) -> None:
    """Files without a meta block leave the transfer syntax to be guessed from how they were read."""
    if "TransferSyntaxUID" in dataset.file_meta:
        return
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    implicit, little = dataset.original_encoding
    explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit


def _read_pixels(dataset: Any, name: str, frame: int, n_frames: int) -> np.ndarray:
    from pydicom.encaps import get_frame
    from pydicom.pixels import pixel_array

    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return pixel_array(dataset, index=frame)
    offsets = (dataset.get("ExtendedOffsetTable"), dataset.get("ExtendedOffsetTableLengths"))
    source = get_frame(
        dataset.PixelData, frame, number_of_frames=n_frames, extended_offsets=offsets if all(offsets) else None
    )
    if syntax != _RLE:
        check_codestream(source, int(dataset.Columns), int(dataset.Rows), name)
    return decode_codestream(source, syntax, dataset) if is_ours(syntax) else pixel_array(dataset, index=frame)


def _describe_failure(dataset: Any) -> str:
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    is_known = getattr(syntax, "is_transfer_syntax", False)  # of a damaged file it may hold any text
    if is_known and not syntax.is_compressed:
        return "has fewer pixels than it announces, or they are damaged. Export it again."
    words = syntax.name if is_known and not syntax.is_private else "unknown"
    return f"has pixels that cannot be decoded (transfer syntax: {words}). Export it uncompressed, or as PNG."


def _hash_patient(header: Any) -> bytes | None:
    try:
        identifier = str(header.get("PatientID") or "").strip()
    except Exception:  # a tag that cannot be read names nobody
        return None
    if identifier.lower() in _NOBODY:
        return None
    return hashlib.blake2b(identifier.encode("utf-8", "surrogatepass"), key=_KEY, digest_size=16).digest()
