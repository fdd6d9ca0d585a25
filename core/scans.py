"""THE decoder: any supported file to a uint8 picture, or a clear error.

Import, training, evaluation and prediction use this module and no other, so that the same file is the same array for
all of them. The content decides the format, not the name. Neither this module nor what it returns keeps anything but
pixels and a hash of the patient that only this process can use: no EXIF, no DICOM tags.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from core.channels import drop_grey_channels
from core.dicom import decode_dicom, is_dicom
from core.errors import ScanError, StudioError
from core.rasters import decode_raster
from core.settings import read_limit

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp")
DICOM_SUFFIXES = (".dcm", ".dicom", ".ima")
_ACCEPTED = "JPEG, PNG, BMP, TIFF, WebP and DICOM"
_OTHER_FORMATS = (
    ((b"8BPS",), (".psd",), "a Photoshop document; export the picture as PNG"),
    (
        (b"%!PS", b"%PDF", b"\xc5\xd0\xd3\xc6"),
        (".eps", ".ps", ".pdf"),
        "a PostScript or PDF page; save it as PNG",
    ),
    ((b"GIF8",), (".gif",), "a GIF; save the frame that you need as PNG"),
    ((b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51"), (".jp2", ".j2k"), "a JPEG 2000 file; convert it to PNG"),
    (
        (b"ftyphei", b"ftypmif", b"ftypavi"),
        (".heic", ".heif", ".avif"),
        "a HEIC or AVIF photograph; save it as JPEG or PNG",
    ),
    ((b"<svg", b"<?xml"), (".svg",), "a drawing (SVG), not a scan; render it as PNG"),
    (
        (b"n+1\0", b"ni1\0", b"NRRD", b"ObjectType"),
        (".nii", ".nii.gz", ".mgz", ".mgh", ".mha", ".mhd", ".nrrd", ".hdr"),
        "a volume; export its slices as PNG or DICOM",
    ),
    ((b"PK\x03\x04",), (".zip",), "an archive inside; unpack it first"),
    ((b"\x1f\x8b",), (".gz", ".tgz"), "a compressed file; unpack it first"),
)
_MAGIC_PLACES = (0, 4, 344)  # most begin with their mark; HEIC has it behind a length, NIfTI behind its header
_OWN_MAGICS = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG", "PNG"), (b"II*\0", "TIFF"), (b"MM\0*", "TIFF"))


@dataclass(frozen=True, eq=False)
class Scan:
    """A decoded picture.

    Attributes:
        pixels: uint8 array of shape (height, width), or (height, width, 3) where it really has colour.
        format: name of the format, such as "JPEG" or "DICOM".
        is_upright_jpeg: an 8-bit JPEG without a rotation tag: its own bytes, stripped, decode to `pixels`.
        n_frames: number of frames or pages in the file.
        patient: of a DICOM file that names its patient, a hash that is the same for all files of that patient while
            this process lives, and means nothing afterwards: its key is drawn at the start and never stored.
    """

    pixels: np.ndarray
    format: str
    is_upright_jpeg: bool = False
    n_frames: int = 1
    patient: bytes | None = None


def load_scan(path: str | Path, frame: int = 0, *, is_grey: bool = False) -> np.ndarray:
    """Decode a file to a uint8 array of shape (height, width) or (height, width, 3).

    Args:
        path: any supported file; its content decides the format.
        frame: index of the frame or page to take from a file of several.
        is_grey: whether it is known to have no colour, from an earlier decoding.

    Raises:
        ScanError: the file is missing, not a picture, broken, or over a limit.
    """
    path = Path(path)
    limit = read_limit("max_entry_mb") * 2**20
    try:
        size = path.stat().st_size
        if size > limit:
            raise ScanError(
                f"{path.name} has {size / 2**20:.0f} MB; at most {limit // 2**20} MB are read. Make it smaller."
            )
        data = path.read_bytes()
    except OSError as error:
        raise ScanError(f"{path.name} cannot be read ({error.strerror}). Check the path and its rights.") from error
    return decode_scan(data, path.name, frame, is_grey=is_grey).pixels


def decode_scan(data: bytes, name: str, frame: int = 0, *, is_grey: bool = False) -> Scan:
    """Decode the bytes of a file; `name` is for messages and as a hint where the content says nothing.

    Raises:
        ScanError: not a picture, broken, or over a limit.
    """
    if not data:
        raise ScanError(f"{name} is empty (0 bytes). Copy it again from its source.")
    from_dicom = is_dicom(data, name)
    try:
        return _from_dicom(data, name, frame) if from_dicom else _from_raster(data, name, frame, is_grey)
    except StudioError:
        raise
    except UnidentifiedImageError as error:
        raise ScanError(explain_refusal(name, data)) from error
    except MemoryError as error:
        raise ScanError(f"{name} needs more memory than there is. Make the picture smaller.") from error
    except Exception as error:  # decoders meet hostile bytes and raise whatever they like
        if from_dicom:  # a reader's words may quote a patient's tag, so they are not passed on, not even as a cause
            raise ScanError(f"{name} is damaged and cannot be decoded (DICOM structure). Export it again.") from None
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise ScanError(f"{name} is damaged and cannot be decoded ({reason}). Export it again.") from error


def _from_dicom(data: bytes, name: str, frame: int) -> Scan:
    picture = decode_dicom(data, name, frame)
    return Scan(drop_grey_channels(picture.pixels), "DICOM", n_frames=picture.n_frames, patient=picture.patient)


def _from_raster(data: bytes, name: str, frame: int, is_grey: bool) -> Scan:
    raster = decode_raster(data, name, frame, is_grey=is_grey)
    return Scan(raster.pixels, raster.format, raster.is_upright_jpeg, raster.n_frames)


def fit_scan(pixels: np.ndarray, size: int, channels: int = 3) -> np.ndarray:
    """Resize to a square, as every network here gets it: uint8 (size, size, channels), channels 1 or 3.

    The aspect ratio is not kept: a network sees the whole picture, whatever its shape.
    """
    if channels == 1 and pixels.ndim == 3:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))
    image = Image.fromarray(pixels)
    if image.size != (size, size):
        image = image.resize((size, size), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], channels, axis=2)
    return array


def explain_refusal(name: str, data: bytes = b"") -> str:
    """A sentence on why a file is not a picture that we read, by its content or, without it, by its name."""
    lower = name.lower()
    own = next((kind for magic, kind in _OWN_MAGICS if data.startswith(magic)), None)
    if own:
        return f"{name} is a {own} file that is damaged, or of a kind that is not read. Save it as 8- or 16-bit PNG."
    for magics, suffixes, advice in _OTHER_FORMATS:
        if _begins(data, magics) or lower.endswith(suffixes):
            return f"{name} is {advice}. Accepted are {_ACCEPTED}."
    if lower.endswith(SUFFIXES):
        return f"{name} is not a readable picture: its content does not fit its name, or is damaged. Export it again."
    return f"{name} is not a picture in a format we read. Accepted are {_ACCEPTED}. Convert it, or leave it out."


def _begins(data: bytes, magics: tuple[bytes, ...]) -> bool:
    return any(data.startswith(magic, at) for at in _MAGIC_PLACES for magic in magics)
