"""What happens to an image before the model sees it: the two protocols, and the one that is published in the signature.

    resize  straight to (size, size), bilinear without antialias: what the checkpoints' authors evaluate with
    crop    the shorter side to size / 0.9, bicubic with antialias, then the middle: what timm evaluates them with

Both then scale to [-1, 1]. A figure means something only beside the name of its protocol.
"""

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from pipeline.model.protocols import PROTOCOLS

if TYPE_CHECKING:
    import tensorflow as tf

CROP = 0.9  # the part of the shorter side that `crop` keeps: crop_pct of timm's augreg configurations

LARGEST = 1 << 26  # pixels of an image on the way of `crop`, 200 MB: sides of about 1 to 350

_BAND = 32  # rows at a time: their float32 copies stay in the processor's cache, and are allocated without page faults
_HALF = np.float32(127.5)


class Unfit(ValueError):
    """An image that a protocol can make nothing of."""


def preprocess(pixels: "tf.Tensor", size: int) -> "tf.Tensor":
    """Resizes straight to (size, size), bilinear without antialias, and scales to [-1, 1]: the protocol `resize`.

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
    """Makes of one image what the model takes, without TensorFlow.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        size: the side of the result, in pixels.
        protocol: one of PROTOCOLS.

    Returns:
        float32 (size, size, 3) in [-1, 1]; for `resize` bit for bit what preprocess() returns on a CPU.

    Raises:
        Unfit: when `crop` would need an image of more than LARGEST pixels on the way, of one that is hardly but a line.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"unknown protocol {protocol!r}")
    return _resize(pixels, size) if protocol == "resize" else _crop(pixels, size)


def _weights(length: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns, for each of `size` results along one side: the pixels before and after, and the part of the latter.

    Half-pixel centres, in float32, as compute_interpolation_weights of TensorFlow's resize_bilinear_op.cc has it.

    Returns:
        int64 (size,) and int64 (size,) in 0 to length - 1; float32 (size,) in [0, 1).
    """
    scale = np.float32(length) / np.float32(size)
    at = (np.arange(size, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    before, after = np.floor(at), np.ceil(at)
    return np.maximum(before, 0).astype(int), np.minimum(after, length - 1).astype(int), at - before


def _resize(pixels: np.ndarray, size: int) -> np.ndarray:
    height, width, _ = pixels.shape
    (top, bottom, down), (left, right, across) = _weights(height, size), _weights(width, size)
    flat = pixels.reshape(height, width * 3)
    columns = [(side[:, np.newaxis] * 3 + np.arange(3)).ravel() for side in (left, right)]
    weights = np.repeat(across, 3)

    def between(rows: np.ndarray) -> np.ndarray:
        band = flat[rows]
        start, end = (band[:, column].astype(np.float32) for column in columns)
        end -= start
        end *= weights
        end += start
        return end

    # Along the rows first, then down, each as a + (b - a) * weight: TensorFlow's order, so that it rounds the same way.
    result = np.empty((size, size * 3), np.float32)
    for first in range(0, size, _BAND):
        band = slice(first, first + _BAND)
        above, below = between(top[band]), between(bottom[band])
        below -= above
        below *= down[band, np.newaxis]
        below += above
        below -= _HALF
        np.divide(below, _HALF, out=result[band])
    return result.reshape(size, size, 3)


def _crop(pixels: np.ndarray, size: int) -> np.ndarray:
    """The protocol `crop`.

    Source: timm 1.0.31, data/transforms_factory.py, transforms_imagenet_eval: torchvision's Resize of the shorter side
    to floor(size / crop_pct), its CenterCrop (which rounds halves to even), mean and standard deviation 0.5.
    """
    height, width, _ = pixels.shape
    shorter = int(size / CROP)
    narrower = min(width, height)
    resized = (int(shorter * width / narrower), int(shorter * height / narrower))
    if resized[0] * resized[1] > LARGEST:
        raise Unfit(f"with its {width}x{height} pixels, it would have {resized[0]}x{resized[1]} before it is cropped")
    left, top = (round((side - size) / 2) for side in resized)
    whole = np.asarray(Image.fromarray(pixels).resize(resized, Image.Resampling.BICUBIC))
    middle = whole[top : top + size, left : left + size].astype(np.float32)
    middle -= _HALF
    middle /= _HALF
    return middle
