"""The dry run: `python -m core.ml.trial FOLDER` measures what `request.json` there asks for, see `core.trials`."""

from __future__ import annotations

import os
import sys
import time
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from core import jobs
from core.config import RunConfig, parse_config
from core.errors import StudioError, storage_errors
from core.files import read_json, write_json
from core.ml.backend import import_keras
from core.settings import read_settings
from core.slots import take_free_slot


class TrialStopped(jobs.JobStopped):
    """Somebody asked for the end of a trial, or the machine is not free for it."""


def main(folder: Path) -> None:
    """Measure, and write `result.json`; without the slot, only if it is free."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with jobs.hold(folder) as job:
        job.begin("Measuring this machine")
        with jobs.failing_in_words(job), storage_errors():
            request = read_json(folder / "request.json") or {}
            with nullcontext(True) if request.get("has_slot") else take_free_slot(read_settings().models) as is_alone:
                if not is_alone:
                    raise TrialStopped(
                        "A training or another dry run is under way; beside it the speed would be measured too low. "
                        "Measure again when it has ended."
                    )
                _measure(parse_config(request.get("config") or {}), folder, job)
        job.end("finished")


def _measure(config: RunConfig, folder: Path, job: jobs.Job) -> None:
    report = jobs.make_reporter(job, TrialStopped("The measurement was cancelled."))
    started = time.perf_counter()
    import_keras()
    from core.ml.devices import open_devices
    from core.ml.speed import measure

    with open_devices().scope():
        trial = measure(config, time.perf_counter() - started, report)
    write_json(folder / "result.json", asdict(trial))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except StudioError as error:
        sys.exit(str(error))
