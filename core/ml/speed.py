"""Speed of a network on this machine: a few batches of made-up pictures, in each number format."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import keras
import numpy as np
import psutil

from core import cache
from core.blocks import PROBABILITIES
from core.catalog import find_architecture
from core.config import RunConfig
from core.engines import BATCH, count_runs, open_backbone
from core.errors import RunError, WeightsError
from core.features import ONNX, backbone_key
from core.jobs import Report
from core.ml.architectures import Network, build_network
from core.ml.export import export_onnx
from core.ml.frozen import export_frozen
from core.ml.initial import load_initial_weights
from core.ml.optimisation import compile_phase, open_layers
from core.ml.quick import quicken
from core.phases import Phase, frozen_layers, plan_phases, starts_pretrained
from core.trials import Trial, read_formats, store_format
from core.weights import require_imagenet_weights

FORMATS = ("float32", "mixed_bfloat16")
_N_CLASSES = 4
_MIN_SECONDS, _ENOUGH_SECONDS, _MIN_BATCHES = 1.0, 5.0, 3


@dataclass(frozen=True)
class _Speed:
    """Pictures per second, and what the first step took longer than the others."""

    per_second: float
    trace_seconds: float


def measure(config: RunConfig, start_seconds: float, report: Report) -> Trial:
    """Measure the phases of a run, in each number format that may be chosen."""
    built = time.perf_counter()
    network = build_network(config, _N_CLASSES)
    start_seconds += time.perf_counter() - built
    *first_phases, longest = plan_phases(config)
    known = read_formats().get(config.architecture)
    asked: tuple[str, ...] = FORMATS if config.number_format == "auto" else (config.number_format,)
    if known and config.number_format == "auto":
        asked = (str(known["number_format"]),)
    speeds: dict[str, _Speed] = {}
    networks: dict[str, Network] = {}
    for done, name in enumerate(asked):
        report("Measuring number formats", done, len(asked) + 1)
        networks[name] = build_network(config, _N_CLASSES, number_format=name)
        speeds[name] = _measure_training(networks[name], longest, config)
    formats = {name: speed.per_second for name, speed in speeds.items()}
    chosen = max(formats, key=lambda name: formats[name])
    if config.number_format == "auto" and not known:
        chosen = store_format(config.architecture, formats)
    train = {longest.name: speeds[chosen]}
    train |= {phase.name: _measure_training(networks[chosen], phase, config) for phase in first_phases}
    validate = {phase.name: _measure_validation(networks[chosen], phase, config) for phase in plan_phases(config)}
    memory = _peak_memory()
    report("Measuring the backbone", len(asked), len(asked) + 1)
    features, views, export_seconds = _measure_frozen(network, config)
    cuts = [network.model.get_layer(name).output.shape[1:] for name in frozen_layers(config)]
    return Trial(
        number_format=chosen,
        formats=dict(known["formats"]) | formats if known else formats,
        start_seconds=round(start_seconds, 2),
        train_per_second={name: speed.per_second for name, speed in train.items()},
        validate_per_second={name: speed.per_second for name, speed in validate.items()},
        trace_seconds={name: speed.trace_seconds + validate[name].trace_seconds for name, speed in train.items()},
        features_per_second=features,
        views_per_second=views,
        export_seconds=round(export_seconds, 2),
        memory_mb=round(memory / 2**20),
        feature_bytes=sum(2 * int(np.prod(shape)) for shape in cuts) or None,
    )


def _measure_training(network: Network, phase: Phase, config: RunConfig) -> _Speed:
    """Training steps, inputs in memory."""
    model = _prepare(network, phase, config)
    inputs, targets = _make_batch(model, config.batch_size)
    return _measure(lambda: model.train_on_batch(inputs, targets), config.batch_size)


def _measure_validation(network: Network, phase: Phase, config: RunConfig) -> _Speed:
    model = _prepare(network, phase, config)
    inputs, targets = _make_batch(model, config.batch_size)
    return _measure(lambda: model.test_on_batch(inputs, targets), config.batch_size)


def _prepare(network: Network, phase: Phase, config: RunConfig) -> keras.Model:
    """What a training fits."""
    open_layers(network, phase.cut)
    model = quicken(network.part_for(phase.cut))
    compile_phase(model, config, phase, n_batches=100)
    return model


def _measure_frozen(network: Network, config: RunConfig) -> tuple[float | None, float | None, float]:
    """Pictures and views per second through the frozen backbone, and seconds of its export."""
    layers = frozen_layers(config)
    with TemporaryDirectory() as name:
        path = Path(name) / ONNX
        started = time.perf_counter()
        ready = _make_ready(network, config, layers)
        if ready is not None:
            path, seconds = ready
        else:
            outputs = layers or (PROBABILITIES,)
            export_onnx(network.outputs_at(*outputs), path, outputs)
            seconds = time.perf_counter() - started
        if not layers:
            return None, None, seconds
        backbone = open_backbone(path)
        pixels = _make_batch(network.model, BATCH)[0]
        n_runs = count_runs()
        with ThreadPoolExecutor(n_runs) as pool:

            def measure_layers(outputs: tuple[str, ...]) -> float:
                def step() -> None:
                    for run in [pool.submit(backbone.run, pixels, outputs) for _ in range(n_runs)]:
                        run.result()

                return _measure(step, BATCH * n_runs).per_second

            return measure_layers(layers), measure_layers(layers[-1:]), seconds


def _make_ready(network: Network, config: RunConfig, layers: tuple[str, ...]) -> tuple[Path, float] | None:
    """The backbone as the first run will find it in the cache, and the seconds of its export.

    Returns:
        None where its weights cannot be had: other weights are as fast. A trial downloads nothing.
    """
    if not starts_pretrained(config):
        return None
    try:
        if config.weights.startswith("imagenet"):
            require_imagenet_weights(find_architecture(config.architecture))
        load_initial_weights(network, config, [str(number) for number in range(_N_CLASSES)])
        key = backbone_key(config, layers)
    except (WeightsError, RunError):
        return None
    seconds = export_frozen(network, key)
    folder = cache.find_entry(cache.BACKBONES, key)
    return (folder / ONNX, seconds) if folder else None


def _peak_memory() -> int:
    """Bytes that this process has had at most."""
    if sys.platform == "win32":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _make_batch(model: keras.Model, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Made-up pictures, grey where a network takes such, or features; and their classes."""
    rng = np.random.default_rng(1)
    shape = [length or 1 for length in model.input_shape[1:]]
    inputs = rng.random((size, *shape), np.float32) * np.float32(255)
    return inputs, np.eye(_N_CLASSES, dtype=np.float32)[rng.integers(0, _N_CLASSES, size)]


def _measure(step: Callable[[], object], n_pictures: int) -> _Speed:
    """Speed of a step of so many pictures. The first is told apart; a slow network is measured by few steps."""
    started = time.perf_counter()
    step()
    first = time.perf_counter() - started
    started, n, seconds = time.perf_counter(), 0, 0.0
    while (n < _MIN_BATCHES and seconds < _ENOUGH_SECONDS) or seconds < _MIN_SECONDS:
        step()
        n += 1
        seconds = time.perf_counter() - started
    return _Speed(n * n_pictures / seconds, max(first - seconds / n, 0.0))
