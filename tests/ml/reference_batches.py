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
    config = RunConfig(dataset_id="d", architecture="custom_cnn", batch_size=5)
    batches = PixelBatches(make_pixels(), config)
    grey, coloured = PixelBatches(make_pixels(), config, channels=1), PixelBatches(make_pixels(n_colour=2), config)
    return {
        "channels": {
            name: sorted({inputs.shape[-1] for part in (it.training(1, 1), it.validation()) for inputs, *_ in part})
            for name, it in {"usual": batches, "grey": grey, "coloured": coloured}.items()
        },
        "same": all(
            bool((one.numpy() == three.numpy()).all())
            for (one, *_), (three, *_) in zip(grey.training(1, 1), batches.training(1, 1), strict=True)
        ),
        "tuned": [part.options().autotune.enabled for part in (batches.training(1, 2), batches.validation())],
        "sizes": [len(inputs) for inputs, *_ in batches.training(1, 2)],
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(inspect()) + "\n")
