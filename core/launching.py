"""Starting work in a process of its own, and ending such a process by force.

A process is only ever ended if it is the very one that a status file names: id, start time and machine must match, and
it must lead a process group of its own, as all that are started here do.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from core.errors import StorageError
from core.settings import PROJECT, settings_environment

_SAME_START = 1.0  # seconds by which two readings of a process's start may differ


def launch(module: str, folder: Path, log: str, environment: Mapping[str, str] = MappingProxyType({})) -> None:
    """Start `python -m module folder` in a session of its own; it outlives us, and no pipe stays open.

    Args:
        environment: variables that it gets besides ours.
    """
    own_session: dict[str, Any] = (
        {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}  # type: ignore[attr-defined,unused-ignore]
        if os.name == "nt"
        else {"start_new_session": True}
    )
    with (folder / log).open("ab") as output:
        subprocess.Popen(
            [sys.executable, "-m", module, str(folder)],
            cwd=PROJECT,
            env=settings_environment() | dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            close_fds=True,
            **own_session,
        )


def own_start() -> float:
    """When this process began, in seconds since the epoch."""
    import psutil

    return float(psutil.Process().create_time())


@lru_cache(maxsize=1)
def machine_start() -> float:
    """When the first process of this machine, or of this container, began; 0 if that cannot be told."""
    import psutil

    try:
        return float(psutil.Process(1).create_time())
    except (psutil.Error, OSError):
        return 0.0


def count_memory_kills() -> int | None:
    """How many processes the system has ended for want of memory since this machine started; None if it does not say.

    Source: `oom_kill` of Linux's /proc/vmstat, which counts those of containers and control groups too.
    """
    try:
        counters = Path("/proc/vmstat").read_text(encoding="ascii")
    except OSError:
        return None
    return next((int(line.split()[1]) for line in counters.splitlines() if line.startswith("oom_kill ")), None)


def host_name() -> str:
    """Name of this machine."""
    return socket.gethostname()


def is_same_process(pid: int | None, started: float | None, host: str | None) -> bool:
    """Whether the process that a status names is there still, on this machine, and is not another of the same id."""
    import psutil

    if pid is None or started is None or host not in (None, host_name()):
        return False
    try:
        process = psutil.Process(pid)
        is_there = process.status() != psutil.STATUS_ZOMBIE
        return is_there and abs(process.create_time() - started) < _SAME_START
    except psutil.Error:
        return False


def kill_group(pid: int, started: float | None, host: str | None) -> bool:
    """End a process that was started by `launch`, and all that it has started; returns whether there was one.

    Raises:
        StorageError: it belongs to another user.
    """
    if not is_same_process(pid, started, host):
        return False
    try:
        if os.name == "nt":
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            return True
        if os.getpgid(pid) != pid:  # it does not lead a group, so the group is not ours to end
            os.kill(pid, signal.SIGKILL)
        else:
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return False
    except PermissionError:
        raise StorageError(
            f"Process {pid} belongs to another user, so it cannot be ended from here. Ask its owner."
        ) from None
    return True
