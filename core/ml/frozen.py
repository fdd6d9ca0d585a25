"""The frozen part of a network as ONNX in the cache, so that the next run finds its backbone ready."""

from __future__ import annotations

import time
from typing import Any

from core import cache
from core.features import ONNX
from core.files import read_json, write_json
from core.ml.architectures import Network
from core.ml.export import export_onnx

_SECONDS = "seconds.json"


def export_frozen(network: Network, key: dict[str, Any]) -> float:
    """Export the layers of a key (see `core.features.backbone_key`), if that was not done before.

    Args:
        network: float32, with the weights that the key stands for.

    Returns:
        Seconds that the export took, now or then.

    Raises:
        StorageError: the disk is full.
    """
    layers = tuple(key["layers"])
    folder = cache.find_entry(cache.BACKBONES, key)
    if folder is None:
        started = time.perf_counter()
        with cache.new_entry(cache.BACKBONES, key) as staging:
            export_onnx(network.outputs_at(*layers), staging / ONNX, layers)
            write_json(staging / _SECONDS, {"export": time.perf_counter() - started})
        folder = cache.find_entry(cache.BACKBONES, key)
    stored = read_json(folder / _SECONDS) if folder else None
    return float((stored or {}).get("export", 0.0))
