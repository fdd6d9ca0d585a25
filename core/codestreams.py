"""Compressed pixels inside DICOM: the size they claim, and those that pydicom and Pillow cannot decode.

JPEG lossless and extended (12 bit) go through libjpeg-turbo, JPEG-LS through CharLS, RLE through a decoder that is
given no more room than the picture has; all of them come with the package imagecodecs.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.bounds import check_size
from core.errors import ScanError
from core.jpegs import count_scans, find_first_scan, read_frame_size, read_precision

_JPEG = {"1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"}
_JPEG_LS = {"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"}
_RLE = {"1.2.840.10008.1.2.5"}
_MAX_SCANS = 4  # these processes are sequential: a scan for each channel at most
_LEFT_OVER = ("still contains encoded data", "JPEG marker was not found")  # what CharLS says after the last pixel
_SCAN, _END = b"\xff\xda", b"\xff\xd9"
_SIZ = b"\xff\x4f\xff\x51"  # how a JPEG 2000 codestream begins


def check_codestream(source: bytes, width: int, height: int, name: str) -> None:
    """Refuse a compressed frame that does not have the size of its DICOM header.

    Raises:
        ScanError: the sizes differ, or it is cut into more scans than its kind can have.
    """
    size = _read_jpeg_2000_size(source) if _SIZ in source[:4096] else read_frame_size(source)
    if size is None:
        return  # no picture in it either, as its decoder will say
    check_size(*size, name)
    if size != (width, height):
        raise ScanError(
            f"{name} announces {width}×{height} pixels and holds {size[0]}×{size[1]} in compressed form. "
            "Export it again."
        )
    if _SIZ in source[:4096]:
        return
    if source.find(_END, source.find(_SCAN)) < 0:  # decoders fill up what is missing
        raise ScanError(f"{name} holds a JPEG that is cut short. Copy or export it again.")
    if count_scans(source) > _MAX_SCANS:
        raise ScanError(f"{name} holds a JPEG of more than {_MAX_SCANS} scans. Export it uncompressed.")


def is_ours(syntax: str) -> bool:
    """Whether `decode_codestream` reads this transfer syntax."""
    return syntax in _JPEG | _JPEG_LS | _RLE


def decode_codestream(source: bytes, syntax: str, header: Any) -> np.ndarray:
    """Decode one frame: stored values of shape (height, width) or (height, width, 3), signed where the header says so.

    Args:
        source: the frame's bytes, whose size was checked.
        syntax: transfer syntax for which `is_ours` holds.
        header: data set with the elements that describe the pixels.

    Raises:
        Exception: whatever the decoder raises for damaged bytes.
    """
    import imagecodecs

    if syntax in _RLE:
        values = _decode_rle(source, header)
    elif syntax in _JPEG_LS:
        values = _decode_jpeg_ls(source, header)
    else:  # naming the same colours twice keeps them as they are coded
        values = np.asarray(imagecodecs.jpeg8_decode(source, colorspace=0, outcolorspace=0))
    n_channels = int(header.get("SamplesPerPixel") or 1)
    expected = (int(header.Rows), int(header.Columns), n_channels)
    values = values.reshape(expected)
    return _signed(_to_rgb(values, header) if n_channels == 3 else values[..., 0], header)


def _decode_rle(source: bytes, header: Any) -> np.ndarray:
    import imagecodecs

    shape = (int(header.get("SamplesPerPixel") or 1), int(header.Rows), int(header.Columns))
    kind = np.dtype(f"<u{int(header.BitsAllocated) // 8}")
    room = bytearray(int(np.prod(shape)) * kind.itemsize)
    filled = imagecodecs.dicomrle_decode(source, kind.str, out=room)
    if len(filled) != len(room):
        raise ValueError("too few pixels")
    return np.moveaxis(np.frombuffer(room, kind).reshape(shape), 0, 2)


def _decode_jpeg_ls(source: bytes, header: Any) -> np.ndarray:
    """Decode a JPEG-LS of one scan.

    CharLS (2.4.3) counts to 2^31, for ten seconds, where the bits end within a run of zeros. So bits without such a
    run are put behind the scan. What it then says of a sound file, after its last pixel, is that these are left over.
    """
    import imagecodecs

    scan = find_first_scan(source)
    if count_scans(source) != 1:
        raise ValueError("not one scan")
    size = (int(header.Rows), int(header.Columns), int(header.get("SamplesPerPixel") or 1))
    kind = np.uint8 if read_precision(source) <= 8 else np.uint16
    values = np.zeros(size if size[2] > 1 else size[:2], kind)
    try:
        imagecodecs.jpegls_decode(source[: scan.stop] + b"\x55" * 16 + b"\xff\xd9", out=values)
    except imagecodecs.JpeglsError as error:
        if not str(error).endswith(_LEFT_OVER):
            raise
    return values


def _to_rgb(values: np.ndarray, header: Any) -> np.ndarray:
    from pydicom.pixels import convert_color_space

    is_ybr = str(header.get("PhotometricInterpretation", "")).startswith("YBR_FULL") and values.dtype == np.uint8
    return np.asarray(convert_color_space(values, "YBR_FULL", "RGB")) if is_ybr else values


def _signed(values: np.ndarray, header: Any) -> np.ndarray:
    """Stored values are complements on two of BitsStored bits, which may be fewer than their container has."""
    if not header.get("PixelRepresentation"):
        return values
    n_bits = values.dtype.itemsize * 8
    shift = max(0, n_bits - int(header.get("BitsStored") or n_bits))
    return (values << shift).view(f"i{values.dtype.itemsize}") >> shift


def _read_jpeg_2000_size(source: bytes) -> tuple[int, int] | None:
    at = source.find(_SIZ) + len(_SIZ)
    numbers = [int.from_bytes(source[start : start + 4], "big") for start in range(at + 4, at + 20, 4)]
    return numbers[0] - numbers[2], numbers[1] - numbers[3]
