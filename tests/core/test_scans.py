"""The decoder: the same picture is the same array, whatever it was stored as."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from core.channels import drop_grey_channels, to_pixels
from core.errors import ScanError
from core.jpegs import strip_jpeg
from core.scans import decode_scan, fit_scan, load_scan
from tests.conftest import grey_ramp
from tests.pictures import dicom, encoded


@pytest.mark.parametrize(
    ("format_", "mode"),
    [
        ("PNG", "L"), ("PNG", "RGB"), ("PNG", "RGBA"), ("PNG", "LA"), ("PNG", "P"),
        ("BMP", "L"), ("TIFF", "L"), ("WEBP", "RGB"),
    ],
)  # fmt: skip
def test_a_grey_picture_is_the_same_array_in_every_lossless_encoding(format_: str, mode: str) -> None:
    options = {"lossless": True} if format_ == "WEBP" else {}
    decoded = decode_scan(encoded(grey_ramp(), format_, mode, **options), f"scan.{format_.lower()}").pixels
    assert decoded.shape == grey_ramp().shape
    assert np.abs(decoded.astype(int) - grey_ramp()).max() <= 2


@pytest.mark.parametrize(
    "deep",
    [
        grey_ramp().astype(np.uint16) * 257,
        (grey_ramp().astype(np.float64) / 255 * 4095).round().astype(np.uint16),
        grey_ramp().astype(np.int32) * 300,
        (grey_ramp() / 255).astype(np.float32),
        grey_ramp().astype(np.float32) * 3 - 255,
    ],
    ids=["16 bit", "12 in 16 bit", "32 bit", "float 0..1", "signed float"],
)
def test_a_deep_picture_is_scaled_by_its_own_range(deep: np.ndarray) -> None:
    decoded = decode_scan(encoded(deep, "TIFF"), "scan.tif").pixels
    expected = grey_ramp() if deep.min() >= 0 else (deep - deep.min()) / (deep.max() - deep.min()) * 255
    assert np.abs(decoded.astype(float) - expected).max() <= 2


def test_a_value_that_is_not_a_number_is_refused() -> None:
    broken = grey_ramp().astype(np.float32)
    broken[0, 0] = np.nan
    with pytest.raises(ScanError, match="not numbers"):
        decode_scan(encoded(broken, "TIFF"), "scan.tif")


def test_a_colour_picture_keeps_its_channels() -> None:
    colour = np.stack([grey_ramp(), 255 - grey_ramp(), grey_ramp()], axis=2)
    assert np.array_equal(decode_scan(encoded(colour, "PNG"), "scan.png").pixels, colour)


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1), (300, 5)])
def test_one_value_in_one_channel_makes_a_picture_colour(shape: tuple[int, int]) -> None:
    grey = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    pixels = np.repeat(grey[:, :, None], 3, axis=2)
    assert np.array_equal(drop_grey_channels(pixels), grey)
    assert np.array_equal(to_pixels(Image.fromarray(pixels)), grey)
    for row, column in {(0, 0), (shape[0] - 1, shape[1] - 1), (shape[0] // 2, shape[1] // 2)}:
        for channel in range(3):
            coloured = pixels.copy()
            coloured[row, column, channel] += 1
            assert drop_grey_channels(coloured) is coloured
            assert np.array_equal(to_pixels(Image.fromarray(coloured)), coloured)


@pytest.mark.parametrize("is_coloured", [False, True])
def test_a_picture_too_large_for_one_block_of_memory_loses_no_pixel(is_coloured: bool) -> None:
    pixels = np.repeat(np.random.default_rng(0).integers(0, 255, (2100, 3000, 1), dtype=np.uint8), 3, axis=2)
    pixels[-1, -1, 2] += is_coloured
    assert np.array_equal(to_pixels(Image.fromarray(pixels)), pixels if is_coloured else pixels[..., 0])


def test_exif_rotation_is_honoured() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter to the right
    data = encoded(grey_ramp(), "PNG", exif=exif)
    assert np.array_equal(decode_scan(data, "scan.png").pixels, np.rot90(grey_ramp(), -1))


def test_a_bomb_is_refused_from_its_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDIO_MAX_PIXELS", "1000")
    with pytest.raises(ScanError, match="STUDIO_MAX_PIXELS"):
        decode_scan(encoded(grey_ramp(), "PNG"), "scan.png")


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "empty.png", "empty"),
        (b"hello", "note.txt", "not a picture"),
        (b"hello", "scan.png", "content does not fit its name"),
        (b"8BPS....", "scan.psd", "Photoshop"),
        (b"8BPS....", "scan.png", "Photoshop"),
        (b"\0\0\0\x18ftypheic", "scan.jpg", "HEIC"),
        (b"\x5c\x01\0\0" + b"\0" * 340 + b"n+1\0", "scan.tif", "volume"),
        (b"<svg>", "scan.svg", "drawing"),
        (b"%!PS-Adobe", "scan.eps", "PostScript"),
        (b"GIF89a", "scan", "GIF"),
        (b"II*\0\x08\0\0\0", "scan.tif", "TIFF file that is damaged, or of a kind"),
        (b"", "scan.nii.gz", "empty"),
        (b"\x1f\x8b123", "scan.nii.gz", "volume|compressed"),
        (encoded(grey_ramp(), "PNG")[:200], "cut.png", "damaged"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 50, "scan.dcm", "DICOM"),
    ],
)
def test_what_is_not_a_picture_gets_a_sentence(data: bytes, name: str, words: str) -> None:
    with pytest.raises(ScanError, match=words):
        decode_scan(data, name)


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="cannot be read"):
        load_scan(tmp_path / "nothing.png")


def test_a_frame_can_be_chosen(tmp_path: Path) -> None:
    pages = [Image.fromarray(grey_ramp()), Image.fromarray(255 - grey_ramp())]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    assert np.array_equal(load_scan(tmp_path / "pages.tif", frame=1), 255 - grey_ramp())
    with pytest.raises(ScanError, match="2 frame"):
        load_scan(tmp_path / "pages.tif", frame=2)


def test_dicom_is_read_with_and_without_a_suffix() -> None:
    data = dicom(grey_ramp().astype(np.uint16) * 16)
    for name in ("scan.dcm", "IM0001"):
        assert np.abs(decode_scan(data, name).pixels.astype(int) - grey_ramp()).max() <= 2


def test_dicom_monochrome1_is_inverted() -> None:
    data = dicom(grey_ramp().astype(np.uint16) * 16, PhotometricInterpretation="MONOCHROME1")
    assert np.abs(decode_scan(data, "scan.dcm").pixels.astype(int) - (255 - grey_ramp())).max() <= 2


def test_a_dicom_window_is_applied_and_one_of_width_zero_is_not() -> None:
    pixels = grey_ramp().astype(np.uint16)
    windowed = decode_scan(dicom(pixels, WindowCenter=64, WindowWidth=128), "scan.dcm").pixels
    assert (windowed[pixels > 130] == 255).all()
    assert (windowed[pixels < 10] < 25).all()
    unwindowed = decode_scan(dicom(pixels, WindowCenter=64, WindowWidth=0), "scan.dcm").pixels
    assert np.abs(unwindowed.astype(int) - grey_ramp()).max() <= 2


def test_a_rescaled_dicom_does_not_wrap() -> None:
    data = dicom(grey_ramp().astype(np.uint16), BitsStored=8, HighBit=7, RescaleSlope=2, RescaleIntercept=0)
    assert np.abs(decode_scan(data, "scan.dcm").pixels.astype(int) - grey_ramp()).max() <= 2


def test_no_message_quotes_a_patient_tag() -> None:
    data = dicom(grey_ramp().astype(np.uint16), PixelData=b"\0\0")
    with pytest.raises(ScanError) as caught:
        decode_scan(data, "scan.dcm")
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"comment": b"secret"}, {"restart_marker_rows": 1}])
def test_a_stripped_jpeg_has_the_same_pixels_and_nothing_else(options: dict[str, object]) -> None:
    exif = Image.Exif()
    exif[0x010E] = "secret"
    data = encoded(grey_ramp(), "JPEG", quality=90, exif=exif, **options) + b"secret trailing bytes"
    stripped = strip_jpeg(data)
    assert stripped is not None
    assert b"secret" not in stripped
    assert np.array_equal(decode_scan(stripped, "a.jpg").pixels, decode_scan(data, "b.jpg").pixels)


def test_a_colour_jpeg_keeps_its_colours_when_stripped() -> None:
    colour = np.stack([grey_ramp(), 255 - grey_ramp(), grey_ramp() // 2], axis=2)
    data = encoded(colour, "JPEG", quality=95)
    stripped = strip_jpeg(data)
    assert stripped is not None
    assert np.array_equal(decode_scan(stripped, "a.jpg").pixels, decode_scan(data, "b.jpg").pixels)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\xff\xff", b"\xff\xd8\xff\xda\x00\x02abc"])
def test_what_is_no_plain_jpeg_is_not_stripped(data: bytes) -> None:
    assert strip_jpeg(data) is None


def test_fit_scan_gives_the_size_and_channels_of_a_network() -> None:
    assert fit_scan(grey_ramp(), 150).shape == (150, 150, 3)
    assert fit_scan(grey_ramp(), 150, channels=1).shape == (150, 150, 1)
    assert fit_scan(np.zeros((5, 9, 3), np.uint8), 20).shape == (20, 20, 3)
