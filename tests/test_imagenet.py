"""Which images are used, and how they are decoded; what TensorFlow does to them is tested with the whole pipeline."""

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline import imagenet
from pipeline.fault import Fault
from pipeline.labels import Label
from tests.conftest import CLASSES, write_images

LABELS = [Label(name, name.title()) for name in CLASSES]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", per_class=5)
    return tmp_path / "images"


def test_labels_come_from_the_folders(images: Path) -> None:
    for example in imagenet.examples(images, LABELS):
        assert example.path.parent.name == CLASSES[example.label]


@pytest.mark.parametrize("samples", range(1, 16))
def test_any_number_of_samples_is_balanced(images: Path, samples: int) -> None:
    chosen = imagenet.examples(images, LABELS, samples)
    counts = np.bincount([example.label for example in chosen], minlength=3)
    assert len(chosen) == samples
    assert counts.max() - counts.min() <= 1


def test_the_choice_depends_on_names_alone(images: Path, tmp_path: Path) -> None:
    first = imagenet.examples(images, LABELS, 7)
    shutil.copytree(images, tmp_path / "copy")
    second = imagenet.examples(tmp_path / "copy", LABELS, 7)
    assert imagenet.manifest_digest(first) == imagenet.manifest_digest(second)
    assert imagenet.manifest_digest(first) != imagenet.manifest_digest(imagenet.examples(images, LABELS, 8))


def test_a_class_may_be_absent_and_hidden_files_are_passed_over(images: Path) -> None:
    shutil.rmtree(images / "green")
    (images / ".DS_Store").write_text("")
    (images / "red/.hidden").write_text("")
    assert {example.label for example in imagenet.examples(images, LABELS)} == {0, 2}


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
        imagenet.examples(images, LABELS)
    assert str(raised.value).startswith(f"{images / name}: {message}")


def test_stray_files_are_refused(images: Path) -> None:
    (images / "readme.txt").write_text("")
    with pytest.raises(Fault, match=r"readme\.txt"):
        imagenet.examples(images, LABELS)


@pytest.mark.parametrize("samples", [0, -1, 16])
def test_impossible_samples_are_refused(images: Path, samples: int) -> None:
    with pytest.raises(Fault, match=f"SAMPLES={samples}: expected a number from 1 to 15"):
        imagenet.examples(images, LABELS, samples)


def test_missing_and_empty_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="does not exist"):
        imagenet.examples(tmp_path / "none", LABELS)
    with pytest.raises(Fault, match="no images"):
        imagenet.examples(tmp_path, LABELS)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "CMYK", "1", "LA"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.new("RGB", (6, 4), (255, 255, 255)).convert(mode).save(path)
    pixels = imagenet.decode(path)
    assert pixels.shape == (4, 6, 3)
    assert pixels.dtype == np.uint8
    assert pixels.min() >= 254


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = Image.new("RGB", (6, 4))
    exif = image.getexif()
    exif[0x0112] = 6  # rotate by 90 degrees
    image.save(tmp_path / "a.jpg", exif=exif)
    assert imagenet.decode(tmp_path / "a.jpg").shape == (6, 4, 3)


def test_unreadable_images_are_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(buffer, "PNG")
    for content in (b"", b"no image", buffer.getvalue()[:-1000]):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(Fault, match=r"a\.png: cannot be read as an image"):
            imagenet.decode(tmp_path / "a.png")
