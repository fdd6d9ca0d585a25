"""Commands that look after a workspace: what takes room, cleaning up, deleting, and runs as ZIPs."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import Any

from core.commands.output import to_path, to_zip_path


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
    path = to_zip_path(options.output, run.run_id)
    write_run(run, path)
    return {"run_id": run.run_id, "path": str(path), "bytes": path.stat().st_size}


def unpack(options: argparse.Namespace) -> Any:
    """Bring a run in from a ZIP."""
    from core.run_archives import import_run
    from core.runs import describe_run

    return describe_run(import_run(to_path(options.path)))


def delete(options: argparse.Namespace) -> Any:
    """Delete a run or a data set."""
    from core.workspace import delete

    return delete(options.name)
