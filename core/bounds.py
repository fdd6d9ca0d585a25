"""The limits of decoding one file, each kept from its header where a header says enough.

Size, frames and memory are refused before a pixel is decoded. Time has no such number, so it is bounded twice: what the
header says about the work (pixels times passes) is refused beforehand, and whatever reads the file piece by piece looks
at the clock with each piece. A decoder that takes the whole file in one call (TIFF, WebP, compressed DICOM) is not
interrupted; for these only the first bound holds.
"""

from __future__ import annotations

import io
import time

from core.errors import ScanError
from core.settings import read_limit

_MAX_PIECES = 300_000  # a file of more tags or blocks than this would become more objects than there is memory
_PIXELS_PER_SECOND = 50_000_000  # a slow core needs about a second for a pass over this many


class ClockedBytes(io.BytesIO):
    """The bytes of a file that can be read for `max_decode_seconds` from now on, and in so many pieces at most."""

    def __init__(self, data: bytes, name: str) -> None:
        super().__init__(data)
        self._name = name
        self._n_pieces = 0
        self._seconds = read_limit("max_decode_seconds")
        self._end = time.monotonic() + self._seconds

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.BytesIO` does.

        Raises:
            ScanError: the time is up, or the pieces are too many.
        """
        self._n_pieces += 1
        if self._n_pieces > _MAX_PIECES:
            raise ScanError(f"{self._name} is cut into more than {_MAX_PIECES:,} pieces. Export it again.")
        if time.monotonic() > self._end:
            raise ScanError(
                f"{self._name} was not decoded within {self._seconds} s (STUDIO_MAX_DECODE_SECONDS). "
                "Make the picture smaller, or save it in another format."
            )
        return super().read(size)


def check_size(width: int, height: int, name: str) -> None:
    """Refuse a picture without pixels or with more than `max_pixels`.

    Raises:
        ScanError: no pixels, or more than the limit.
    """
    limit = read_limit("max_pixels")
    if width < 1 or height < 1:
        raise ScanError(f"{name} has no pixels ({width}×{height}). Export it again.")
    if width * height > limit:
        raise ScanError(
            f"{name} has {width}×{height} pixels; at most {limit:,} are decoded (STUDIO_MAX_PIXELS). Make it smaller."
        )


def check_frames(n_frames: int, frame: int, name: str) -> None:
    """Refuse a file of more than `max_frames` frames, or a frame that it does not have.

    Raises:
        ScanError: too many frames, or `frame` (an index from 0) is not one of them.
    """
    limit = read_limit("max_frames")
    if n_frames > limit:
        raise ScanError(f"{name} has more than {limit} frames; no more are read (STUDIO_MAX_FRAMES). Split the file.")
    if not 0 <= frame < n_frames:
        raise ScanError(f"{name} has {n_frames} frame(s), numbered from 0. Received: frame={frame}. Choose another.")


def check_memory(n_bytes: float, name: str) -> None:
    """Refuse a file whose decoding would take more memory than `max_decode_mb`.

    Args:
        n_bytes: estimate from the header, with all working copies.
        name: the file's name.

    Raises:
        ScanError: it is more than the limit.
    """
    limit = read_limit("max_decode_mb")
    if n_bytes > limit * 2**20:
        raise ScanError(
            f"{name} would take about {n_bytes / 2**20:.0f} MB of memory to decode; at most {limit} MB are used "
            "(STUDIO_MAX_DECODE_MB). Make the picture smaller."
        )


def check_work(n_pixels: int, n_passes: int, name: str) -> None:
    """Refuse a file whose decoder would go over its pixels more often than fits into `max_decode_seconds`.

    Args:
        n_pixels: width times height.
        n_passes: progressive scans of a JPEG, or frames of an animation up to the one that is wanted.
        name: the file's name.

    Raises:
        ScanError: it is more than fits.
    """
    seconds = read_limit("max_decode_seconds")
    if n_pixels * n_passes > seconds * _PIXELS_PER_SECOND:
        raise ScanError(
            f"{name} needs {n_passes} passes over {n_pixels:,} pixels, which is more than fits into {seconds} s "
            "(STUDIO_MAX_DECODE_SECONDS). Save it as PNG, one frame per file."
        )
