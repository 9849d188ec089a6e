"""signatures: image files as Pillow reads them, and classes by their names."""

import io
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipeline.base import png
from pipeline.images.decoding import decode
from pipeline.model.preprocessing import prepare
from pipeline.saved_model import selftest, signatures
from pipeline.saved_model.classes import Classes

pytestmark = pytest.mark.slow

NOISE = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
SMOOTH = np.asarray(Image.fromarray(NOISE[:5, :7]).resize((53, 37), Image.Resampling.BICUBIC))


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def files() -> dict[str, bytes]:
    """Returns image files by what they are."""
    noise, smooth = Image.fromarray(NOISE), Image.fromarray(SMOOTH)
    palette = smooth.convert("P", palette=Image.Palette.ADAPTIVE, colors=7)
    alpha = smooth.convert("RGBA")
    alpha.putalpha(noise.convert("L"))
    deep = Image.fromarray((np.arange(37 * 53, dtype=np.uint16) * 33).reshape(37, 53))
    return {
        "JPEG": encoded(smooth, "JPEG"),
        "JPEG, noise, coarse colours": encoded(noise, "JPEG", subsampling="4:2:0", quality=60),
        "JPEG, colours halved in width": encoded(noise, "JPEG", subsampling="4:2:2"),
        "JPEG, full colours": encoded(noise, "JPEG", subsampling="4:4:4", quality=95),
        "JPEG, progressive": encoded(noise, "JPEG", progressive=True),
        "JPEG, grey": encoded(noise.convert("L"), "JPEG"),
        "JPEG, CMYK": encoded(smooth.convert("CMYK"), "JPEG"),
        "PNG": encoded(noise, "PNG"),
        "PNG, stored": png.encode(NOISE),
        "PNG, grey": encoded(noise.convert("L"), "PNG"),
        "PNG, grey and alpha": encoded(alpha.convert("LA"), "PNG"),
        "PNG, alpha": encoded(alpha, "PNG"),
        "PNG, palette": encoded(palette, "PNG"),
        "PNG, transparent palette": encoded(palette, "PNG", transparency=3),
        "PNG, black and white": encoded(noise.convert("1"), "PNG"),
        "PNG, 16 bits": encoded(deep, "PNG"),
    }


def test_no_files_are_no_images() -> None:
    images = signatures.read_images(tf.constant([], tf.string), 16)
    assert (images.shape, images.dtype) == ((0, 16, 16, 3), tf.float32)


@pytest.mark.parametrize("kind", files())
def test_pixels_equal_those_of_pillow(kind: str) -> None:
    content = files()[kind]
    np.testing.assert_array_equal(signatures.decode(tf.constant(content)).numpy(), decode(content, kind))


def test_the_orientation_of_exif_is_not_applied() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = encoded(Image.fromarray(SMOOTH), "JPEG", exif=exif)
    assert decode(content, "a").shape == (53, 37, 3)
    assert signatures.decode(tf.constant(content)).shape == (37, 53, 3)


@pytest.mark.parametrize("content", [b"", b"no image", encoded(Image.fromarray(NOISE), "BMP"), files()["JPEG"][:300]])
def test_other_files_are_an_error(content: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures.decode(tf.constant(content))


def test_files_of_several_sizes_are_one_batch() -> None:
    """Each is resized as the protocol says, but for the rounding of a graph that multiplies instead of dividing."""
    contents = [png.encode(NOISE), png.encode(NOISE[:9, :20]), encoded(Image.fromarray(SMOOTH), "JPEG")]
    read = tf.function(lambda encoded: signatures.read_images(encoded, 16), [tf.TensorSpec((None,), tf.string)])
    images = read(tf.constant(contents)).numpy()
    assert (images.dtype, images.shape) == (np.float32, (3, 16, 16, 3))
    for content, image in zip(contents, images, strict=True):
        np.testing.assert_allclose(image, prepare(decode(content, "a"), 16, "resize"), rtol=0, atol=1.2e-7)


def answer(logits: np.ndarray, classes: Classes) -> dict[str, np.ndarray]:
    outputs = signatures.classify(tf.constant(logits, tf.float32), classes)
    return {name: value.numpy() for name, value in outputs.items()}


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_names_of_imagenet_21k_are_found(activation: str) -> None:
    names = tuple(f"Klasse {index}, größer als {index - 1}" for index in range(21_843))
    logits = np.random.default_rng(0).normal(0, 5, (2, 21_843))
    outputs = answer(logits, Classes(activation, names))
    expected = np.argsort(-logits, axis=1)[:, :5]
    np.testing.assert_array_equal(outputs["top_indices"], expected)
    assert outputs["top_indices"].dtype == np.int32
    assert [[name.decode() for name in row] for row in outputs["top_classes"]] == [
        [names[index] for index in row] for row in expected
    ]
    assert selftest.names_the_largest(outputs, names)
    assert not selftest.names_the_largest(outputs, names[::-1])
    probabilities = Classes(activation).probabilities(logits)
    np.testing.assert_allclose(outputs["probabilities"], probabilities, rtol=0, atol=1e-6)
    assert (abs(outputs["probabilities"][0].sum() - 1) < 1e-5) == (activation == "softmax")


def test_classes_without_names_are_called_by_their_index() -> None:
    outputs = answer(np.array([[0.1, 0.3, 0.2]]), Classes())
    assert outputs["top_classes"].tolist() == [[b"1", b"2", b"0"]]
    assert selftest.names_the_largest(outputs, ())


def test_one_class_has_one_answer() -> None:
    outputs = answer(np.array([[0.5], [-2.0]]), Classes("sigmoid", ("a cat",)))
    assert outputs["top_classes"].tolist() == [[b"a cat"]] * 2
    np.testing.assert_allclose(
        outputs["probabilities"], Classes("sigmoid").probabilities(np.array([[0.5], [-2.0]])), 1e-6
    )


def test_the_softmax_of_a_single_logit_is_no_probability() -> None:
    assert answer(np.array([[0.5], [-2.0]]), Classes())["probabilities"].tolist() == [[1.0], [1.0]]
    assert not Classes().has_probabilities(1)
    assert Classes("sigmoid").has_probabilities(1)
    assert Classes().has_probabilities(2)


def test_a_wrong_order_is_noticed() -> None:
    """Sigmoids of large logits are equal, so that probabilities alone tell no order."""
    logits = np.array([[90.0, 100.0, 80.0]])
    outputs = answer(logits, Classes("sigmoid"))
    assert outputs["top_indices"].tolist() == [[1, 0, 2]]
    assert not selftest.names_the_largest(outputs | {"top_indices": np.array([[0, 1, 2]], np.int32)}, ())
    assert not selftest.names_the_largest(outputs | {"top_indices": np.array([[1, 0, 3]], np.int32)}, ())
    assert not selftest.names_the_largest(outputs | {"top_indices": outputs["top_indices"][:, :2]}, ())
    assert not selftest.names_the_largest(outputs | {"top_probabilities": np.array([[0.5, 1, 1]], np.float32)}, ())
