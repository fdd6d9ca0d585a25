"""Strip a JPEG to its compressed pixels: metadata goes, no pixel changes.

Dropped are application segments (EXIF, ICC, thumbnails), comments, and whatever follows the end of the picture. Kept is
APP14 (Adobe), because it says how colours are coded. About 100 times cheaper than writing the picture anew.
Source of the format: ITU-T T.81, annex B.
"""

from __future__ import annotations

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
