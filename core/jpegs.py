"""Strip a JPEG to its compressed pixels (metadata goes, no pixel changes), and read how much work it will be.

Dropped are application segments (EXIF, ICC, thumbnails), comments, and whatever follows the end of the picture. Kept is
APP14 (Adobe), because it says how colours are coded. About 100 times cheaper than writing the picture anew.
Source of the format: ITU-T T.81, annex B.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_MARKER = re.compile(rb"\xff[\x80-\xcf\xd9-\xfe]")  # not stuffing, and not one of those without a length
_END_OF_BITS = re.compile(rb"\xff[\x80-\xff]|\Z")
_LOSSLESS_LS = 0xF7
_END, _SCAN, _COMMENT, _ADOBE = 0xD9, 0xDA, 0xFE, 0xEE


def strip_jpeg(data: bytes) -> bytes | None:
    """Return the picture without metadata, or None where the structure is not a plain JPEG's.

    Three components are only taken with the usual numbering 1, 2, 3: others would need the JFIF segment to be told
    from RGB.
    """
    if data[:2] != b"\xff\xd8":
        return None
    kept = [b"\xff\xd8"]
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
            continue
        if marker == _END:
            return b"".join([*kept, b"\xff\xd9"])
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data) or (_is_frame(marker) and not _usual_components(data[at:end])):
            return None
        if marker == _SCAN:
            end = _end_of_entropy_coded(data, end)
        if not (0xE0 <= marker <= 0xEF or marker == _COMMENT) or marker == _ADOBE:
            kept.append(data[at:end])
        at = end
    return b"".join([*kept, b"\xff\xd9"]) if data[at : at + 2] == b"\xff\xd9" else None


def count_scans(data: bytes) -> int:
    """Number of scans of a JPEG: a decoder goes over all pixels once for each, also if a scan says nothing."""
    return sum(marker == _SCAN for marker, _ in _markers(data))


def read_frame_size(data: bytes) -> tuple[int, int] | None:
    """Width and height by the frame header of a JPEG or JPEG-LS, or None without one."""
    for marker, at in _markers(data):
        if _is_any_frame(marker) and at + 9 <= len(data):
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
    return None


def read_precision(data: bytes) -> int:
    """Bits per sample by the frame header of a JPEG or JPEG-LS, 0 without one."""
    return next((data[at + 4] for marker, at in _markers(data) if _is_any_frame(marker) and at + 4 < len(data)), 0)


def find_first_scan(data: bytes) -> slice:
    """Where the compressed data of the first scan of a JPEG-LS lie; empty without a scan."""
    for marker, at in _markers(data):
        if marker == _SCAN:
            start = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
            end = _END_OF_BITS.search(data, start)
            return slice(start, end.start() if end else len(data))
    return slice(0, 0)


def _markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Each marker with its position, as a decoder finds them: whatever lies between two of them is passed over."""
    at = 0
    while match := _MARKER.search(data, at):
        at = match.start()
        marker = data[at + 1]
        if marker == _END:
            return
        yield marker, at
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))


def _is_any_frame(marker: int) -> bool:
    return _is_frame(marker) or marker == _LOSSLESS_LS


def _is_frame(marker: int) -> bool:
    return 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)


def _usual_components(segment: bytes) -> bool:
    count = segment[9] if len(segment) > 9 else 0
    identifiers = tuple(segment[10 : 10 + 3 * count : 3])
    return count == 1 or identifiers == (1, 2, 3)


def _end_of_entropy_coded(data: bytes, at: int) -> int:
    """Position of the next marker that is neither a stuffed zero nor a restart."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
            at += 2
        else:
            return at
