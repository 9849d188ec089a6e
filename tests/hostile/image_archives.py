"""Archives of labelled images, and ImageNet's devkit, that a stranger gives to evaluate."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

from pipeline.images import image_set
from tests.hostile.archives import of_tar, written
from tests.hostile.attack import Attack, Fuzz
from tests.raw_archives import END, file, header, long_name, pax
from tests.validation_set import LABELS, content_of, name_of, packed, write_archive, write_shards

KEY = LABELS[0].key.encode()
_IMAGE = content_of(1)


def read_all(path: Path) -> None:
    """Lists the images of an archive or folder, and reads each, as evaluate does."""
    images = image_set.open_images(path, LABELS)
    for example in images.examples:
        images.read(example)


def read_beside(path: Path) -> None:
    """Reads the images of the folder of a file."""
    read_all(path.parent)


def images(*parts: bytes | Callable[[], bytes], end: bytes = END) -> Callable[[Path], Path]:
    """Returns what writes an archive of one image in the folder of a class, and of further entries."""
    first = file(KEY + b"/0.jpg", _IMAGE)
    return written(
        "i.tar", lambda: first + b"".join(part if isinstance(part, bytes) else part() for part in parts) + end
    )


def shard(*parts: bytes) -> Callable[[Path], Path]:
    """Returns what writes a WebDataset shard of one image with its class, and of further entries."""
    return written("shard.tar", lambda: file(b"0.jpg", _IMAGE) + file(b"0.cls", b"1") + b"".join(parts) + END)


def shard_with_text(suffix: bytes, text: bytes) -> Callable[[Path], Path]:
    return written("shard.tar", lambda: file(b"0.jpg", _IMAGE) + file(b"0." + suffix, text) + END)


def shard_with_holes(folder: Path) -> Path:
    """Writes a shard whose .cls has 3 GB of zeros, which take no place on the disk."""
    path = folder / "shard.tar"
    size = 3 << 30
    with path.open("wb") as stream:
        stream.write(file(b"0.jpg", _IMAGE) + header(b"0", size, b"0.cls"))
        stream.seek(size, os.SEEK_CUR)
        stream.write(END)
    return path


def with_truth(name: str, content: Callable[[], bytes]) -> Callable[[Path], Path]:
    """Returns what writes validation images beside a ground truth."""

    def make(folder: Path) -> Path:
        write_archive(folder / "ILSVRC2012_img_val.tar")
        return written(name, content)(folder)

    return make


def devkit(*parts: bytes) -> Callable[[Path], Path]:
    """Returns what writes validation images beside a packed devkit of entries."""
    return with_truth("ILSVRC2012_devkit_t12.tar.gz", lambda: gzip.compress(b"".join(parts) + END, 1))


DATA = b"ILSVRC2012_devkit_t12/data/"
ARCHIVES = (
    Attack("negative size", images(header(b"0", -512, KEY + b"/1.jpg")), read_all, "an entry of negative size"),
    Attack("negative size of a folder", images(header(b"5", -1536)), read_all, "an entry of negative size"),
    Attack("negative pax size", images(pax([(b"size", b"-512")]), file()), read_all, "a size that is no number"),
    Attack("huge size", images(header(b"0", 1 << 61, KEY + b"/1.jpg")), read_all, "unexpected end of data"),
    Attack("huge header", images(header(b"x", 3_000_000_000)), read_all, "headers of more than 131,072 bytes"),
    Attack("link outside", images(header(b"2", 0, KEY + b"/1.jpg", b"/etc/passwd")), read_all, "which is not in the"),
    Attack("hard link outside", images(header(b"1", 0, KEY + b"/1.jpg", b"../../1")), read_all, "which is not in the"),
    Attack("circle of links", images(header(b"2", 0, b"a", b"b"), header(b"2", 0, b"b", b"a")), read_all, "is a link"),
    Attack("link of 100 kB", images(long_name(b"../" * 33_000, b"K"), header(b"2", 0, b"a")), read_all, "a is a link"),
    Attack("control characters", images(header(b"2", 0, b"\x1b[2J\n", b"\xff")), read_all, r"\\x1b\[2J\\n is a link"),
    Attack("sparse image", images(header(b"S", 0, KEY + b"/1.jpg")), read_all, "is stored as a sparse file"),
    Attack("folders in folders", images(long_name(b"a/" * 500 + b"1.jpg"), file()), read_all, "a folder within 500"),
    Attack("cut", images(end=b""), read_all, "no end of archive"),
    Attack("another archive", images(END, file(KEY + b"/1.jpg", _IMAGE)), read_all, "another archive follows its end"),
    Attack("compressed", of_tar(file(KEY + b"/1.jpg", _IMAGE)), read_all, "evil.tar.gz: of archives only .tar"),
    Attack("two of one name", shard(file(b"a/0.jpg", _IMAGE), file(b"a/0.cls", b"1")), read_all, "two images are"),
)  # fmt: skip
SHARDS = (
    Attack("class of 3 GB", shard_with_holes, read_all, "a text of 3,221,225,472 bytes, at most 1,000,000"),
    Attack("class of 1 MB", shard_with_text(b"cls", b"1" * 1_000_000), read_all, "got '1111111"),
    Attack("deep JSON", shard_with_text(b"json", b"[" * 900_000), read_all, "not valid JSON"),
    Attack("long JSON", shard_with_text(b"json", b'{"label": "' + b"a" * 900_000 + b'"}'), read_all, "got 'aaaa"),
    Attack("long number", shard_with_text(b"json", b'{"label": ' + b"1" * 900_000 + b"}"), read_all, "not valid JSON"),
    Attack("JSON of control characters", shard_with_text(b"json", b'["\\u001b[2J"]'), read_all, r"x1b\[2J"),
    Attack("JSON that is not UTF-8", shard_with_text(b"json", b'{"label": "\xff"}'), read_all, "not valid JSON"),
)
TRUTHS = (
    Attack("devkit of 3 GB", devkit(header(b"0", 3_000_000_000, DATA + b"meta.mat")), read_beside,
           "a content of more than 50 times"),
    Attack("devkit, 20 MB", devkit(file(DATA + b"meta.mat", bytes(20_000_000))), read_beside,
           "meta.mat has 20,000,000 bytes, at most 8,388,608"),
    Attack("devkit without meta.mat", devkit(file(DATA + b"ILSVRC2012_validation_ground_truth.txt", b"1")), read_beside,
           "not ImageNet's devkit: it has no"),
    Attack("long field", with_truth("LOC_val_solution.csv", lambda: b"a,b\na," + b"b" * 200_000), read_beside,
           "not Kaggle's table"),
    Attack("long word", with_truth("val.txt", lambda: b"a " + b"1" * 200_000), read_beside, "got '1111"),
)  # fmt: skip
ATTACKS = (*ARCHIVES, *SHARDS, *TRUTHS)


# Fuzz -----------------------------------------------------------------------------------------------------------------
def image_archives(folder: Path) -> list[Path]:
    """Writes an archive of class folders with a link, WebDataset shards, and validation images with their classes."""
    link = header(b"2", 0, KEY + b"/link.jpg", name_of(1).encode())
    in_folder = file(KEY + b"/" + name_of(1).encode(), content_of(1)) + link + file(KEY + b"/2", content_of(2))
    flat = {f"{name_of(number)[:-5]}_{LABELS[number].key}.JPEG": content_of(number) for number in (1, 2)}
    for name, content in (("folders", in_folder + END), ("val", packed(flat))):
        (folder / name).mkdir()
        (folder / name / "i.tar").write_bytes(content)
    write_shards(folder / "shards")
    return sorted(folder.glob("*/*.tar"))


LONG_ATTACKS = (
    Attack("empty entries", images(lambda: header(b"0", 0, KEY + b"/1.txt") * 60_000), read_all, "without content"),
)
FUZZES = (Fuzz("tar of images", image_archives, read_beside),)
