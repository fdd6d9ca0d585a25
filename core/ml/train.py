"""The training worker: `python -m core.ml.train RUN_FOLDER`.

Takes the run's lock, waits for its turn (without TensorFlow in memory), trains, and says how it ended.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from pathlib import Path

from core import jobs
from core.errors import StudioError, storage_errors
from core.slots import hold_slot

logger = logging.getLogger(__name__)


def main(folder: Path) -> int:
    """Run the training of a run folder; returns the exit code."""
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    with jobs.hold(folder) as job, hold_slot(job) as is_mine:
        if not is_mine:
            logger.info("Cancelled before it started")
            job.end("stopped", message="Cancelled before it started.")
            return 0
        started = time.time()
        job.update(state="running", started_at=started, message="Starting")
        try:
            state = _train(folder, job, started)
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
    from core.runs import read_run
    from core.settings import read_settings

    job.report("Starting TensorFlow")
    import tensorflow as tf

    threads = read_settings().n_threads
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    from core.ml.training import train

    with storage_errors():
        return train(read_run(folder.name), job, started)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
