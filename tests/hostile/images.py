"""Images, and the folders that hold them, as evaluation reads them."""

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from pipeline.accuracy.classify import Task, prepare_image
from pipeline.images import image_set
from tests.hostile.attack import Attack, Fuzz
from tests.validation_set import LABELS

KEY = LABELS[0].key


def read_images(path: Path) -> None:
    """Lists the images of a folder, or of that of the file, decodes each and brings it to the model's size."""
    images = image_set.open_images(path if path.is_dir() else path.parent, LABELS)
    for example in images.examples:
        prepare_image(Task(images, images.examples, 32), example)


def read_class(path: Path) -> None:
    """Does so for an image in the folder of its class."""
    read_images(path.parent.parent)


# Files ----------------------------------------------------------------------------------------------------------------
def write_image(content: Callable[[], bytes], name: str = "1.jpg") -> Callable[[Path], Path]:
    """Returns what writes an image into the folder of a class, and returns the folder around that."""

    def make(folder: Path) -> Path:
        (folder / KEY).mkdir()
        (folder / KEY / name).write_bytes(content())
        return folder

    return make


def place(put: Callable[[Path], object], name: str = "1.jpg") -> Callable[[Path], Path]:
    """Returns what puts something that is no file where an image is expected."""

    def make(folder: Path) -> Path:
        (folder / KEY).mkdir()
        put(folder / KEY / name)
        return folder

    return make


