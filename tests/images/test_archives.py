"""Archives, read without unpacking; test_image_set.py compares them with folders."""

import gzip
import tarfile
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.images import image_set
from pipeline.images.layout import Layout
from tests.images.test_image_set import COLOURS
from tests.validation_set import LABELS, content_of, packed, write_archive, write_tar, write_truth


@pytest.mark.parametrize(
    ("texts", "label"),
    [
        ({"cls": b"967"}, 967),
        ({"cls": b"967\n", "json": b'{"label": 3}'}, 967),  # .cls takes precedence
        ({"json": b'{"label": 281, "filename": "a/n1_2.JPEG"}'}, 281),
        ({"cls": b"n02123045"}, 281),
    ],
)
def test_a_shard_gives_the_class_beside_the_image(texts: dict[str, bytes], label: int, tmp_path: Path) -> None:
    files = {"a/0001.jpg": content_of(1)} | {f"a/0001.{kind}": data for kind, data in texts.items()}
    shard = write_tar(tmp_path / "shard.tar", files | {"a/0001.txt": b"a caption", "a/._0001.jpg": b"of a Macintosh"})
    for place in (shard, tmp_path):
        images = image_set.open_images(place, LABELS)
        assert images.layout is Layout.SHARDS
        (example,) = images.examples
        assert example.label == label
        file = "n1_2.JPEG" if b"filename" in texts.get("json", b"") else "0001.jpg"
        assert example.name == f"{LABELS[label].key}/{file}"
        assert images.read(example) == content_of(1)
        assert images.locate(example) == f"{shard}: {example.name}"


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({}, r"shard\.tar: x/7: expected the class, .* in its \.cls or as 'label' in its \.json; got None"),
        ({"cls": b"1000"}, "got '1000'"),
        ({"cls": b"cat"}, "got 'cat'"),
        ({"cls": b"-1"}, "got '-1'"),
        ({"json": b"{"}, r"shard\.tar: x/7\.json: not valid JSON"),
        ({"json": b"[]"}, r"x/7\.json: expected a mapping with a 'label', got \[\]"),
    ],
)
def test_images_without_a_class_are_refused(texts: dict[str, bytes], message: str, tmp_path: Path) -> None:
    files = {"x/7.png": content_of(7)} | {f"x/7.{kind}": data for kind, data in texts.items()}
    with pytest.raises(Fault, match=message):
        image_set.open_images(write_tar(tmp_path / "shard.tar", files), LABELS)


def test_an_index_is_for_classes_of_imagenet_only(tmp_path: Path) -> None:
    shard = write_tar(tmp_path / "shard.tar", {"a.jpg": content_of(1), "a.cls": b"1"})
    with pytest.raises(Fault, match="a key of the model's label file or for ImageNet-1k an index, 0 to 999, in its"):
        image_set.open_images(shard, COLOURS)


def test_an_archive_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"shard\.tar: no images"):
        image_set.open_images(write_tar(tmp_path / "shard.tar", {"readme.txt": b"nothing"}), LABELS)


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "shard.tar").write_bytes(gzip.compress(packed({"a.jpg": b"", "a.cls": b"1"})))
    for place in (tmp_path, tmp_path / "shard.tar"):
        with pytest.raises(Fault, match=r"shard\.tar: it is packed as a \.tar\.gz, so its .*gunzip"):
            image_set.open_images(place, LABELS)


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    write_truth(tmp_path)
    path = write_archive(tmp_path / "ILSVRC2012_img_val.tar")
    whole = path.read_bytes()
    path.write_bytes(whole[:4000])
    with pytest.raises(Fault, match=r"ILSVRC2012_img_val\.tar: not a "):
        image_set.open_images(path, LABELS)
    path.write_bytes(b"\xff" * 5000)
    with pytest.raises(Fault, match=r"ILSVRC2012_img_val\.tar: not a "):
        image_set.open_images(tmp_path, LABELS)
    shard = tmp_path / "shards/a.tar"
    shard.parent.mkdir()
    shard.write_bytes(b"\xff" * 5000)
    with pytest.raises(Fault, match=r"a\.tar: not a \.tar, "):
        image_set.open_images(shard.parent, LABELS)


def test_the_official_archive_needs_its_ground_truth(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="these are ImageNet's validation images without their classes"):
        image_set.open_images(write_archive(tmp_path / "val.tar"), LABELS)


@pytest.mark.parametrize("more", [0, 200])
def test_an_archive_that_ends_between_two_files_is_refused(more: int, tmp_path: Path) -> None:
    """A download that stopped there has fewer images, and tarfile accepts it."""
    path = write_archive(tmp_path / "ILSVRC2012_img_val.tar")
    write_truth(tmp_path)
    with tarfile.open(path) as archive:
        fifth = archive.getmembers()[4].offset
    path.write_bytes(path.read_bytes()[: fifth + more])
    with pytest.raises(Fault, match=r"img_val\.tar: not a whole \.tar .*end of"):
        image_set.open_images(path, LABELS)
