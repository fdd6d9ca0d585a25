"""The classic baseline, as notebooks have it: `python -m benchmarks.classic WHAT FOLDER …`, in a process of its own.

ImageDataGenerator decodes, resizes and warps every picture in each epoch; a frozen backbone computes the same features
again in each epoch; prediction is `model.predict` on one picture. Nothing of the studio is used. Prints a line of JSON
per epoch, or for the prediction.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

STARTED = time.perf_counter()
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["KERAS_BACKEND"] = "tensorflow"

SIZE, BATCH = 224, 32


def main() -> None:
    """Train or predict, as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("custom_cnn", "mobilenet_v2", "predict"))
    parser.add_argument("folder", type=Path, help="SPLIT/CLASS/PICTURE")
    parser.add_argument("--weights", type=Path, help="of the backbone without its top")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--test-after", type=int, default=10, metavar="EPOCH")
    parser.add_argument("--until", type=float, help="stop when validation accuracy has reached this")
    options = parser.parse_args()
    import keras

    keras.utils.set_random_seed(42)
    n_classes = sum(1 for folder in (options.folder / "train").iterdir() if folder.is_dir())
    if options.what == "predict":
        _predict(_build("mobilenet_v2", n_classes, options.weights), options.folder)
    else:
        _train(_build(options.what, n_classes, options.weights), options)


def _build(what: str, n_classes: int, weights: Path | None):  # type: ignore[no-untyped-def]
    import keras
    from keras import layers

    if what == "custom_cnn":
        bottom = [keras.Input((SIZE, SIZE, 3))]
        for depth in (32, 64, 128):
            bottom += [layers.Conv2D(depth, 3, activation="relu"), layers.MaxPooling2D()]
        bottom.append(layers.Flatten())
    else:
        backbone = keras.applications.MobileNetV2(include_top=False, weights=None, input_shape=(SIZE, SIZE, 3))
        if weights:
            backbone.load_weights(weights)
        backbone.trainable = False
        bottom = [backbone, layers.GlobalAveragePooling2D()]
    top = [layers.Dense(128, activation="relu"), layers.Dropout(0.5), layers.Dense(n_classes, activation="softmax")]
    model = keras.Sequential([*bottom, *top])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    return model


def _train(model, options: argparse.Namespace) -> None:  # type: ignore[no-untyped-def]
    import keras
    from keras.src.legacy.preprocessing.image import ImageDataGenerator

    def flow(split: str, shuffle: bool, **changes: object):  # type: ignore[no-untyped-def]
        generator = ImageDataGenerator(rescale=1 / 255, **changes)
        return generator.flow_from_directory(
            options.folder / split, (SIZE, SIZE), batch_size=BATCH, class_mode="categorical", shuffle=shuffle
        )

    train = flow("train", True, rotation_range=10, zoom_range=0.1, width_shift_range=0.05, height_shift_range=0.05,
                 horizontal_flip=True)  # fmt: skip
    validation, test = flow("validation", False), flow("test", False)

    class Recorder(keras.callbacks.Callback):
        reached = False

        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.started = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            now = time.perf_counter()
            row = {"epoch": epoch + 1, "seconds": now - self.started, "elapsed": now - STARTED, **(logs or {})}
            if row["epoch"] == options.test_after:
                row["test_accuracy"] = self.model.evaluate(test, verbose=0)[1]
            print(json.dumps(row), flush=True)
            is_tested = row["epoch"] >= options.test_after
            self.reached = self.reached or (options.until or 2) <= row["val_accuracy"]
            if self.reached and is_tested:
                self.model.stop_training = True

    model.fit(train, validation_data=validation, epochs=options.epochs, verbose=0, callbacks=[Recorder()])


def _predict(model, folder: Path) -> None:  # type: ignore[no-untyped-def]
    import numpy as np
    from keras.utils import img_to_array, load_img

    paths = sorted((folder / "test").glob("*/*"))[:40]
    times = []
    for path in paths:
        started = time.perf_counter()
        pixels = img_to_array(load_img(path, target_size=(SIZE, SIZE))) / 255
        model.predict(np.expand_dims(pixels, 0), verbose=0)
        times.append(1000 * (time.perf_counter() - started))
    print(json.dumps({"milliseconds": float(np.median(times[5:]))}))


if __name__ == "__main__":
    main()
