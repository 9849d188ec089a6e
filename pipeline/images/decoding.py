"""Decodes image files of every common kind into upright RGB pixels."""

import io
import struct

import numpy as np
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from pipeline.base.fault import Fault

# The formats of photographs. Pillow reads dozens more, and runs a program for some, such as EPS.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# What Pillow's readers raise for damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, struct.error)

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, name: str) -> np.ndarray:
    """Decodes an image file, whose format is detected from its content (ImageNet has a PNG called .JPEG).

    Grey is repeated in all three channels, a palette looked up, CMYK converted as TensorFlow's decoder does (product of
    ink and black), 16 bits per channel reduced to their upper byte (as TensorFlow's and Pillow's PNG decoders do), and
    EXIF's orientation applied. Transparency is dropped and the colours below it are kept, as TensorFlow's decoder and
    timm do, with which others measure the accuracies that they report.

    Args:
        data: the file.
        name: its name, for the message.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        Fault: when the bytes are not an image of FORMATS, are cut short, or have 32-bit pixels, whose range is unknown.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            pixels = np.asarray(_rgb(image))
            turn = _UPRIGHT.get(_orientation(image))
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        # Its own text has no file name, but an address in memory.
        reason = f"none of {', '.join(FORMATS)}" if isinstance(error, UnidentifiedImageError) else error
        raise Fault(f"{name}: cannot be read as an image ({reason}); replace or remove it") from None
    return pixels if turn is None else np.asarray(Image.fromarray(pixels).transpose(turn))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels have 32 bits, mode {image.mode}, and no known range")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Pillow assumes that every CMYK JPEG is from Adobe, which stores 255 - ink; see TensorFlow's jpeg_mem.cc.
        image = ImageChops.invert(image)
    image.info.pop("transparency", None)  # else Pillow warns that it will be dropped
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Returns EXIF's orientation, 1 to 8; 1, upright, where there is none or the EXIF block cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGED:  # a damaged EXIF block in an intact image
        return 1
