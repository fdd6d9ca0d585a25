"""Adam in one pass over each variable, where Keras takes a dozen.

A custom CNN has five million weights in its dense layer; going through them, their gradients and their two moments
again and again took a tenth of every training step.
"""

from __future__ import annotations

import keras
import tensorflow as tf
from keras import ops


class _OnePass(keras.optimizers.Adam):
    """What both have in common; the variables are those of Keras' own, in the same order."""

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor) -> None:
        """Move a variable by its gradient."""
        at = self._get_variable_index(variable)
        step = ops.cast(self.iterations + 1, variable.dtype)
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[at]),
            v=_handle(self._velocities[at]),
            beta1_power=ops.power(ops.cast(self.beta_1, variable.dtype), step),
            beta2_power=ops.power(ops.cast(self.beta_2, variable.dtype), step),
            lr=ops.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=ops.cast(gradient, variable.dtype),
            use_nesterov=False,
        )


class FastAdam(_OnePass):
    """`keras.optimizers.Adam`."""


class FastAdamW(_OnePass, keras.optimizers.AdamW):
    """`keras.optimizers.AdamW`."""


def build_adam(
    rate: float | keras.optimizers.schedules.LearningRateSchedule, weight_decay: float = 0.0
) -> keras.optimizers.Optimizer:
    """Adam, or AdamW where weights decay (all but biases and those of batch normalisation).

    Several devices that learn together keep variables that only Keras' own optimizers know how to update.
    """
    is_alone = tf.distribute.get_strategy().num_replicas_in_sync == 1
    if not weight_decay:
        return FastAdam(rate) if is_alone else keras.optimizers.Adam(rate)
    optimizer = (FastAdamW if is_alone else keras.optimizers.AdamW)(rate, weight_decay=weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer


def _handle(variable: keras.Variable | tf.Variable) -> tf.Tensor:
    """Where TensorFlow keeps a variable; Keras hands over its own variables or those behind them."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
