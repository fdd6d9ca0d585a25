"""The form of a run's settings says what a choice means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.catalog import ARCHITECTURES
from core.datasets import Dataset
from core.importing import create_import, run_import
from tests.pages.test_pages import open_page, words


def test_every_network_is_described_with_its_size_and_speed(tiny_dataset: Dataset) -> None:
    app = open_page("pages/2_Train.py")
    captions = app.radio(key="architecture").proto.captions
    for entry, caption in zip(ARCHITECTURES.values(), captions, strict=True):
        assert entry.good_for in caption
        assert f"{entry.parameters:g} M parameters, speed {entry.speed:g}×" in caption
    app.radio(key="architecture").set_value("mobilenet_v2").run()
    assert ARCHITECTURES["mobilenet_v2"].summary in words(app)
    assert "ImageNet weights: 9 MB" in words(app)


def test_the_weights_of_balanced_classes_are_shown(make_zip: Callable[..., Path]) -> None:
    members = {f"{split}/{label}/{n}.png": None for split in ("Train", "Test") for label in "ab" for n in range(8)}
    members |= {f"Train/b/{n}.png": None for n in range(8, 24)}
    dataset = run_import(create_import(path=make_zip(members), name="Uneven"))
    app = open_page("pages/2_Train.py")
    balance = app.toggle(key=f"setting_{dataset.dataset_id}_custom_cnn_class_weights")
    assert balance.value
    assert "Balanced: a scan counts a " in words(app)
    balance.set_value(False).run()
    assert "classes are not balanced" in words(app)
    assert not app.exception
