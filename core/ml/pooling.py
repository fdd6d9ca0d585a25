"""A convolution, its ReLU and the largest of each window behind it, as one step forwards and one backwards.

Taken apart, a training goes over the convolution's outputs, the largest thing in a small network, once more for the
bias, once for its gradient and once for the ReLU. Together TensorFlow adds and cuts off within the convolution, and
what comes back is cut off and summed where it is small: behind the pooling.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

Gradient = Callable[[tf.Tensor], tuple[tf.Tensor, ...]]


class PooledConvolution(layers.Layer):
    """What a convolution with a ReLU, and maximum pooling behind it, give; the variables stay the convolution's."""

    def __init__(self, convolution: layers.Conv2D, pooling: layers.MaxPooling2D) -> None:
        # Kernels are changed in float32 and shortened then; Keras would shorten them first.
        super().__init__(name=f"pooled_{convolution.name}", dtype="float32", autocast=False)
        self._layer = convolution
        self._strides, self._padding = _per_axis(convolution.strides), convolution.padding.upper()
        self._pooling = {
            "ksize": _per_axis(pooling.pool_size),
            "strides": _per_axis(pooling.strides),
            "padding": pooling.padding.upper(),
        }

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Nothing of its own."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """Pixels or features (n, height, width, channels) to the pooled ones."""
        kernel, bias = kernel_for(self._layer, inputs), ops.convert_to_tensor(self._layer.bias)
        dtype = self._layer.compute_dtype
        return self._convolve_and_pool(ops.cast(inputs, dtype), ops.cast(kernel, dtype), ops.cast(bias, dtype))

    def _convolve_and_pool(self, inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
        @tf.custom_gradient
        def forward(inputs: tf.Tensor, kernel: tf.Tensor, bias: tf.Tensor) -> tuple[tf.Tensor, Gradient]:
            sums = tf.raw_ops.Conv2D(input=inputs, filter=kernel, strides=self._strides, padding=self._padding)
            outputs = tf.nn.relu(tf.nn.bias_add(sums, bias))
            pooled = tf.raw_ops.MaxPool(input=outputs, **self._pooling)
            return pooled, lambda gradient: self._differentiate(gradient, inputs, kernel, outputs, pooled)

        return forward(inputs, kernel, bias)

    def _differentiate(
        self, gradient: tf.Tensor, inputs: tf.Tensor, kernel: tf.Tensor, outputs: tf.Tensor, pooled: tf.Tensor
    ) -> tuple[tf.Tensor, ...]:
        """Gradients of inputs, kernel and bias; that of inputs nobody asks for is not computed."""
        # A window's largest is above zero before and after the ReLU, or nothing goes back through it.
        gradient = tf.raw_ops.ReluGrad(gradients=gradient, features=pooled)
        of_bias = tf.reduce_sum(gradient, (0, 1, 2))
        spread = tf.raw_ops.MaxPoolGrad(orig_input=outputs, orig_output=pooled, grad=gradient, **self._pooling)
        common: dict[str, Any] = {"out_backprop": spread, "strides": self._strides, "padding": self._padding}
        of_kernel = tf.raw_ops.Conv2DBackpropFilter(input=inputs, filter_sizes=tf.shape(kernel), **common)
        of_inputs = tf.raw_ops.Conv2DBackpropInput(input_sizes=tf.shape(inputs), filter=kernel, **common)
        return of_inputs, of_kernel, of_bias


def kernel_for(convolution: layers.Conv2D, inputs: tf.Tensor) -> tf.Tensor:
    """The kernel for inputs of as many channels as it has, or of one, which stands for so many that are all the same.

    How many there are may turn out only when a batch comes. TensorFlow takes the shape that one branch of a condition
    has for that of both, so there is none here.
    """
    kernel, n_channels = ops.convert_to_tensor(convolution.kernel), inputs.shape[-1]
    if n_channels is not None and n_channels > 1:
        return kernel
    n_channels = tf.shape(inputs)[-1]
    is_taken = (tf.range(n_channels)[:, None] == tf.range(kernel.shape[2])) | (n_channels == 1)
    return tf.linalg.matmul(tf.cast(is_taken, kernel.dtype), kernel)


def can_pool(convolution: keras.Layer | None, pooling: keras.Layer) -> bool:
    """Whether the two can be taken together."""
    if convolution is None or type(convolution) is not layers.Conv2D or type(pooling) is not layers.MaxPooling2D:
        return False
    return (
        getattr(convolution.activation, "__name__", "") == "relu"
        and convolution.use_bias
        and convolution.groups == 1
        and tuple(convolution.dilation_rate) == (1, 1)
        and convolution.data_format == pooling.data_format == "channels_last"
    )


def _per_axis(lengths: tuple[int, int]) -> tuple[int, int, int, int]:
    return (1, *lengths, 1)
