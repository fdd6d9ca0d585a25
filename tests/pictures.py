"""Files as other programs write them, byte by byte: kinds that Pillow and pydicom cannot write, and bombs."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

_PNG_COLOURS = {1: 0, 2: 4, 3: 2, 4: 6}
_EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"


def encoded(array: np.ndarray, format_: str, mode: str | None = None, **options: object) -> bytes:
    """An array as the bytes of a file, written by Pillow."""
    image = Image.fromarray(array)
    buffer = io.BytesIO()
    (image.convert(mode) if mode else image).save(buffer, format_, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, body: bytes) -> bytes:
    """A part of a PNG with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(width: int, height: int, depth: int = 8, colour: int = 0) -> bytes:
    """A PNG that ends before its first pixel."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", b"")


def deep_png(values: np.ndarray, *chunks: bytes) -> bytes:
    """A 16-bit PNG of values (height, width, 1 to 4), its lines filtered by difference to the pixel on the left."""
    height, width, n_channels = values.shape
    raw = values.astype(">u2").view(np.uint8).reshape(height, -1)
    step = 2 * n_channels
    filtered = raw.copy()
    filtered[:, step:] = raw[:, step:] - raw[:, :-step]
    lines = b"".join(b"\x01" + line.tobytes() for line in filtered)
    body = png_chunk(b"IDAT", zlib.compress(lines)) + png_chunk(b"IEND", b"")
    begin = png_header(width, height, 16, _PNG_COLOURS[n_channels])[: -len(png_chunk(b"IDAT", b""))]
    return begin + b"".join(chunks) + body


def tiff(values: np.ndarray, photometric: int, *, order: str = "<", packed: bool = False, **tags: int) -> bytes:
    """A TIFF of one strip, its numbers as they are: unsigned, signed or floating, one to four channels."""
    height, width = values.shape[:2]
    n_channels = 1 if values.ndim == 2 else values.shape[2]
    sample_format = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    strip = values.astype(values.dtype.newbyteorder(order)).tobytes()
    strip = zlib.compress(strip) if packed else strip
    wide = n_channels > 2
    depth = values.dtype.itemsize * 8
    fields = {256: width, 257: height, 258: depth, 259: 8 if packed else 1, 262: photometric, 273: 0}
    fields |= {277: n_channels, 278: height, 279: len(strip), 339: sample_format}
    fields |= {int(name[4:]): value for name, value in tags.items()}
    directory_bytes = 2 + 12 * len(fields) + 4
    extra_at = 8 + directory_bytes
    extra = struct.pack(f"{order}{2 * n_channels}H", *[depth] * n_channels, *[sample_format] * n_channels)
    fields[273] = extra_at + len(extra)
    entries = b""
    for tag, value in sorted(fields.items()):
        if tag in (258, 339) and wide:
            at = extra_at + (0 if tag == 258 else 2 * n_channels)
            entries += struct.pack(f"{order}HHII", tag, 3, n_channels, at)
        else:
            entries += struct.pack(f"{order}HHII", tag, 4, 1, value)
    mark = b"II*\0" if order == "<" else b"MM\0*"
    head = mark + struct.pack(f"{order}IH", 8, len(fields))
    return head + entries + b"\0" * 4 + extra + strip


def tiff_chain(n_pages: int) -> bytes:
    """A TIFF whose directories, one per page, all say the same pixel."""
    fields = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    size = 2 + 12 * len(fields) + 4
    pages = [b"II*\0", struct.pack("<I", 12), b"\x80\0\0\0"]
    for number in range(n_pages):
        entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in fields.items())
        following = 12 + size * (number + 1) if number + 1 < n_pages else 0
        pages.append(struct.pack("<H", len(fields)) + entries + struct.pack("<I", following))
    return b"".join(pages)


def jpeg_of_many_scans(n_scans: int, side: int = 64) -> bytes:
    """A progressive JPEG that repeats its last scan."""
    data = encoded(np.zeros((side, side), np.uint8), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * n_scans + data[-2:]


def dicom(
    pixels: np.ndarray | bytes, syntax: str = _EXPLICIT_LITTLE, shape: tuple[int, ...] = (), **tags: object
) -> bytes:
    """A small MR image as DICOM: an array, or frames that are compressed already, for a given shape."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, MRImageStorage

    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = UID(syntax), MRImageStorage
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    is_array = isinstance(pixels, np.ndarray)
    shape = pixels.shape if is_array else shape
    n_bits = 8 * pixels.dtype.itemsize if is_array else 16
    dataset.Rows, dataset.Columns = shape[:2]
    dataset.SamplesPerPixel = shape[2] if len(shape) > 2 else 1
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = n_bits, n_bits, n_bits - 1
    dataset.PixelRepresentation = int(is_array and pixels.dtype.kind == "i")
    dataset.PhotometricInterpretation = "RGB" if len(shape) > 2 else "MONOCHROME2"
    if len(shape) > 2:
        dataset.PlanarConfiguration = 0
    dataset.PatientName = "Secret^Person"
    if is_array:
        dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        dataset["PixelData"].VR = "OW"
    else:
        dataset.PixelData = encapsulate([pixels])
        dataset["PixelData"].VR = "OB"
    for name, value in tags.items():
        setattr(dataset, name, value)
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def deflated(data: bytes, padding: int = 0) -> bytes:
    """A DICOM file in explicit little endian as a deflated one, with so many zeros after its last element."""
    from pydicom.filereader import read_dataset

    file = io.BytesIO(data)
    file.seek(132)
    read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    at = file.tell()
    old, new = _EXPLICIT_LITTLE.encode() + b"\0", b"1.2.840.10008.1.2.1.99"
    meta = data[:at].replace(struct.pack("<H", len(old)) + old, struct.pack("<H", len(new)) + new)
    length = struct.unpack("<I", meta[140:144])[0] + len(new) - len(old)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    parts = [packer.compress(data[at:])]
    parts += [packer.compress(b"\0" * 2**20) for _ in range(padding // 2**20)]
    return meta[:140] + struct.pack("<I", length) + meta[144:] + b"".join(parts) + packer.flush()
