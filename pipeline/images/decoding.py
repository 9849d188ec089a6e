"""From an image file's bytes to upright RGB pixels, whatever the file is."""

import io
import struct

import numpy as np
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from pipeline.base.fault import Fault

# What photographs come as; Pillow knows dozens more, EPS among them, for which it runs a program.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# Whatever Pillow's readers meet in a damaged file, some in the middle of unpacking it.
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
    """Decodes an image file; its content says what kind it is, not its name (ImageNet has a PNG called .JPEG).

    Grey is repeated in all three channels, a palette looked up, CMYK converted plainly as TensorFlow's decoder does it
    (product of ink and black), 16 bits per channel scaled to 8 by their upper byte (as TensorFlow's and Pillow's PNG
    decoders do), and EXIF's orientation applied. Transparency is dropped and the colours below it are used: so do
    TensorFlow's decoder and timm, with which the figures others report were measured; any background would be our own
    invention.

    Args:
        data: the file.
        name: its name, for the message.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        Fault: when the bytes are no image of FORMATS, are cut short, or have pixels of no stated range (32 bits).
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            image.load()
            pixels = np.asarray(_rgb(image))
            turn = _UPRIGHT.get(_orientation(image))
    except (*_DAMAGED, Image.DecompressionBombError) as error:
        # The bytes have no name of their own, and the text would show an address in memory.
        reason = f"none of {', '.join(FORMATS)}" if isinstance(error, UnidentifiedImageError) else error
        raise Fault(f"{name}: cannot be read as an image ({reason}); replace or remove it") from None
    return pixels if turn is None else np.asarray(Image.fromarray(pixels).transpose(turn))


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels have 32 bits, mode {image.mode}, of which nothing says what is white")
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        # Pillow takes every such file for one of Adobe's, which store 255 - ink; see TensorFlow's jpeg_mem.cc.
        image = ImageChops.invert(image)
    image.info.pop("transparency", None)  # else Pillow warns that it is about to be dropped
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Returns EXIF's orientation, 1 to 8; 1, upright, where there is none or the EXIF block cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGED:  # a damaged block beside a sound picture
        return 1
