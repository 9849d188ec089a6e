"""What pages claim, held against what is known: the report, the SavedModel's own signatures, the page's own list.

Each check is of a mistake that the reference collection published: classifiers called fine-tunable that had no
gradients, feature extractors tagged as classifiers, "eight" models in one sentence and "seven" in the next. The figures
of a card are read from its text again, so that neither a template nor an edit can say otherwise than the report.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from pipeline.base.heads import Head
from pipeline.base.templates import NUMBER_WORDS, in_words
from pipeline.cards.page import Page, Piece, Problem
from pipeline.facts.report import Accuracy, Report, report_text

_NUMBER = re.compile(r"(?<![\w.-])(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?(?!\w)")
_OF_CLASSIFIER = " of the classifier"  # what the results of a feature extractor add to an accuracy


@dataclass(frozen=True)
class Output:
    """What a module returns: "logits" or "features", and how many of them."""

    name: str
    width: int


@dataclass(frozen=True)
class Training:
    """How many variables a module lets one train, and how many of them have a gradient."""

    trainable: int
    with_gradient: int


# Tags ----------------------------------------------------------------------------------------------------------------
def _line(page: Page, key: str) -> int:
    return next((tag.line for tag in page.tags if tag.key == key), 1)


def task_problems(page: Page, output: Output) -> Iterator[Problem]:
    """Holds the task tag against what the module returns."""
    expected = (Head.CLASSIFICATION if output.name == Head.CLASSIFICATION.output else Head.FE).task
    for task in page.values("task"):
        if task != expected:
            text = f"the task {task!r} does not fit an output of {output.width:,} {output.name}"
            yield Problem(_line(page, "task"), f"{text}; expected {expected!r}")


def training_problems(page: Page, training: Training) -> Iterator[Problem]:
    """Holds the fine-tunable tag against the variables that can be trained."""
    able = training.trainable > 0 and training.with_gradient == training.trainable
    for value in page.values("fine-tunable"):
        if (value == "true") != able:
            text = f"{training.trainable} trainable variables of which {training.with_gradient} have a gradient"
            yield Problem(
                _line(page, "fine-tunable"), f"fine-tunable is {value}, but the module has {text}; correct the tag"
            )


# Figures -------------------------------------------------------------------------------------------------------------
def printed(text: str) -> list[str]:
    """Returns the numbers of a text as they stand there; those that are part of a word, as in "top-5", don't count."""
    return _NUMBER.findall(text)


def agrees(number: str, value: float) -> bool:
    """Whether a printed number is the value, rounded to as many places as it has."""
    digits = number.replace(",", "")
    mantissa, exponent, _ = digits.partition("e")
    places = len(mantissa.partition(".")[2])
    return digits == (f"{value:.{places}e}" if exponent else f"{value:.{places}f}")


def _figures(report: Report, head: Head) -> dict[str, list[tuple[float, ...]]]:
    """Returns, by the label of a row of the results, the numbers of its cells "value" and "measured or quoted"."""
    found, accuracy = report.modules[head], report.accuracy
    parity, batches, gradients = found.parity, found.batch_sizes, found.gradients
    weights, tuning = found.weights, found.fine_tuning
    assert gradients
    assert gradients.max_rel is not None
    assert tuning
    assert report.features
    figures: dict[str, list[tuple[float, ...]]] = {
        "largest difference from the JAX model": [
            (parity.max_abs, parity.max_rel, parity.tolerance),
            (parity.images,),
        ],
        "least cosine similarity with the JAX model's output": [(parity.cosine,), ()],
        "alone or in a batch": [
            (max(batches.max_rel.values()),),
            (*map(int, batches.max_rel), batches.of),
        ],
        "weights equal to the checkpoint, bit for bit": [
            (weights.arrays - len(weights.different), weights.arrays),
            (),
        ],
        "gradients' largest difference from JAX's": [(gradients.max_rel, gradients.tolerance), ()],
        "variables with a gradient for `training=True`": [
            (tuning.variables - len(tuning.without_gradient), tuning.variables),
            (tuning.loss_before, tuning.loss_after),
        ],
    }
    which = "the feature extractor's" if head == "classification" else "this module's"
    figures[f"{which} features through the classifier's head"] = [(report.features.max_rel,), ()]
    if parity.argmax_agreement is not None:
        figures["same class as the JAX model"] = [(100 * parity.argmax_agreement,), ()]
    if accuracy.reported:
        figures["top-1 accuracy, reported"] = [(100 * accuracy.reported.top1,), ()]
    return figures | _accuracies(accuracy)


