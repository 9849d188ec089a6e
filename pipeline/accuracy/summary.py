"""How well a classifier on disk does on labelled images: the report's section `accuracy` and its pictures."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pipeline.accuracy import statistics
from pipeline.accuracy.classify import Evaluated, Task
from pipeline.accuracy.label_order import label_order
from pipeline.accuracy.section import Evaluation
from pipeline.images.ground_truth import validation_number
from pipeline.images.image_set import is_training_image, manifest_digest
from pipeline.images.labels import Label

Report = dict[str, Any]


def other_dataset(task: Task) -> str | None:
    """Names the data set of the images for "images of ...", or returns None for ImageNet's validation set."""
    if all(validation_number(example.file) for example in task.chosen):
        return None
    if training_images(task) is None:
        return f"{task.images.description}, some of ImageNet's training set"
    return task.images.dataset or "its publisher's own set"


def training_images(task: Task) -> int | None:
    """Returns how many images are of ImageNet's training set by their names.

    None for imagenette of TensorFlow Datasets, which mixes images of both sets and has lost their names.
    """
    return sum(map(is_training_image, task.chosen)) if task.images.has_original_names else None


def unmeasured(evaluation: Evaluation, reason: str) -> Report:
    """Returns the section for an accuracy that was not measured."""
    found = {
        "dataset": evaluation.dataset,
        "expected_dataset": evaluation.dataset,
        "reported": evaluation.reported and asdict(evaluation.reported),
    }
    return found | statistics.gate(None, evaluation.minimum_top1, reason)


def summary(
    evaluation: Evaluation, task: Task, found: Evaluated, names: Sequence[Label], classes: int, other: str | None
) -> Report:
    """Returns the section: every figure that the predictions give, held against the gate and the reported accuracy.

    Args:
        evaluation: the section `evaluation`.
        task: what was classified.
        found: what came of it.
        names: the labels in the order of the outputs.
        classes: how many outputs the model has.
        other: the data set in words if it is not evaluation.dataset, else None.
    """
    predictions = found.predictions
    real = [example.real for example in task.chosen if example.name not in found.damaged]
    figures = statistics.accuracy(predictions, names, classes, real if any(r is not None for r in real) else None)
    reported = evaluation.reported
    differs = f"it is about {evaluation.dataset}, these are images of {other}" if other else None
    return (
        figures
        | {
            "dataset": other or evaluation.dataset,
            "expected_dataset": evaluation.dataset,  # which a reported figure is about
            "layout": task.images.description,
            "protocol": task.protocol,
            "manifest_sha256": manifest_digest(task.chosen),
            "damaged": found.damaged,
            "training_images": training_images(task),
            "images_per_second": found.rate,
            "label_order": label_order(predictions, names, classes),
            "reported": reported and asdict(reported),
            "against_reported": reported
            and statistics.against_reported(
                int(predictions.right.sum()), len(predictions), reported.top1, reported.source, classes,
                figures["classes"], differs,
            ),
        }
        | statistics.gate(figures, evaluation.minimum_top1)
    )  # fmt: skip
