"""Image files of every kind that the real sets contain, and damaged files."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.fault import Fault
from pipeline.images.decoding import decode
from tests.pictures import PHOTOGRAPHS, noise, photograph


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode)
    pixels = decode(encoded(image, "JPEG" if mode == "CMYK" else "PNG"), "a")
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    assert pixels.min() >= 254


def test_photographs_have_the_right_size_and_colours() -> None:
    assert photograph("chelsea").shape == (300, 451, 3)
    # The cat is orange, the cup in the middle holds coffee.
    assert (np.diff(photograph("chelsea").mean(axis=(0, 1))) < 0).all()
    assert (np.diff(photograph("coffee").mean(axis=(0, 1))) < 0).all()


# Where the top left pixel of the file belongs, by EXIF's orientation: (row, column) of an upright picture.
CORNERS = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}


@pytest.mark.parametrize("orientation", CORNERS)
def test_exif_orientation_is_applied(orientation: int) -> None:
    image = Image.new("RGB", (6, 4))
    image.putpixel((0, 0), (255, 255, 255))
    image.putpixel((1, 0), (255, 0, 0))
    exif = image.getexif()
    exif[0x0112] = orientation
    pixels = decode(encoded(image, exif=exif), "a")
    assert pixels.shape == ((4, 6, 3) if orientation <= 4 else (6, 4, 3))
    row, column = CORNERS[orientation]
    assert pixels[row, column].tolist() == [255, 255, 255]
    # The file's first row runs along the picture's rows, or from 5 on along its columns.
    beside = (row, 1 if column == 0 else -2) if orientation <= 4 else (1 if row == 0 else -2, column)
    assert pixels[beside].tolist() == [255, 0, 0]


def test_a_damaged_exif_block_leaves_the_picture_upright() -> None:
    data = encoded(Image.new("RGB", (6, 4)), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\x03\0\x01\0")
    with pytest.warns(UserWarning, match="Corrupt EXIF data"):
        assert decode(data, "a").shape == (4, 6, 3)
    assert decode(encoded(Image.new("RGB", (6, 4)), "JPEG", exif=b"Exif\0\0garbage"), "a").shape == (4, 6, 3)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_exif_block_that_is_cut_short_leaves_the_picture_upright(kind: str) -> None:
    assert decode(encoded(Image.new("RGB", (6, 4)), kind, exif=b"Exif\0\0II*\0\x08"), "a").shape == (4, 6, 3)


def test_other_formats_are_refused_without_looking_into_them() -> None:
    """For EPS Pillow runs a program, and its readers of rare formats raise any exception."""
    for kind in ("EPS", "DDS", "ICO", "PPM"):
        with pytest.raises(Fault, match=r"a: cannot be read as an image .none of JPEG, PNG, WEBP, GIF, BMP, TIFF"):
            decode(encoded(Image.new("RGB", (16, 16)), kind), "a")


def test_cmyk_of_adobe_and_of_others() -> None:
    """Adobe's programs store 255 - ink and a marker; files without the marker store the ink."""
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    of_adobe = encoded(red, "JPEG", quality=95)
    assert np.abs(decode(of_adobe, "a").astype(int) - (255, 0, 0)).max() <= 4
    start = of_adobe.index(b"\xff\xee")
    plain = of_adobe[:start] + of_adobe[start + 2 + int.from_bytes(of_adobe[start + 2 : start + 4]) :]
    # The same bytes now mean their opposite: no cyan, magenta nor yellow where there was, and all of the black.
    assert decode(plain, "a").max() <= 4
    inverted = encoded(Image.new("CMYK", (16, 16), (255, 0, 0, 255)), "JPEG", quality=95)
    start = inverted.index(b"\xff\xee")
    plain = inverted[:start] + inverted[start + 2 + int.from_bytes(inverted[start + 2 : start + 4]) :]
    assert np.abs(decode(plain, "a").astype(int) - (255, 0, 0)).max() <= 4


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    values = np.array([[0, 255, 256, 32768, 65280, 65535]], np.uint16)
    for kind in ("PNG", "TIFF"):
        pixels = decode(encoded(Image.fromarray(values), kind), "a")
        assert pixels[0].tolist() == [[value >> 8] * 3 for value in values[0]]


def test_colours_of_sixteen_bits_are_scaled() -> None:
    """Pillow cannot write such a file, so the test does: signature, header, a filtered row per line, end."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    row = b"\0" + np.array([65535, 32768, 255, 0, 256, 4660], ">u2").tobytes()
    header = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row)) + chunk(b"IEND", b"")
    assert decode(data, "a").tolist() == [[[255, 128, 0], [0, 1, 18]]]


def test_transparency_is_dropped() -> None:
    """The colour below is kept, as in TensorFlow's decoder and timm."""
    clear = Image.new("RGBA", (4, 4), (200, 100, 50, 0))
    assert (decode(encoded(clear), "a") == (200, 100, 50)).all()
    assert (decode(encoded(Image.new("LA", (4, 4), (77, 0))), "a") == 77).all()
    palette = clear.convert("RGB").convert("P")
    for transparency in (0, bytes(256)):
        assert (decode(encoded(palette, transparency=transparency), "a") == decode(encoded(palette), "a")).all()


def test_the_format_is_detected_from_the_content() -> None:
    pixels = noise(12, 9)
    assert (decode(encoded(Image.fromarray(pixels)), "n02105855_2933.JPEG") == pixels).all()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_damaged_images_are_refused_by_name(kind: str) -> None:
    whole = encoded(Image.fromarray(noise(64, 64)), kind)
    for content in (b"", b"no image", whole[:20], whole[: len(whole) // 2]):
        with pytest.raises(Fault) as raised:
            decode(content, "val/n01440764/a.JPEG")
        assert str(raised.value).startswith("val/n01440764/a.JPEG: cannot be read as an image (")
        assert "0x" not in str(raised.value)
        is_unknown = "none of JPEG" in str(raised.value)
        advice = "replace it, such as HEIC by JPEG, or remove it" if is_unknown else "replace or remove it"
        assert str(raised.value).endswith(f"); {advice}")


def test_pixels_of_32_bits_are_refused() -> None:
    for mode in ("F", "I"):
        with pytest.raises(Fault, match=f"a: cannot be read .*32 bits, mode {mode}, and no known range"):
            decode(encoded(Image.new(mode, (4, 4)), "TIFF"), "a")


def test_photographs_come_with_their_licence() -> None:
    text = Path(PHOTOGRAPHS / "README.md").read_text()
    assert {path.name for path in PHOTOGRAPHS.glob("*.jpg")} == {"chelsea.jpg", "coffee.jpg"}
    assert all(word in text for word in ("chelsea.jpg", "coffee.jpg", "CC0"))
