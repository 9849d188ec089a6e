"""Decodes image files of every common kind into upright RGB pixels."""

import io
import logging
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError

from pipeline.base.fault import Fault
from pipeline.images.bounds import LARGEST, MEMORY, Excessive, Room, check_structure, memory_of

# The formats of photographs. Pillow reads dozens more, and runs a program for some, such as EPS.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
# What Pillow's readers raise for damaged files.
_DAMAGED = (OSError, SyntaxError, ValueError, TypeError, RuntimeError, ArithmeticError, LookupError, struct.error)

# Rows of an array that EXIF's orientations 2 to 8 turn upright.
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels[::-1].swapaxes(0, 1),
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels[:, ::-1].swapaxes(0, 1),
}
_BAND = 1 << 20  # pixels that are converted at once, so that no second copy of a large image is made
_ROOM = Room(MEMORY)  # for all threads together

# Pillow refuses twice as many as it opens a file, and warns of more. It warns of odd metadata, too, and logs what it
# then raises, but a picture is either used or refused.
Image.MAX_IMAGE_PIXELS = LARGEST
logging.getLogger("PIL").setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module=r"PIL\.")


@contextmanager
def decoded(data: bytes, name: str) -> Iterator[np.ndarray]:
    """Decodes an image file, whose format is detected from its content (ImageNet has a PNG called .JPEG).

    Grey is repeated in all three channels, a palette looked up, CMYK converted as TensorFlow's decoder does (product of
    ink and black), 16 bits per channel reduced to their upper byte (as TensorFlow's and Pillow's PNG decoders do), and
    EXIF's orientation applied. Transparency is dropped and the colours below it are kept, as TensorFlow's decoder and
    timm do, with which others measure the accuracies that they report.

    The pixels are to be used within the block: it is entered when there is room for them beside those of other threads.

    Args:
        data: the file.
        name: its name, for the message.

    Yields:
        uint8 (height, width, 3), RGB.

    Raises:
        Fault: when the bytes are not an image of FORMATS, are cut short, ask for more than any photograph does
            (pipeline.images.bounds), or have 32-bit pixels, whose range is unknown.
    """
    with ExitStack() as stack:
        try:
            check_structure(data)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                stack.enter_context(_ROOM.take(memory_of(image, data)))
                image.load()
                pixels = _rgb(image)
                upright = _UPRIGHT.get(_orientation(image))
        except (*_DAMAGED, Image.DecompressionBombError) as error:
            reason, advice = str(error), "replace or remove it"
            if isinstance(error, UnidentifiedImageError):  # its own text has no file name, but an address in memory
                reason, advice = f"none of {', '.join(FORMATS)}", "replace it, such as HEIC by JPEG, or remove it"
            elif isinstance(error, Excessive):
                advice = "make it smaller, or remove it"
            raise Fault(f"{name}: cannot be read as an image ({reason}); {advice}") from None
        yield pixels if upright is None else np.ascontiguousarray(upright(pixels))


def decode(data: bytes, name: str) -> np.ndarray:
    """Returns the pixels of an image file, as decoded() does, beyond the room that threads share."""
    with decoded(data, name) as pixels:
        return pixels


def _rgb(image: Image.Image) -> np.ndarray:
    """Returns the pixels of an image: uint8 (height, width, 3)."""
    width, height = image.size
    # Pillow assumes that every CMYK JPEG is from Adobe, which stores 255 - ink; see TensorFlow's jpeg_mem.cc.
    is_inverted = image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info
    if width * height <= _BAND:
        return np.asarray(_convert(image, is_inverted))
    pixels = np.empty((height, width, 3), np.uint8)
    rows = max(1, _BAND // width)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        pixels[top : top + rows] = np.asarray(_convert(band, is_inverted))
    return pixels


def _convert(image: Image.Image, is_inverted: bool) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError(f"its pixels have 32 bits, mode {image.mode}, and no known range")
    if is_inverted:
        image = ImageChops.invert(image)
    image.info.pop("transparency", None)  # else Pillow warns that it will be dropped
    return image.convert("RGB")


def _orientation(image: Image.Image) -> int:
    """Returns EXIF's orientation, 1 to 8; 1, upright, where there is none or the EXIF block cannot be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except _DAMAGED:  # a damaged EXIF block in an intact image
        return 1
