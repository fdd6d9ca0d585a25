"""The phases of a training, one after the other, and what is kept at the end."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import keras

from core.balance import weigh_classes
from core.config import RunConfig
from core.datasets import Dataset
from core.estimate import closing_seconds, phase_seconds
from core.features import Features, backbone_key, find_features, wanted_views
from core.files import write_json
from core.jobs import Job, Report
from core.ml.architectures import Network, build_network, copy_weights
from core.ml.batches import FeatureBatches, PixelBatches, steps_per_epoch
from core.ml.callbacks import BestCheckpoint, PhasePatience, RunRecorder, StopOnRequest
from core.ml.devices import open_devices
from core.ml.export import export_network
from core.ml.frozen import export_frozen
from core.ml.initial import load_initial_weights
from core.ml.optimisation import compile_phase, open_layers, schedule_callbacks
from core.ml.provenance import describe_environment
from core.ml.quick import quicken
from core.ml.results import write_results
from core.phases import Phase, frozen_layers, plan_phases
from core.pixels import Pixels, load_pixels
from core.runs import Run, RunStopped, freeze_config
from core.trials import Trial, read_trial

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class _Lesson:
    """What a phase fits, and on what."""

    model: keras.Model
    batches: PixelBatches | FeatureBatches


def train(run: Run, dataset: Dataset, job: Job, worker_started: float, report: Report) -> str:
    """Train a run from start to scores.

    Returns:
        The last state: "finished" or "stopped".
    """
    config = run.config
    job.report("Building the network")
    with open_devices().scope():
        network = build_network(config, len(dataset.class_names), number_format=config.number_format)
        initial = load_initial_weights(network, config, dataset.class_names)
        environment = describe_environment(config, dataset)
        write_json(run.folder / "environment.json", environment)
        checkpoint = BestCheckpoint(network.model, run.folder / "best.weights.h5", config.monitor)
        state = "finished"
        try:
            pixels = load_pixels(dataset, int(network.model.input_shape[1]), report)
            features = _find_features(network, dataset, pixels, config, report)
            if features is not None and features.n_views < wanted_views(config):
                # Frozen, so that a repeat has the same; the settings remember how many were wanted.
                run = freeze_config(run, config := config.model_copy(update={"augmented_views": features.n_views}))
            environment["cached_views"] = features.n_views if features is not None else None
            write_json(run.folder / "environment.json", environment)
            recorder = RunRecorder(job, config, len(pixels.splits["train"]), worker_started)
            _fit_phases(network, pixels, features, dataset, config, [StopOnRequest(job), checkpoint, recorder])
        except RunStopped:
            logger.info("Stopped on request")
            state = "stopped"
    checkpoint.restore()
    job.report("Saving the model")
    # A fresh network is free of what training hangs on a model: float32 always, and exported eight times faster.
    kept = build_network(config, len(dataset.class_names))
    kept.model.set_weights(network.model.get_weights())
    export_network(kept, run.folder)
    job.report("Scoring validation and test pictures")
    facts = {"initial_weights": initial.describe(), "class_weights": _class_weights(dataset, config)}
    write_results(run, dataset, kept.model, checkpoint.epoch, worker_started, job, facts)
    return state


def _class_weights(dataset: Dataset, config: RunConfig) -> dict[str, float] | None:
    if not config.class_weights:
        return None
    return {name: round(value, 4) for name, value in weigh_classes(dataset.splits["train"]).items()}


def _find_features(
    network: Network, dataset: Dataset, pixels: Pixels, config: RunConfig, report: Report
) -> Features | None:
    """Outputs of the frozen layers; None without such layers, or where the cache cannot hold them."""
    layers = frozen_layers(config)
    if not layers:
        return None
    key = backbone_key(config, layers)
    plain = network
    if config.number_format != "float32":  # features are float32 always
        plain = build_network(config, len(dataset.class_names))
        copy_weights(network.model, plain.model, with_head=True)
    export_frozen(plain, key)
    features = find_features(key, dataset, pixels, config, report)
    if features is None:
        logger.info("Features do not fit into STUDIO_MAX_CACHE_MB; every epoch runs through the whole backbone")
    return features


def _fit_phases(
    network: Network,
    pixels: Pixels,
    features: Features | None,
    dataset: Dataset,
    config: RunConfig,
    callbacks: list[keras.callbacks.Callback],
) -> None:
    phases = plan_phases(config)
    trial = read_trial(config)
    _, checkpoint, recorder = callbacks
    assert isinstance(recorder, RunRecorder)
    assert isinstance(checkpoint, BestCheckpoint)
    skipped = 0  # epochs that early stopping has saved so far
    for number, phase in enumerate(phases):
        checkpoint.restore()
        open_layers(network, phase.cut)
        lesson = _prepare(network, phase, pixels, features, config)
        n_batches = steps_per_epoch(pixels, config)
        compile_phase(lesson.model, config, phase, n_batches)
        first, last = phase.first - skipped, phase.last - skipped
        logger.info("Phase %s: epochs %d to %d, learning rate %g", phase.name, first, last, phase.learning_rate)
        recorder.open_phase(phase.name, last, _seconds_after(phases[number + 1 :], dataset, config, trial))
        history = lesson.model.fit(
            lesson.batches.training(first, last),
            validation_data=lesson.batches.validation(),
            steps_per_epoch=n_batches,
            initial_epoch=first - 1,
            epochs=last,
            callbacks=[*schedule_callbacks(config, phase), *callbacks, PhasePatience(config.patience, config.monitor)],
            shuffle=False,
            verbose=0,
        )
        skipped += phase.n_epochs - len(history.epoch)


def _prepare(network: Network, phase: Phase, pixels: Pixels, features: Features | None, config: RunConfig) -> _Lesson:
    if phase.cut is None:
        quick = quicken(network.model, is_grey=not pixels.has_colour.any())
        return _Lesson(quick, PixelBatches(pixels, config, quick.input_shape[-1]))
    if features is None:
        return _Lesson(network.frozen_up_to(phase.cut), PixelBatches(pixels, config))
    return _Lesson(quicken(network.part_for(phase.cut)), FeatureBatches(pixels, config, features, phase.cut))


def _seconds_after(later: tuple[Phase, ...], dataset: Dataset, config: RunConfig, trial: Trial | None) -> float | None:
    """Time from the end of a phase to the end of the run, by the dry run; None without one."""
    if trial is None:
        return None
    to_come = sum(phase_seconds(dataset, config, phase, trial) for phase in later)
    return to_come + closing_seconds(dataset, trial)
