"""Count the pages of a TIFF by its chain of directories, without decoding one.

Pillow's own count reads every directory of the chain, however long. Source of the format: TIFF 6.0, section 2.
"""

from __future__ import annotations

import struct


def count_pages(data: bytes, limit: int) -> int:
    """Number of pages, at least 1; the count ends at `limit` + 1, also for a chain that bites its tail."""
    order = "<" if data[:2] == b"II" else ">"
    is_big = len(data) >= 16 and struct.unpack(order + "H", data[2:4])[0] == 43
    first, entry, counts, offsets = (8, 20, "Q", "Q") if is_big else (4, 12, "H", "I")
    at = _number(data, first, order + offsets)
    n_pages = 0
    while at and n_pages <= limit:
        n_entries = _number(data, at, order + counts)
        if not n_entries:
            break
        n_pages += 1
        at = _number(data, at + struct.calcsize(order + counts) + entry * n_entries, order + offsets)
    return max(n_pages, 1)


def _number(data: bytes, at: int, kind: str) -> int:
    """A number of the file, or 0 where the file has ended."""
    if at + struct.calcsize(kind) > len(data):
        return 0
    return int(struct.unpack_from(kind, data, at)[0])
