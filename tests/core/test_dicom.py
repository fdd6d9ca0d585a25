"""DICOM as scanners and archives write it, and as an attacker would."""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import sys
import traceback
from pathlib import Path

import numpy as np
import pytest

from core.errors import ScanError
from core.scans import decode_scan, load_scan
from core.settings import PROJECT
from tests.conftest import grey_ramp
from tests.pictures import deflated, dicom, encoded

GREY = grey_ramp()
DEEP = GREY.astype(np.uint16) * 257
TWELVE = (GREY.astype(np.uint16) * 16).clip(0, 4095)
SIGNED = (GREY.astype(np.int32) * 257 - 32768).astype(np.int16)
COLOUR = np.stack([GREY, 255 - GREY, GREY // 2], axis=2)
EXTENDED, LOSSLESS, FIRST_ORDER = "1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
LS, LS_LOSSY, J2K, RLE = (
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.81",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
)


def decoded(data: bytes, frame: int = 0) -> np.ndarray:
    """Pixels as signed numbers, so that differences can be taken."""
    return decode_scan(data, "scan.dcm", frame).pixels.astype(int)


def jpeg(values: np.ndarray, **options: object) -> bytes:
    """A JPEG codestream of any precision."""
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(values, **options))


def jpeg_ls(values: np.ndarray, level: int = 0) -> bytes:
    """A JPEG-LS codestream."""
    import imagecodecs

    return bytes(imagecodecs.jpegls_encode(values, level=level))


def jpeg_2000(values: np.ndarray) -> bytes:
    """A JPEG 2000 codestream."""
    import imagecodecs

    return bytes(imagecodecs.jpeg2k_encode(values, codecformat="j2k"))


def rle(values: np.ndarray) -> bytes:
    """A 16-bit grey picture in run lengths, written as literals: its high bytes, then its low bytes."""
    planes = [values.astype(">u2").tobytes()[at::2] for at in (0, 1)]
    segments = []
    for plane in planes:
        pieces = [plane[at : at + 128] for at in range(0, len(plane), 128)]
        segments.append(b"".join(bytes([len(piece) - 1]) + piece for piece in pieces))
    return struct.pack("<16I", 2, 64, 64 + len(segments[0]), *[0] * 13) + b"".join(segments)


COMPRESSED = {
    "JPEG lossless": (jpeg(TWELVE, lossless=True, predictor=1), FIRST_ORDER, {}),
    "JPEG lossless, predictor 4": (jpeg(DEEP, lossless=True, predictor=4), LOSSLESS, {}),
    "JPEG lossless, signed": (
        jpeg(SIGNED.view(np.uint16), lossless=True, predictor=1),
        FIRST_ORDER,
        {"PixelRepresentation": 1},
    ),
    "JPEG extended": (jpeg(TWELVE, bitspersample=12, level=98), EXTENDED, {"BitsStored": 12, "HighBit": 11}),
    "JPEG-LS": (jpeg_ls(TWELVE), LS, {}),
    "JPEG-LS, nearly lossless": (jpeg_ls(TWELVE, 2), LS_LOSSY, {}),
    "JPEG 2000": (jpeg_2000(DEEP), J2K, {}),
    "RLE": (rle(DEEP), RLE, {}),
}


@pytest.mark.parametrize(("source", "syntax", "tags"), COMPRESSED.values(), ids=COMPRESSED.keys())
def test_a_compressed_picture_of_full_scale_is_the_same(source: bytes, syntax: str, tags: dict[str, int]) -> None:
    tags = {"BitsAllocated": 16} | tags
    assert np.abs(decoded(dicom(source, syntax, GREY.shape, **tags)) - GREY).max() <= 2


def test_twelve_signed_bits_in_sixteen_keep_their_sign() -> None:
    signed = (GREY.astype(np.int32) * 16 - 2048).clip(-2048, 2047)
    source = jpeg((signed & 0xFFF).astype(np.uint16), lossless=True, predictor=1)
    tags = {"PixelRepresentation": 1, "BitsStored": 12, "HighBit": 11}
    assert np.abs(decoded(dicom(source, FIRST_ORDER, GREY.shape, **tags)) - GREY).max() <= 2


@pytest.mark.parametrize("lossless", [True, False], ids=["JPEG lossless", "none"])
def test_colours_stay_what_they_are(lossless: bool) -> None:
    source = jpeg(COLOUR, lossless=True, predictor=1)
    tags = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    data = dicom(source, FIRST_ORDER, COLOUR.shape, **tags) if lossless else dicom(COLOUR)
    assert np.array_equal(decoded(data), COLOUR)


@pytest.mark.parametrize("pixels", [GREY, DEEP, SIGNED, TWELVE], ids=["8", "16", "16 signed", "12 in 16"])
def test_a_plain_picture_of_full_scale_is_the_same_at_every_depth(pixels: np.ndarray) -> None:
    assert np.abs(decoded(dicom(pixels)) - GREY).max() <= 2


def test_eight_bits_are_not_stretched_also_with_a_rescale_that_does_nothing() -> None:
    dark = GREY // 4
    assert np.array_equal(decoded(dicom(dark)), dark)
    assert np.array_equal(decoded(dicom(dark, RescaleSlope=1, RescaleIntercept=0)), dark)


def test_a_window_counts_in_rescaled_values() -> None:
    tags = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 155.5, "WindowWidth": 511}
    assert np.abs(decoded(dicom(GREY.astype(np.uint16), **tags)) - GREY).max() <= 2
    tags = {"RescaleSlope": -1, "RescaleIntercept": 0}
    assert np.abs(decoded(dicom(GREY.astype(np.uint16), **tags)) - (255 - GREY)).max() <= 2


