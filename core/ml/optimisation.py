"""How a phase learns: which layers, by which optimiser, at which rate, towards which loss."""

from __future__ import annotations

import math

import keras
from keras import ops

from core.config import RunConfig
from core.ml.adam import build_adam
from core.ml.architectures import Network
from core.phases import Phase

WARM_UP = 0.5  # epochs in which the rate of a cosine schedule rises


class Cosine(keras.optimizers.schedules.LearningRateSchedule):
    """A rate that rises within the first steps and then falls along half a cosine to a hundredth."""

    def __init__(self, rate: float, n_steps: int, n_warm_up: int) -> None:
        self.rate, self.n_steps, self.n_warm_up = rate, n_steps, n_warm_up

    def __call__(self, step: keras.KerasTensor) -> keras.KerasTensor:
        """Rate of a step, from 0."""
        step = ops.cast(step, "float32")
        rise = ops.minimum((step + 1) / max(self.n_warm_up, 1), 1.0)
        share = ops.clip((step - self.n_warm_up) / max(self.n_steps - self.n_warm_up, 1), 0.0, 1.0)
        return self.rate * rise * (0.01 + 0.99 * 0.5 * (1 + ops.cos(math.pi * share)))

    def get_config(self) -> dict[str, float]:
        """Arguments of the constructor."""
        return {"rate": self.rate, "n_steps": self.n_steps, "n_warm_up": self.n_warm_up}


def compile_phase(model: keras.Model, config: RunConfig, phase: Phase, n_batches: int) -> None:
    """Compile what a phase fits.

    Args:
        n_batches: of an epoch.
    """
    rate: float | Cosine = phase.learning_rate
    if config.schedule == "cosine":
        warm_up = int(WARM_UP * n_batches) if phase.n_epochs > 1 else 0
        rate = Cosine(phase.learning_rate, phase.n_epochs * n_batches, warm_up)
    model.compile(
        optimizer=build_adam(rate, config.weight_decay),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing),
        metrics=[keras.metrics.CategoricalAccuracy(name="accuracy")],
    )
    # TensorFlow makes the graph of a step twice if variables appear in it; all there are now, it is made once.
    model.optimizer.build(model.trainable_variables)


def open_layers(network: Network, cut: str | None) -> None:
    """Let the layers behind a cut learn, and no others; all of them where there is no cut.

    BatchNorm of a pretrained backbone stays frozen, in inference mode: its momentum of 0.999 would take thousands of
    steps to arrive, and validation would be near chance until then. From random weights it must learn its statistics,
    within a few hundred steps.
    """
    is_behind = cut is None
    for layer in network.model.layers:
        is_norm = isinstance(layer, keras.layers.BatchNormalization)
        layer.trainable = is_behind and not (is_norm and cut is not None)
        if is_norm and cut is None:
            layer.momentum = 0.9
        is_behind = is_behind or layer.name == cut