def encode(kind: str, size: tuple[int, int] = (40, 30), mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.linear_gradient("L").resize(size).convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, extra: bytes = b"", bits: int = 8) -> bytes:
    """Returns a PNG that claims a size and has a few bytes of pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + extra + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def jpeg(width: int, height: int, **options: object) -> bytes:
    """Returns a small JPEG whose header claims another size."""
    data = encode("JPEG", **options)  # type: ignore[arg-type]
    at = data.index(b"\xff\xc2" if options.get("progressive") else b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


def with_segments(segments: bytes) -> bytes:
    data = encode("JPEG")
    return data[:2] + segments + data[2:]


def many_scans() -> bytes:
    """Returns a progressive JPEG of 36 million pixels with 1,000 more scans that change nothing: 0.1 MB, a minute."""
    head, *scans = encode("JPEG", (6000, 6000), progressive=True, quality=10)[:-2].split(b"\xff\xda")
    least = min(scans, key=len)
    return b"\xff\xda".join([head, *scans, *[least] * 1000]) + b"\xff\xd9"


def riff(chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def webp_canvas(width: int, height: int, chunks: bytes = b"") -> bytes:
    head = struct.pack("<I", 2) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return riff(b"VP8X" + struct.pack("<I", 10) + head + b"ANIM" + struct.pack("<IIH", 6, 0, 0) + chunks)


def lossless_webp(width: int, height: int) -> bytes:
    data = encode("WEBP", lossless=True)
    at = data.index(b"VP8L") + 9
    bits = (width - 1) | (height - 1) << 14
    return data[:at] + struct.pack("<I", bits) + data[at + 4 :]


def gif(width: int, height: int, extra: bytes = b"") -> bytes:
    picture = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x08\x03\x00\x01\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + extra + picture


def bmp(width: int, height: int, compression: int = 0, content: bytes = b"\1\0" * 400) -> bytes:
    bits = 8 if compression else 24
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, compression, 0, 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 2000, 0, 0, 14 + 40 + 1024) + head + bytes(1024) + content


def tiff(*fields: tuple[int, int, int, int], count: int | None = None) -> bytes:
    """Returns a TIFF of one strip; `fields` are (tag, type, count, value)."""
    base = {256: (3, 1, 8), 257: (3, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8)}
    base |= {277: (3, 1, 1), 278: (3, 1, 8), 279: (4, 1, 64)}
    base |= {tag: rest for tag, *rest in fields}  # type: ignore[misc]
    directory = b"".join(struct.pack("<HHII", tag, *base[tag]) for tag in sorted(base))
    return b"II*\0" + struct.pack("<IH", 8, count or len(base)) + directory + bytes(4 + 64)


def sparse(size: int, head: bytes = b"\xff\xd8\xff") -> Callable[[Path], object]:
    def put(path: Path) -> None:
        with path.open("wb") as stream:
            stream.write(head)
            stream.truncate(size)

    return put


def link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("pipe"))
    path.symlink_to("pipe")


def deep(path: Path) -> None:
    """Makes 100 folders in each other."""
    for _ in range(100):
        path.mkdir()
        path /= "a"


TOO_MANY = r"1\.jpg: cannot be read as an image \(its \d+x\d+ pixels are too many, expected sides of at most 65,535 and"
FILES = (
    ("a line of 170 million pixels", lambda: png(1, 170_000_000), TOO_MANY),
    ("a PNG of 20,000 x 20,000", lambda: png(20_000, 20_000), "exceeds limit of 225000000 pixels"),
    ("a PNG of 16 bits of 8,000 x 8,000", lambda: png(8_000, 8_000, bits=16), TOO_MANY),
    ("a JPEG of 13,000 x 13,000", lambda: jpeg(13_000, 13_000), TOO_MANY),
    ("a progressive JPEG of 9,500 x 9,500", lambda: jpeg(9_500, 9_500, progressive=True), TOO_MANY),
    ("a WebP of 12,000 x 12,000", lambda: lossless_webp(12_000, 12_000), TOO_MANY),
    ("a WebP canvas of 12,000 x 12,000", lambda: webp_canvas(12_000, 12_000), "1.jpg: cannot be read as an image"),
    ("a GIF of 12,000 x 12,000", lambda: gif(12_000, 12_000), TOO_MANY),
    ("a BMP of 12,000 x 12,000", lambda: bmp(12_000, 12_000), TOO_MANY),
    ("a BMP of run lengths", lambda: bmp(1_000_000, 100, 1), TOO_MANY),
    (
        "a BMP of many run lengths",
        lambda: bmp(8_000, 8_000, 1),
        "64,000,000 pixels in run lengths of 1,878 bytes, expected 8,000,000",
    ),
    (
        "a BMP of run lengths of nothing",
        lambda: bmp(1_000, 1_000, 1, b"\0\2\0\0" * 5_000_000),
        "1,000,000 pixels in run lengths of 20,001,078 bytes, expected 8,000,000",
    ),
    ("a TIFF of 12,000 x 12,000", lambda: tiff((256, 3, 1, 12_000), (257, 3, 1, 12_000)), TOO_MANY),
    ("a TIFF of one huge tile", lambda: tiff((322, 4, 1, 60_000), (323, 4, 1, 60_000)), TOO_MANY),
    (
        "a TIFF of a million strips",
        lambda: tiff((273, 4, 1_000_000, 8)),
        "its field 273 has 1,000,000 numbers, expected",
    ),
    ("a TIFF of another compression", lambda: tiff((259, 3, 1, 50_000)), "its compression is zstd, expected raw"),
    (
        "a BigTIFF of a million fields",
        lambda: b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1_000_000) + struct.pack("<HHQQ", 1, 99, 1, 0) * 1_000_000,
        "it has 1,000,000 fields",
    ),
    ("a PNG of 200,000 chunks", lambda: png(8, 8, chunk(b"teSt", b"") * 200_000), "it has more than 100,000 chunks"),
    ("a WebP of 200,000 chunks", lambda: webp_canvas(8, 8, b"teSt\0\0\0\0" * 200_000), "more than 100,000 chunks"),
    (
        "a GIF of 200,000 blocks",
        lambda: gif(8, 8, b"!\xfe" + b"\1a" * 200_000 + b"\0"),
        "more than 100,000 blocks before",
    ),
    (
        "a JPEG of 100,000 segments",
        lambda: with_segments(b"\xff\xe1\0\x08Exif\0\0" * 100_000),
        "it has more than 500 segments before its first scan",
    ),
    (
        "a JPEG of padding",
        lambda: with_segments(b"\xff" * 10_000_000),
        "it has more than 500 segments before its first",
    ),
    (
        "a JPEG of zeros",
        lambda: b"\xff\xd8\xff\xe0\0\x02" + bytes(10_000_000),
        "its segments end at byte 6, before its",
    ),
    ("a JPEG of 1,010 scans", many_scans, r"1\.jpg: .*1,010 scans of 36,000,000 pixels, expected 44 at most"),
    ("an EPS", lambda: encode("EPS"), "none of JPEG, PNG, WEBP, GIF, BMP, TIFF"),
)
PLACES = (
    ("a file of 10 GB", sparse(10_000_000_000), r"1\.jpg: it has 10,000,000,000 bytes, expected 268,435,456 at most"),
    ("a link to a named pipe", link_to_pipe, "it is a pipe or a"),
    ("a link to a device", lambda path: path.symlink_to("/dev/zero"), r"1\.jpg: it is a pipe or a device, expected a"),
    ("a link to itself", lambda path: path.symlink_to(path.name), r"1\.jpg: cannot be read \(Too many levels of symb"),
    ("folders in folders", deep, "more than 64 folders deep; remove it"),
)
NAMES = (
    ("a name with an escape code", "\x1b[2J\n.jpg", r"\\x1b\[2J\\n\.jpg: cannot be read as an image"),
    ("a name that is not UTF-8", "\udce9.jpg", r"\\udce9\.jpg: cannot be read as an image"),
)


ATTACKS = (
    *(Attack(name, write_image(content), read_images, sentence) for name, content, sentence in FILES),
    *(Attack(name, place(put), read_images, sentence) for name, put, sentence in PLACES),
    *(Attack(name, write_image(lambda: b"x", file), read_images, sentence) for name, file, sentence in NAMES),
)


# Damaged files --------------------------------------------------------------------------------------------------------
def write_each(**options: object) -> Callable[[Path], list[Path]]:
    """Returns what writes an image of each kind that is decoded, each with EXIF where it may have it."""

    def make(folder: Path) -> list[Path]:
        exif = Image.Exif()
        exif[0x0112] = 6
        paths = []
        for kind, mode in (
            ("JPEG", "RGB"),
            ("JPEG", "CMYK"),
            ("PNG", "P"),
            ("PNG", "RGBA"),
            ("WEBP", "RGB"),
            ("GIF", "P"),
        ):
            paths.append(folder / KEY / f"{kind}-{mode}.{kind.lower()}")
            paths[-1].parent.mkdir(exist_ok=True)
            paths[-1].write_bytes(encode(kind, mode=mode, exif=exif))
        for name, content in (("progressive.jpg", encode("JPEG", progressive=True)), ("a.bmp", encode("BMP"))):
            paths.append(folder / KEY / name)
            paths[-1].write_bytes(content)
        for compression in ("raw", "tiff_lzw"):
            paths.append(folder / KEY / f"{compression}.tif")
            paths[-1].write_bytes(encode("TIFF", compression=compression))
        return paths

    return make


FUZZES = (Fuzz("image", write_each(), read_class),)
