"""From a data set to batches: every picture is decoded once per size and memory-mapped, never in an epoch.

What an epoch sees, its order and its augmentation derive from (seed, epoch) alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf

from core.augmentation import draw_transforms
from core.balance import weigh_classes
from core.config import RunConfig
from core.datasets import Dataset, read_manifest
from core.files import check_free_space, replacing
from core.jobs import Report
from core.scans import fit_scan, load_scan
from core.settings import read_settings

_ORDER, _AUGMENTATION, _VIEW = 1, 2, 3  # separate streams of random numbers


@dataclass(frozen=True, eq=False)
class Pixels:
    """All pictures of a data set at the size of a network.

    Attributes:
        images: memory-mapped uint8 (n, size, size, channels), channels 1 (all grey) or 3.
        labels: shape (n,).
        splits: split -> indices.
    """

    images: np.ndarray
    labels: np.ndarray
    splits: dict[str, np.ndarray]
    n_classes: int

    @property
    def size(self) -> int:
        """Side of the pictures."""
        return int(self.images.shape[1])

    def one_hot(self, indices: np.ndarray) -> np.ndarray:
        """Targets, float32 (n, n_classes)."""
        return np.eye(self.n_classes, dtype=np.float32)[self.labels[indices]]


def load_pixels(dataset: Dataset, size: int, report: Report) -> Pixels:
    """Decode a data set at a size, or map what an earlier run has decoded."""
    pictures = read_manifest(dataset)
    index = {name: at for at, name in enumerate(dataset.class_names)}
    splits = np.array([picture.split for picture in pictures])
    channels = 3 if any(picture.colour for picture in pictures) else 1
    cache = dataset.folder / "cache" / f"pixels-{size}.npy"
    shape = (len(pictures), size, size, channels)
    images = _mapped(cache, shape)
    if images is None:
        cache.parent.mkdir(exist_ok=True)
        check_free_space(cache.parent, int(np.prod(shape)))
        with replacing(cache) as temporary:
            written = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            paths = [dataset.folder / picture.stored for picture in pictures]
            with ThreadPoolExecutor(read_settings().n_threads) as pool:
                fitted = pool.map(lambda path: fit_scan(load_scan(path), size, channels), paths)
                for at, pixels in enumerate(fitted):
                    written[at] = pixels
                    if at % 50 == 0:
                        report("Decoding pictures", at, len(pictures))
            written.flush()
            del written
        images = np.load(cache, mmap_mode="r")
    labels = np.array([index[picture.label] for picture in pictures])
    by_split = {split: np.flatnonzero(splits == split) for split in ("train", "validation", "test")}
    return Pixels(images, labels, by_split, len(dataset.class_names))


class PixelBatches:
    """Batches of pictures, augmented on the way, for a network that is trained from its input on."""

    def __init__(self, pixels: Pixels, config: RunConfig) -> None:
        self._pixels, self._config = pixels, config
        self.shape = (pixels.size, pixels.size, 3)

    def training(self, first_epoch: int, last_epoch: int) -> tf.data.Dataset:
        """All batches of a range of epochs (numbers from 1), one after the other."""

        def draw(indices: np.ndarray, positions: np.ndarray, epoch: int) -> tuple[np.ndarray, np.ndarray]:
            return self._pixels.images[indices], self._transforms(epoch)[positions]

        size, channels = self._pixels.size, self._pixels.images.shape[-1]
        signature = (
            tf.TensorSpec((None, size, size, channels), tf.uint8),
            tf.TensorSpec((None, 8), tf.float32),
        )
        batches = _training(self._pixels, self._config, draw, signature, first_epoch, last_epoch)
        warp = warp_images if self._config.augment else _plain_images
        return batches.map(_apply(lambda x: warp(*x)), num_parallel_calls=2).prefetch(2)

    def validation(self) -> tf.data.Dataset:
        """All batches of validation, as they are."""
        size, channels = self._pixels.size, self._pixels.images.shape[-1]
        signature = tf.TensorSpec((None, size, size, channels), tf.uint8)
        batches = _validation(self._pixels, self._config, lambda indices: self._pixels.images[indices], signature)
        return batches.map(_apply(_as_input)).prefetch(2)

    def _transforms(self, epoch: int) -> np.ndarray:
        n = len(self._pixels.splits["train"])
        return draw_transforms(self._config, n, self._pixels.size, (self._config.seed, epoch, _AUGMENTATION))


class FeatureBatches:
    """Batches of cached backbone features; each epoch draws one of the augmented views of every picture.

    Args:
        train: features of the training pictures, (views, n_train, …); view 0 is the picture as it is.
        validation: features of the validation pictures, (n_validation, …).
    """

    def __init__(self, pixels: Pixels, config: RunConfig, train: np.ndarray, validation: np.ndarray) -> None:
        self._pixels, self._config = pixels, config
        self._train, self._validation = train, validation
        self.shape = train.shape[2:]

    def training(self, first_epoch: int, last_epoch: int) -> tf.data.Dataset:
        """All batches of a range of epochs (numbers from 1), one after the other."""

        def draw(indices: np.ndarray, positions: np.ndarray, epoch: int) -> np.ndarray:
            rng = np.random.default_rng((self._config.seed, epoch, _VIEW))
            views = np.asarray(rng.integers(0, len(self._train), self._train.shape[1]))
            return self._train[views[positions], positions]

        signature = tf.TensorSpec((None, *self.shape), self._train.dtype)
        batches = _training(self._pixels, self._config, draw, signature, first_epoch, last_epoch)
        return batches.map(_apply(_as_float)).prefetch(2)

    def validation(self) -> tf.data.Dataset:
        """All batches of validation, as they are."""
        order = {int(index): at for at, index in enumerate(self._pixels.splits["validation"])}
        signature = tf.TensorSpec((None, *self.shape), self._validation.dtype)

        def gather(indices: np.ndarray) -> np.ndarray:
            return self._validation[[order[int(index)] for index in indices]]

        batches = _validation(self._pixels, self._config, gather, signature)
        return batches.map(_apply(_as_float)).prefetch(2)


def warp_images(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    """Apply one affine transform per picture: uint8 (n, s, s, c) to float32 (n, s, s, 3). All changes in one pass."""
    images = tf.cast(images, tf.float32)
    warped = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transforms,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="CONSTANT",
    )
    return _as_input(warped)


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


def _plain_images(images: tf.Tensor, transforms: tf.Tensor) -> tf.Tensor:
    return _as_input(images)


def _as_input(images: tf.Tensor) -> tf.Tensor:
    images = tf.cast(images, tf.float32)
    return tf.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _training(
    pixels: Pixels,
    config: RunConfig,
    draw: Callable[[np.ndarray, np.ndarray, int], object],
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
            order = np.random.default_rng((config.seed, epoch, _ORDER)).permutation(len(train))
            for at in range(0, len(order), config.batch_size):
                positions = np.sort(order[at : at + config.batch_size])  # in the order of the file: fewer page faults
                indices = train[positions]
                yield (
                    draw(indices, positions, epoch),
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
    return batches.apply(tf.data.experimental.assert_cardinality(n_batches))


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        images = np.load(path, mmap_mode="r")
    except (OSError, ValueError):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None
