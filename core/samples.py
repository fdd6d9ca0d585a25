"""The synthetic sample: drawn head phantoms, with a lesion typical for each of four classes.

Not scans of anybody. It lets everything be tried in a minute, and is labelled synthetic wherever it is shown. A sample
is a source like a ZIP, so it goes through the same import.
"""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from core.archives import Entry, Source
from core.errors import DatasetError
from core.scans import fit_scan
from core.splits import DEFAULT_SEED

CLASSES = ("Glioma", "Meningioma", "No tumor", "Pituitary")
SIZE = 224
DEFAULT_IMAGES_PER_CLASS = 48
_FRACTIONS = (("Train", 0.7), ("Validation", 0.15), ("Test", 0.15))


class _Sample(Source):
    def read(self, entry: Entry) -> bytes:
        class_index = CLASSES.index(entry.path.split("/")[1])
        number = int(entry.path.rsplit("-", 1)[1].removesuffix(".png"))
        buffer = io.BytesIO()
        Image.fromarray(draw_phantom(class_index, (DEFAULT_SEED, class_index, number))).save(buffer, "PNG")
        return buffer.getvalue()


def open_sample(images_per_class: int) -> Source:
    """A source of phantoms in Train, Validation and Test folders.

    Raises:
        DatasetError: too few for three splits, or more than anybody can want.
    """
    if not 6 <= images_per_class <= 10_000:
        raise DatasetError(f"images_per_class must be between 6 and 10,000. Received: {images_per_class}.")
    entries = []
    for name in CLASSES:
        for number in range(images_per_class):
            split = _split_of(number, images_per_class)
            label = name.lower().replace(" ", "-")
            entries.append(Entry(f"{split}/{name}/synthetic-{label}-{number:04d}.png", 0))
    return _Sample(entries, [])


def draw_phantom(class_index: int, seed: tuple[int, ...]) -> np.ndarray:
    """Draw one axial head phantom: uint8 (224, 224). The same seed gives the same picture."""
    rng = np.random.default_rng(seed)
    x, y = _head_coordinates(rng)
    radius = np.hypot(x, y)
    tissue = 0.42 + 0.10 * _texture(rng, 14) + 0.05 * _texture(rng, 40)
    tissue += 0.10 * (np.abs(_texture(rng, 22)) < 0.18) * (radius > 0.55)  # folds near the surface
    picture = np.where(radius < 0.88, tissue, 0.04)
    picture = _draw_ventricles(picture, x, y, rng)
    picture = np.where((radius > 0.88) & (radius < 0.93), 0.08, picture)  # skull
    picture = np.where((radius > 0.93) & (radius < 1.0), 0.72 + 0.06 * _texture(rng, 30), picture)  # scalp
    picture = _LESIONS[class_index](picture, x, y, rng)
    picture = np.where(radius < 1.0, picture, 0.02)
    gain = rng.uniform(0.85, 1.15)
    noise = rng.normal(0, rng.uniform(0.012, 0.03), picture.shape)
    return np.clip(np.rint(255 * (picture * gain + noise)), 0, 255).astype(np.uint8)


def _head_coordinates(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates in which the head is the unit disc, x to the right and y to the back."""
    grid = np.linspace(-1, 1, SIZE)
    across, down = np.meshgrid(grid, grid)
    angle = rng.uniform(-0.14, 0.14)
    across, down = across - rng.uniform(-0.05, 0.05), down - rng.uniform(-0.05, 0.05)
    x = (across * np.cos(angle) + down * np.sin(angle)) / rng.uniform(0.66, 0.74)
    y = (-across * np.sin(angle) + down * np.cos(angle)) / rng.uniform(0.84, 0.92)
    return x, y


def _texture(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Smooth noise of about `cells` blobs across, mean 0, values mostly within -1 to 1."""
    coarse = rng.normal(0, 255 / 6, (cells, cells)) + 127.5
    fine = fit_scan(np.clip(coarse, 0, 255).astype(np.uint8), SIZE, channels=1)[:, :, 0]
    return (fine.astype(float) - 127.5) / 85


def _blob(x: np.ndarray, y: np.ndarray, at: tuple[float, float], size: tuple[float, float]) -> np.ndarray:
    """Distance from a centre in units of the half axes: below 1 is inside."""
    return np.hypot((x - at[0]) / size[0], (y - at[1]) / size[1])


def _soft(distance: np.ndarray, width: float = 0.12) -> np.ndarray:
    """1 inside, 0 outside, with a soft edge."""
    return np.clip((1 - distance) / width + 0.5, 0, 1)


def _draw_ventricles(picture: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    size = (rng.uniform(0.07, 0.12), rng.uniform(0.22, 0.32))
    for side in (-1, 1):
        mask = _soft(_blob(x + 0.25 * side * y, y, (0.13 * side, -0.02), size))
        picture = picture * (1 - mask) + 0.12 * mask
    return picture


def _draw_glioma(picture: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Inside a hemisphere, irregular: a bright ring around a dark core, with a pale swelling around it."""
    side = rng.choice((-1, 1))
    at = (side * rng.uniform(0.35, 0.52), rng.uniform(-0.4, 0.35))
    size = rng.uniform(0.18, 0.30)
    ragged = _blob(x, y, at, (size, size * rng.uniform(0.8, 1.25))) * (1 + 0.45 * _texture(rng, 9))
    swelling, ring, core = _soft(ragged / 1.7, 0.5), _soft(ragged), _soft(ragged / 0.62)
    picture = picture * (1 - 0.5 * swelling) + 0.30 * swelling
    picture = picture * (1 - ring) + 0.82 * ring
    return picture * (1 - core) + 0.2 * core


def _draw_meningioma(picture: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Attached to the skull from inside, round, evenly bright."""
    angle = rng.uniform(-0.9, 0.9) + rng.choice((0, np.pi))
    size = rng.uniform(0.16, 0.27)
    distance = 0.9 - 0.7 * size
    at = (distance * np.cos(angle), distance * np.sin(angle))
    mask = _soft(_blob(x, y, at, (size, size))) * (np.hypot(x, y) < 0.89)
    return picture * (1 - mask) + (0.78 + 0.03 * _texture(rng, 20)) * mask


def _draw_pituitary(picture: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Small, in the midline in front of the centre, where the gland lies."""
    at = (rng.uniform(-0.05, 0.05), rng.uniform(-0.56, -0.44))
    size = rng.uniform(0.10, 0.17)
    mask = _soft(_blob(x, y, at, (size, size * rng.uniform(0.85, 1.2))))
    return picture * (1 - mask) + 0.80 * mask


def _draw_nothing(picture: np.ndarray, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return picture


_LESIONS = (_draw_glioma, _draw_meningioma, _draw_nothing, _draw_pituitary)


def _split_of(number: int, total: int) -> str:
    edge = 0.0
    for name, fraction in _FRACTIONS[:-1]:
        edge += fraction * total
        if number < round(edge):
            return name
    return _FRACTIONS[-1][0]
