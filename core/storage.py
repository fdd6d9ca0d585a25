"""What the workspace takes on disk, and what of it can be made again or is needed no more."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from core.cache import clear_cache
from core.errors import RunError, StorageError
from core.files import remove_folder
from core.jobs import is_locked, read_status
from core.runs import Run, list_runs
from core.settings import read_settings

CHECKPOINTS, CACHE = "checkpoints", "cache"
KINDS = (CHECKPOINTS, CACHE)
_CHECKPOINTS_FOLDER = "checkpoints"


@dataclass(frozen=True)
class Usage:
    """Bytes on disk.

    Attributes:
        datasets: of all data sets; pictures that versions share count once.
        runs: models, scores, logs.
        checkpoints: of all runs; `old_checkpoints` of those that have ended with a model.
        cache: backbones, features, decoded pictures and dry runs.
        free: left on the disk.
    """

    datasets: int
    runs: int
    checkpoints: int
    old_checkpoints: int
    cache: int
    free: int


def measure_usage() -> Usage:
    """Look at every file of the workspace."""
    settings = read_settings()
    decoded = _sum_sizes(_decoded_folders())
    checkpoints = {run.run_id: _sum_sizes([run.folder / _CHECKPOINTS_FOLDER]) for run in list_runs()}
    return Usage(
        datasets=_sum_sizes([settings.data]) - decoded,
        runs=_sum_sizes([settings.models]) - sum(checkpoints.values()),
        checkpoints=sum(checkpoints.values()),
        old_checkpoints=sum(checkpoints[run.run_id] for run in _runs_with_old_checkpoints()),
        cache=_sum_sizes([settings.cache]) + decoded,
        free=shutil.disk_usage(settings.home).free if settings.home.is_dir() else 0,
    )


def run_size(run: Run) -> int:
    """Bytes that deleting a run frees."""
    return _sum_sizes([run.folder])


def clean_up(kinds: Iterable[str]) -> int:
    """Remove what is needed no more.

    Args:
        kinds: CHECKPOINTS of runs that have ended with a model, which can then not be continued;
            CACHE, which can be made again.

    Returns:
        Bytes freed.

    Raises:
        RunError: a training is under way that may need the cache.
    """
    kinds = set(kinds)
    if CACHE in kinds and any(run.status.is_alive for run in list_runs()):
        raise RunError("A training is under way or waits, and may need the cache. Clean it up when it has ended.")
    freed = 0
    if CHECKPOINTS in kinds:
        freed += sum(_remove(run.folder / _CHECKPOINTS_FOLDER) for run in _runs_with_old_checkpoints())
    if CACHE in kinds:
        freed += clear_cache() + sum(_remove(folder) for folder in [*_decoded_folders(), *_ended_trials()])
    return freed


def _runs_with_old_checkpoints() -> list[Run]:
    return [
        run
        for run in list_runs()
        if run.state in ("finished", "stopped")
        and run.has_scores
        and (run.folder / _CHECKPOINTS_FOLDER).is_dir()
        and not is_locked(run.folder)
    ]


def _decoded_folders() -> list[Path]:
    """Decoded pictures of data sets."""
    return [path for path in read_settings().data.glob("[!.]*/cache") if path.is_dir()]


def _ended_trials() -> list[Path]:
    """Dry runs that have come to their end. Which number format is the faster one stays known."""
    folders = (read_settings().cache / "trials").glob("[!.]*/")
    return [folder for folder in folders if not read_status(folder).is_alive and not is_locked(folder)]


def _remove(folder: Path) -> int:
    size = _sum_sizes([folder])
    with suppress(OSError, StorageError):
        remove_folder(folder)
        return size
    return 0


def _sum_sizes(folders: Iterable[Path]) -> int:
    """Bytes of all files below, each once, however many names it has."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for folder in folders:
        for place, _, names in os.walk(folder):
            for name in names:
                with suppress(OSError):  # it went while we looked
                    stat = (Path(place) / name).lstat()
                    if stat.st_nlink > 1:
                        if (stat.st_dev, stat.st_ino) in seen:
                            continue
                        seen.add((stat.st_dev, stat.st_ino))
                    total += stat.st_size
    return total
