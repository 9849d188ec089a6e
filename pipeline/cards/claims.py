"""Compares what a card claims with the report and with what the SavedModel itself says.

Each check is of a mistake that the reference collection published: feature extractors tagged as classifiers, and
classifiers tagged as fine-tunable that had no gradients.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.base.heads import Head
from pipeline.cards import figures
from pipeline.cards.page import Page, Problem
from pipeline.facts.report import Report


@dataclass(frozen=True)
class Output:
    """What a module returns: "logits" or "features", and how many of them per image."""

    name: str
    width: int


@dataclass(frozen=True)
class Training:
    """How many trainable variables a module has, and how many of them have a gradient."""

    trainable: int
    with_gradient: int


def card_problems(page: Page, report: Report, head: Head) -> list[Problem]:
    """Returns where a card's tags and digests contradict the report, and which of its sections are not there once.

    All of this may come from the texts of the YAML files, so that a card can fail before it is written.
    """
    checks, tuning = report.modules[head], report.modules[head].fine_tuning
    training = Training(tuning.variables, tuning.variables - len(tuning.without_gradient)) if tuning else Training(0, 0)
    return [
        *task_problems(page, Output(head.output, checks.output_width)),
        *training_problems(page, training),
        *figures.section_problems(page),
        *figures.digest_problems(page, report),
    ]


def task_problems(page: Page, output: Output) -> Iterator[Problem]:
    """Yields a task tag that does not fit what the module returns."""
    expected = (Head.CLASSIFICATION if output.name == Head.CLASSIFICATION.output else Head.FE).task
    for tag in page.tags:
        if tag.key == "task" and tag.value != expected:
            text = f"the task {tag.value!r} does not fit an output of {output.width:,} {output.name}"
            yield Problem(tag.line, f"{text}; expected {expected!r}")


def training_problems(page: Page, training: Training) -> Iterator[Problem]:
    """Yields a fine-tunable tag that does not fit the variables that can be trained."""
    is_fine_tunable = training.trainable > 0 and training.with_gradient == training.trainable
    for tag in page.tags:
        if tag.key == "fine-tunable" and (tag.value == "true") != is_fine_tunable:
            text = f"{training.trainable} trainable variables of which {training.with_gradient} have a gradient"
            yield Problem(tag.line, f"fine-tunable is {tag.value}, but the module has {text}; correct the tag")
