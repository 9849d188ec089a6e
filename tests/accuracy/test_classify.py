"""Classifying many images: decoded ahead, and damaged ones counted."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.accuracy import classify, classifying
from pipeline.accuracy.classify import Task
from pipeline.accuracy.classifying import evaluate
from pipeline.accuracy.pixels import BYTES, SIGNED, UNIT, Pixels
from pipeline.base.fault import Fault
from pipeline.images import image_set
from pipeline.images.labels import Label
from tests.conftest import CLASSES, write_images

LABELS = [Label(name, name.title()) for name in CLASSES]
SIZE = 8


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "BATCH", 4)
    monkeypatch.setattr(classify, "SHARD", 2)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", per_class=10)
    return tmp_path / "images"


def choose(folder: Path, samples: int | None = None, pixels: Pixels | None = SIGNED) -> Task:
    images = image_set.open_images(folder, LABELS)
    return Task(images, image_set.choose(images, samples), SIZE, pixels=pixels)


def colours(inputs: np.ndarray) -> np.ndarray:
    """Recognises the colour of an image: logits (n, 3)."""
    means: np.ndarray = inputs.mean(axis=(1, 2))
    return means


def counting(predict: classify.Predict, stop_after: int = 1000) -> tuple[list[int], classify.Predict]:
    """Returns a list that grows with each call and a model; the call after `stop_after` is interrupted."""
    calls: list[int] = []

    def counted(inputs: np.ndarray) -> np.ndarray:
        if len(calls) == stop_after:
            raise KeyboardInterrupt
        calls.append(len(inputs))
        return predict(inputs)

    return calls, counted


def test_every_image_is_classified_in_order_and_in_batches_of_one_shape(images: Path, tmp_path: Path) -> None:
    task = choose(images)
    calls, predict = counting(colours)
    evaluated = evaluate(task, predict, "model", tmp_path / "shards", "test")
    assert calls == [4] * 8  # 30 images
    assert evaluated.predictions.label.tolist() == [example.label for example in task.chosen]
    assert evaluated.predictions.right.all()
    assert evaluated.damaged == {}
    assert evaluated.rate is not None
    assert evaluated.rate > 0


@pytest.mark.parametrize("pixels", [SIGNED, UNIT, BYTES])
def test_pixels_have_the_range_that_the_model_takes(pixels: Pixels, images: Path) -> None:
    task = choose(images, 1, pixels)
    values = classify.prepare_image(task, task.chosen[0])
    low, high = map(float, pixels.name.split(","))
    assert values.shape == (SIZE, SIZE, 3)
    assert values.dtype == np.float32
    assert values.min() == low
    assert values.max() >= low + 200 / 255 * (high - low) - 1e-4


def test_files_are_handed_on_as_they_are_or_as_png(images: Path) -> None:
    task = choose(images, 2, None)
    (batch,) = classify.batches(task, task.chosen)
    assert batch.inputs.shape == (classify.BATCH,)
    assert list(batch.inputs[:2]) == [task.images.read(example) for example in task.chosen]
    place = task.images.places[task.chosen[0].name].path
    original = Image.open(place).convert("RGB")
    original.save(place, "BMP")
    (batch,) = classify.batches(task, task.chosen)
    for data in (batch.inputs[0], batch.inputs[-1]):
        assert data.startswith(b"\x89PNG")
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(batch.inputs[0]))), np.asarray(original))


def test_an_extremely_long_image_is_damaged(images: Path) -> None:
    """The protocol crop would resize it to gigabytes first."""
    Image.new("RGB", (60_000, 2)).save(images / "green/3.png")
    task = replace(choose(images), size=224, protocol="crop")
    (example,) = (example for example in task.chosen if example.name == "green/3.png")
    with pytest.raises(Fault, match=r"green/3\.png: its 60000x2 pixels would become 7440000x248 before"):
        classify.prepare_image(task, example)
    assert classify.prepare_image(replace(task, protocol="resize"), example).shape == (224, 224, 3)


def test_a_damaged_image_is_named_counted_and_left_out(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(classifying, "DAMAGED_SHARE", 0.04)  # one of the 30
    (images / "green/3.png").write_bytes(b"no image")
    task = choose(images)
    for _ in range(2):  # the second run reads it from the shards
        evaluated = evaluate(task, colours, "model", tmp_path / "shards", "test")
        assert list(evaluated.damaged) == ["green/3.png"]
        assert evaluated.damaged["green/3.png"].startswith("green/3.png: cannot be read as an image")
        assert str(images) not in evaluated.damaged["green/3.png"]  # for reports are published
        assert len(evaluated.predictions) == 29
        assert evaluated.predictions.right.all()
    assert f"test: left out: {images}/green/3.png: cannot be read as an image" in capsys.readouterr().err
    (images / "red/3.png").write_bytes(b"")
    with pytest.raises(
        Fault, match=r"cannot be read as an image .*; 2 of \d+ images so far are damaged, at most 1 of 30 may be"
    ):
        evaluate(task, colours, "another", tmp_path / "shards", "test")


def test_a_single_damaged_image_of_few_stops_the_run(images: Path, tmp_path: Path) -> None:
    (images / "green/3.png").write_bytes(b"no image")
    with pytest.raises(Fault, match=r"green/3\.png: cannot be read as an image .* at most 0 of 30 may be"):
        evaluate(choose(images), colours, "model", tmp_path / "shards", "test")
