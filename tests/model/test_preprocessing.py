"""The two protocols: `resize` equals TensorFlow bit for bit, `crop` equals timm."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.images.decoding import decode
from pipeline.model.preprocessing import prepare
from pipeline.model.protocols import PROTOCOLS
from tests.pictures import noise, photograph

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.slow
def test_resize_equals_tensorflow_bit_for_bit() -> None:
    """Larger, smaller and equal sizes, one pixel, and ratios that float32 cannot represent."""
    from pipeline.model.preprocessing import preprocess
    from pipeline.saved_model.load import start_tensorflow

    start_tensorflow()
    images = [photograph("chelsea"), photograph("coffee")]
    images += [noise(*shape) for shape in ((500, 375), (1, 1), (2, 3), (224, 224), (223, 225), (7, 999), (1100, 13))]
    for pixels in images:
        for size in (224, 16, 31):
            expected = preprocess(pixels[np.newaxis], size).numpy()[0]
            got = prepare(pixels, size, "resize")
            assert got.dtype == np.float32
            np.testing.assert_array_equal(got.view(np.int32), expected.view(np.int32), str((pixels.shape, size)))


@pytest.mark.slow
def test_files_are_decoded_as_tensorflow_does() -> None:
    """Lossless formats bit for bit; JPEG decoders may round differently."""
    import tensorflow as tf

    colours = Image.fromarray(noise(17, 11))
    wide = Image.fromarray(np.arange(187, dtype=np.uint16).reshape(11, 17) * 350)
    clear = colours.convert("RGBA")
    clear.putalpha(90)
    for image in (colours, colours.convert("L"), colours.convert("P"), wide, clear):
        data = io.BytesIO()
        image.save(data, "PNG")
        expected = tf.io.decode_image(data.getvalue(), channels=3).numpy()
        np.testing.assert_array_equal(decode(data.getvalue(), image.mode), expected)
    smooth = colours.resize((80, 60), Image.Resampling.BICUBIC)
    for image in (smooth, smooth.convert("L"), smooth.convert("CMYK")):
        data = io.BytesIO()
        image.save(data, "JPEG", quality=90)
        expected = tf.io.decode_jpeg(data.getvalue(), channels=3, dct_method="INTEGER_ACCURATE").numpy()
        assert np.abs(decode(data.getvalue(), image.mode).astype(int) - expected).max() <= 1


def test_crop_equals_timm() -> None:
    with np.load(DATA / "timm_crops.npz") as expected:
        assert len(expected.files) == 14
        for name in expected.files:
            source, side = name.split("@")
            pixels = noise(*map(int, source.split("x"))) if "x" in source else photograph(source)
            got = prepare(pixels, int(side), "crop")
            step = 4 if side == "224" else 1
            grey = np.rint(got * 127.5 + 127.5).astype(int)[::step, ::step]
            assert np.abs(grey - expected[name]).mean() <= 0.01, name
            assert np.abs(grey - expected[name]).max() <= 1, name


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pixels_are_scaled_to_the_range_of_the_model(protocol: str) -> None:
    for value, expected in ((0, -1.0), (255, 1.0)):
        got = prepare(np.full((30, 40, 3), value, np.uint8), 16, protocol)
        assert got.shape == (16, 16, 3)
        assert got.dtype == np.float32
        assert got.min() == got.max() == expected


def test_the_protocols_differ() -> None:
    """A bar at the left edge is kept by `resize` and cut off by `crop`, and is red in the result."""
    pixels = np.zeros((40, 80, 3), np.uint8)
    pixels[:, :8, 0] = 255
    assert prepare(pixels, 20, "resize")[..., 0].max() == 1
    assert prepare(pixels, 20, "crop").max() == -1
    with pytest.raises(ValueError, match="unknown protocol 'squash'"):
        prepare(pixels, 20, "squash")
