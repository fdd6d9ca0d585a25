"""The phases of a training, one after the other, and what is kept at the end."""

from __future__ import annotations

import logging
import math
import shutil
import time
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from core.balance import weigh_classes
from core.config import RunConfig, phase_epochs
from core.datasets import Dataset, read_dataset
from core.jobs import Job
from core.ml.architectures import POOLED, Network, build_network
from core.ml.callbacks import BestCheckpoint, PhasePatience, RunRecorder, StopOnRequest, StopRequested
from core.ml.data import FeatureBatches, PixelBatches, Pixels, load_pixels, steps_per_epoch
from core.ml.export import export_network
from core.ml.features import compute_features, views_that_fit
from core.ml.initial import load_initial_weights
from core.ml.results import write_results
from core.runs import Run

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Phase:
    """A part of a training: some layers learn, the others do not.

    Attributes:
        model: what is fitted: the whole network, or the part behind a cut.
        batches: gives its training and validation data.
        opened_from: layer behind which the network learns; None for all of it.
    """

    name: str
    model: keras.Model
    batches: PixelBatches | FeatureBatches
    epochs: int
    learning_rate: float
    opened_from: str | None = None


def train(run: Run, job: Job, worker_started: float) -> str:
    """Train a run from start to scores.

    Returns:
        The last state: "finished" or "stopped".
    """
    config = run.config
    dataset = read_dataset(config.dataset_id)
    job.report("Building the network")
    network = build_network(config, len(dataset.class_names))
    initial = load_initial_weights(network, config, dataset.class_names)
    facts = {"initial_weights": initial.describe(), "class_weights": _class_weights(dataset, config)}
    checkpoint = BestCheckpoint(network.model, run.folder / "best.weights.h5", config.monitor)
    state = "finished"
    cache = run.folder / "cache"
    try:
        pixels = _load(dataset, network, job)
        phases = _plan(network, initial.is_pretrained, pixels, run, job)
        _fit_phases(network, phases, config, pixels, checkpoint, job, worker_started)
    except StopRequested:
        logger.info("Stopped on request")
        state = "stopped"
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    checkpoint.restore()
    job.report("Saving the model")
    # A fresh network is free of what training hangs on a model, and exports eight times faster.
    kept = build_network(config, len(dataset.class_names))
    kept.model.set_weights(network.model.get_weights())
    export_network(kept, run.folder)
    job.report("Scoring validation and test pictures")
    write_results(run, dataset, kept.model, checkpoint.epoch, worker_started, job, facts)
    return state


def _class_weights(dataset: Dataset, config: RunConfig) -> dict[str, float] | None:
    if not config.class_weights:
        return None
    weights = {name: round(value, 4) for name, value in weigh_classes(dataset.splits["train"]).items()}
    logger.info("Balanced classes: a picture counts %s", ", ".join(f"{n} {w:.2f}" for n, w in weights.items()))
    return weights


def _load(dataset: Dataset, network: Network, job: Job) -> Pixels:
    return load_pixels(dataset, int(network.model.input_shape[1]), _reporter(job))


def _plan(network: Network, is_pretrained: bool, pixels: Pixels, run: Run, job: Job) -> list[Phase]:
    config = run.config
    if not is_pretrained:
        _trust_batches_sooner(network.model)
        return [Phase("training", network.model, PixelBatches(pixels, config), config.epochs, config.learning_rate)]
    head_epochs, tuning_epochs = phase_epochs(config)
    cut = network.cut_for(config.fine_tune_blocks)
    steps = [("head", POOLED, head_epochs, config.learning_rate)]
    if tuning_epochs:
        steps.append(("fine-tuning", cut, tuning_epochs, config.fine_tune_learning_rate))
    names = tuple(name for _, name, _, _ in steps)
    if views_that_fit(network, names, pixels, config) < 0:
        logger.info("Features would not fit into STUDIO_MAX_CACHE_MB; every epoch runs through the whole backbone")
        batches = PixelBatches(pixels, config)
        return [
            Phase(title, network.frozen_up_to(name), batches, epochs, rate, name) for title, name, epochs, rate in steps
        ]
    features = compute_features(network, names, pixels, config, run.folder / "cache", _reporter(job))
    return [
        Phase(
            title,
            network.part_from(name),
            FeatureBatches(pixels, config, features.train(name), features.validation(name)),
            epochs,
            rate,
            name,
        )
        for title, name, epochs, rate in steps
    ]


