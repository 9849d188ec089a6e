"""Images in every layout, and the choice of samples."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.images import image_set
from pipeline.images.decoding import decode
from pipeline.images.labels import Label
from pipeline.images.layout import Layout
from pipeline.model.preprocessing import prepare
from pipeline.model.protocols import PROTOCOLS
from tests import validation_set
from tests.conftest import CLASSES, write_images
from tests.pictures import PHOTOGRAPHS
from tests.validation_set import NUMBERS, TRUTH, content_of, name_of

COLOURS = [Label(name, name.title()) for name in CLASSES]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", per_class=5)
    return tmp_path / "images"


def test_labels_come_from_the_folders(images: Path) -> None:
    loaded = image_set.open_images(images, COLOURS)
    assert loaded.layout is Layout.CLASS_FOLDERS
    assert len(loaded.examples) == 15
    for example in loaded.examples:
        assert example.name.split("/")[0] == CLASSES[example.label]
        assert loaded.read(example) == (images / example.name).read_bytes()
        assert loaded.locate(example) == str(images / example.name)
        assert decode(loaded.read(example), example.name)[0, 0].argmax() == example.label


def test_photographs_are_decoded_and_prepared(tmp_path: Path) -> None:
    """A cat and an espresso, and a file that is cut short."""
    for name, synset in (("chelsea", "n02123045"), ("coffee", "n07920052")):
        (tmp_path / synset).mkdir()
        shutil.copy(PHOTOGRAPHS / f"{name}.jpg", tmp_path / synset)
    (tmp_path / "n07920052/cut.jpg").write_bytes((PHOTOGRAPHS / "coffee.jpg").read_bytes()[:20_000])
    loaded = image_set.open_images(tmp_path, validation_set.LABELS)
    labels = {}
    for example in loaded.examples:
        if example.name.endswith("/cut.jpg"):
            with pytest.raises(Fault, match=r"n07920052/cut\.jpg: cannot be read as an image \(.*truncated"):
                decode(loaded.read(example), loaded.locate(example))
            continue
        labels[example.name] = example.label
        pixels = decode(loaded.read(example), loaded.locate(example))
        for protocol in PROTOCOLS:
            image = prepare(pixels, 224, protocol)
            assert image.shape == (224, 224, 3)
            assert np.abs(image).max() <= 1
            assert image.std() > 0.2
    assert labels == {"n02123045/chelsea.jpg": 281, "n07920052/coffee.jpg": 967}


@pytest.mark.parametrize("samples", range(1, 16))
def test_any_number_of_samples_is_balanced(images: Path, samples: int) -> None:
    chosen = image_set.choose(image_set.open_images(images, COLOURS), samples)
    counts = np.bincount([example.label for example in chosen], minlength=3)
    assert len(chosen) == samples
    assert counts.max() - counts.min() <= 1


def test_the_choice_depends_on_names_only(images: Path, tmp_path: Path) -> None:
    first = image_set.choose(image_set.open_images(images, COLOURS), 7)
    shutil.copytree(images, tmp_path / "copy")
    second = image_set.choose(image_set.open_images(tmp_path / "copy", COLOURS), 7)
    assert first == second
    assert image_set.manifest_digest(first) == image_set.manifest_digest(second[::-1])
    more = image_set.choose(image_set.open_images(images, COLOURS), 8)
    assert image_set.manifest_digest(first) != image_set.manifest_digest(more)


def test_missing_images_do_not_change_the_choice_of_others(images: Path) -> None:
    whole = image_set.open_images(images, COLOURS)
    chosen = image_set.choose(whole, 7)
    for example in set(whole.examples) - set(chosen):
        (images / example.name).unlink()
        part = image_set.choose(image_set.open_images(images, COLOURS), 7)
        assert part == chosen
    assert len(list(images.glob("*/*"))) == 7


def test_classes_may_be_absent_and_hidden_files_are_ignored(images: Path) -> None:
    shutil.rmtree(images / "green")
    (images / ".DS_Store").write_text("")
    (images / "red/.hidden").write_text("")
    assert {example.label for example in image_set.open_images(images, COLOURS).examples} == {0, 2}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gren", "no class of the model is called 'gren' (did you mean 'green'?)"),
        ("n01440764", "no class of the model"),
    ],
)
def test_unknown_class_folders_are_refused(images: Path, name: str, message: str) -> None:
    (images / name).mkdir()
    with pytest.raises(Fault) as raised:
        image_set.open_images(images, COLOURS)
    assert str(raised.value).startswith(f"{images / name}: {message}")


def test_an_image_outside_the_class_folders_is_refused(images: Path) -> None:
    (images / "loose.JPG").write_text("")
    with pytest.raises(Fault, match=r"loose\.JPG: an image without a class, beside the class folders; move or remove"):
        image_set.open_images(images, COLOURS)


@pytest.mark.parametrize("samples", [0, -1, 16])
def test_a_wrong_number_of_samples_is_refused(images: Path, samples: int) -> None:
    with pytest.raises(Fault, match=f"SAMPLES={samples}: expected 1 to 15"):
        image_set.choose(image_set.open_images(images, COLOURS), samples)


def test_the_message_for_an_unknown_layout_lists_all_layouts(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="none: the image folder does not exist; looked for class folders"):
        image_set.open_images(tmp_path / "none", COLOURS)
    with pytest.raises(Fault) as raised:
        image_set.open_images(tmp_path, COLOURS)
    for word in ("'red'", "ILSVRC2012_img_val.tar", "0 to 999", "dataset_info.json", "*.tar", "val", "found nothing"):
        assert word in str(raised.value)
    for number in range(7):
        (tmp_path / f"{number}.txt").write_text("")
    with pytest.raises(Fault, match=r"found 0\.txt, 1\.txt, 2\.txt, 3\.txt, 4\.txt and 2 more$"):
        image_set.open_images(tmp_path, COLOURS)
    with pytest.raises(Fault, match=r"0\.txt: neither a folder nor a tar archive nor a Parquet file; looked"):
        image_set.open_images(tmp_path / "0.txt", COLOURS)
    (tmp_path / "images/red").mkdir(parents=True)
    with pytest.raises(Fault, match="images: no images; expected"):
        image_set.open_images(tmp_path / "images", COLOURS)


LAYOUTS = {
    "sorted": Layout.CLASS_FOLDERS,
    "sorted below val": Layout.CLASS_FOLDERS,
    "flat": Layout.VALIDATION_FOLDER,
    "flat below val": Layout.VALIDATION_FOLDER,
    "archive": Layout.VALIDATION_ARCHIVE,
    "archive's folder": Layout.VALIDATION_ARCHIVE,
    "shards": Layout.SHARDS,
}


def write_layout(layout: str, home: Path) -> Path:
    """Writes the made-up validation set in a layout, with its ground truth where it needs one."""
    if layout.startswith("sorted"):
        folder = validation_set.write_sorted(home / "val")
        return folder if layout == "sorted" else home
    if layout == "shards":
        return validation_set.write_shards(home)
    validation_set.write_truth(home)
    if layout.startswith("flat"):
        folder = validation_set.write_flat(home / "val")
        return folder if layout == "flat" else home
    archive = validation_set.write_archive(home / "ILSVRC2012_img_val.tar")
    return archive if layout == "archive" else home


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_same_images(layout: str, tmp_path: Path) -> None:
    loaded = image_set.open_images(write_layout(layout, tmp_path / "here"), validation_set.LABELS)
    assert loaded.layout is LAYOUTS[layout]
    chosen = image_set.choose(loaded, 5)
    expected = {f"{validation_set.LABELS[TRUTH[n - 1]].key}/{name_of(n)}": n for n in NUMBERS}
    assert {example.name for example in loaded.examples} == set(expected)
    for example in loaded.examples:
        number = expected[example.name]
        assert example.label == TRUTH[number - 1]
        assert loaded.read(example) == content_of(number)
        assert str(tmp_path / "here") in loaded.locate(example)
        assert name_of(number) in loaded.locate(example)
    plain = image_set.open_images(validation_set.write_sorted(tmp_path / "plain"), validation_set.LABELS)
    assert chosen == image_set.choose(plain, 5)
    assert image_set.manifest_digest(chosen) == image_set.manifest_digest(image_set.choose(plain, 5))


def test_many_threads_read_at_once_and_nothing_stays_open(tmp_path: Path) -> None:
    loaded = image_set.open_images(write_layout("archive", tmp_path), validation_set.LABELS)
    expected = [loaded.read(example) for example in loaded.examples]
    before = len(list(Path("/proc/self/fd").iterdir()))
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            assert list(pool.map(loaded.read, loaded.examples)) == expected
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_that_disappears_is_named(tmp_path: Path) -> None:
    flat = image_set.open_images(write_layout("flat", tmp_path / "flat"), validation_set.LABELS)
    gone = flat.examples[0]
    Path(flat.locate(gone)).unlink()
    with pytest.raises(Fault, match=rf"{gone.name.split('/')[1]}: cannot be read \(No such file or directory\)"):
        flat.read(gone)
    archive = write_layout("archive", tmp_path / "archive")
    loaded = image_set.open_images(archive, validation_set.LABELS)
    with archive.open("r+b") as stream:
        stream.truncate(700)
    with pytest.raises(Fault, match=r"ILSVRC2012_img_val\.tar: cut short: expected \d+ bytes from byte \d+ on, got"):
        [loaded.read(example) for example in loaded.examples]


def test_two_images_of_the_same_name_are_refused(tmp_path: Path) -> None:
    files = {f"{part}/a.{kind}": data for part in "xy" for kind, data in (("jpg", content_of(1)), ("cls", b"5"))}
    validation_set.write_tar(tmp_path / "a.tar", files)
    with pytest.raises(Fault, match=r"two images are called 'n\d{8}/a\.jpg'; expected every image to"):
        image_set.open_images(tmp_path, validation_set.LABELS)


@pytest.mark.parametrize(
    ("name", "is_training"),
    [
        ("n01440764/n01440764_141.JPEG", True),
        ("n01440764/ILSVRC2012_val_00000293.JPEG", False),
        ("n01440764/n01443537_141.JPEG", False),
        ("red/1.png", False),
    ],
)
def test_training_images_are_detected_by_name(name: str, is_training: bool) -> None:
    assert image_set.is_training_image(image_set.Example(name, 0)) == is_training


def test_the_folders_of_imagenet_v2_are_class_indices(tmp_path: Path) -> None:
    for number in (2, 10, 999):
        (tmp_path / str(number)).mkdir()
        (tmp_path / f"{number}/{number:x}.jpeg").write_bytes(content_of(number))
    loaded = image_set.open_images(tmp_path, validation_set.LABELS)
    assert loaded.layout is Layout.NUMBERED_FOLDERS
    expected = {f"{validation_set.LABELS[number].key}/{number:x}.jpeg": number for number in (2, 10, 999)}
    assert {example.name: example.label for example in loaded.examples} == expected
    with pytest.raises(Fault, match="ImageNet-V2's, of 1000 classes; the model has 3: expected folders"):
        image_set.open_images(tmp_path, COLOURS)
    (tmp_path / "1000").mkdir()
    with pytest.raises(Fault, match="1000: expected only folders named by class index, 0 to 999"):
        image_set.open_images(tmp_path, validation_set.LABELS)
