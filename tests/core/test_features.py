"""Pixels and features: made once, shared, keyed by what they depend on, bounded. A made-up backbone, no TensorFlow."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from PIL import Image

from core import cache
from core.config import RunConfig, make_config
from core.datasets import Dataset, read_dataset, read_manifest
from core.errors import RunError
from core.features import ONNX, Features, backbone_key, count_missing, find_features, views_that_fit
from core.importing import create_import, run_import
from core.phases import Phase
from core.pixels import Pixels, load_pixels
from core.runs import Run, RunStopped
from core.scans import fit_scan, load_scan
from core.workspace import remove_remains

KEY = {"architecture": "mobilenet_v2", "weights": "made up", "layers": ["pooled", "cut"], "format": 1}
FINE_TUNING = Phase("fine-tuning", 4, 11, 1e-4, "cut")


def quietly(message: str, done: int, total: int) -> None:
    """A report to nobody."""


def to_png(pixels: np.ndarray) -> bytes:
    """A picture as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def put_backbone() -> None:
    """A backbone whose cut gives the mean of each channel, and whose end gives it with the other sign."""
    pixels = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 224, 224, 3])
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 3]) for name in ("pooled", "cut")]
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[1, 2])
    cut = helper.make_node("ReduceMean", ["pixels", "axes"], ["cut"], keepdims=0)
    end = helper.make_node("Neg", ["cut"], ["pooled"])
    graph = helper.make_graph([axes, cut, end], "backbone", [pixels], outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    with cache.new_entry(cache.BACKBONES, KEY) as folder:
        onnx.save(model, folder / ONNX)


def find(dataset: Dataset, report: Callable[[str, int, int], None] = quietly, **changes: object) -> Features | None:
    """Features of a data set for settings that differ from the defaults."""
    config = settings(dataset, **changes)
    return find_features(KEY, dataset, load_pixels(dataset, 224, quietly), config, report)


def settings(dataset: Dataset, **changes: object) -> RunConfig:
    """Settings of a run with two augmented views."""
    return make_config(dataset, "mobilenet_v2", {"augmented_views": 2, "weights": "imagenet"} | changes)


def test_pixels_are_what_the_decoder_gives_grey_with_one_channel_and_colour_with_three(
    make_zip: Callable[..., Path],
) -> None:
    rng = np.random.default_rng(1)
    colour = rng.integers(0, 255, (30, 30, 3)).astype(np.uint8)
    members: dict[str, bytes | None] = {f"a/{n}.png": None for n in range(6)} | {f"b/{n}.png": None for n in range(6)}
    dataset = run_import(create_import(path=make_zip(members | {"b/colour.png": to_png(colour)})))
    pixels = load_pixels(dataset, 20, quietly)
    assert (pixels.grey.shape, pixels.colour.shape) == ((12, 20, 20, 1), (1, 20, 20, 3))
    for at, picture in enumerate(read_manifest(dataset)):
        taken = pixels.take(np.array([at]))
        expected = fit_scan(load_scan(dataset.folder / picture.stored), 20, 3 if picture.colour else 1)
        assert np.array_equal(taken[0], expected)
    everything = pixels.take(np.arange(13))
    assert everything.shape == (13, 20, 20, 3)
    grey = np.flatnonzero(~pixels.has_colour)
    assert np.array_equal(everything[grey], np.repeat(pixels.take(grey), 3, axis=3))


def test_pictures_are_decoded_once(tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_pixels(tiny_dataset, 32, quietly)
    monkeypatch.setattr("core.pixels.load_scan", lambda *_: pytest.fail("decoded again"))
    again = load_pixels(tiny_dataset, 32, quietly)
    assert np.array_equal(first.grey, again.grey)
    assert isinstance(again.grey, np.memmap)


def test_decoding_that_was_stopped_leaves_nothing_and_is_done_anew(tiny_dataset: Dataset) -> None:
    def stop(*_: object) -> None:
        raise RunStopped("stopped")

    with pytest.raises(RunStopped):
        load_pixels(tiny_dataset, 32, stop)
    assert list((tiny_dataset.folder / "cache").iterdir()) == []
    assert isinstance(load_pixels(tiny_dataset, 32, quietly), Pixels)


def test_damaged_pixels_are_decoded_anew(tiny_dataset: Dataset) -> None:
    good = load_pixels(tiny_dataset, 32, quietly).grey.copy()
    (tiny_dataset.folder / "cache" / "pixels-32" / "grey.npy").write_bytes(b"\x93NUMPY rubbish")
    assert np.array_equal(load_pixels(tiny_dataset, 32, quietly).grey, good)


def test_without_a_ready_backbone_there_are_no_features(tiny_dataset: Dataset) -> None:
    assert find(tiny_dataset) is None


def find_all(dataset: Dataset, **changes: object) -> Features:
    """Features of which every view was computed."""
    features = find(dataset, **changes)
    assert features is not None
    for view in range(1 + features.n_views):
        features.prepare(view, quietly)
    return features


def test_features_are_what_the_backbone_says_of_each_picture_and_view(tiny_dataset: Dataset) -> None:
    put_backbone()
    features = find_all(tiny_dataset)
    pixels = load_pixels(tiny_dataset, 224, quietly)
    train = pixels.take(pixels.splits["train"])
    views = [features.train("cut", view) for view in range(3)]
    expected = np.repeat(train.mean(axis=(1, 2)), 3, axis=1)
    assert np.allclose(views[0], expected, rtol=1e-3)
    assert np.allclose(features.train("pooled", 0), -expected, rtol=1e-3)
    assert not np.allclose(views[1], expected, rtol=1e-3), "a view is changed"
    assert not np.allclose(views[1], views[2], rtol=1e-3), "each in its own way"
    validation = np.repeat(pixels.take(pixels.splits["validation"]).mean(axis=(1, 2)), 3, axis=1)
    assert np.allclose(features.validation("cut"), validation, rtol=1e-3)
    assert np.allclose(features.validation("pooled"), -validation, rtol=1e-3)


def test_a_view_is_computed_before_the_first_epoch_that_learns_from_it(tiny_dataset: Dataset) -> None:
    put_backbone()
    features = find(tiny_dataset)
    assert features is not None
    n_train = tiny_dataset.n_in("train")
    assert [features.has(view) for view in range(3)] == [True, False, False]
    assert features.count_missing_views(FINE_TUNING) == 2 * n_train
    assert features.count_missing_views(replace(FINE_TUNING, last=6)) == n_train, "three epochs come to two views"
    features.prepare(1, quietly)
    assert [features.has(view) for view in range(3)] == [True, True, False]
    assert features.count_missing_views(FINE_TUNING) == n_train


def test_epochs_take_turns_with_the_views_and_a_phase_before_the_last_sees_none(tiny_dataset: Dataset) -> None:
    put_backbone()
    features = find(tiny_dataset)
    assert features is not None
    assert [features.view_for("cut", epoch) for epoch in range(8)] == [0, 0, 1, 1, 2, 2, 0, 0]
    assert [features.view_for("pooled", epoch) for epoch in range(3)] == [0, 0, 0]
    assert features.count_missing_views(Phase("head", 1, 3, 1e-3, "pooled")) == 0


def test_of_a_view_nothing_behind_the_cut_is_kept(tiny_dataset: Dataset) -> None:
    put_backbone()
    features = find_all(tiny_dataset)
    with pytest.raises(KeyError):
        features.train("pooled", 1)


def test_features_that_another_run_removed_are_asked_for_again(tiny_dataset: Dataset) -> None:
    put_backbone()
    features = find(tiny_dataset)
    assert features is not None
    before = np.array(features.train("cut", 0))
    cache.clear_cache()
    assert np.array_equal(features.train("cut", 0), before), "what is open stays"
    features.prepare(1, quietly)
    assert features.has(1)


def test_damaged_features_are_computed_anew(tiny_dataset: Dataset, workspace: Path) -> None:
    put_backbone()
    before = np.array(find_all(tiny_dataset).train("cut", 1))
    for file in (workspace / "cache" / "features").glob("*/cut.npy"):
        file.write_bytes(file.read_bytes()[:-20])
    assert np.array_equal(find_all(tiny_dataset).train("cut", 1), before)


def test_runs_share_what_does_not_depend_on_their_settings(tiny_dataset: Dataset) -> None:
    put_backbone()
    n_train, n_validation = tiny_dataset.n_in("train"), tiny_dataset.n_in("validation")
    everything = (n_train + n_validation, 2 * n_train)
    assert count_missing(KEY, tiny_dataset, settings(tiny_dataset), 2) == everything
    find_all(tiny_dataset)

    def missing(**changes: object) -> tuple[int, int]:
        config = settings(tiny_dataset, **changes)
        return count_missing(KEY, tiny_dataset, config, config.augmented_views)

    assert missing() == (0, 0)
    assert missing(learning_rate=0.5, epochs=13, dropout=0.1, batch_size=4) == (0, 0)
    assert missing(augmented_views=1) == (0, 0)
    assert missing(seed=7) == (0, 2 * n_train), "views are drawn anew, the pictures as they are remain"
    assert missing(rotation=30.0) == (0, 2 * n_train)
    assert missing(seed=7, epochs=7, head_epochs=3) == (0, n_train), "four epochs come to one view"
    assert missing(seed=7, epochs=4, head_epochs=2) == (0, 0)
    assert count_missing(KEY | {"weights": "others"}, tiny_dataset, settings(tiny_dataset), 2) == everything


def test_the_cache_stays_within_its_limit_and_the_longest_unused_goes_first(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_backbone()
    find_all(tiny_dataset, seed=1)
    find_all(tiny_dataset, seed=2)
    kept = cache.find_entry(cache.BACKBONES, KEY)
    assert kept is not None
    before = cache.measure_cache()
    monkeypatch.setenv("STUDIO_MAX_CACHE_MB", "0")
    cache.make_room(0, keep=[kept])
    assert cache.find_entry(cache.BACKBONES, KEY) is not None
    assert 0 < cache.measure_cache() < before
    assert count_missing(KEY, tiny_dataset, settings(tiny_dataset, seed=1), 2).views > 0
    assert cache.clear_cache() > 0
    assert cache.measure_cache() == 0


def test_without_room_for_the_pictures_there_are_no_features(
    tiny_dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_backbone()
    monkeypatch.setenv("STUDIO_MAX_CACHE_MB", "0")
    assert find(tiny_dataset) is None


@pytest.mark.parametrize(
    ("changes", "room_for", "expected"),
    [
        ({}, 3, 2),
        ({}, 2, 1),
        ({}, 1, None),  # augmentation is never dropped for want of room
        ({"augment": False}, 1, 0),
        ({"augmented_views": 0}, 1, 0),
        ({"augment": False}, 0, None),
    ],
)
def test_views_that_fit(
    tiny_dataset: Dataset,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, object],
    room_for: int,
    expected: int | None,
) -> None:
    """Room for so many passes over 100 training pictures, and one over 10 of validation, of 2**20 bytes each."""
    monkeypatch.setenv("STUDIO_MAX_CACHE_MB", str(100 * room_for + 10))
    assert views_that_fit(settings(tiny_dataset, **changes), 100, 10, 2**20) == expected


def test_computing_that_was_stopped_leaves_no_half_entry(tiny_dataset: Dataset) -> None:
    put_backbone()

    def stop(*_: Any) -> None:
        raise RunStopped("stopped")

    with pytest.raises(RunStopped):
        find(tiny_dataset, stop)
    missing = count_missing(KEY, tiny_dataset, settings(tiny_dataset), 2)
    assert missing.whole >= tiny_dataset.n_in("train")
    assert find(tiny_dataset) is not None


def test_what_a_killed_process_left_in_a_cache_is_cleared(tiny_dataset: Dataset, workspace: Path) -> None:
    remains = [workspace / "cache" / "features" / ".new-x-1-1", tiny_dataset.folder / "cache" / ".new-pixels-32-1-1"]
    for folder in remains:
        folder.mkdir(parents=True)
        os.utime(folder, (0, 0))
    remove_remains()
    assert not any(folder.exists() for folder in remains)


def test_a_run_without_a_model_cannot_lend_its_weights_and_says_so(make_run: Callable[..., Run]) -> None:
    lender = make_run("failed")
    config = make_config(read_dataset(lender.config.dataset_id), "mobilenet_v2", {"weights": lender.run_id})
    with pytest.raises(RunError, match="no model to lend"):
        backbone_key(config, ("pooled_features",))
