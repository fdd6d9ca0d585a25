"""The training worker: `python -m core.ml.train RUN_FOLDER`.

Takes the run's lock, waits for its turn (without TensorFlow in memory), trains, and says how it ended.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from core import jobs
from core.errors import StudioError, WeightsError, storage_errors
from core.failures import DISK, KILLED, classify
from core.files import remove_folder
from core.ml.backend import import_keras
from core.slots import hold_slot
from core.timeline import note_event

if TYPE_CHECKING:
    from core.datasets import Dataset
    from core.runs import Run

logger = logging.getLogger(__name__)
_NICENESS = 10
_PREDECESSOR = 60.0  # seconds to wait for a worker of the same run that has ended and is tidying up
_CHECKPOINTS = "checkpoints"
_MESSAGES = {
    "finished": "Model kept and scored.",
    "stopped": "Stopped; the best model is kept and scored.",
    "paused": "Paused; it can be resumed.",
    "discarded": "Discarded.",
}


def main(folder: Path) -> int:
    """Run the training of a run folder, or go on with it; returns the exit code."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if hasattr(os, "nice"):
        os.nice(_NICENESS)  # pages go first: they need little, and somebody waits for them
    state = ""
    with jobs.hold(folder, timeout=_PREDECESSOR) as job, hold_slot(job) as is_mine:
        if not is_mine:
            state = _cancel(folder, job)
        else:
            started = job.begin("Starting")
            note_event(folder, "started")
            try:
                state = _train(folder, job, started)
                if jobs.how_to_stop(folder) == jobs.DISCARD:  # asked for while its model was being saved
                    state = "discarded"
                _end(folder, job, state, _MESSAGES.get(state, ""))
            except jobs.JobStopped:  # while this machine was measured: there is no network yet that could be kept
                state = _cancel(folder, job)
            except BaseException as error:
                _fail(folder, job, error)
                return 1
    if state == "discarded":
        remove_folder(folder)
    return 0


def _cancel(folder: Path, job: jobs.Job) -> str:
    """End a run that was stopped before it could learn anything (more)."""
    how = jobs.how_to_stop(folder)
    if how == jobs.DISCARD:
        state, message = "discarded", "Discarded."
    elif how == jobs.PAUSE or any((folder / _CHECKPOINTS).glob("*.npz")):
        state, message = "paused", "Taken out of the queue; it can be resumed."
    else:
        state, message = "stopped", "Cancelled before it started."
    _end(folder, job, state, message)
    return state


def _end(folder: Path, job: jobs.Job, state: str, message: str) -> None:
    logger.info("Ended: %s", state)
    state = "stopped" if state == "discarded" else state
    job.end(state, message=message)
    note_event(folder, state, message)


def _fail(folder: Path, job: jobs.Job, error: BaseException) -> None:
    """Say in one line why it failed. For want of disk it counts as interrupted: it can go on when there is room."""
    failure = classify(error)
    logger.error(failure.line, exc_info=None if isinstance(error, StudioError) else error)
    try:
        if failure.kind in (DISK, KILLED):
            job.update(error=failure.line, kind=failure.kind)
        else:
            job.end("failed", error=failure.line, kind=failure.kind)
            note_event(folder, "failed", failure.line)
    except StudioError:  # no room for a word: the free lock says that it was interrupted
        logger.error("There was no room to say so in the run's folder")


def _train(folder: Path, job: jobs.Job, started: float) -> str:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    from core.datasets import read_dataset
    from core.errors import DatasetError
    from core.run_making import freeze_config
    from core.runs import RunStopped, read_run
    from core.trials import freeze_number_format

    report = jobs.make_reporter(job, RunStopped("Stopped on request."))
    with storage_errors():
        run = read_run(folder.name)
        dataset = read_dataset(run.config.dataset_id)
        if run.environment.get("dataset_fingerprint") not in (None, dataset.fingerprint):
            raise DatasetError(f"Data set {dataset.name!r} is another one than the run began with. Start a new run.")
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
            key = backbone_key(run.config, layers, run.environment.get("initial_weights"))
            find_features(key, dataset, pixels, run.config, report)


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1])))
    except StudioError as problem:
        sys.exit(str(problem))
