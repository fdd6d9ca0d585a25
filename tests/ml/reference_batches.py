"""Look at batches in a process of their own: `python -m tests.ml.reference_batches` prints what was seen as JSON."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np

from core.config import RunConfig
from core.ml.batches import PixelBatches
from core.pixels import Pixels

SIZE, N_TRAIN, N_VALIDATION = 16, 12, 6


def make_pixels(n_colour: int = 0) -> Pixels:
    """Noise of four classes; so many of the training pictures have colour."""
    n, rng = N_TRAIN + N_VALIDATION, np.random.default_rng(1)
    has_colour = np.arange(n) < n_colour
    return Pixels(
        grey=rng.integers(0, 256, (n - n_colour, SIZE, SIZE, 1), np.uint8),
        colour=rng.integers(0, 256, (n_colour, SIZE, SIZE, 3), np.uint8),
        has_colour=has_colour,
        rows=np.where(has_colour, np.cumsum(has_colour), np.cumsum(~has_colour)) - 1,
        labels=rng.integers(0, 4, n),
        splits={"train": np.arange(N_TRAIN), "validation": np.arange(N_TRAIN, n), "test": np.arange(0)},
        n_classes=4,
    )


def inspect() -> dict[str, Any]:
    """What the tests want to know."""
    batches = PixelBatches(make_pixels(), RunConfig(dataset_id="d", architecture="custom_cnn", batch_size=5))
    return {
        "tuned": [part.options().autotune.enabled for part in (batches.training(1, 2), batches.validation())],
        "sizes": [len(inputs) for inputs, *_ in batches.training(1, 2)],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(inspect()) + "\n")