def _accuracies(accuracy: Accuracy) -> dict[str, list[tuple[float, ...]]]:
    """Returns the numbers of the rows on measured accuracies, as _figures() does."""
    measured = accuracy.measured
    if measured is None:
        return {"accuracy": [(), ()]}

    def share(of: Any, name: str = "top1") -> tuple[float, ...]:
        return 100 * getattr(of, name), 95, *(100 * end for end in getattr(of, f"{name}_interval"))

    figures: dict[str, list[tuple[float, ...]]] = {
        "top-1 accuracy": [share(measured), (measured.images, measured.classes)],
        "expected calibration error": [
            (100 * measured.calibration.ece,),
            (len(measured.calibration.bins),),
        ],
    }
    if measured.outputs > 5:  # or the class is among them whatever the model says
        figures["top-5 accuracy"] = [share(measured, "top5"), ()]
    if restricted := measured.restricted:
        figures[f"top-1 accuracy among {restricted.classes:,} classes"] = [share(restricted), ()]
    if real := measured.real:
        figures["top-1 accuracy, ReaL labels"] = [share(real), (real.images,)]
    if measured.training_images:
        figures["images that the model may have been trained on"] = [(measured.training_images,), ()]
    if measured.damaged:
        figures["images that could not be read"] = [(len(measured.damaged),), ()]
    return figures


