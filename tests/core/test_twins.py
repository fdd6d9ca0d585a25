"""Twins: the same picture in another guise is found, another picture is not."""

from __future__ import annotations

import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from core.audit import collect_groups
from core.datasets import Dataset, read_manifest
from core.likeness import SYMMETRIES, compare, compute_invariants, shrink, standardise
from core.samples import draw_phantom
from core.signatures import make_signature, read_detail, read_signatures
from core.twins import Twin, connect_pairs, find_twins


def phantom(number: int) -> np.ndarray:
    """A picture with a lesion, which no symmetry maps to itself."""
    return draw_phantom((0, 1, 3)[number % 3], (11, number))


def as_jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def resized(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def brightened(pixels: np.ndarray, factor: float, plus: float = 0) -> np.ndarray:
    return np.clip(pixels * factor + plus, 0, 255).astype(np.uint8)


def square(pixels: np.ndarray, side: int) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))


def search(pictures: list[np.ndarray], hashes: list[str] | None = None) -> tuple[list[Twin], list[list[int]]]:
    """Twins and groups of pictures of any size."""
    signatures = np.stack([make_signature(square(picture, 128)) for picture in pictures])
    names = hashes or [str(at) for at in range(len(pictures))]
    twins, groups = find_twins(signatures, names, lambda at: square(pictures[at], 128))
    return twins, collect_groups(groups)


def slices_of_one_head(n: int, step: float) -> list[np.ndarray]:
    """Neighbouring slices of a made-up volume: tissue that changes with depth by `step` blobs a slice."""
    rng = np.random.default_rng(5)
    waves = [(rng.normal(0, 9, 2), rng.normal(0, 6), rng.uniform(0, 6.3)) for _ in range(60)]
    down, across = np.mgrid[-1:1:256j, -1:1:256j]
    inside = np.hypot(down / 0.9, across / 0.7) < 1
    pictures = []
    for depth in np.arange(n) * step:
        tissue = sum(np.sin(a[0] * down + a[1] * across + b * depth + c) for a, b, c in waves)
        pictures.append(np.where(inside, np.clip(120 + 14 * tissue, 20, 255), 5).astype(np.uint8))
    return pictures


@pytest.mark.parametrize("symmetry", range(8))
def test_each_symmetry_is_found_and_named(symmetry: int) -> None:
    pictures = [phantom(number) for number in range(6)]
    change, name = SYMMETRIES[symmetry]
    # What has to be done to the second to lie on the first is the inverse of what was done to the first.
    inverse = {5: 6, 6: 5}.get(symmetry, symmetry)
    twins, groups = search([*pictures, as_jpeg(np.ascontiguousarray(SYMMETRIES[inverse][0](pictures[2])), 90)])
    assert groups == [[2, 6]]
    assert SYMMETRIES[twins[0].symmetry][1] == name
    assert np.array_equal(change(SYMMETRIES[inverse][0](pictures[2])), pictures[2])


@pytest.mark.parametrize(
    "disguise",
    [
        lambda p: as_jpeg(p, 40),
        lambda p: resized(p, 112, 112),
        lambda p: resized(p, 500, 400),
        lambda p: brightened(p, 1.25),
        lambda p: brightened(p, 0.7),
        lambda p: brightened(p, 1.0, 25),
        lambda p: as_jpeg(brightened(resized(p[:, ::-1], 150, 150), 1.15), 60),
        lambda p: as_jpeg(resized(np.rot90(p), 180, 180), 70),
    ],
    ids=["jpeg", "half", "stretched", "brighter", "darker", "lifted", "mirrored and all", "turned and all"],
)
def test_a_disguised_picture_is_found(disguise: object) -> None:
    pictures = [phantom(number) for number in range(12)]
    _, groups = search([*pictures, *[disguise(picture) for picture in pictures]])  # type: ignore[operator]
    assert groups == [[at, at + 12] for at in range(12)]


def test_pictures_of_the_same_kind_are_not_twins() -> None:
    assert search([phantom(number) for number in range(60)])[1] == []


@pytest.mark.parametrize("step", [0.05, 0.1])
def test_neighbouring_slices_of_one_head_are_not_twins(step: float) -> None:
    pictures = slices_of_one_head(12, step)
    alike = [float((standardise(a[None]) * standardise(b[None])).sum()) for a, b in pairwise(pictures)]
    assert min(alike) > 0.9
    assert search(pictures)[1] == []


def test_a_small_lesion_makes_another_picture() -> None:
    healthy = draw_phantom(2, (11, 1))
    down, across = np.mgrid[:224, :224]
    sick = np.where(np.hypot(down - 90, across - 130) < 9, 230, healthy).astype(np.uint8)
    assert search([healthy, sick])[1] == []


