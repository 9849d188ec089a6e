"""Preprocesses images for the model, by either of two protocols.

    resize  to (size, size), bilinear without antialias: with this the checkpoints' authors evaluate
    crop    the shorter side to size / 0.9, bicubic with antialias, then the centre: with this timm evaluates them

Both then scale to [-1, 1]. An accuracy depends on the protocol, so reports name it. The signature `serving_images` of
a published module has `resize`.
"""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipeline.model.protocols import PROTOCOLS

if TYPE_CHECKING:
    import tensorflow as tf

CROP = 0.9  # the part of the shorter side that `crop` keeps: crop_pct of timm's augreg configurations
MAX_PIXELS = 1 << 26  # of the resized image before `crop` cuts it, 200 MB: sides of about 1 to 350

_BAND = 32  # rows at a time, so that their float32 copies fit the processor's cache
_HALF = np.float32(127.5)


class UnsuitableImage(ValueError):
    """An image that a protocol cannot process."""


def preprocess(pixels: "tf.Tensor", size: int) -> "tf.Tensor":
    """Applies the protocol `resize` in TensorFlow, for the signature `serving_images`.

    Source: vit_jax/input_pipeline.py of google-research/vision_transformer, which evaluates with tf.image.resize and
    (x - 127.5) / 127.5.

    Args:
        pixels: uint8 (n, height, width, 3), RGB.
        size: the side of the result, in pixels.

    Returns:
        float32 (n, size, size, 3) in [-1, 1].
    """
    import tensorflow as tf

    resized = tf.image.resize(tf.cast(pixels, tf.float32), (size, size), tf.image.ResizeMethod.BILINEAR)
    return (resized - 127.5) / 127.5


def prepare(pixels: np.ndarray, size: int, protocol: str) -> np.ndarray:
    """Preprocesses one image without TensorFlow.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        size: the side of the result, in pixels.
        protocol: one of PROTOCOLS.

    Returns:
        float32 (size, size, 3) in [-1, 1]; for `resize` bit for bit what preprocess() returns on a CPU.

    Raises:
        UnsuitableImage: when `crop` would need more than MAX_PIXELS before it cuts: the image is almost a line.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}")
    return _resize(pixels, size) if protocol == "resize" else _crop(pixels, size)


def _interpolation(length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each of `size` pixels along one side the two source pixels, and the weight of the second.

    Half-pixel centres, in float32, as in compute_interpolation_weights of TensorFlow's resize_bilinear_op.cc.

    Returns:
        int64 (size,) and int64 (size,) in 0 to length - 1; float32 (size,) in [0, 1).
    """
    scale = np.float32(length) / np.float32(size)
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    before, after = np.floor(at), np.ceil(at)
    return np.maximum(before, 0).astype(int), np.minimum(after, length - 1).astype(int), at - before


def _resize(pixels: np.ndarray, size: int) -> np.ndarray:
    """Applies the protocol `resize` in NumPy."""
    height, width, _ = pixels.shape
    (top, bottom, down), (left, right, across) = _interpolation(height, size), _interpolation(width, size)
    flat = pixels.reshape(height, width * 3)
    columns = [(side[:, np.newaxis] * 3 + np.arange(3)).ravel() for side in (left, right)]
    weights = np.repeat(across, 3)

    def interpolate(rows: np.ndarray) -> np.ndarray:
        band = flat[rows]
        start, end = (band[:, column].astype(np.float32) for column in columns)
        end -= start
        end *= weights
        end += start
        return end

    # Along the rows first, then down, each as a + (b - a) * weight: TensorFlow's order, which rounds the same way.
    result = np.empty((size, size * 3), np.float32)
    for first in range(0, size, _BAND):
        band = slice(first, first + _BAND)
        above, below = interpolate(top[band]), interpolate(bottom[band])
        below -= above
        below *= down[band, np.newaxis]
        below += above
        below -= _HALF
        np.divide(below, _HALF, out=result[band])
    return result.reshape(size, size, 3)


def _crop(pixels: np.ndarray, size: int) -> np.ndarray:
    """Applies the protocol `crop`.

    Source: timm 1.0.31, data/transforms_factory.py, transforms_imagenet_eval: torchvision's Resize of the shorter side
    to floor(size / crop_pct), its CenterCrop (which rounds halves to even), mean and standard deviation 0.5.
    """
    height, width, _ = pixels.shape
    shorter = int(size / CROP)
    narrower = min(width, height)
    resized = (int(shorter * width / narrower), int(shorter * height / narrower))
    if resized[0] * resized[1] > MAX_PIXELS:
        raise UnsuitableImage(f"its {width}x{height} pixels would become {resized[0]}x{resized[1]} before the crop")
    left, top = (round((side - size) / 2) for side in resized)
    whole = np.asarray(Image.fromarray(pixels).resize(resized, Image.Resampling.BICUBIC))
    middle = whole[top : top + size, left : left + size].astype(np.float32)
    middle -= _HALF
    middle /= _HALF
    return middle
