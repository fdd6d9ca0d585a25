"""`events.jsonl` of a run folder: what happened to the run and when, a line each, append-only.

Written by whoever makes it happen. A line that cannot be read is passed over; a full disk loses a line, never a run.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

FILE = "events.jsonl"
TITLES = {
    "queued": "Queued",
    "started": "Started",
    "phase": "Phase",
    "best": "Best epoch so far",
    "stop": "Asked to stop",
    "paused": "Paused",
    "resumed": "Resumed",
    "continued": "Continued",
    "killed": "Ended by force",
    "interrupted": "Interrupted",
    "stopped": "Stopped",
    "failed": "Failed",
    "finished": "Finished",
}


@dataclass(frozen=True)
class Event:
    """Something that happened to a run; `at` in seconds since the epoch."""

    at: float
    kind: str
    text: str = ""

    @property
    def title(self) -> str:
        """The kind in words."""
        return TITLES.get(self.kind, self.kind)


def note_event(folder: Path, kind: str, text: str = "") -> None:
    """Append an event."""
    line = json.dumps({"at": round(time.time(), 3), "kind": kind, "text": text}) + "\n"
    with suppress(OSError), (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(line)


def read_events(folder: Path) -> list[Event]:
    """All events, in the order in which they were written."""
    try:
        lines = (folder / FILE).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    return [event for line in lines if (event := _parse(line)) is not None]


def _parse(line: str) -> Event | None:
    try:
        stored = json.loads(line)
        return Event(float(stored["at"]), str(stored["kind"]), str(stored.get("text", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