def test_a_value_that_is_not_a_number_is_refused() -> None:
    values = GREY.astype(np.float32)
    assert np.abs(decoded(float_dicom(values)) - GREY).max() <= 2
    values[3, 3] = np.inf
    with pytest.raises(ScanError, match="not numbers"):
        decoded(float_dicom(values))


def float_dicom(values: np.ndarray) -> bytes:
    """A parametric map: its pixels are floating."""
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(dicom(GREY)))
    del dataset.PixelData
    dataset.BitsAllocated, dataset.FloatPixelData = 32, values.tobytes()
    buffer = io.BytesIO()
    dataset.save_as(buffer)
    return buffer.getvalue()


def test_each_frame_has_the_window_of_its_own_group() -> None:
    from pydicom.dataset import Dataset

    groups = []
    for width in (256, 512):
        voi, group = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth = width / 2, width
        group.FrameVOILUTSequence = [voi]
        groups.append(group)
    frames = np.concatenate([GREY, GREY]).astype(np.uint16)
    data = dicom(frames, Rows=GREY.shape[0], NumberOfFrames=2, PerFrameFunctionalGroupsSequence=groups)
    assert decode_scan(data, "scan").n_frames == 2
    assert np.abs(decoded(data, 0) - GREY).max() <= 2
    assert np.abs(decoded(data, 1) - GREY / 2).max() <= 2


def test_a_deflated_file_is_read(test_data: Path) -> None:
    assert np.array_equal(decoded(deflated(dicom(DEEP))), decoded(dicom(DEEP)))
    assert load_scan(test_data / "fixtures/dicom/pydicom__image_dfl.dcm").shape == (512, 512)


def test_a_deflated_bomb_is_refused_in_little_memory() -> None:
    bomb = deflated(dicom(DEEP), padding=400 * 2**20)
    assert len(bomb) < 2**20
    with pytest.raises(ScanError, match="unpacked"):
        decoded(bomb)


def test_the_word_deflated_in_another_place_does_no_harm() -> None:
    assert decoded(dicom(DEEP, ImageComments="1.2.840.10008.1.2.1.99")).shape == GREY.shape


@pytest.mark.parametrize(
    ("encode", "syntax"),
    [
        (lambda values: jpeg(values, lossless=True, predictor=1), FIRST_ORDER),
        (jpeg_ls, LS),
        (jpeg_2000, J2K),
        (lambda values: encoded((values >> 8).astype(np.uint8), "JPEG"), "1.2.840.10008.1.2.4.50"),
    ],
    ids=["JPEG lossless", "JPEG-LS", "JPEG 2000", "JPEG"],
)
def test_a_compressed_picture_that_lies_about_its_size_is_refused(encode: object, syntax: str) -> None:
    source = encode(DEEP)  # type: ignore[operator]
    with pytest.raises(ScanError, match="announces 30×20"):
        decoded(dicom(source, syntax, (20, 30)))
    height, width = struct.pack(">H", GREY.shape[0]), struct.pack(">H", GREY.shape[1])
    huge = source.replace(height + width, b"\xff\xff\xff\xff", 1)
    if syntax == J2K:
        huge = source.replace(struct.pack(">II", *GREY.shape[::-1]), b"\0\1\0\0\0\1\0\0", 1)
    with pytest.raises(ScanError, match="STUDIO_MAX_PIXELS"):
        decoded(dicom(huge, syntax, GREY.shape))


def test_run_lengths_beyond_the_picture_are_refused() -> None:
    bomb = struct.pack("<16I", 2, 64, 64, *[0] * 13) + b"\x81\0" * 5_000_000
    with pytest.raises(ScanError, match="RLE"):
        decoded(dicom(bomb, RLE, GREY.shape))


