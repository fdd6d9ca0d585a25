"""Commands that look after runs: what takes room, cleaning up, and runs as ZIPs. Written like `core.commands`."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

from core.errors import ArchiveError, StorageError


def storage(options: argparse.Namespace) -> Any:
    """What the workspace takes on disk."""
    from core.storage import measure_usage

    return {f"{name}_bytes": value for name, value in asdict(measure_usage()).items()}


def clean(options: argparse.Namespace) -> Any:
    """Remove old checkpoints, the cache, or both."""
    from core.storage import CACHE, CHECKPOINTS, KINDS, clean_up

    chosen = [kind for kind, is_asked in ((CHECKPOINTS, options.checkpoints), (CACHE, options.cache)) if is_asked]
    return {"freed_bytes": clean_up(chosen or KINDS)}


def pack(options: argparse.Namespace) -> Any:
    """Write a run as a ZIP."""
    from core.run_archives import write_run
    from core.runs import read_run

    run = read_run(options.run)
    path = _path(options.output or f"{run.run_id}.zip")
    path = path / f"{run.run_id}.zip" if path.is_dir() else path
    if not path.parent.is_dir():
        raise StorageError(f"There is no folder {str(path.parent)!r} to write to. Make it, or choose another --output.")
    write_run(run, path)
    return {"run_id": run.run_id, "path": str(path), "bytes": path.stat().st_size}


def unpack(options: argparse.Namespace) -> Any:
    """Bring a run in from a ZIP."""
    from core.run_archives import import_run
    from core.runs import describe_run

    return describe_run(import_run(_path(options.path)))


def _path(text: str) -> Path:
    try:
        return Path(text).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise ArchiveError(f"The path {text!r} cannot be used ({error}). Check it.") from error
