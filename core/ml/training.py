"""The phases of a training, one after the other, and what is kept at the end.

A training that was interrupted goes on here as if nothing had happened: its checkpoint says where it stands.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import keras

from core.balance import weigh_classes
from core.config import RunConfig
from core.datasets import Dataset
from core.errors import RunError
from core.estimate import seconds_beside
from core.features import Features, wanted_views
from core.files import write_json
from core.jobs import DISCARD, FINISH, PAUSE, Job, Report, how_to_stop
from core.ml.architectures import Network, build_network
from core.ml.batches import FeatureBatches, PixelBatches, steps_per_epoch
from core.ml.beginning import Beginning, begin_network, find_run_features
from core.ml.callbacks import PhasePatience, Plateau, RunRecorder, StopOnRequest
from core.ml.checkpoints import find_checkpoint, remove_all_but, remove_half_written
from core.ml.devices import open_devices
from core.ml.export import export_network
from core.ml.keeping import Keeper, Remembering
from core.ml.optimisation import compile_phase, open_layers
from core.ml.quick import quicken
from core.ml.results import staged_results, write_results
from core.ml.tracking import tracked
from core.phases import Phase, plan_phases
from core.pixels import Pixels, load_pixels
from core.run_making import freeze_config
from core.runs import Run, RunStopped
from core.timeline import note_event

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What a phase fits, and on what."""

    model: keras.Model
    batches: PixelBatches | FeatureBatches


def train(run: Run, dataset: Dataset, job: Job, worker_started: float, report: Report) -> str:
    """Train a run from its start, or from its last checkpoint, to its scores.

    Returns:
        The last state: "finished", "stopped", "paused", or "discarded" where nothing shall be kept.
    """
    job.report("Building the network")
    remove_half_written(run.folder)
    saved = find_checkpoint(run.folder)
    if saved is None and how_to_stop(run.folder) == FINISH:
        raise RunError("None of its checkpoints can be read, so there is nothing to finish. Resume it to begin anew.")
    strategy = open_devices()  # first of all: a callback may compute something
    with tracked(run, dataset) as tracking:
        with strategy.scope():
            network = build_network(run.config, len(dataset.class_names), number_format=run.config.number_format)
            beginning = begin_network(network, run, dataset, saved)
            write_json(run.folder / "environment.json", beginning.environment)
            keeper = Keeper(run.folder, network.model, run.config.monitor, saved)
            worker_started -= keeper.progress.elapsed
            state = "finished"
            try:
                if how_to_stop(run.folder) == FINISH:
                    raise RunStopped
                run = _learn(run, dataset, network, beginning, keeper, job, worker_started, report, tracking.callbacks)
            except RunStopped:
                how = how_to_stop(run.folder)
                logger.info("Asked to stop: %s", how)
                state = {PAUSE: "paused", DISCARD: "discarded"}.get(str(how), "stopped")
        if state in ("finished", "stopped"):
            _keep_model(run, dataset, network, keeper, worker_started, job, beginning.environment)
        tracking.end(state)
    return state


def _learn(
    run: Run,
    dataset: Dataset,
    network: Network,
    beginning: Beginning,
    keeper: Keeper,
    job: Job,
    worker_started: float,
    report: Report,
    watching: list[keras.callbacks.Callback],
) -> Run:
    """Prepare what is learned from, and go through the phases; returns the run with what was frozen on the way."""
    pixels = load_pixels(dataset, int(network.model.input_shape[1]), report)
    features = find_run_features(network, beginning, dataset, pixels, run.config, report)
    if features is not None and features.n_views < wanted_views(run.config):
        # Frozen, so that a repeat has the same; the settings remember how many were wanted.
        run = freeze_config(run, run.config.model_copy(update={"augmented_views": features.n_views}))
    beginning.environment["cached_views"] = features.n_views if features is not None else None
    write_json(run.folder / "environment.json", beginning.environment)
    recorder = RunRecorder(job, run.config, run.n_epochs, len(pixels.splits["train"]), worker_started, keeper.keep)
    _fit_phases(run, network, pixels, features, dataset, keeper, recorder, [StopOnRequest(job), *watching])
    return run