def test_many_copies_do_not_hide_other_twins() -> None:
    copies = [as_jpeg(phantom(0), 50 + at) for at in range(45)]
    _, groups = search([phantom(1), *copies, as_jpeg(phantom(1), 60)])
    assert groups == [[0, 46], list(range(1, 46))]


def test_the_same_pixels_are_copies_whatever_they_show() -> None:
    blank = np.zeros((64, 64), np.uint8)
    twins, groups = search([blank, phantom(0), blank, np.full((64, 64), 7, np.uint8)], ["a", "b", "a", "c"])
    assert groups == [[0, 2]]
    assert twins == [Twin(0, 2, 0, 1.0, copied=True, brightness=0.0)]


def test_nothing_and_one_picture_have_no_twins() -> None:
    assert search([phantom(0)])[1] == []
    twins, groups = find_twins(np.zeros((0, 64, 64), np.uint8), [], lambda at: phantom(at))
    assert (twins, len(groups)) == ([], 0)


def test_the_numbers_do_not_change_under_any_symmetry() -> None:
    picture = square(phantom(0), 64)
    turned = np.stack([np.ascontiguousarray(change(picture)) for change, _ in SYMMETRIES])
    invariants = compute_invariants(turned)
    assert np.abs(invariants - invariants[0]).max() < 1e-5
    other = compute_invariants(square(phantom(1), 64)[None])
    assert np.linalg.norm(other - invariants[0]) > 0.1


def test_a_comparison_says_how_much_brighter_a_twin_is() -> None:
    picture = square(phantom(0), 128)
    left = compare(picture, brightened(picture, 1.0, 12))
    assert left is not None
    assert 10 < left.brightness < 13


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_connected_things_share_a_number(case: tuple[int, list[tuple[int, int]]]) -> None:
    n, pairs = case
    groups = connect_pairs(n, pairs).tolist()
    assert all(groups[first] == groups[second] for first, second in pairs)
    assert len(set(groups)) >= n - len(pairs)
    assert list(dict.fromkeys(groups)) == list(range(len(set(groups)))), "numbered in the order of appearance"


def test_on_the_real_set_no_pair_that_is_exact_under_a_symmetry_is_missed(real_dataset: Dataset) -> None:
    dataset = real_dataset
    signatures = np.asarray(read_signatures(dataset))
    pictures = read_manifest(dataset)
    _, groups = find_twins(
        signatures, [picture.pixels for picture in pictures], lambda at: read_detail(dataset.folder, pictures[at])
    )
    small = standardise(shrink(signatures, 32))
    missed = []
    for change, _ in SYMMETRIES:  # every pair under every symmetry, without any of the search's short cuts
        flat = np.ascontiguousarray(change(small)).reshape(len(small), -1)
        alike = small.reshape(len(small), -1) @ flat.T > 0.9999
        missed += [(a, b) for a, b in zip(*np.nonzero(np.triu(alike, 1)), strict=True) if groups[a] != groups[b]]
    assert missed == []
    assert 350 < len(collect_groups(groups)) < 450


def test_twins_are_found_in_a_crowd_of_look_alikes() -> None:
    source = Image.fromarray(phantom(0))
    crowd = [np.asarray(source.rotate(angle, Image.Resampling.BICUBIC)) for angle in np.linspace(-5, 5, 40)]
    mirrored = [as_jpeg(brightened(picture[:, ::-1], 1.1), 80) for picture in crowd]
    _, groups = search([*crowd, *mirrored])
    group_of = {at: tuple(group) for group in groups for at in group}
    assert all(group_of.get(at) == group_of.get(at + 40) != None for at in range(40))  # noqa: E711


def test_lines_of_pixels_are_no_twins_but_of_their_copies() -> None:
    pictures = [np.array([[0, 255]], np.uint8), np.linspace(0, 255, 250).astype(np.uint8)[None], phantom(0)]
    signatures = np.stack([make_signature(square(picture, 128)) for picture in pictures])
    comparable = np.array([False, False, True])
    twins, _ = find_twins(signatures, ["a", "b", "c"], lambda at: square(pictures[at], 128), comparable=comparable)
    assert twins == []


def test_many_equal_signatures_cost_little() -> None:
    signature = make_signature(square(phantom(0), 128))
    signatures = np.broadcast_to(signature, (3_000, 64, 64))
    detail = square(phantom(0), 128)
    _, groups = find_twins(signatures, [str(at) for at in range(3_000)], lambda at: detail)
    assert groups.max() == 0
