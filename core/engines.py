"""What computes the outputs of a frozen backbone: OpenVINO where it is installed, else ONNX Runtime. No TensorFlow.

Both read the same ONNX file, in float32, and differ by rounding alone. OpenVINO, an optional extra, is a fifth to two
fifths faster; ONNX Runtime predicts too, so it is there anyway, and is more than twice as fast as TensorFlow on a CPU.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from threading import Lock, local
from typing import Any, Protocol

import numpy as np

from core.errors import RunError
from core.prediction import open_session
from core.settings import read_limit, read_settings

BATCH = 4  # pictures that go through together; what is worked on then stays near the processor
_MAX_RUNS = 8  # at a time: each needs memory of its own


class Backbone(Protocol):
    """A backbone that is ready to run, in several threads at a time.

    Attributes:
        shapes: layer -> shape of its output for one picture.
    """

    shapes: dict[str, tuple[int, ...]]

    def run(self, batch: np.ndarray, layers: tuple[str, ...]) -> list[np.ndarray]:
        """Outputs of some layers, with no more work than they need.

        Args:
            batch: float32 (k, size, size, 3) with k up to `BATCH`.
        """
        ...


def open_backbone(path: Path) -> Backbone:
    """Open an exported backbone for `count_runs` runs at a time, each with its part of the threads.

    Several runs with one thread each are faster than one with several, which have to wait for each other after every
    layer, and longest where one of them has a batch to make.

    Raises:
        RunError: OpenVINO is installed and cannot be loaded.
    """
    return _OpenVino(path) if _version_of_openvino() else _OnnxRuntime(path)


def count_runs() -> int:
    """How many batches go through a backbone at a time."""
    return min(read_settings().n_threads, _MAX_RUNS)


def describe_engine() -> str:
    """Name and version, on which the last bits of features depend."""
    found = _version_of_openvino()
    return f"openvino {found}" if found else f"onnxruntime {version('onnxruntime')}"


def relative_speed() -> float:
    """Roughly how much faster than ONNX Runtime the engine is, by which a run's model predicts."""
    return 1.25 if _version_of_openvino() else 1.0


class _OnnxRuntime:
    def __init__(self, path: Path) -> None:
        self._session = open_session(path, n_threads=max(read_settings().n_threads // count_runs(), 1))
        self.shapes = {output.name: tuple(output.shape[1:]) for output in self._session.get_outputs()}

    def run(self, batch: np.ndarray, layers: tuple[str, ...]) -> list[np.ndarray]:
        from onnxruntime import RunOptions

        options = RunOptions()
        options.only_execute_path_to_fetches = True
        return list(self._session.run(list(layers), {"pixels": batch}, options))


class _OpenVino:
    """A network is made for each choice of layers and a fixed number of pictures; a smaller batch is filled up."""

    def __init__(self, path: Path) -> None:
        try:
            import openvino
        except ImportError as error:
            raise RunError(
                f"OpenVINO is installed and cannot be loaded ({error}). Install it again, or set STUDIO_OPENVINO=0."
            ) from error
        self._core, self._make_part = openvino.Core(), openvino.Model
        self._model = self._core.read_model(path)
        self._model.reshape([BATCH, *list(self._model.input(0).get_partial_shape())[1:]])
        self._outputs = {output.get_any_name(): output for output in self._model.outputs}
        self.shapes = {name: tuple(output.get_shape())[1:] for name, output in self._outputs.items()}
        self._networks: dict[tuple[str, ...], Any] = {}
        self._lock, self._own = Lock(), local()

    def run(self, batch: np.ndarray, layers: tuple[str, ...]) -> list[np.ndarray]:
        requests: dict[tuple[str, ...], Any] = self._own.__dict__.setdefault("requests", {})  # of this thread
        if layers not in requests:
            requests[layers] = self._network_for(layers).create_infer_request()
        request, n = requests[layers], len(batch)
        full = batch if n == BATCH else np.concatenate([batch, np.zeros((BATCH - n, *batch.shape[1:]), batch.dtype)])
        request.infer([full])
        return [request.get_output_tensor(at).data[:n].copy() for at in range(len(layers))]

    def _network_for(self, layers: tuple[str, ...]) -> Any:
        with self._lock:
            if layers not in self._networks:
                results = [self._outputs[layer].get_node() for layer in layers]
                part = self._make_part(results, self._model.get_parameters(), "part")
                self._networks[layers] = self._core.compile_model(
                    part,
                    "CPU",
                    {
                        "INFERENCE_PRECISION_HINT": "f32",  # it would shorten them, and features be off by a tenth
                        "NUM_STREAMS": str(count_runs()),
                        "INFERENCE_NUM_THREADS": str(read_settings().n_threads),
                        "ENABLE_CPU_PINNING": False,  # other runs may be at work
                    },
                )
            return self._networks[layers]


def _version_of_openvino() -> str | None:
    return _installed_openvino() if read_limit("openvino") else None


@lru_cache(maxsize=1)
def _installed_openvino() -> str | None:
    try:
        return version("openvino")
    except PackageNotFoundError:
        return None