def _keep_model(
    run: Run,
    dataset: Dataset,
    network: Network,
    keeper: Keeper,
    worker_started: float,
    job: Job,
    environment: dict[str, Any],
) -> None:
    """Write the best epoch's model and its scores, all at once, so that they never disagree."""
    keeper.restore_best()
    job.report("Saving the model")
    # A fresh network is free of what training hangs on a model: float32 always, and exported eight times faster.
    kept = build_network(run.config, len(dataset.class_names))
    kept.model.set_weights(network.model.get_weights())
    facts = {
        "initial_weights": environment.get("started_from"),
        "class_weights": _class_weights(dataset, run.config),
    }
    with staged_results(run) as staged:
        export_network(kept, staged.folder)
        job.report("Scoring validation and test pictures")
        write_results(staged, dataset, kept.model, keeper.progress.best_epoch, worker_started, job, facts)
    remove_all_but(run.folder, keeper.progress.epoch, keeper.progress.best_epoch)


def _class_weights(dataset: Dataset, config: RunConfig) -> dict[str, float] | None:
    if not config.class_weights:
        return None
    return {name: round(value, 4) for name, value in weigh_classes(dataset.splits["train"]).items()}


def _fit_phases(
    run: Run,
    network: Network,
    pixels: Pixels,
    features: Features | None,
    dataset: Dataset,
    keeper: Keeper,
    recorder: RunRecorder,
    watching: list[keras.callbacks.Callback],
) -> None:
    config = run.config
    phases = plan_phases(config, run.continued)
    n_batches = steps_per_epoch(pixels, config)
    for number, phase in enumerate(phases):
        if keeper.is_over(number):
            continue
        last = phase.last - keeper.n_skipped(phases, number)
        keeper.enter_phase(number)
        open_layers(network, phase.cut)
        lesson = _prepare(network, phase, pixels, features, config)
        compile_phase(lesson.model, config, phase, n_batches)
        remembering = _remembering_callbacks(config, phase)
        first = keeper.progress.epoch + 1
        logger.info("Phase %s: epochs %d to %d, learning rate %g", phase.name, first, last, phase.learning_rate)
        note_event(run.folder, "phase", f"{phase.name}, epochs {first} to {last}")
        keeper.open_phase(number, lesson.model, last, remembering)
        recorder.open_phase(phase.name, last)
        while first <= last and not lesson.model.stop_training:
            ready = lesson.batches.prepare(first, last, recorder.report_features)
            recorder.expect(seconds_beside(dataset, config, phases[number:], features))
            lesson.model.fit(
                lesson.batches.training(first, ready),
                validation_data=lesson.batches.validation(),
                steps_per_epoch=n_batches,
                initial_epoch=first - 1,
                epochs=ready,
                callbacks=[*watching, *remembering.values(), recorder],  # last who keeps what they remember
                shuffle=False,
                verbose=0,
            )
            for callback in remembering.values():
                callback.recall(callback.remember())  # those of Keras begin anew with every fit
            first = ready + 1


def _remembering_callbacks(config: RunConfig, phase: Phase) -> dict[str, Any]:
    """Callbacks of a phase that have to remember something over an interruption."""
    callbacks: dict[str, Remembering] = {"patience": PhasePatience(config.patience, config.monitor)}
    if config.schedule == "plateau":
        callbacks["plateau"] = Plateau(phase.learning_rate)
    return callbacks


def _prepare(network: Network, phase: Phase, pixels: Pixels, features: Features | None, config: RunConfig) -> _Lesson:
    if phase.cut is None:
        quick = quicken(network.model)
        return _Lesson(quick, PixelBatches(pixels, config, quick.input_shape[-1]))
    if features is None:
        return _Lesson(network.frozen_up_to(phase.cut), PixelBatches(pixels, config))
    return _Lesson(quicken(network.part_for(phase.cut)), FeatureBatches(pixels, config, features, phase))