def _numbers(value: Any) -> Iterator[float]:
    """Yields every number of a report, at any depth, and as a percentage, and how many entries each list has."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from _numbers(entry)
    elif isinstance(value, list | tuple):
        yield len(value)
        for entry in value:
            yield from _numbers(entry)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield value
        yield 100 * value


def _row_problems(row: Piece, expected: list[tuple[float, ...]]) -> Iterator[Problem]:
    value, remark = (printed(cell) for cell in row.cells[1:3])
    for numbers, values in zip((value, remark[: len(expected[1])]), expected, strict=True):  # a remark may say more
        if len(numbers) != len(values) or not all(map(agrees, numbers, values)):
            got = ", ".join(numbers) or "no number"
            said = ", ".join(f"{number:.6g}" for number in values) or "none"
            yield Problem(row.line, f"{row.text!r} says {got}, the report {said}; write the card again (make card)")


def figure_problems(page: Page, report: Report, head: Head) -> Iterator[Problem]:
    """Holds the results, the shapes, the template's sentences with figures, and the digests against the report.

    A row that is not known here must have numbers of the report only.
    """
    expected, seen = _figures(report, head), set()
    everything = list(_numbers(asdict(report)))
    for row in page.rows("Results"):
        label = row.text.replace(_OF_CLASSIFIER, "")
        seen.add(label)
        if label in expected:
            yield from _row_problems(row, expected[label])
        elif label == "top-1 accuracy" or label == "top-5 accuracy":
            yield Problem(row.line, f"{row.text!r} was not measured, as the report says; write the card again")
        else:
            for number in printed(" ".join(row.cells[1:2])):
                if not any(agrees(number, value) for value in everything):
                    yield Problem(row.line, f"{row.text!r} says {number}, which the report does not have")
    for label in sorted(expected.keys() - seen):
        yield Problem(len(page.lines), f"the results lack {label!r}, which the report has; write the card again")
    yield from _shape_problems(page, report.modules[head].output_width, report.model.image_size)
    yield from _sentence_problems(page, report, head)
    yield from _digest_problems(page, report)


def _shape_problems(page: Page, width: int, size: int) -> Iterator[Problem]:
    for row in page.rows("Inputs and outputs"):
        if row.text == "output" and printed(row.cells[2]) != [str(width)]:
            text = f"the output's shape is {row.cells[2]}, but the report has a width of {width}"
            yield Problem(row.line, f"{text}; write the card again")
        if row.text == "input" and not row.cells[2].startswith(expected := f"(n, {size}, {size}, 3)"):
            yield Problem(row.line, f"the input's shape is {row.cells[2]}, the report says {expected}")


def _sentence_problems(page: Page, report: Report, head: Head) -> Iterator[Problem]:
    """Holds the figures in the sentences of the template against the report, wherever they stand."""
    found, size = report.modules[head], report.model.image_size
    assert found.fine_tuning
    expected: dict[str, tuple[float, ...]] = {
        r"([\d,]+) parameters\b": (found.weights.parameters,),
        r"\bimages of (\d+)x(\d+) pixels and": (size, size),
        r"\bresize images straight to (\d+)x(\d+) pixels": (size, size),
        r"\breturns ([\d,]+) logits": (report.model.classes,),
        r"\bfeature vector of ([\d,]+) numbers": (found.output_width,),
        r"\bAll ([\d,]+) variables can be fine-tuned": (found.fine_tuning.variables,),
    }
    if worst := next(iter(report.accuracy.measured.confusions if report.accuracy.measured else ()), None):
        expected[r"\bmost frequent mistake .*: ([\d,]+) of the ([\d,]+) images of"] = (worst.images, worst.of)
    needed = found.needs.tensorflow  # no number: 2.20 is not 2.2
    for at, line in enumerate(page.lines, start=1):
        if (match := re.search(r"\bruns in TensorFlow (.+?) or newer", line)) and match[1] != needed:
            yield Problem(at, f"{match[0]!r}, the report says {needed}; write the card again")
        for pattern, values in expected.items():
            for match in re.finditer(pattern, line):
                if not all(map(agrees, match.groups(), values)):
                    said = " and ".join(f"{value:,}" for value in dict.fromkeys(values))
                    yield Problem(at, f"{match[0]!r}, the report says {said}; write the card again")


def _digest_problems(page: Page, report: Report) -> Iterator[Problem]:
    """Finds digests in the text that are none of the report's: whoever verifies a copy would refuse the right one."""
    known = set(re.findall(r"\b[0-9a-f]{64}\b", report_text(report)))
    for at, line in enumerate(page.lines, start=1):
        for digest in re.findall(r"\b[0-9a-f]{64}\b", line):
            if digest not in known:
                yield Problem(at, f"the digest {digest} is none of the report's; write the card again")


def card_problems(page: Page, report: Report, head: Head) -> list[Problem]:
    """Returns where a module's card disagrees with its report.

    Args:
        page: the card.
        report: what validate wrote.
        head: which of the member's modules the card is of, a Head.
    """
    found = report.modules[head]
    is_classifier = head == "classification" and found.output_width == report.model.classes
    tuning = found.fine_tuning
    training = Training(tuning.variables, tuning.variables - len(tuning.without_gradient)) if tuning else Training(0, 0)
    return [
        *task_problems(page, Output("logits" if is_classifier else "features", found.output_width)),
        *training_problems(page, training),
        *figure_problems(page, report, head),
    ]


