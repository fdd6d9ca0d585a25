"""What a run will cost, before it starts: from a dry run of a few batches and the size of the data set."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from core.config import RunConfig, input_size
from core.datasets import Dataset, read_manifest
from core.engines import relative_speed
from core.errors import WeightsError
from core.features import Features, Missing, backbone_key, count_missing, views_that_fit, views_to_compute, wanted_views
from core.phases import Phase, frozen_layers, plan_phases
from core.pixels import pixels_folder
from core.scans import fit_scan, load_scan
from core.settings import read_settings
from core.trials import Trial, read_trial

_SAMPLE = 8  # pictures whose decoding is timed
_CLOSING_SECONDS = 3.0  # to build the kept model and to load what scores it, besides its export
_FEATURES_SHARE = 0.9  # of the backbone's speed: views are made and TensorFlow is imported meanwhile
_OVERHEAD = 1.05  # batches are read and augmented, and the best weights are saved
_TENSORFLOW_SHARE = 0.4  # of the backbone's speed by ONNX Runtime, where TensorFlow runs it in every epoch
_PREDICT_PER_SECOND = 100.0  # pictures scored with a network whose forward speed was not measured


@dataclass(frozen=True)
class Estimate:
    """What a run will cost.

    Attributes:
        steps: seconds by step, in order.
        memory_mb: largest memory of the worker.
        note: what the room in the cache means for it; empty if all features fit.
    """

    steps: dict[str, float]
    memory_mb: float
    note: str = ""

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
    n_views = _cached_views(dataset, config, trial)
    if n_views is not None and trial.features_per_second:
        steps["Compute features"] = _features_seconds(_count_missing(dataset, config, n_views), trial)
    for phase in plan_phases(config):
        steps[phase.name.capitalize()] = _phase_seconds(dataset, config, phase, trial)
    steps["Save and score"] = _closing_seconds(dataset, trial)
    return Estimate(steps, trial.memory_mb, _explain_room(config, trial, n_views))


def _phase_seconds(dataset: Dataset, config: RunConfig, phase: Phase, trial: Trial) -> float:
    """Time of a phase, validation included."""
    n_train, n_validation = dataset.n_in("train"), dataset.n_in("validation")
    epoch = n_train / trial.train_per_second[phase.name] + n_validation / trial.validate_per_second[phase.name]
    if trial.features_per_second and _cached_views(dataset, config, trial) is None:
        epoch += (n_train + n_validation) / (trial.features_per_second / relative_speed() * _TENSORFLOW_SHARE)
    return trial.trace_seconds[phase.name] + phase.n_epochs * _OVERHEAD * epoch


def seconds_beside(
    dataset: Dataset, config: RunConfig, phases: tuple[Phase, ...], features: Features | None
) -> float | None:
    """Time that is left of a run besides that of the epochs of its present phase.

    Args:
        phases: the present one and those behind it.
        features: of the run; their missing views are computed between epochs.

    Returns:
        None without a dry run.
    """
    trial = read_trial(config)
    if trial is None:
        return None
    n_missing = max(map(features.count_missing_views, phases)) if features else 0
    later = sum(_phase_seconds(dataset, config, phase, trial) for phase in phases[1:])
    return _features_seconds(Missing(0, n_missing), trial) + later + _closing_seconds(dataset, trial)


def _features_seconds(missing: Missing, trial: Trial) -> float:
    """Time to compute the features that are missing."""
    whole, views = trial.features_per_second or math.inf, trial.views_per_second or math.inf
    return (missing.whole / whole + missing.views / views) / _FEATURES_SHARE


def _closing_seconds(dataset: Dataset, trial: Trial) -> float:
    """Time from the last epoch to the scores."""
    n_scored = dataset.n_in("validation") + dataset.n_in("test")
    per_second = trial.features_per_second / relative_speed() if trial.features_per_second else _PREDICT_PER_SECOND
    return _CLOSING_SECONDS + trial.export_seconds + n_scored / per_second


def _cached_views(dataset: Dataset, config: RunConfig, trial: Trial) -> int | None:
    """Augmented views that the cache can hold; None where it cannot hold features, or there are none."""
    if not trial.feature_bytes:
        return None
    return views_that_fit(config, dataset.n_in("train"), dataset.n_in("validation"), trial.feature_bytes)


def _explain_room(config: RunConfig, trial: Trial, n_views: int | None) -> str:
    if not trial.feature_bytes or n_views == wanted_views(config):
        return ""
    room = f"STUDIO_MAX_CACHE_MB ({read_settings().max_cache_mb:,}) has no room"
    if n_views is None:
        return f"{room} for the features of this data set, so every epoch runs through the whole backbone."
    return f"{room} for more than {n_views} of {wanted_views(config)} augmented views."


def _count_missing(dataset: Dataset, config: RunConfig, n_views: int) -> Missing:
    try:
        return count_missing(backbone_key(config, frozen_layers(config)), dataset, config, n_views)
    except WeightsError:  # they are downloaded at the start, so nothing can be there yet
        n_views = views_to_compute(config, n_views)
        return Missing(dataset.n_in("train") + dataset.n_in("validation"), dataset.n_in("train") * n_views)


def _seconds_to_decode(dataset: Dataset, size: int) -> float:
    pictures = read_manifest(dataset)
    sample = [pictures[at] for at in np.linspace(0, len(pictures) - 1, min(_SAMPLE, len(pictures))).astype(int)]
    started = time.perf_counter()
    for picture in sample:
        fit_scan(load_scan(dataset.folder / picture.stored, is_grey=not picture.colour), size)
    return (time.perf_counter() - started) / max(len(sample), 1)
