"""Builds the report's section `accuracy` from predictions."""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.accuracy import examples, statistics
from pipeline.accuracy.classify import Evaluated, Task
from pipeline.accuracy.label_order import check_label_order
from pipeline.accuracy.section import Evaluation
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import Accuracy, Figures, Measured
from pipeline.images.image_set import is_training_image, manifest_digest
from pipeline.images.labels import Label
from pipeline.images.names import validation_number
from pipeline.images.split import Split


def other_dataset(task: Task, own: bool = False) -> str | None:
    """Names the data set of the images for "images of ...", or returns None where `evaluation.dataset` names it.

    Args:
        task: the images.
        own: whether they are surely of that data set; else it is ImageNet's validation set.
    """
    if task.images.split is Split.TRAIN:
        return f"a training set ({task.images.dataset or task.images.layout})"
    if own:
        return None
    if task.images.variant == "ImageNet-C":  # it has the names of the validation set
        return task.images.variant
    if all(validation_number(example.file) for example in task.chosen):
        return None
    if count_training_images(task) is None:
        return f"{task.images.description}, some of ImageNet's training set"
    return task.images.dataset or "its publisher's own set"


def count_training_images(task: Task) -> int | None:
    """Returns how many images are of ImageNet's training set by their names; all of a split for training.

    None for imagenette of TensorFlow Datasets, which mixes images of both sets and has lost their names.
    """
    if task.images.split is Split.TRAIN:
        return len(task.chosen)
    return sum(map(is_training_image, task.chosen)) if task.images.has_original_names else None


def describe_images(task: Task) -> str:
    """Returns which images are used and which lie beside them, for people."""
    images, training = task.images, count_training_images(task)
    text = f"{len(task.chosen):,} images: {images.description}, split {images.split or 'not known'}"
    if images.left_out:
        text += f"; left out: {', '.join(images.left_out)}"
    if images.split is Split.TRAIN:
        return f"{text}; a model does better on images that it was trained on"
    if training is None:
        text += "; some are training images of ImageNet, their names are lost"
    if training:
        text += f"; {training:,} have names of ImageNet's training images, on which a model does better"
    return text


def unmeasured(evaluation: Evaluation, reason: str) -> Accuracy:
    """Returns the section for an accuracy that was not measured."""
    return Accuracy(
        dataset=evaluation.dataset,
        expected_dataset=evaluation.dataset,
        minimum_top1=evaluation.minimum_top1,
        verdict=Verdict.NOT_MEASURED,
        reason=reason,
        reported=evaluation.reported,
    )


def compute_figures(task: Task, evaluated: Evaluated, names: Sequence[Label], outputs: int) -> Figures:
    """Returns the figures of an evaluation.

    Args:
        task: the images.
        evaluated: their predictions.
        names: the labels in the order of the outputs.
        outputs: how many outputs the model has.
    """
    real = [example.real for example in task.chosen if example.name not in evaluated.damaged]
    has_real = any(labels is not None for labels in real)
    return statistics.figures(evaluated.predictions, names, outputs, real if has_real else None)


def summarize(
    evaluation: Evaluation, task: Task, evaluated: Evaluated, names: Sequence[Label], outputs: int, other: str | None
) -> Accuracy:
    """Returns the section: every figure, compared with the minimum and the reported accuracy.

    Args:
        evaluation: the section `evaluation`.
        task: the images.
        evaluated: their predictions.
        names: the labels in the order of the outputs.
        outputs: how many outputs the model has.
        other: the data set in words if it is not evaluation.dataset, else None.
    """
    figures = compute_figures(task, evaluated, names, outputs)
    reported = evaluation.reported
    difference = f"it is about {evaluation.dataset}, these are images of {other}" if other else None
    measured = Measured(
        **vars(figures),
        layout=task.images.description,
        protocol=task.protocol,
        manifest_sha256=manifest_digest(task.chosen),
        damaged=evaluated.damaged,
        training_images=count_training_images(task),
        images_per_second=evaluated.rate,
        label_order=check_label_order(evaluated.predictions, names, outputs),
        against_reported=statistics.against_reported(figures, reported, difference) if reported else None,
        split=task.images.split,
        examples=examples.describe(evaluated.predictions, names, evaluation.examples),
    )
    verdict, reason = statistics.gate(figures, evaluation.minimum_top1)
    return Accuracy(
        dataset=other or evaluation.dataset,
        expected_dataset=evaluation.dataset,
        minimum_top1=evaluation.minimum_top1,
        verdict=verdict,
        reason=reason,
        reported=reported,
        measured=measured,
    )


def of_resized(accuracy: Accuracy, stored: int, image_size: int) -> Accuracy:
    """Returns the section of a model whose checkpoint is of another image size, which a reported figure is about.

    Args:
        accuracy: what was measured.
        stored: the checkpoint's image size, in pixels.
        image_size: the model's.
    """
    measured, reported = accuracy.measured, accuracy.reported
    if measured is None or reported is None:
        return accuracy
    difference = f"it is about the checkpoint at {stored}x{stored} pixels, the model takes {image_size}x{image_size}"
    against = statistics.against_reported(measured, reported, difference)
    return replace(accuracy, measured=replace(measured, against_reported=against))
