"""Batches of pictures or of cached features, as `tf.data`: augmented on the way, made while the last one is learned.

What an epoch sees, its order and its augmentation derive from (seed, epoch) alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from core.augmentation import Changes, apply_changes, draw_changes
from core.balance import weigh_classes
from core.config import RunConfig
from core.features import Features
from core.jobs import Report
from core.phases import Phase
from core.pixels import Pixels

_ORDER, _AUGMENTATION = 1, 2  # separate streams of random numbers
_AHEAD = 2  # batches that are ready before they are asked for
_Draw = Callable[[np.ndarray, np.ndarray], object]  # (indices of pictures, their positions in train) -> inputs


class PixelBatches:
    """Batches of pictures for a network that is trained from its input on.

    Args:
        channels: that it wants, 3, or None where grey pictures may have one.
    """

    def __init__(self, pixels: Pixels, config: RunConfig, channels: int | None = 3) -> None:
        self._pixels, self._config, self._channels = pixels, config, channels
        self._signature = tf.TensorSpec((None, pixels.size, pixels.size, None), tf.uint8)

    def prepare(self, first_epoch: int, last_epoch: int, report: Report) -> int:
        """The last epoch: what all of them learn from is there already."""
        return last_epoch

    def training(self, first_epoch: int, last_epoch: int) -> tf.data.Dataset:
        """All batches of a range of epochs (numbers from 1), one after the other."""

        def open_epoch(epoch: int) -> _Draw:
            changes = self._changes(epoch) if self._config.augment else None

            def draw(indices: np.ndarray, positions: np.ndarray) -> np.ndarray:
                images = self._pixels.take(indices)
                return images if changes is None else apply_changes(images, changes.part(positions))

            return draw

        batches = _training(self._pixels, self._config, open_epoch, self._signature, first_epoch, last_epoch)
        return batches.map(_apply(self._finish)).prefetch(_AHEAD)

    def validation(self) -> tf.data.Dataset:
        """All batches of validation, as they are."""
        batches = _validation(self._pixels, self._config, self._pixels.take, self._signature)
        return batches.map(_apply(self._finish)).prefetch(_AHEAD)

    def _finish(self, images: tf.Tensor) -> tf.Tensor:
        """A batch has one channel if all its pictures are grey, else three: known only when it comes."""
        images = tf.cast(images, tf.float32)
        if self._channels is None:
            return images
        wanted = tf.concat([tf.shape(images)[:3], [self._channels]], axis=0)
        return tf.ensure_shape(tf.broadcast_to(images, wanted), (None, *images.shape[1:3], self._channels))

    def _changes(self, epoch: int) -> Changes:
        n = len(self._pixels.splits["train"])
        return draw_changes(self._config, n, self._pixels.size, (self._config.seed, epoch, _AUGMENTATION))


class FeatureBatches:
    """Batches of the cached outputs of a phase's cut; its epochs learn from the augmented views in turn."""

    def __init__(self, pixels: Pixels, config: RunConfig, features: Features, phase: Phase) -> None:
        self._pixels, self._config, self._features, self._phase = pixels, config, features, phase
        self._layer = phase.cut or ""

    def prepare(self, first_epoch: int, last_epoch: int, report: Report) -> int:
        """Compute what an epoch learns from.

        Returns:
            The last epoch for which everything is there then.

        Raises:
            StudioError: the disk is full, or somebody asked for the end.
        """
        self._features.prepare(self._view(first_epoch), report)
        ready = first_epoch
        while ready < last_epoch and self._features.has(self._view(ready + 1)):
            ready += 1
        return ready

    def training(self, first_epoch: int, last_epoch: int) -> tf.data.Dataset:
        """All batches of a range of epochs (numbers from 1), one after the other."""

        def open_epoch(epoch: int) -> _Draw:
            view = self._features.train(self._layer, self._view(epoch))
            return lambda indices, positions: view[positions]

        batches = _training(self._pixels, self._config, open_epoch, self._signature(), first_epoch, last_epoch)
        return batches.map(_apply(_as_float)).prefetch(_AHEAD)

    def validation(self) -> tf.data.Dataset:
        """All batches of validation, as they are."""
        first = {int(index): at for at, index in enumerate(self._pixels.splits["validation"])}
        outputs = self._features.validation(self._layer)

        def gather(indices: np.ndarray) -> np.ndarray:
            start = first[int(indices[0])]
            return outputs[start : start + len(indices)]

        batches = _validation(self._pixels, self._config, gather, self._signature())
        return batches.map(_apply(_as_float)).prefetch(_AHEAD)

    def _view(self, epoch: int) -> int:
        return self._features.view_for(self._layer, epoch - self._phase.first)

    def _signature(self) -> tf.TensorSpec:
        return tf.TensorSpec((None, *self._features.validation(self._layer).shape[1:]), tf.float16)


