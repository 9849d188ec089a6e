"""What an image file may ask for before it is decoded: pieces that Pillow's readers go through one by one, and memory.

A few kB can claim a billion pixels, and some MB can be a million pieces of nothing. Both are refused from the file's
structure, before Pillow reads it. The bounds are far above what photographs need; the largest of ImageNet's has 16 MB
and 61 million pixels, the largest of common cameras 102 million.
"""

import re
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

LONGEST_SIDE = 65_535  # pixels, JPEG's own limit; Pillow keeps 8 bytes a row
# Bytes for one image, or for several that threads decode at once: the file, its pixels as Pillow keeps them, and as
# they are returned. 112 million pixels fit, 85 million of a progressive JPEG, 45 million of a WebP.
MEMORY = 900_000_000
# Bytes for a pixel while it is decoded, measured by benchmarks.images.
_PIXEL, _PIXEL_OF_PROGRESSIVE_JPEG, _PIXEL_OF_WEBP, _PIXEL_OF_TIFF = 8, 10.5, 20, 9
_PIXEL_OF_DEEP_PNG = 16  # of 16 bits a channel: it takes no more memory, but twice the time

LARGEST = int(MEMORY / _PIXEL)  # pixels of any image

_SEGMENTS = 500  # of a JPEG before its first scan, 32 MB; with a depth map of 10 MB there are 160
_GAP = 4096  # bytes between two segments of a JPEG; there are none
_SCANS = 100  # of a JPEG; encoders write up to 20
_SCANNED = 1_600_000_000  # pixels of all scans of a JPEG together
_CHUNKS = 100_000  # of a PNG, WebP or GIF; a PNG of 100 MB has 12,000
_STRIPS = 100_000  # of a TIFF, or numbers in any of its tags
_SLOW = 8_000_000  # pixels, and bytes, of a BMP with run lengths, which Pillow reads in Python
_COMPRESSIONS = ("raw", "jpeg", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate")  # of a TIFF

_JPEGS = ("JPEG", "MPO")  # as Pillow calls one with more pictures behind it
_SCAN = b"\xff\xda"
_ALONE = re.compile(rb"[\x00\xc8\xd0-\xd9\xf0-\xfd]")  # after 0xFF: markers without a length
_NUMBER_SIZES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8}  # bytes by TIFF's type of a field


class Excessive(ValueError):
    """An image asks for more than any photograph does."""


class Room:
    """A share of memory that threads take from; who asks for more than is left waits."""

    def __init__(self, total: int) -> None:
        self._left, self._changed = total, threading.Condition()

    @contextmanager
    def take(self, amount: int) -> Iterator[None]:
        """Holds `amount`, at most the total, while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: self._left >= amount)
            self._left -= amount
        try:
            yield
        finally:
            with self._changed:
                self._left += amount
                self._changed.notify_all()


def check_structure(data: bytes) -> None:
    """Raises Excessive for a file of more pieces than its kind has, before anything else reads it."""
    if data.startswith(b"\xff\xd8\xff"):
        _check_jpeg(data)
    elif data.startswith(b"\x89PNG\r\n\x1a\n"):
        _check_chunks(data, 8, "PNG", ">I", 8, 1)
    elif data[:4] == b"RIFF":
        _check_chunks(data, 12, "WebP", "<I", 8, 2)
    elif data.startswith(b"GIF8"):
        _check_gif(data)
    elif data[:2] in (b"II", b"MM"):
        _check_tiff(data)


def memory_of(image: Image.Image, data: bytes) -> int:
    """Returns the bytes that decoding takes, of an image that Pillow has opened and not read.

    Raises:
        Excessive: when that is more than MEMORY, or the image would take minutes.
    """
    width, height = image.size
    pixels, each = _decoded_pixels(image), _bytes_per_pixel(image)
    memory = len(data) + int(pixels * each)
    if max(width, height) > LONGEST_SIDE or memory > MEMORY:
        raise Excessive(
            f"its {width}x{height} pixels are too many, expected sides of at most {LONGEST_SIDE:,} and"
            f" {(MEMORY - len(data)) / each / 1e6:.0f} million pixels in such a file"
        )
    if image.format in _JPEGS:
        _check_scans(data, pixels)
    if any(tile.codec_name == "bmp_rle" for tile in getattr(image, "tile", ())) and max(pixels, len(data)) > _SLOW:
        raise Excessive(
            f"it has {pixels:,} pixels in run lengths of {len(data):,} bytes, expected {_SLOW:,} of each at most"
        )
    return memory


def _bytes_per_pixel(image: Image.Image) -> float:
    if image.format in _JPEGS and "progressive" in image.info:
        return _PIXEL_OF_PROGRESSIVE_JPEG
    if image.format == "PNG" and any(str(tile.args).endswith(";16B") for tile in getattr(image, "tile", ())):
        return _PIXEL_OF_DEEP_PNG
    return {"WEBP": _PIXEL_OF_WEBP, "TIFF": _PIXEL_OF_TIFF}.get(image.format or "", _PIXEL)


def _decoded_pixels(image: Image.Image) -> int:
    """Returns the number of pixels that are decoded: those of TIFF's tiles may reach beyond the image."""
    width, height = image.size
    if image.format != "TIFF":
        return width * height
    if image.info.get("compression") not in _COMPRESSIONS:
        raise Excessive(f"its compression is {image.info.get('compression')}, expected {', '.join(_COMPRESSIONS)}")
    across, down = (image.tag_v2.get(tag, 0) for tag in (322, 323))  # type: ignore[attr-defined]
    if not isinstance(across, int) or not isinstance(down, int):
        raise Excessive("its tiles have several sizes")
    return (width + across) * (height + down)