# Counts --------------------------------------------------------------------------------------------------------------
_COUNTED = {
    "vision transformer": 1, "model": 1, "image classifier": 1, "classifier": 1, "feature extractor": 1, "module": 2,
}  # fmt: skip
_WORDS = (
    *NUMBER_WORDS, "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
)  # fmt: skip
_SPELLED = "|".join(sorted(_WORDS[1:], key=len, reverse=True))
# "about 50,000 Vision Transformers" counts something else, "one of the models" nothing at all.
_COUNT = re.compile(
    r"(?P<about>\b(?:about|around|over|nearly|more than|less than|of the|among) )?"
    rf"(?<![\w\[.-])(?P<count>{_SPELLED}|\d[\d,]*)\b(?!\s+of\s+the\s+(?:models|modules)\b)"
    r"(?:\s+(?!of\b)[\w-]+|\s+of\s+the\s+best){0,4}?"
    rf"\s+(?P<noun>{'|'.join(_COUNTED)})s?\b",
    re.IGNORECASE,
)
# "Each model comes as one classifier" counts for one of them, "each of the eight models" does not.
_EACH = re.compile(r"\b(?:each|every|per)\b(?!\s+of\s+(?:the|these|our)\b)[^.!?]*$", re.IGNORECASE)


def count_problems(page: Page, members: int) -> Iterator[Problem]:
    """Holds the counts in a collection's prose against its list.

    Args:
        page: the collection's page.
        members: how many models it lists; each is two modules.
    """
    for piece in page.paragraphs():
        for match in _COUNT.finditer(piece.text):
            if match["about"] or _EACH.search(piece.text[: match.start()]):
                continue
            word = match["count"].lower()
            said = _WORDS.index(word) if word in _WORDS else int(word.replace(",", ""))
            expected = members * _COUNTED[match["noun"].lower()]
            if said != expected:
                line = piece.line + piece.text[: match.start("count")].count("\n")
                text = f"{' '.join(match[0].split())!r}, but the page lists {in_words(expected)} of them"
                yield Problem(line, f"{text}; correct the sentence, or the list")


def performance_problems(row: Piece, report: Report) -> Iterator[Problem]:
    """Holds a row of a collection's table of performance against the classifier's report.

    Args:
        row: model, pixels, parameters, size, top-1 measured, top-1 quoted, features.
        report: what validate wrote of that model.
    """
    accuracy, found = report.accuracy, report.modules[Head.CLASSIFICATION]
    measured = (100 * accuracy.measured.top1, accuracy.measured.images) if accuracy.measured else ()
    quoted = (100 * accuracy.reported.top1,) if accuracy.reported else ()
    sizes = (report.model.image_size,), (found.weights.parameters,), (found.bytes / 1e6,)
    expected = (*sizes, measured, quoted, (report.modules[Head.FE].output_width,))
    for cell, values in zip(row.cells[1:], expected, strict=False):  # a page of other making may have other columns
        numbers = printed(cell)
        said = numbers[: len(values)] if values else numbers  # "on 500 images" may say more
        if len(said) != len(values) or not all(map(agrees, said, values)):
            known = ", ".join(f"{value:.6g}" for value in values) or "nothing"
            text = f"{cell!r} in the row of {row.text}, the report says {known}"
            yield Problem(row.line, f"{text}; write the page again (make publish-all)")


def listed(page: Page, heading: str) -> Iterable[str]:
    """Yields the targets of the links below a heading, up to the next one."""
    headings = page.headings()
    starts = [one.line for one in headings if one.text == heading]
    for start in starts:
        end = next((one.line for one in headings if one.line > start), len(page.lines) + 1)
        yield from (link.text for link in page.links() if start < link.line < end)


def collection_problems(page: Page) -> list[Problem]:
    """Returns where a collection's page disagrees with itself: its counts, and its two lists with each other."""
    classifiers, extractors = (list(listed(page, heading)) for heading in ("Image classifiers", "Feature extractors"))
    problems = list(count_problems(page, len(classifiers)))
    for what, links in (("Image classifiers", classifiers), ("Feature extractors", extractors)):
        for link in sorted({link for link in links if links.count(link) > 1}):
            problems.append(Problem(len(page.lines), f"{what!r} lists {link!r} twice"))
    if len(classifiers) != len(extractors) or not classifiers:
        text = f"the page lists {len(classifiers)} image classifiers and {len(extractors)} feature extractors"
        problems.append(Problem(len(page.lines), f"{text}, expected as many of each, and one at least"))
    return problems
