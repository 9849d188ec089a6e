"""What honest images need is allowed, and what is in memory at once is bounded. Refusals: tests/hostile/images.py."""

import io
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.fault import Fault
from pipeline.images import bounds, image_set
from pipeline.images.bounds import MEMORY, Room, check_structure, memory_of
from pipeline.images.decoding import decode
from pipeline.images.files import list_images
from tests.hostile.images import encode, jpeg, png
from tests.validation_set import LABELS

KEY = LABELS[0].key


@pytest.mark.parametrize(
    "data",
    [
        jpeg(9331, 6530),  # ImageNet's largest
        jpeg(11_648, 8736),  # of a camera of 102 million pixels
        jpeg(9331, 6530, progressive=True),
        png(11_648, 8736),
        png(65_535, 10),
        png(8256, 5504, bits=16),  # of a camera of 45 million pixels
    ],
    ids=["ImageNet", "camera", "progressive", "PNG", "line", "16 bits"],
)
def test_the_largest_photographs_are_allowed(data: bytes) -> None:
    check_structure(data)
    with Image.open(io.BytesIO(data)) as image:
        assert memory_of(image, data) + 16_000_000 < MEMORY


def test_pictures_and_films_behind_a_jpeg_are_no_scans() -> None:
    """As cameras of phones append them."""
    data = encode("JPEG", progressive=True) + b"\xff\xda" * 1000
    assert decode(data, "a").shape == (30, 40, 3)


def test_a_large_image_is_converted_in_bands(monkeypatch: pytest.MonkeyPatch) -> None:
    modes = [("JPEG", "CMYK"), ("PNG", "P"), ("PNG", "RGBA"), ("PNG", "L"), ("JPEG", "RGB")]
    files = [encode(kind, mode=mode) for kind, mode in modes]
    whole = [decode(file, "a") for file in files]
    monkeypatch.setattr("pipeline.images.decoding._BAND", 7 * 40)
    for pixels, file in zip(whole, files, strict=True):
        np.testing.assert_array_equal(decode(file, "a"), pixels)


def test_threads_wait_for_room() -> None:
    room, held, most, lock = Room(10), [], [], threading.Lock()

    def take(amount: int) -> None:
        with room.take(amount):
            with lock:
                held.append(amount)
                most.append(sum(held))
            with lock:
                held.remove(amount)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(take, [1, 10, 4, 3, 6, 9, 2, 10] * 20))
    assert max(most) <= 10
    assert len(most) == 160


def test_what_cannot_be_decoded_gives_its_room_back(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode("PNG")
    monkeypatch.setattr("pipeline.images.decoding._ROOM", Room(2 * len(data) + 20_000))
    for _ in range(3):
        with pytest.raises(Fault, match="cannot be read as an image"):
            decode(data[:-60], "a")
    assert decode(data, "a").shape == (30, 40, 3)


def test_links_between_folders_multiply_nothing(tmp_path: Path) -> None:
    """Ten folders that link to each other have 10! paths."""
    folders = [tmp_path / KEY / f"{number}" for number in range(10)]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / f"{folder.name}.jpg").write_bytes(encode("JPEG"))
    for folder in folders:
        for other in folders:
            (folder / f"to-{other.name}").symlink_to(other)
    assert len(list(list_images(tmp_path / KEY))) == 10
    assert len(image_set.open_images(tmp_path, LABELS).examples) == 10


def test_names_are_text_in_reports(tmp_path: Path) -> None:
    (tmp_path / KEY).mkdir()
    for name in (b"caf\xe9.jpg", b"line\nend,\x1b[1m.jpg", "日本語\u3000.jpg".encode()):
        Path(os.fsdecode(os.fsencode(tmp_path / KEY) + b"/" + name)).write_bytes(b"x")
    images = image_set.open_images(tmp_path, LABELS)
    expected = {r"caf\udce9.jpg", r"line\nend,\x1b[1m.jpg", "日本語\u3000.jpg"}
    assert {example.file for example in images.examples} == expected
    for example in images.examples:
        assert images.locate(example).isprintable()
        assert images.read(example) == b"x"
    assert len(image_set.manifest_digest(images.examples)) == 64


def make_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("put", "reason"),
    [
        (lambda path: path.unlink(), "cannot be read .No such file or directory.; was it moved"),
        (make_pipe, "it is a pipe or a device, expected a file"),
        (lambda path: (path.unlink(), path.mkdir()), "it is a folder, expected a file"),
        (lambda path: os.truncate(path, 1 << 29), "it has 536,870,912 bytes, expected 268,435,456 at most"),
    ],
)
def test_files_that_change_after_they_were_listed(put: Callable[[Path], object], reason: str, tmp_path: Path) -> None:
    (tmp_path / KEY).mkdir()
    (tmp_path / KEY / "1.jpg").write_bytes(encode("JPEG"))
    images = image_set.open_images(tmp_path, LABELS)
    put(tmp_path / KEY / "1.jpg")
    with pytest.raises(Fault, match=rf"1\.jpg: {reason}"):
        images.read(images.examples[0])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # as in decoding; pytest has filters of its own
def test_a_tiff_that_is_no_tiff_is_left_to_pillow() -> None:
    for data in (b"II", b"II*\0", b"MM\0*\xff\xff\xff\xff", b"II+\0\x08\0\0\0" + b"\xff" * 8):
        bounds.check_structure(data)
        with pytest.raises(Fault, match="cannot be read as an image"):
            decode(data, "a")
