"""Texts on pages: user strings made harmless, numbers and times written the same way everywhere."""

from __future__ import annotations

import re
import time

DASH = "–"


def plain(text: str) -> str:
    """Escape a user's string (file, class, data set, run) for places that read Markdown.

    Even without HTML, Markdown would fetch pictures from outside or draw links.
    """
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|<>~$:^])", r"\\\1", text.replace("\n", " "))


def spoken(text: str) -> str:
    """A user's string within a label that is heard, not seen: a screen reader would read out what `plain` puts in.

    What Markdown draws something from is left out; it must not stand at the beginning of the label.
    """
    return re.sub(r"[\\`*{}\[\]#!|<>~$:^\s]+", " ", text).strip()


def percent(value: float | None) -> str:
    """A fraction as percent with one decimal."""
    return DASH if value is None else f"{value:.1%}"


def decimal(value: float | None, digits: int = 3) -> str:
    """A number with a fixed number of decimals."""
    return DASH if value is None else f"{value:.{digits}f}"


def p_value(value: float) -> str:
    """The p value of a test, which is never zero."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def duration(seconds: float | None) -> str:
    """A time span, in the two largest units that matter."""
    if seconds is None:
        return DASH
    whole = max(round(seconds), 0)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def short_duration(seconds: float | None) -> str:
    """A time span that fits on a card."""
    if seconds is None or seconds < 60:
        return duration(seconds)
    return f"{seconds / 60:.1f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def size(n_bytes: float) -> str:
    """A file size."""
    if n_bytes < 2**20:
        return f"{n_bytes / 2**10:.0f} KB"
    if n_bytes < 2**30:
        return f"{n_bytes / 2**20:.{0 if n_bytes >= 100 * 2**20 else 1}f} MB"
    return f"{n_bytes / 2**30:.1f} GB"


def moment(timestamp: float | None) -> str:
    """A point in time, in the server's time zone."""
    return DASH if timestamp is None else time.strftime("%Y-%m-%d %H:%M", time.localtime(timestamp))


def moment_with_seconds(timestamp: float) -> str:
    """A point in time to the second, in the server's time zone."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(timestamp))


def count(n: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 run`, `2,443 scans`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"
