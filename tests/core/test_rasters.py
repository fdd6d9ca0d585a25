"""What Pillow leaves out is made good, and what would take too much is refused."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.errors import ScanError
from core.jpegs import count_scans, read_frame_size
from core.scans import decode_scan
from tests.conftest import grey_ramp
from tests.pictures import deep_png, encoded, jpeg_of_many_scans, png_chunk, png_header, tiff, tiff_chain

GREY = grey_ramp()
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
DEEP_COLOUR = COLOUR.astype(np.uint16) * 257


def decoded(data: bytes, frame: int = 0) -> np.ndarray:
    """Pixels as signed numbers, so that differences can be taken."""
    return decode_scan(data, "scan", frame).pixels.astype(int)


def with_alpha(values: np.ndarray, opacity: int) -> np.ndarray:
    """A further channel that says the same everywhere."""
    return np.concatenate([values, np.full((*values.shape[:2], 1), opacity, values.dtype)], axis=2)


FULL_COLOUR = {
    "PNG 8": encoded(COLOUR, "PNG"),
    "PNG 16": deep_png(DEEP_COLOUR),
    "PNG 16 with alpha": deep_png(with_alpha(DEEP_COLOUR, 65535)),
    "BMP": encoded(COLOUR, "BMP"),
    "TIFF 8": encoded(COLOUR, "TIFF"),
    "TIFF 8 LZW": encoded(COLOUR, "TIFF", compression="tiff_lzw"),
    "TIFF 16": tiff(DEEP_COLOUR, 2),
    "TIFF 16 big endian": tiff(DEEP_COLOUR, 2, order=">"),
    "TIFF 16 packed": tiff(DEEP_COLOUR, 2, packed=True),
    "TIFF 16 big endian packed": tiff(DEEP_COLOUR, 2, order=">", packed=True),
    "TIFF 16 with alpha": tiff(with_alpha(DEEP_COLOUR, 65535), 2, tag_338=2),
    "WebP": encoded(COLOUR, "WEBP", lossless=True),
}


@pytest.mark.parametrize("data", FULL_COLOUR.values(), ids=FULL_COLOUR.keys())
def test_a_colour_picture_of_full_scale_is_the_same_in_every_lossless_encoding(data: bytes) -> None:
    assert np.abs(decoded(data) - COLOUR).max() <= 2


FULL_GREY = {
    "PNG 16": deep_png((GREY.astype(np.uint16) * 257)[..., None]),
    "PNG 16 with alpha": deep_png(with_alpha((GREY.astype(np.uint16) * 257)[..., None], 65535)),
    "PNG 16 colour": deep_png(np.repeat((GREY.astype(np.uint16) * 257)[..., None], 3, axis=2)),
    "TIFF 8": tiff(GREY, 1),
    "TIFF 8 white is zero": tiff(255 - GREY, 0),
    "TIFF 8 signed": tiff((GREY.astype(int) - 128).astype(np.int8), 1),
    "TIFF 16": tiff(GREY.astype(np.uint16) * 257, 1),
    "TIFF 16 big endian": tiff(GREY.astype(np.uint16) * 257, 1, order=">"),
    "TIFF 16 packed": tiff(GREY.astype(np.uint16) * 257, 1, packed=True),
    "TIFF 16 signed": tiff((GREY.astype(np.int32) * 257 - 32768).astype(np.int16), 1),
    "TIFF 16 white is zero": tiff((255 - GREY).astype(np.uint16) * 257, 0),
    "TIFF 16 white is zero, packed": tiff((255 - GREY).astype(np.uint16) * 257, 0, packed=True),
    "TIFF 32": tiff(GREY.astype(np.uint32) * 16843009, 1),
    "TIFF 32 signed": tiff(GREY.astype(np.int32) * 8421504, 1),
    "TIFF float": tiff(GREY.astype(np.float32) / 255, 1),
    "TIFF float white is zero": tiff(1 - GREY.astype(np.float32) / 255, 0),
}


@pytest.mark.parametrize("data", FULL_GREY.values(), ids=FULL_GREY.keys())
def test_a_grey_picture_of_full_scale_is_the_same_at_every_depth(data: bytes) -> None:
    assert np.abs(decoded(data) - GREY).max() <= 2


@pytest.mark.parametrize("write", [deep_png, lambda values: tiff(values, 2)], ids=["PNG", "TIFF"])
def test_deep_colour_is_scaled_by_its_own_maximum(write: object) -> None:
    assert np.abs(decoded(write(COLOUR.astype(np.uint16) * 16)) - COLOUR).max() <= 2  # type: ignore[operator]


def test_black_and_white_is_the_same_in_png_and_both_kinds_of_tiff() -> None:
    bits = np.where(GREY > 127, 255, 0).astype(np.uint8)
    for data in (
        encoded(bits, "PNG", "1"),
        encoded(bits, "TIFF", "1"),
        encoded(bits, "TIFF", "1", compression="group4"),
        encoded(bits, "TIFF", "1", tiffinfo={262: 0}),
    ):
        assert set(np.unique(decoded(data))) == {0, 255}
    assert np.array_equal(decoded(encoded(bits, "PNG", "1")), bits)
    assert np.array_equal(decoded(encoded(bits, "TIFF", "1", compression="group4")), bits)


def test_what_is_transparent_is_black_at_every_depth() -> None:
    half = deep_png(with_alpha(DEEP_COLOUR, 32768))
    assert np.abs(decoded(half) - COLOUR).max() <= 2  # half as bright, and then scaled by its own maximum
    clear = with_alpha(DEEP_COLOUR, 65535)
    clear[:10, :, 3] = 0
    assert not decoded(deep_png(clear))[:10].any()
    key = png_chunk(b"tRNS", struct.pack(">HHH", *DEEP_COLOUR[20, 20]))
    assert not decoded(deep_png(DEEP_COLOUR, key))[20, 20].any()
    grey = (GREY.astype(np.uint16) * 257)[..., None]
    key = png_chunk(b"tRNS", struct.pack(">H", grey[20, 20, 0]))
    assert decoded(deep_png(grey, key))[20, 20] == 0


def test_palettes_with_and_without_transparency_give_their_colours(tmp_path: Path) -> None:
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16), "P")
    image.putpalette([level for step in range(256) for level in (step, 255 - step, 0)])
    for name, options in (("a.png", {}), ("b.png", {"transparency": 7}), ("c.tif", {})):
        image.save(tmp_path / name, **options)
        pixels = decode_scan((tmp_path / name).read_bytes(), name).pixels
        assert tuple(pixels[1, 0]) == (16, 239, 0)
        assert tuple(pixels[0, 7]) == ((0, 0, 0) if options else (7, 248, 0))


def test_four_inks_become_colours() -> None:
    inks = Image.fromarray(COLOUR).convert("CMYK")
    for format_ in ("TIFF", "JPEG"):
        assert np.abs(decoded(_saved(inks, format_)) - COLOUR).mean() < 8


def test_lab_colours_are_refused_with_a_sentence() -> None:
    with pytest.raises(ScanError, match="LAB"):
        decoded(tiff(COLOUR, 8))
    with pytest.raises(ScanError, match="CMYK"):
        decoded(tiff(with_alpha(DEEP_COLOUR, 0), 5))


def test_a_turned_tiff_is_upright_at_every_depth() -> None:
    for values in (GREY, GREY.astype(np.uint16) * 257):
        assert np.abs(decoded(tiff(values, 1, tag_274=6)) - np.rot90(GREY, -1)).max() <= 2
    for packed in (False, True):
        turned = decoded(tiff(DEEP_COLOUR, 2, packed=packed, tag_274=6))
        assert np.abs(turned - np.rot90(COLOUR, -1)).max() <= 2


def test_deep_colour_in_separate_planes_is_refused_with_a_sentence() -> None:
    with pytest.raises(ScanError, match="planes"):
        decoded(tiff(DEEP_COLOUR, 2, tag_284=2))


@pytest.mark.parametrize("data", [png_header(30_000, 30_000), encoded(GREY, "PNG")[:8]], ids=["size", "cut"])
def test_a_header_alone_is_refused_at_once(data: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(ScanError):
        decoded(data)
    assert time.perf_counter() - started < 1


def test_the_memory_of_a_picture_is_bounded_from_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_MAX_DECODE_MB", "1")
    with pytest.raises(ScanError, match="STUDIO_MAX_DECODE_MB"):
        decoded(png_header(1000, 1000))


def test_reading_ends_with_the_time_that_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_MAX_DECODE_SECONDS", "0")
    with pytest.raises(ScanError, match="STUDIO_MAX_DECODE_SECONDS"):
        decoded(encoded(GREY, "PNG"))


def test_a_jpeg_of_thousands_of_scans_is_refused() -> None:
    assert count_scans(jpeg_of_many_scans(3000)) > 3000
    with pytest.raises(ScanError, match="scans"):
        decoded(jpeg_of_many_scans(3000))
    assert decoded(jpeg_of_many_scans(1)).shape == (64, 64)


def test_the_size_of_a_jpeg_is_read_from_its_frame() -> None:
    assert read_frame_size(encoded(GREY, "JPEG", exif=b"Exif\0\0" + b"\xff\xc0\0\x11" * 9)) == GREY.shape[::-1]
    assert read_frame_size(b"\xff\xd8\xff\xd9") is None


def test_a_long_chain_of_pages_is_refused_and_so_is_one_that_bites_its_tail() -> None:
    with pytest.raises(ScanError, match="frames"):
        decoded(tiff_chain(20_000))
    ring = bytearray(tiff_chain(2))
    ring[-4:] = struct.pack("<I", 12)
    with pytest.raises(ScanError, match="frames"):
        decoded(bytes(ring))
    assert decode_scan(tiff_chain(3), "scan").n_frames == 3


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF"])
def test_an_animation_keeps_to_the_limit_of_frames(monkeypatch: pytest.MonkeyPatch, format_: str) -> None:
    frames = [Image.fromarray(np.roll(COLOUR, step, axis=0)) for step in range(4)]
    options = {"lossless": True} if format_ == "WEBP" else {}
    data = _saved(frames[0], format_, save_all=True, append_images=frames[1:], **options)
    assert decode_scan(data, "scan").n_frames == 4
    assert np.array_equal(decoded(data, frame=2), np.roll(COLOUR, 2, axis=0))
    monkeypatch.setenv("STUDIO_MAX_FRAMES", "3")
    with pytest.raises(ScanError, match="STUDIO_MAX_FRAMES"):
        decoded(data)


def _saved(image: Image.Image, format_: str, **options: object) -> bytes:
    import io

    buffer = io.BytesIO()
    image.save(buffer, format_, **options)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "options",
    [{}, {"quality": 30}, {"subsampling": 0}, {"progressive": True}, {"turned": True}, {"keep_rgb": True}],
    ids=str,
)
def test_a_grey_jpeg_stored_in_colour_has_the_same_pixels_if_only_its_brightness_is_decoded(
    options: dict[str, object],
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, GREY.shape, np.uint8)
    turned = Image.Exif()
    turned[0x0112] = 6  # stored on its side
    exif = {"exif": turned.tobytes()} if options.pop("turned", False) else {}
    for grey in (GREY, noise, np.where(noise < 128, np.uint8(0), np.uint8(255))):
        data = encoded(np.repeat(grey[..., None], 3, axis=2), "JPEG", **{"quality": 95} | options | exif)
        assert Image.open(io.BytesIO(data)).mode == "RGB"
        expected = decode_scan(data, "scan").pixels
        assert expected.ndim == 2
        assert np.array_equal(decode_scan(data, "scan", is_grey=True).pixels, expected)


def test_what_is_said_to_be_grey_and_is_no_jpeg_is_decoded_as_ever() -> None:
    for format_ in ("PNG", "BMP", "TIFF"):
        assert np.array_equal(decode_scan(encoded(GREY, format_), "scan", is_grey=True).pixels, GREY)
