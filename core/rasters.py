"""Pictures that Pillow reads (JPEG, PNG, BMP, TIFF, WebP) to uint8, with what it leaves out made good.

Pillow keeps only the high byte of deep colour, and takes no notice of a deep TIFF in which white is zero, of one with
signed bytes, or of one with unsigned 32-bit numbers.
"""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from core.bounds import ClockedBytes, check_frames, check_memory, check_size, check_work
from core.channels import drop_grey_channels, to_pixels
from core.errors import ScanError
from core.intensities import to_uint8
from core.jpegs import count_scans
from core.settings import read_limit
from core.tiffs import count_pages

Image.MAX_IMAGE_PIXELS = None  # our own limit is checked from the header, before anything is decoded
logging.getLogger("PIL").setLevel(logging.WARNING)  # below that it logs the values of tags

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
_DEEP_MODES = ("I", "F", "I;16", "I;16L", "I;16B", "I;16N")
_DEEP_COLOURS = ("RGB;16", "RGBX;16", "RGBA;16", "RGBa;16", "LA;16")
_MAX_SCANS = 100  # encoders write about ten
# Peak per pixel, with Pillow's own buffers and ours, as measured at 16 megapixels and rounded up.
_BYTES_PER_PIXEL = {"1": 5, "L": 5, "P": 16, "I;16": 9, "I;16B": 9, "I": 16, "F": 16, "RGB": 16}
_BYTES_PER_OTHER_PIXEL, _BYTES_PER_WEBP_PIXEL, _BYTES_PER_DEEP_PIXEL = 20, 20, 40
_BITS, _PHOTOMETRIC, _PLANES, _SAMPLE_FORMAT = 258, 262, 284, 339
_WHITE_IS_ZERO = 0


class Raster(NamedTuple):
    """A decoded picture: uint8 pixels (height, width) or (height, width, 3), and what the file said about itself."""

    pixels: np.ndarray
    format: str
    is_upright_jpeg: bool
    n_frames: int