# The structure of each kind -------------------------------------------------------------------------------------------
def _check_jpeg(data: bytes) -> None:
    """Counts the segments before the first scan, and the bytes between two of them, which Pillow skips one by one."""
    at = 2
    for _ in range(_SEGMENTS):
        start = data.find(b"\xff", at, at + _GAP)
        if start < 0 and at + _GAP < len(data):
            raise Excessive(f"its segments end at byte {at}, before its first scan")
        if start < 0 or data[start : start + 2] == _SCAN:
            return
        at = start + 2
        if data[at - 1 : at] == b"\xff":  # padding
            at -= 1
        elif not _ALONE.match(data, at - 1):
            at += int.from_bytes(data[at : at + 2], "big")
    raise Excessive(f"it has more than {_SEGMENTS} segments before its first scan")


def _check_scans(data: bytes, pixels: int) -> None:
    """Counts what may be the starts of scans: in the data of a scan these two bytes never stand."""
    scans = data.count(_SCAN)
    if scans > _SCANS or scans * pixels > _SCANNED:
        scans = _count_scans(data)
    if scans > _SCANS or scans * pixels > _SCANNED:
        raise Excessive(
            f"it has {scans:,} scans of {pixels:,} pixels, expected {min(_SCANS, _SCANNED // pixels)} at most"
        )


def _count_scans(data: bytes) -> int:
    """Returns the number of scans up to the end of the image, behind which cameras put previews and films."""
    marker, scans, at = re.compile(rb"\xff([\x01-\xcf\xd9-\xfe])"), 0, 2
    while (match := marker.search(data, at)) and match[1] != b"\xd9":
        scans += match[1] == b"\xda"
        at = match.end()
        if not _ALONE.match(match[1]):
            at += int.from_bytes(data[at : at + 2], "big")
    return scans


def _check_chunks(data: bytes, at: int, kind: str, length: str, head: int, even: int) -> None:
    """Counts the chunks of a PNG or a RIFF file.

    Args:
        data: the file.
        at: where the first chunk begins.
        kind: for the message.
        length: the format of a chunk's length, which stands first in PNG and second in RIFF.
        head: bytes of a chunk before its content.
        even: what the length is rounded up to a multiple of.
    """
    first, checksum = (0, 4) if kind == "PNG" else (4, 0)
    for _ in range(_CHUNKS):
        if at + head > len(data):
            return
        (size,) = struct.unpack_from(length, data, at + first)
        at += head + size + size % even + checksum
    raise Excessive(f"it has more than {_CHUNKS:,} chunks")


def _check_gif(data: bytes) -> None:
    """Counts the blocks before the first picture."""
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 128 else 0)
    for _ in range(_CHUNKS):
        if data[at : at + 1] == b"!":  # an extension: its kind, and its first block
            at += 2
        elif data[at : at + 1] in (b",", b";", b""):
            return
        at += 1 + data[at] if at < len(data) else 0
    raise Excessive(f"it has more than {_CHUNKS:,} blocks before its first picture")


def _check_tiff(data: bytes) -> None:
    """Checks the number of fields of the first directory, and of the numbers in each."""
    order = "<" if data[:1] == b"I" else ">"
    is_big = data[2:4] in (b"+\0", b"\0+")
    offset, count, entry = ("Q", "Q", "HHQ8x") if is_big else ("I", "H", "HHI4x")
    try:
        (start,) = struct.unpack_from(order + offset, data, 8 if is_big else 4)
        (fields,) = struct.unpack_from(order + count, data, start)
    except (struct.error, OverflowError):
        return  # which Pillow says
    start, size = start + struct.calcsize(order + count), struct.calcsize(order + entry)
    for at in range(start, min(len(data) - size, start + size * fields) + 1, size):
        if at > start + size * _STRIPS:
            raise Excessive(f"it has {fields:,} fields")
        tag, kind, numbers = struct.unpack_from(order + entry, data, at)
        if kind in _NUMBER_SIZES and numbers > _STRIPS:
            raise Excessive(f"its field {tag} has {numbers:,} numbers, expected {_STRIPS:,} at most")
