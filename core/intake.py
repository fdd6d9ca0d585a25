"""Take the pictures of a source into a staging folder: decoded once, stripped, stored under names of ours.

Every picture is read by one thread from file to thumbnail; memory holds a few pictures at a time, however many come.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import imagecodecs
import numpy as np
from blake3 import blake3
from PIL import Image

from core.archives import Entry, Source
from core.datasets import Picture
from core.errors import ArchiveError, DatasetError, ScanError
from core.exploration import PixelSums
from core.findings import Skipped
from core.jpegs import strip_jpeg
from core.layouts import Place
from core.scans import Scan, decode_scan
from core.settings import read_settings
from core.signatures import make_signature

FIRST, MIDDLE = "first", "middle"  # which frame of a file of several
THUMBNAIL = 144  # longest side, in pixels: as wide as galleries show it, so that no page has to resize it


@dataclass(frozen=True, eq=False)
class Taken:
    """A picture that was stored, and what was measured on the way."""

    picture: Picture
    sums: PixelSums
    signature: np.ndarray
    patient: str | bytes | None = field(default=None, repr=False)  # in memory only; see core.grouping


def take_all(
    source: Source, places: list[tuple[Entry, Place]], staging: Path, frame: str = FIRST
) -> Iterator[Taken | Skipped]:
    """Decode and store with all cores; gives the results in order.

    Args:
        staging: folder with `images/` and `thumbnails/` in it.
        frame: which one to take of a file of several: `FIRST`, `MIDDLE`, or its number from 0.

    Raises:
        StorageError: the disk is full. What cannot be read or decoded is only skipped.
    """
    n_threads = read_settings().n_threads
    _keep_freed_memory()
    pending: deque[Future[Taken | Skipped]] = deque()
    with ThreadPoolExecutor(n_threads) as pool:
        try:
            for number, (entry, place) in enumerate(places, start=1):
                pending.append(pool.submit(_take, source, entry, place, number, staging, frame))
                if len(pending) > 4 * n_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:  # cancelled, or the disk is full: only what has begun is waited for
            pool.shutdown(wait=False, cancel_futures=True)


def check_frame(frame: str) -> None:
    """Refuse what cannot say which frame to take.

    Raises:
        DatasetError: it is neither `first`, nor `middle`, nor a number.
    """
    if frame not in (FIRST, MIDDLE) and not (frame.isascii() and frame.isdigit() and len(frame) < 9):
        raise DatasetError(f"frame must be {FIRST}, {MIDDLE} or a number from 0. Received: {frame!r}.")


def _take(source: Source, entry: Entry, place: Place, number: int, staging: Path, frame: str) -> Taken | Skipped:
    try:
        data = source.read(entry)
        scan = _decode(data, place.path.rsplit("/", 1)[-1], frame)
    except (ArchiveError, ScanError) as error:
        return Skipped(place.path, str(error))
    stripped = strip_jpeg(data) if scan.is_upright_jpeg else None
    stored = f"images/{number:06d}.{'jpg' if stripped else 'png'}"
    encoded = stripped or _to_png(scan.pixels)
    (staging / stored).write_bytes(encoded)
    grey = scan.pixels if scan.pixels.ndim == 2 else np.asarray(Image.fromarray(scan.pixels).convert("L"))
    picture = Picture(
        file=place.path,
        stored=stored,
        split=place.split or "",
        label=place.class_name,
        width=scan.pixels.shape[1],
        height=scan.pixels.shape[0],
        colour=scan.pixels.ndim == 3,
        format=scan.format,
        bytes=len(encoded),
        pixels=hash_pixels(scan.pixels),
    )
    _write_thumbnail(scan.pixels, staging / picture.thumbnail)
    sums = PixelSums.of(grey)
    return Taken(picture, sums, make_signature(sums.pictures), place.patient or getattr(scan, "patient", None))


def _keep_freed_memory() -> None:
    """Let glibc keep up to 32 MB of freed memory per thread, which every picture else gives back and asks for anew.

    It keeps twice the largest block that was ever freed. The one here is never touched, so it takes no memory; other
    systems take no notice. Fresh pages took up to a third of the time of an import.
    """
    bytearray(2**24)


def _decode(data: bytes, name: str, frame: str) -> Scan:
    scan = decode_scan(data, name)
    if scan.n_frames < 2 or frame == FIRST:
        return scan
    return decode_scan(data, name, scan.n_frames // 2 if frame == MIDDLE else int(frame))


def _to_png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _write_thumbnail(pixels: np.ndarray, path: Path) -> None:
    # Unlike Pillow's, this encoder runs beside other threads.
    path.write_bytes(imagecodecs.jpeg8_encode(shrink_to_thumbnail(pixels), level=90))


def shrink_to_thumbnail(pixels: np.ndarray) -> np.ndarray:
    """A picture of at most `THUMBNAIL` a side, in its proportions: uint8 (height, width) or (height, width, 3)."""
    import cv2  # here, because a page that only starts an import does without

    cv2.setNumThreads(1)  # whoever calls has threads of their own
    height, width = pixels.shape[:2]
    scale = min(THUMBNAIL / max(height, width), 1.0)
    height, width = max(round(height * scale), 1), max(round(width * scale), 1)
    # Halves, of each side as often as it takes, are means of neighbours and quick; what is left is less than a half.
    while (more := (pixels.shape[0] >= 2 * height, pixels.shape[1] >= 2 * width)) != (False, False):
        rows, columns = (side // (1 + halve) for side, halve in zip(pixels.shape[:2], more, strict=True))
        even = pixels[: rows * (1 + more[0]), : columns * (1 + more[1])]
        pixels = cv2.resize(even, (columns, rows), interpolation=cv2.INTER_AREA)
    return cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)


def hash_pixels(pixels: np.ndarray) -> str:
    """Hash of a picture's pixels and shape, 32 hexadecimal digits: fingerprints of data sets are made of these."""
    state = blake3(repr(pixels.shape).encode())
    state.update(np.ascontiguousarray(pixels).data)
    return state.hexdigest(length=16)