def decode_raster(data: bytes, name: str, frame: int, *, is_grey: bool = False) -> Raster:
    """Decode one frame of a picture.

    Args:
        is_grey: whether it is known to have no colour. Of a JPEG only the brightness is decoded then: the same pixels
            in half the time.

    Raises:
        UnidentifiedImageError: none of these formats.
        ScanError: over a limit, or of a kind that is not read.
        Exception: whatever Pillow raises for a damaged file.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns about odd metadata that we drop anyway
        image = _open(data, name)
        n_frames = _count_frames(image, data, name, frame)
        _seek(image, frame, name)
        _check_kind(image, data, name)
        raw = _raw_mode(image)  # gone as soon as a PNG is asked for its EXIF block, which may stand behind the pixels
        is_rotated = _is_rotated(image)
        is_eight_bit = image.mode in ("L", "RGB")
        if is_grey and image.format == "JPEG":
            image.draft("L", None)
        if raw.startswith(_DEEP_COLOURS):
            pixels = drop_grey_channels(_deep_colour(image, raw, data, name, frame))
        else:
            pixels = _to_array(_upright(image), name)
        is_upright_jpeg = image.format == "JPEG" and is_eight_bit and not is_rotated
        return Raster(pixels, str(image.format), is_upright_jpeg, n_frames)


def _open(data: bytes, name: str) -> Any:
    try:
        image = Image.open(ClockedBytes(data, name), formats=FORMATS)
    except ScanError:
        raise
    except Exception as error:  # a header that lies raises whatever it likes
        raise UnidentifiedImageError from error
    check_size(image.width, image.height, name)
    return image


def _count_frames(image: Any, data: bytes, name: str, frame: int) -> int:
    if image.format == "TIFF":
        n_frames = count_pages(data, read_limit("max_frames"))
    else:
        n_frames = int(getattr(image, "n_frames", 1))
    check_frames(n_frames, frame, name)
    return n_frames


def _seek(image: Any, frame: int, name: str) -> None:
    if frame:
        if image.format != "TIFF":  # an animation is drawn from its first frame on
            check_work(image.width * image.height, frame + 1, name)
        image.seek(frame)
        check_size(image.width, image.height, name)


def _check_kind(image: Any, data: bytes, name: str) -> None:
    n_pixels = image.width * image.height
    check_memory(n_pixels * _bytes_per_pixel(image) + len(data), name)
    if image.format in ("JPEG", "MPO"):
        n_scans = count_scans(data)
        check_work(n_pixels, n_scans, name)
        if n_scans > _MAX_SCANS:
            raise ScanError(f"{name} is a JPEG of {n_scans} scans; at most {_MAX_SCANS} are decoded. Save it as PNG.")
    if _raw_mode(image).startswith("CMYK;16"):
        raise ScanError(f"{name} is in 16-bit inks (CMYK), which are not read. Save it as grey or RGB.")
    if image.mode == "LAB":
        raise ScanError(f"{name} is in LAB colours, which are not read. Save it as grey or RGB.")
    if _tag(image, _PLANES) == 2 and (_tag(image, _BITS) or 0) > 8:
        raise ScanError(f"{name} has its 16-bit colours in separate planes, which are not read. Save it as PNG.")


def _bytes_per_pixel(image: Any) -> int:
    if _raw_mode(image).startswith(_DEEP_COLOURS):
        return _BYTES_PER_DEEP_PIXEL
    if image.format == "WEBP":
        return _BYTES_PER_WEBP_PIXEL
    return _BYTES_PER_PIXEL.get(image.mode, _BYTES_PER_OTHER_PIXEL)


def _is_rotated(image: Any) -> bool:
    try:
        return image.getexif().get(0x0112, 1) not in (0, 1)
    except ScanError:
        raise
    except Exception:  # a broken EXIF block says nothing about the pixels
        return False


def _upright(image: Any) -> Any:
    return ImageOps.exif_transpose(image) if _is_rotated(image) else image


def _to_array(image: Any, name: str) -> np.ndarray:
    if image.mode in _DEEP_MODES:
        return _deep_grey(image, name)
    if image.mode == "1":
        return np.asarray(image.convert("L"))
    if image.has_transparency_data or image.mode in ("LA", "PA", "RGBA", "La", "RGBa"):
        opaque = Image.new("RGBA", image.size, (0, 0, 0, 255))  # the background of a scan is black
        opaque.alpha_composite(image.convert("RGBA"))
        return to_pixels(opaque.convert("RGB"))
    array = to_pixels(image if image.mode in ("L", "RGB") else image.convert("RGB"))
    return to_uint8(array.view(np.int8), name) if _tag(image, _SAMPLE_FORMAT) == 2 else array


def _deep_grey(image: Any, name: str) -> np.ndarray:
    values = np.asarray(image)
    if image.mode == "I" and _tag(image, _SAMPLE_FORMAT) == 1:
        values = values.view(np.uint32)  # Pillow reads it as signed
    picture = to_uint8(values, name)
    if _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO:
        picture = 255 - picture
    clear = image.info.get("transparency")
    return np.where(values == clear, np.uint8(0), picture) if isinstance(clear, int) else picture


def _deep_colour(image: Any, raw: str, data: bytes, name: str, frame: int) -> np.ndarray:
    """16-bit colour, or 16-bit grey with opacity, as uint8 (height, width, 3).

    The raw mode tells Pillow which byte of a number is the high one, the only one it takes. So the file is read once
    more with the two swapped. Grey with opacity has as many bytes as 8-bit RGBA, and is read as that.
    """
    second = _open(data, name)
    _seek(second, frame, name)
    if raw.startswith("LA"):
        values = np.asarray(_upright(_with_raw_mode(second, "RGBA"))).view(">u2")
    else:
        low = np.asarray(_upright(_with_raw_mode(second, raw[:-1] + _swapped(raw[-1]))))
        values = np.asarray(_upright(image)).astype(np.uint16) << 8 | low
    if raw.startswith("RGBa"):
        values = values[..., :3]  # what is premultiplied stands on black already
    clear = image.info.get("transparency")
    if isinstance(clear, tuple):
        values = values * (values != np.array(clear)).any(axis=2, keepdims=True)
    return to_uint8(_on_black(values), name)


def _on_black(values: np.ndarray) -> np.ndarray:
    """Deep colours (height, width, 1 to 4) with their last channel, if it is the second or fourth, as opacity."""
    if values.shape[2] in (2, 4):
        values = values[..., :-1] * (values[..., -1:].astype(np.float32) / 65535)
    return np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values


def _raw_mode(image: Any) -> str:
    """How the file keeps a pixel, in Pillow's words, such as "RGB;16B"."""
    arguments = image.tile[0].args if image.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) and arguments else arguments)


def _with_raw_mode(image: Any, raw: str) -> Any:
    image.tile = [
        tile._replace(args=(raw, *tile.args[1:]) if isinstance(tile.args, tuple) else raw) for tile in image.tile
    ]
    return image


def _swapped(order: str) -> str:
    is_little = order == "L" or (order == "N" and sys.byteorder == "little")
    return "B" if is_little else "L"


def _tag(image: Any, number: int) -> int | None:
    """The first value of a tag of a TIFF, or None."""
    value = image.tag_v2.get(number) if hasattr(image, "tag_v2") else None
    first = value[0] if isinstance(value, tuple) and value else value
    return first if isinstance(first, int) else None
