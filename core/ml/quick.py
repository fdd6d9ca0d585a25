"""The same network with less work in each training step.

What comes out of a quick network, and the gradients of its variables, are those of the network that it was made of, up
to rounding; the variables are the same objects, so training one trains the other.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf
from keras import layers, ops

from core.ml.pooling import PooledConvolution, can_pool, kernel_for


def quicken(model: keras.Model) -> keras.Model:
    """A quick form of a functional model; the model itself where several devices learn together.

    Where pictures go straight into a convolution, it takes them with three channels or with one, which stands for three
    that are the same: the channels of its `input_shape` are None then.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync > 1:
        return model
    shape = tuple(model.input_shape[1:])
    if _has_alike_channels(model):
        shape = (*shape[:-1], None)
    inputs = keras.Input(shape, name=model.input.name, dtype=model.input.dtype)
    return keras.models.clone_model(
        model, input_tensors=inputs, clone_function=lambda layer: layer, call_function=_Rewriting()
    )


class _Rewriting:
    """Calls the layers of a network one after the other, some of them in another way.

    A layer that turns out not to be needed has been called in vain: what nothing hangs on is no part of the new model.
    """

    def __init__(self) -> None:
        self._origins: dict[int, tuple[keras.Layer, keras.KerasTensor, keras.KerasTensor]] = {}

    def __call__(self, layer: keras.Layer, *arguments: Any, **options: Any) -> Any:
        if len(arguments) != 1 or not isinstance(arguments[0], keras.KerasTensor):
            return layer(*arguments, **options)
        outputs = self._rewrite(layer, arguments[0])
        if outputs is None:
            outputs = layer(arguments[0], **options)
        if isinstance(outputs, keras.KerasTensor):
            self._origins[id(outputs)] = (layer, arguments[0], outputs)  # kept alive, so that its id stays its own
        return outputs

    def _rewrite(self, layer: keras.Layer, inputs: keras.KerasTensor) -> keras.KerasTensor | None:
        before, its_inputs = self._origins.get(id(inputs), (None, inputs))[:2]
        if (isinstance(layer, layers.Conv2D) and inputs.shape[-1] is None) or _is_product(layer):
            return _Convolution(layer)(inputs)
        if isinstance(layer, layers.BatchNormalization) and not layer.trainable and _is_linear(before):
            return _Convolution(before, norm=layer)(its_inputs)
        if isinstance(layer, layers.MaxPooling2D) and isinstance(before, layers.ReLU):
            # The largest of some is the same before and after what keeps their order, and then there is less of it.
            return before(layer(its_inputs))
        if can_pool(before, layer):
            return PooledConvolution(before, layer)(its_inputs)
        return None


class _Convolution(layers.Layer):
    """A convolution and what can be done to its kernel instead of to its many outputs.

    Args:
        norm: frozen batch normalisation behind it. Its factor goes into the kernel, in every step, and its offset
            becomes the bias.
    """

    def __init__(self, layer: keras.Layer, norm: layers.BatchNormalization | None = None) -> None:
        # Kernels are changed in float32 and shortened then; Keras would shorten them first.
        super().__init__(name=f"quick_{layer.name}", dtype="float32", autocast=False)
        self._layer, self._norm = layer, norm

    def build(self, input_shape: tuple[int, ...]) -> None:
        """Nothing of its own."""

    def call(self, inputs: keras.KerasTensor) -> keras.KerasTensor:
        """The outputs of the convolution, and of the batch normalisation behind it."""
        kernel, bias = kernel_for(self._layer, inputs), self._layer.bias
        if self._norm is not None:
            factor, offset = _factor_and_offset(self._norm)
            bias = offset if bias is None else bias * factor + offset
            kernel = kernel * ops.reshape(factor, (*kernel.shape[2:],) if self._is_depthwise else (1, -1))
        dtype = self._layer.compute_dtype
        outputs = self._convolve(ops.cast(inputs, dtype), ops.cast(kernel, dtype))
        dtype = (self._norm or self._layer).compute_dtype
        outputs = ops.cast(outputs, dtype)
        if bias is not None:
            outputs = ops.add(outputs, ops.cast(bias, dtype))
        return self._layer.activation(outputs)

    @property
    def _is_depthwise(self) -> bool:
        return isinstance(self._layer, layers.DepthwiseConv2D)

    def _convolve(self, inputs: keras.KerasTensor, kernel: keras.KerasTensor) -> keras.KerasTensor:
        layer = self._layer
        if _is_product(layer):
            flat = ops.matmul(ops.reshape(inputs, (-1, inputs.shape[-1])), kernel[0, 0])
            return ops.reshape(flat, (-1, *inputs.shape[1:3], kernel.shape[-1]))
        convolve = ops.depthwise_conv if self._is_depthwise else ops.conv
        return convolve(inputs, kernel, layer.strides, layer.padding, layer.data_format, layer.dilation_rate)


def _factor_and_offset(norm: layers.BatchNormalization) -> tuple[keras.KerasTensor, keras.KerasTensor]:
    """What a frozen batch normalisation multiplies by and adds, per channel, float32."""
    factor = ops.rsqrt(norm.moving_variance + norm.epsilon)
    if norm.gamma is not None:
        factor = factor * norm.gamma
    offset = -norm.moving_mean * factor
    return factor, offset if norm.beta is None else offset + norm.beta


def _has_alike_channels(model: keras.Model) -> bool:
    """Whether the pictures go straight into a convolution that sees the same in all channels."""
    range_layer, first = [*model.layers[1:3], None, None][:2]
    return (
        model.input_shape[-1] == 3
        and isinstance(range_layer, layers.Rescaling)
        and all(isinstance(value, (int, float)) for value in (range_layer.scale, range_layer.offset))
        and type(first) is layers.Conv2D
        and first.groups == 1
    )


def _is_product(layer: keras.Layer) -> bool:
    """Whether a convolution only multiplies by a matrix at each point, in a short format.

    TensorFlow's matrix products gain more from one than its convolutions do.
    """
    return (
        type(layer) is layers.Conv2D
        and layer.compute_dtype != "float32"
        and tuple(layer.kernel_size) == tuple(layer.strides) == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


def _is_linear(layer: keras.Layer | None) -> bool:
    if not isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)):
        return False
    return getattr(layer.activation, "__name__", "") == "linear"
