"""From Keras to ONNX by tf2onnx: `model.export` in half the time, within bounds of memory.

Keras first makes an archive of the model and walks through all its layers, of which ONNX needs nothing; tf2onnx copies
the graph before each of its passes, so that it could go on without one that fails.
"""

from __future__ import annotations

import contextlib
import copy
import gc
import io
import logging
import os
import warnings
from collections.abc import Iterator
from typing import Any
from unittest import mock

import keras
import psutil
import tensorflow as tf

logger = logging.getLogger(__name__)
_GROWTH = 512 * 2**20  # bytes of memory that the graphs may take


def convert(model: keras.Model) -> Any:
    """A model of one input and one or more outputs, in order, as `onnx.ModelProto` (float32)."""
    try:
        return _convert(model, can_skip_passes=False)
    except Exception:  # of any pass that makes the graph simpler: it can do without
        logger.warning("The graph is converted again, without the pass that failed", exc_info=True)
        return _convert(model, can_skip_passes=True)


def _convert(model: keras.Model, *, can_skip_passes: bool) -> Any:
    import tf2onnx.convert
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    patch_tf2onnx()  # for NumPy 2, as Keras does it
    signature = [tf.TensorSpec(model.input_shape, tf.float32, name="pixels")]

    def call(pixels: tf.Tensor) -> list[tf.Tensor]:
        return tf.nest.flatten(model(pixels, training=False))

    function = tf.function(call, input_signature=signature, autograph=False)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        mock.patch.dict(os.environ, {} if can_skip_passes else {"TF2ONNX_CATCH_ERRORS": "FALSE"}),
        _bounding_memory(),
    ):
        warnings.simplefilter("ignore")
        return tf2onnx.convert.from_function(function, signature)[0]


@contextlib.contextmanager
def _bounding_memory() -> Iterator[None]:
    """Let go, as soon as it has become much, of what the passes of tf2onnx leave behind.

    Each writes the weights anew into a pool that is freed with the graph only, and graphs hang in cycles: a network of
    90 MB took 6 GB until Python happened to collect them.
    """
    from tf2onnx.optimizer.optimizer_base import GraphOptimizerBase

    optimize = GraphOptimizerBase.optimize
    process = psutil.Process()
    most = process.memory_info().rss + _GROWTH

    def optimize_in_bounds(self: Any, graph: Any, *arguments: Any) -> Any:
        if process.memory_info().rss > most:
            gc.collect()
        if process.memory_info().rss > most:
            graph = copy.deepcopy(graph)  # into a fresh pool; the other is garbage when this pass has ended
        return optimize(self, graph, *arguments)

    gc.collect()
    gc.freeze()  # what is there already need not be looked at again
    try:
        GraphOptimizerBase.optimize = optimize_in_bounds
        yield
    finally:
        GraphOptimizerBase.optimize = optimize
        gc.unfreeze()
        gc.collect()