def _fit_phases(
    network: Network,
    phases: list[Phase],
    config: RunConfig,
    pixels: Pixels,
    checkpoint: BestCheckpoint,
    job: Job,
    worker_started: float,
) -> None:
    first = 1
    for number, phase in enumerate(phases, start=1):
        last = first + phase.epochs - 1
        recorder = RunRecorder(
            job,
            phase=phase.name,
            last_epoch=last,
            total_epochs=config.epochs,
            batch_size=config.batch_size,
            n_images=len(pixels.splits["train"]),
            worker_started=worker_started,
            more_to_come=number < len(phases),
        )
        logger.info("Phase %s: epochs %d to %d, learning rate %g", phase.name, first, last, phase.learning_rate)
        if phase.opened_from:
            checkpoint.restore()
            _open_from(network, phase.opened_from)
        first += _fit(phase, config, pixels, first, last, [StopOnRequest(job), checkpoint, recorder])


def _fit(
    phase: Phase,
    config: RunConfig,
    pixels: Pixels,
    first: int,
    last: int,
    callbacks: list[keras.callbacks.Callback],
) -> int:
    """Fit one phase; returns the number of epochs it took."""
    phase.model.compile(
        optimizer=keras.optimizers.Adam(phase.learning_rate),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = phase.model.fit(
        phase.batches.training(first, last),
        validation_data=phase.batches.validation(),
        steps_per_epoch=steps_per_epoch(pixels, config),
        initial_epoch=first - 1,
        epochs=last,
        callbacks=[
            _schedule(config, phase.learning_rate, first, last),
            *callbacks,
            PhasePatience(config.patience, config.monitor),
        ],
        shuffle=False,
        verbose=0,
    )
    return len(history.epoch)


def _schedule(config: RunConfig, rate: float, first: int, last: int) -> keras.callbacks.Callback:
    if config.schedule == "plateau":
        return keras.callbacks.ReduceLROnPlateau(monitor="val_loss", factor=0.5, patience=2, min_lr=rate / 100)
    n_epochs = last - first + 1

    def learning_rate(epoch: int) -> float:
        share = (epoch - (first - 1)) / n_epochs if config.schedule == "cosine" else 0.0
        return rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))

    return keras.callbacks.LearningRateScheduler(learning_rate)


def _open_from(network: Network, name: str) -> None:
    """Let the layers behind a layer learn, and no others.

    BatchNorm of a pretrained backbone stays frozen, in inference mode: its momentum of 0.999 would take thousands of
    steps to arrive, and validation would be near chance until then.
    """
    is_behind = False
    for layer in network.model.layers:
        layer.trainable = is_behind and not isinstance(layer, keras.layers.BatchNormalization)
        is_behind = is_behind or layer.name == name


def _trust_batches_sooner(model: keras.Model) -> None:
    """From random weights BatchNorm must learn its statistics, within few hundred steps."""
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9


def _reporter(job: Job) -> Any:
    """Progress of a preparation as (message, done, total); ends it when a stop is asked for."""
    started: dict[str, float] = {}
    last = [0.0]

    def report(message: str, done: int, total: int) -> None:
        if job.stop_requested():
            raise StopRequested
        now = time.time()
        started.setdefault(message, now)
        if now - last[0] < 0.5:
            return
        last[0] = now
        left = (now - started[message]) / done * (total - done) if done else None
        job.report(
            message,
            done=done,
            total=total,
            seconds_left=left,
            images_per_second=_speed(done, now, started[message]),
        )

    return report


def _speed(done: int, now: float, started: float) -> float | None:
    return float(np.round(done / (now - started), 1)) if now > started else None