def steps_per_epoch(pixels: Pixels, config: RunConfig) -> int:
    """Number of batches of an epoch."""
    return -(-len(pixels.splits["train"]) // config.batch_size)


def sample_weights(labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Weight of each class so that all count the same, with mean 1 over the pictures; shape (n_classes,)."""
    counts = np.bincount(labels, minlength=n_classes)
    return np.array(list(weigh_classes({str(at): int(n) for at, n in enumerate(counts)}).values()), np.float32)


def _apply(change: Callable[..., tf.Tensor]) -> Callable[..., tuple[tf.Tensor, ...]]:
    """Change the inputs of a batch and leave targets and weights as they are."""

    @tf.autograph.experimental.do_not_convert
    def changed(inputs: tf.Tensor, *rest: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (change(inputs), *rest)

    return changed


def _as_float(features: tf.Tensor) -> tf.Tensor:
    return tf.cast(features, tf.float32)


def _training(
    pixels: Pixels,
    config: RunConfig,
    open_epoch: Callable[[int], _Draw],
    signature: object,
    first_epoch: int,
    last_epoch: int,
) -> tf.data.Dataset:
    train = pixels.splits["train"]
    weights = np.ones(pixels.n_classes, np.float32)
    if config.class_weights:
        weights = sample_weights(pixels.labels[train], pixels.n_classes)

    def batches() -> Iterator[tuple[object, np.ndarray, np.ndarray]]:
        for epoch in range(first_epoch, last_epoch + 1):
            draw = open_epoch(epoch)
            order = np.random.default_rng((config.seed, epoch, _ORDER)).permutation(len(train))
            for at in range(0, len(order), config.batch_size):
                positions = np.sort(order[at : at + config.batch_size])  # in the order of the file: fewer page faults
                indices = train[positions]
                yield (
                    draw(indices, positions),
                    pixels.one_hot(indices),
                    weights[pixels.labels[indices]],
                )

    targets = (tf.TensorSpec((None, pixels.n_classes), tf.float32), tf.TensorSpec((None,), tf.float32))
    n_batches = (last_epoch - first_epoch + 1) * steps_per_epoch(pixels, config)
    return _counted(tf.data.Dataset.from_generator(batches, output_signature=(signature, *targets)), n_batches)


def _validation(
    pixels: Pixels, config: RunConfig, gather: Callable[[np.ndarray], np.ndarray], signature: object
) -> tf.data.Dataset:
    indices = pixels.splits["validation"]

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for at in range(0, len(indices), config.batch_size):
            part = indices[at : at + config.batch_size]
            yield gather(part), pixels.one_hot(part)

    target = tf.TensorSpec((None, pixels.n_classes), tf.float32)
    n_batches = -(-len(indices) // config.batch_size)
    return _counted(tf.data.Dataset.from_generator(batches, output_signature=(signature, target)), n_batches)


def _counted(batches: tf.data.Dataset, n_batches: int) -> tf.data.Dataset:
    options = tf.data.Options()
    # There is nothing to tune: the numbers of threads and of batches ahead are given. Its thread sleeps in periods that
    # double, and whoever closes the iterator at the end of a phase waits, up to 31 s, until it wakes up.
    options.autotune.enabled = False
    return batches.apply(tf.data.experimental.assert_cardinality(n_batches)).with_options(options)