def test_a_file_of_a_million_tags_ends_in_a_sentence() -> None:
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    sequence = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, 0xFFFFFFFF) + item * 1_500_000
    plain = dicom(GREY)
    at = plain.index(b"\xe0\x7f\x10\x00")
    with pytest.raises(ScanError, match=r"pieces|damaged"):
        decoded(plain[:at] + sequence + plain[at:])


def test_a_sequence_of_a_million_items_in_one_piece_ends_in_a_sentence_too() -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_500_000
    sequence = struct.pack("<HH2sHI", 0x5200, 0x9230, b"SQ", 0, len(items)) + items
    plain = dicom(GREY)
    at = plain.index(b"\xe0\x7f\x10\x00")
    with pytest.raises(ScanError, match=r"pieces|damaged"):
        decoded(plain[:at] + sequence + plain[at:])


@pytest.mark.parametrize("kind", ["JPEG lossless", "JPEG extended", "JPEG-LS", "JPEG 2000", "RLE"])
def test_a_compressed_picture_that_is_cut_short_is_refused(kind: str) -> None:
    source, syntax, tags = COMPRESSED[kind]
    with pytest.raises(ScanError):
        decoded(dicom(source[: len(source) // 2 // 2 * 2], syntax, GREY.shape, **({"BitsAllocated": 16} | tags)))


def test_limits_are_kept_from_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScanError, match="STUDIO_MAX_PIXELS"):
        decoded(dicom(GREY, Rows=60_000, Columns=60_000))
    with pytest.raises(ScanError, match="STUDIO_MAX_FRAMES"):
        decoded(dicom(GREY, NumberOfFrames=3000))
    monkeypatch.setenv("STUDIO_MAX_DECODE_MB", "0")
    with pytest.raises(ScanError, match="STUDIO_MAX_DECODE_MB"):
        decoded(dicom(GREY))


def test_a_patient_is_a_number_that_only_this_process_knows() -> None:
    first, again, other = (
        decode_scan(dicom(GREY, PatientID=patient), "scan").patient for patient in ("P-17", " P-17 ", "P-18")
    )
    assert first is not None
    assert first == again != other
    assert b"P-17" not in first
    assert all(decode_scan(dicom(GREY, PatientID=patient), "scan").patient is None for patient in ("", "Anonymous"))
    assert decode_scan(dicom(GREY), "scan").patient is None
    script = (
        "import sys; from core.scans import decode_scan\n"
        "print(decode_scan(sys.stdin.buffer.read(), 'scan').patient.hex())"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        input=dicom(GREY, PatientID="P-17"),
        capture_output=True,
        check=True,
    )
    assert result.stdout.decode().strip() != first.hex()


def test_nothing_personal_is_said_or_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    plain = dicom(GREY, PatientID="Secret-17", WindowWidth=10, WindowCenter=5)
    length = plain.index(b"UI\x14\x001.2.840.10008.1.2.1\0") + 2  # of the transfer syntax: it may swallow the rest
    lies = [plain[:length] + struct.pack("<H", number) + plain[length + 2 :] for number in (120, 200, 300)]
    for broken in lies + [plain[:at] + b"\xff\x00" + plain[at + 2 :] for at in range(132, len(plain) - GREY.size, 3)]:
        try:
            decode_scan(broken, "scan.dcm")
        except ScanError:
            assert "Secret" not in traceback.format_exc()
    assert "Secret" not in caplog.text


_FUZZ = """
import random, sys
sys.path.insert(0, sys.argv[1])
from core.scans import decode_scan
from core.errors import ScanError
from tests.core.test_dicom import COMPRESSED, GREY, dicom
chance = random.Random(1)
for source, syntax, tags in COMPRESSED.values():
    for round in range(100):
        broken = bytearray(source)
        for _ in range(chance.randint(1, 6)):
            broken[chance.randrange(len(broken) if round % 2 else min(200, len(broken)))] = chance.randrange(256)
        if round % 5 == 0:
            del broken[chance.randrange(len(broken)):]
        try:
            decode_scan(dicom(bytes(broken), syntax, GREY.shape, **tags), "scan.dcm")
        except ScanError as error:
            assert len(str(error)) > 20
print("survived")
"""


def test_damaged_compressed_pixels_never_end_the_process() -> None:
    result = subprocess.run(
        [sys.executable, "-c", _FUZZ, str(PROJECT)], cwd=PROJECT, capture_output=True, text=True, timeout=120
    )
    assert result.stdout.strip() == "survived", result.stderr[-2000:]
