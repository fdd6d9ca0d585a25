"""The training worker: `python -m core.ml.train RUN_FOLDER`.

Takes the run's lock, waits for its turn (without TensorFlow in memory), trains, and says how it ended.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from core import jobs
from core.errors import StudioError, WeightsError, storage_errors
from core.ml.backend import import_keras
from core.slots import hold_slot

if TYPE_CHECKING:
    from core.datasets import Dataset
    from core.runs import Run

logger = logging.getLogger(__name__)
_NICENESS = 10


def main(folder: Path) -> int:
    """Run the training of a run folder; returns the exit code."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if hasattr(os, "nice"):
        os.nice(_NICENESS)  # pages go first: they need little, and somebody waits for them
    with jobs.hold(folder) as job, hold_slot(job) as is_mine:
        if not is_mine:
            logger.info("Cancelled before it started")
            job.end("stopped", message="Cancelled before it started.")
            return 0
        started = time.time()
        job.update(state="running", started_at=started, message="Starting")
        try:
            state = _train(folder, job, started)
        except jobs.JobStopped:  # while this machine was measured: there is no network yet that could be kept
            job.end("stopped", message="Stopped before it began to learn.")
            return 0
        except BaseException as error:
            line = explain_failure(error)
            logger.error(line, exc_info=not isinstance(error, StudioError))
            job.end("failed", error=line)
            return 1
        logger.info("Ended: %s", state)
        job.end(state, message="Model kept and scored.")
        return 0


def explain_failure(error: BaseException) -> str:
    """One line for a person: what went wrong and what to change."""
    kind, text = type(error).__name__, str(error).splitlines()[0] if str(error) else ""
    if isinstance(error, StudioError):
        return str(error)
    if isinstance(error, MemoryError) or kind == "ResourceExhaustedError":
        return "There was not enough memory. Choose a smaller batch size, or close other programs, and start again."
    if isinstance(error, KeyboardInterrupt):
        return "The training was interrupted from outside. Start it again."
    return f"Unexpected error ({kind}: {text[:200]}). The log below says more; please report it."


def _train(folder: Path, job: jobs.Job, started: float) -> str:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from core.datasets import read_dataset
    from core.runs import RunStopped, freeze_config, read_run
    from core.trials import freeze_number_format

    report = jobs.make_reporter(job, RunStopped("Stopped on request."))
    with storage_errors():
        run = read_run(folder.name)
        dataset = read_dataset(run.config.dataset_id)
        run = freeze_config(run, freeze_number_format(run.config, dataset.n_in("train"), report))
        with _importing("core.ml.training"):
            job.report("Starting TensorFlow")
            _warm_up(run, dataset, report)
        from core.ml.training import train

        return train(run, dataset, job, started, report)


@contextmanager
def _importing(module: str) -> Iterator[None]:
    """Import a module meanwhile: TensorFlow takes seconds of one processor, and decoding lets go of Python's lock."""

    def load() -> None:
        with suppress(Exception):  # raised again, in words, where it is imported for good
            import_keras()
            import_module(module)

    thread = Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _warm_up(run: Run, dataset: Dataset, report: jobs.Report) -> None:
    """Do what needs no TensorFlow, so that the training finds it done: pixels, and features of a ready backbone."""
    from core.config import input_size
    from core.features import backbone_key, find_features
    from core.phases import frozen_layers
    from core.pixels import load_pixels
    from core.runs import RunStopped

    with suppress(RunStopped, WeightsError):  # the training sees the same, and ends as it should
        pixels = load_pixels(dataset, input_size(run.config), report)
        layers = frozen_layers(run.config)
        if layers:
            find_features(backbone_key(run.config, layers), dataset, pixels, run.config, report)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
