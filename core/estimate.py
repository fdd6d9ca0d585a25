"""What a run will cost, before it starts: from a dry run of a few batches and the size of the data set."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from core.config import RunConfig, input_size
from core.datasets import Dataset, read_manifest
from core.errors import WeightsError
from core.features import backbone_key, count_missing
from core.phases import Phase, frozen_layers, plan_phases
from core.pixels import pixels_folder
from core.scans import fit_scan, load_scan
from core.settings import read_settings
from core.trials import Trial

_SAMPLE = 8  # pictures whose decoding is timed
_CLOSING_SECONDS = 3.0  # to build the kept model and to load what scores it, besides its export
_FEATURES_SHARE = 0.8  # of the backbone's speed: views are made and TensorFlow is imported meanwhile
_OVERHEAD = 1.08  # batches are read and augmented, and the best weights are saved
_PREDICT_PER_SECOND = 100.0  # pictures scored with a network whose forward speed was not measured


@dataclass(frozen=True)
class Estimate:
    """Seconds by step, in order, and the memory of the worker."""

    steps: dict[str, float]
    memory_mb: float

    @property
    def seconds(self) -> float:
        """Time from the start to the scores."""
        return sum(self.steps.values())


def estimate_run(dataset: Dataset, config: RunConfig, trial: Trial) -> Estimate:
    """Add up what a run has to do. Early stopping can only make it shorter.

    Raises:
        StudioError: the data set is damaged, or the run that lends its weights is gone.
    """
    steps = {"Start": trial.start_seconds}
    size = input_size(config)
    if not pixels_folder(dataset, size).is_dir():
        steps["Decode the scans"] = dataset.n_images * _seconds_to_decode(dataset, size) / read_settings().n_threads
    layers = frozen_layers(config)
    if layers and trial.features_per_second:
        speed = trial.features_per_second * _FEATURES_SHARE
        steps["Compute features"] = _count_missing(dataset, config, layers) / speed
    for phase in plan_phases(config):
        steps[phase.name.capitalize()] = phase_seconds(dataset, phase, trial)
    steps["Save and score"] = closing_seconds(dataset, trial)
    return Estimate(steps, trial.memory_mb)


def phase_seconds(dataset: Dataset, phase: Phase, trial: Trial) -> float:
    """Time of a phase, validation included."""
    train = dataset.n_in("train") / trial.train_per_second[phase.name]
    validate = dataset.n_in("validation") / trial.validate_per_second[phase.name]
    return trial.trace_seconds[phase.name] + phase.n_epochs * _OVERHEAD * (train + validate)


def closing_seconds(dataset: Dataset, trial: Trial) -> float:
    """Time from the last epoch to the scores."""
    n_scored = dataset.n_in("validation") + dataset.n_in("test")
    return _CLOSING_SECONDS + trial.export_seconds + n_scored / (trial.features_per_second or _PREDICT_PER_SECOND)


def _count_missing(dataset: Dataset, config: RunConfig, layers: tuple[str, ...]) -> int:
    try:
        return count_missing(backbone_key(config, layers), dataset, config)
    except WeightsError:  # they are downloaded at the start, so nothing can be there yet
        views = config.augmented_views if config.augment else 0
        return dataset.n_in("train") * (1 + views) + dataset.n_in("validation")


def _seconds_to_decode(dataset: Dataset, size: int) -> float:
    pictures = read_manifest(dataset)
    sample = [pictures[at] for at in np.linspace(0, len(pictures) - 1, min(_SAMPLE, len(pictures))).astype(int)]
    started = time.perf_counter()
    for picture in sample:
        fit_scan(load_scan(dataset.folder / picture.stored), size)
    return (time.perf_counter() - started) / max(len(sample), 1)
