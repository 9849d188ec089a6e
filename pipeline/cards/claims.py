"""Compares what a card claims with the report and with what the SavedModel itself says.

Most checks are of mistakes that the reference collection published: feature extractors tagged as classifiers, and
classifiers tagged as fine-tunable that had no gradients. The others are of figures that are quoted for weights which
are not known to be the ones that the figures are about.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.cards import figures, formats
from pipeline.cards.page import Page, Problem
from pipeline.facts.report import Report

_WITH_FIGURES = (
    "Results",
    "Accuracy per class",
    "Example predictions",
    "Verification",
    "Performance",
    formats.HEADING,
)  # sections of cards and collections that authors do not write
UNVERIFIED = "The weights are not verified."  # as templates/overview.md.jinja has it
_CELL = re.compile(r"(?<!\\)\|")  # what ends a cell of a table
_NO_SOURCE = "; publish the module again (make publish), from a checkpoint that is pinned or downloaded"


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
    """Returns where a card's tags contradict the report, and which of its sections are not there once."""
    checks, tuning = report.modules[head], report.modules[head].fine_tuning
    training = Training(tuning.variables, tuning.variables - len(tuning.without_gradient)) if tuning else Training(0, 0)
    return [
        *task_problems(page, Output(head.output, checks.output_width)),
        *training_problems(page, training),
        *figures.section_problems(page, report, head),
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


def quote_problems(page: Page, weights: Verification | None) -> Iterator[Problem]:
    """Yields the figures that a card quotes for weights that are not verified, and a missing word of that.

    Args:
        page: the card.
        weights: how they were verified; None where that is not known.
    """
    if weights and weights.is_verified:
        return
    for line in page.section("Results"):
        if "| quoted: " in page.lines[line - 1]:
            yield Problem(line, f"a quoted figure beside weights that are {_in_words(weights)}{_NO_SOURCE}")
    if weights is Verification.UNVERIFIED and UNVERIFIED not in page.text:
        yield Problem(
            3, f"the weights are not verified, and the card does not say so, {UNVERIFIED!r}; publish it again"
        )


def prose_quote_problems(page: Page, report: Report) -> Iterator[Problem]:
    """Yields the lines on which authors write the reported accuracy of a model that is not known to have it.

    Its weights are not verified, or the checkpoint is of another image size.
    """
    reported, stored = report.accuracy.reported, report.model.checkpoint_image_size
    if reported is None or report.quoted is not None:
        return
    if report.is_verified:
        why = f"of the checkpoint at {stored} pixels, which this model does not take; remove it"
    else:
        why = "of weights that these are not verified to be; remove it, or pin the checkpoint"
    measured = report.accuracy.measured
    shown = _percentages(reported.top1) - (_percentages(measured.top1) if measured else set())
    percent = _one_of(shown) or "(?!)"
    fraction = _one_of({f"{reported.top1:g}", f"{reported.top1:.4f}"})
    figure = re.compile(rf"(?<![\d.,])(?:(?:{percent}) ?(?:%|percent|per cent)|(?:{fraction})(?!\d))")
    generated = {line for heading in _WITH_FIGURES for line in page.section(heading)}
    for piece in page.paragraphs():
        if piece.line not in generated and (match := figure.search(piece.text)):
            yield Problem(piece.line, f"{match[0]!r} is an accuracy that others report, {why}")


def _percentages(accuracy: float) -> set[str]:
    """Returns an accuracy in percent, with one to three digits after the point."""
    return {f"{100 * accuracy:.{digits}f}" for digits in (1, 2, 3)}


def _one_of(numbers: set[str]) -> str:
    """Returns a regular expression of numbers, with a decimal point or comma."""
    return "|".join(number.replace(".", "[.,]") for number in sorted(numbers))


def quoted_column(page: Page) -> int:
    """Returns the number of the column of quoted figures in a collection's table; a large one where it has none."""
    lines = (page.lines[number - 1] for number in page.section("Performance"))
    header = _CELL.split(next((line for line in lines if "quoted |" in line), ""))
    return next((number for number, cell in enumerate(header) if "quoted" in cell), sys.maxsize)


def row_quote_problems(page: Page, line: int, column: int, weights: Verification | None) -> Iterator[Problem]:
    """Yields the quoted figure in a row of a collection's table, whose module has weights that are not verified."""
    cells = _CELL.split(page.lines[line - 1])
    if not (weights and weights.is_verified) and column < len(cells) and "%" in cells[column]:
        yield Problem(line, f"a quoted figure beside weights that are {_in_words(weights)}{_NO_SOURCE}")


def _in_words(weights: Verification | None) -> str:
    return "not verified" if weights else "not known to be verified (an earlier release published them)"
