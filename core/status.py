"""The status of a job: what its file says, before anybody has looked whether that is true (`core.jobs` does)."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from core.files import read_json

ALIVE = ("queued", "running", "stopping")
ENDED = ("paused", "stopped", "finished", "failed", "interrupted")


@dataclass(frozen=True)
class Status:
    """What is known of a job. Times are seconds since the epoch.

    Attributes:
        kind: of a failure, see `core.failures`.
        seconds_before: time that earlier processes of the same job took.
        memory_kills: processes that the system had ended for want of memory when the work began.
    """

    state: str = "queued"
    pid: int | None = None
    pid_started: float | None = None
    host: str | None = None
    updated: float = 0.0
    queued_at: float = 0.0
    started_at: float | None = None
    ended_at: float | None = None
    message: str = ""
    error: str | None = None
    kind: str | None = None
    seconds_before: float = 0.0
    memory_kills: int | None = None
    progress: dict[str, Any] = field(default_factory=dict)

    @property
    def is_alive(self) -> bool:
        """Whether the job still runs or waits."""
        return self.state in ALIVE

    @property
    def seconds_left(self) -> float | None:
        """Time left by the job's own estimate."""
        return self.progress.get("seconds_left")


def stored_status(folder: Path) -> Status | None:
    """What the file says; fields that mean nothing, because somebody changed them, are as if they were not there."""
    stored = read_json(folder / "status.json")
    if stored is None or stored.get("state") not in (*ALIVE, *ENDED):
        return None
    plain = {entry.name: entry.default for entry in fields(Status) if entry.name != "progress"}
    known = {name: stored[name] for name, default in plain.items() if name in stored and _fits(name, stored[name])}
    progress = stored.get("progress")
    return Status(**known, progress=progress if isinstance(progress, dict) else {})


def _fits(name: str, value: Any) -> bool:
    if name in ("state", "message"):
        return isinstance(value, str)
    if name in ("host", "error", "kind"):
        return value is None or isinstance(value, str)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number or (value is None and name not in ("updated", "queued_at", "seconds_before"))
