"""summary: the report's section `accuracy`, from predictions for labelled images."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.accuracy import summary
from pipeline.accuracy.classify import Evaluated, Task
from pipeline.accuracy.predictions import of_logits
from pipeline.accuracy.section import Evaluation
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import Reported
from pipeline.images import image_set
from pipeline.images.labels import Label
from pipeline.images.split import Split
from tests.conftest import CLASSES, write_images

LABELS = [Label(name, name.title()) for name in CLASSES]
EVALUATION = Evaluation("the test set of colours", 0.9, reported=Reported(0.95, "the paper"))


@pytest.fixture
def task(tmp_path: Path) -> Task:
    write_images(tmp_path / "images", per_class=4)
    images = image_set.open_images(tmp_path / "images", LABELS)
    return Task(images, images.examples, 8)


def evaluate(task: Task, wrong: int) -> Evaluated:
    """Returns predictions of which the first so many are wrong; the last image is damaged."""
    *examples, damaged = task.chosen
    labels = np.array([example.label for example in examples], np.int32)
    predicted = np.where(np.arange(len(labels)) < wrong, (labels + 1) % 3, labels)
    logits = np.eye(3, dtype=np.float32)[predicted]
    return Evaluated(of_logits(logits, labels, range(3), "softmax"), {damaged.name: "cannot be read"}, 12.5)


def test_a_good_model_passes(task: Task) -> None:
    accuracy = summary.summarize(EVALUATION, task, evaluate(task, wrong=0), LABELS, 3, other=None)
    assert accuracy.verdict is Verdict.PASS
    assert (accuracy.dataset, accuracy.expected_dataset) == ("the test set of colours",) * 2
    assert accuracy.measured is not None
    assert (accuracy.measured.top1, accuracy.measured.images, accuracy.measured.images_per_second) == (1.0, 11, 12.5)
    assert list(accuracy.measured.damaged.values()) == ["cannot be read"]
    assert accuracy.measured.against_reported is not None
    assert accuracy.measured.against_reported.inside is True


def test_a_bad_model_fails(task: Task) -> None:
    accuracy = summary.summarize(EVALUATION, task, evaluate(task, wrong=6), LABELS, 3, other=None)
    assert accuracy.verdict is Verdict.FAIL
    assert "is below the minimum 90.00 %" in accuracy.reason


def test_other_images_are_named_and_not_compared_with_the_reported_accuracy(task: Task) -> None:
    accuracy = summary.summarize(EVALUATION, task, evaluate(task, wrong=0), LABELS, 3, other="crayons")
    assert (accuracy.dataset, accuracy.expected_dataset) == ("crayons", "the test set of colours")
    assert accuracy.measured is not None
    against = accuracy.measured.against_reported
    assert against is not None
    assert against.inside is None
    assert against.reason.endswith("because it is about the test set of colours, these are images of crayons")


def test_without_images_there_is_a_reason() -> None:
    accuracy = summary.unmeasured(EVALUATION, "no images")
    assert (accuracy.verdict, accuracy.reason, accuracy.measured) == (Verdict.NOT_MEASURED, "no images", None)
    assert accuracy.reported == EVALUATION.reported


def test_training_images_are_named_and_counted(tmp_path: Path) -> None:
    """Whatever their names: a split called train is one."""
    write_images(tmp_path / "mine/train", per_class=4)
    write_images(tmp_path / "mine/test", per_class=1)
    images = image_set.open_images(tmp_path / "mine", LABELS, split=Split.TRAIN)
    task = Task(images, images.examples, 8)
    assert summary.describe_images(task) == (
        "12 images: class folders, split train; left out: the folder test; a model does better on images that it was"
        " trained on"
    )
    other = summary.other_dataset(task)
    assert other == "a training set (class folders)"
    accuracy = summary.summarize(EVALUATION, task, evaluate(task, wrong=0), LABELS, 3, other)
    assert accuracy.measured is not None
    assert (accuracy.measured.split, accuracy.measured.training_images) == ("train", 12)
    assert accuracy.sample == "11 images of a training set (class folders), 12 of them perhaps trained on"
    assert accuracy.measured.against_reported is not None
    assert accuracy.measured.against_reported.inside is None


def test_names_of_training_images_in_another_split_are_counted(tmp_path: Path) -> None:
    labels = [Label("n01440764", "tench"), Label("n01443537", "goldfish")]
    for name in ("n01440764/n01440764_1.JPEG", "n01443537/ILSVRC2012_val_00000002.JPEG"):
        (tmp_path / "imagenette2/val" / name).parent.mkdir(parents=True)
        (tmp_path / "imagenette2/val" / name).write_bytes(b"")
    images = image_set.open_images(tmp_path / "imagenette2", labels)
    task = Task(images, images.examples, 8)
    assert summary.count_training_images(task) == 1
    assert summary.describe_images(task) == (
        "2 images: class folders, split validation; 1 have names of ImageNet's training images, on which a model does"
        " better"
    )
