"""The dry run: `python -m core.ml.trial FOLDER` measures what `request.json` there asks for, see `core.trials`."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict
from pathlib import Path

from core import jobs
from core.config import parse_config
from core.errors import StudioError, storage_errors
from core.files import read_json, write_json


class TrialStopped(jobs.JobStopped):
    """Somebody asked for the end of a trial."""


def main(folder: Path) -> None:
    """Measure, and write `result.json`."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with jobs.hold(folder) as job:
        job.update(state="running", started_at=time.time(), message="Measuring this machine")
        report = jobs.make_reporter(job, TrialStopped("The measurement was cancelled."))
        with jobs.failing_in_words(job), storage_errors():
            config = parse_config(read_json(folder / "request.json") or {})
            started = time.perf_counter()
            from core.ml.devices import open_devices
            from core.ml.speed import measure

            with open_devices().scope():
                trial = measure(config, time.perf_counter() - started, report)
            write_json(folder / "result.json", asdict(trial))
        job.end("finished")


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except StudioError as error:
        sys.exit(str(error))
