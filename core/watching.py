"""Watches that a run hears its stop: `python -m core.watching RUN_FOLDER`, started by whoever asks for the stop.

A worker that has not heard within STUDIO_STOP_GRACE seconds hangs. It is ended by force, with all that it has
started, and then gets what was asked for: a model of what it has learned, a pause, or its end. What has heard is left.
"""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress
from pathlib import Path

from core import jobs
from core.errors import StudioError
from core.launching import kill_group
from core.settings import read_settings
from core.timeline import note_event

logger = logging.getLogger(__name__)
_POLL = 0.5
_DEATH = 10.0  # seconds in which a killed process must let go of its lock


def main(folder: Path) -> None:
    """Wait until the stop is heard; end what does not hear it."""
    end = time.time() + read_settings().stop_grace
    while _is_deaf(folder):
        if time.time() > end:
            _end_by_force(folder)
            return
        time.sleep(_POLL)


def _is_deaf(folder: Path) -> bool:
    """Whether a stop was asked for, and the worker goes on as if it had not been."""
    is_asked = jobs.how_to_stop(folder) not in (None, jobs.FINISH)
    return is_asked and jobs.stored_state(folder) == "running" and jobs.is_locked(folder)


def _end_by_force(folder: Path) -> None:
    status, how = jobs.read_status(folder), jobs.how_to_stop(folder)
    if status.pid is None or not kill_group(status.pid, status.pid_started, status.host):
        logger.warning(
            "The worker (process %s on %s) does not hear the stop, and cannot be ended from here",
            status.pid,
            status.host,
        )
        return
    note_event(folder, "killed", "it did not hear the stop")
    logger.warning("The worker did not hear the stop within %d s and was ended", read_settings().stop_grace)
    end = time.time() + _DEATH
    while jobs.is_locked(folder) and time.time() < end:
        time.sleep(0.1)
    _settle(folder, how)


def _settle(folder: Path, how: str | None) -> None:
    from core.control import delete_run, stop_run

    if how == jobs.DISCARD:
        delete_run(folder.name)
    elif how == jobs.PAUSE:
        with jobs.hold(folder) as job:
            job.end("paused", message="Ended by force; it can be resumed.")
    else:
        with suppress(StudioError):  # no epoch has ended: there is no model to make, and it reads as interrupted
            stop_run(folder.name, jobs.KEEP)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        main(Path(sys.argv[1]))
    except StudioError as error:
        sys.exit(str(error))
