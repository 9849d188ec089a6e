"""contact_sheet: shows the wrong predictions, with true and predicted classes, as one HTML page without other files.

    python -m pipeline.contact_sheet MEMBER.yaml REPORT OUT [--imagenet PLACE] [--images PLACE]

Reads REPORT, predictions.npz beside it, and the images of that run. If the last run failed a gate, its files are read
instead, whose names end in `.failed`.
"""

import argparse
import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.accuracy.predictions import NOTHING, Predictions, load_predictions
from pipeline.accuracy.result_files import ResultFiles
from pipeline.accuracy.section import Evaluation, images_of
from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.templates import render
from pipeline.base.yaml_sections import Member
from pipeline.facts.accuracy import Measured
from pipeline.facts.report import load_report
from pipeline.images import image_set, labels
from pipeline.images.decoding import decode
from pipeline.images.image_set import Example, ImageSet
from pipeline.images.labels import Label
from pipeline.images.split import Split
from pipeline.model.section import Model

LIMIT = 200  # pictures on a page: 1 to 2 MB
_SIDE = 160  # pixels of a picture's longer side


def wrong_rows(predictions: Predictions) -> list[int]:
    """Returns the rows of wrong predictions, most confident first; those whose outputs are not numbers come last."""
    rows = np.flatnonzero(~predictions.right)
    order = np.lexsort((-predictions.confidence[rows], predictions.predicted[rows] == NOTHING))
    return [int(row) for row in rows[order]]


def thumbnail(pixels: np.ndarray) -> str:
    """Returns a picture, uint8 (height, width, 3) in RGB, as a JPEG of at most 160 pixels a side in a data: URI."""
    image = Image.fromarray(pixels)
    image.thumbnail((_SIDE, _SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@dataclass(frozen=True)
class Tile:
    """A picture of the page.

    Attributes:
        uri: the thumbnail.
        name: of the image.
        true, predicted: the names of both classes.
        confidence: 0 to 1; None where the outputs are not numbers.
        top5: the names of the five most likely classes, each with whether it is the true one; likewise empty.
    """

    uri: str
    name: str
    true: str
    predicted: str
    confidence: float | None
    top5: Sequence[tuple[str, bool]]


def contact_sheet(
    title: str,
    predictions: Predictions,
    names: Sequence[Label],
    image: Callable[[int], tuple[str, np.ndarray]],
    limit: int = LIMIT,
) -> str:
    """Returns the page.

    Args:
        title: its heading.
        predictions: of n images.
        names: the labels in the order of the outputs, or none.
        image: returns the name and the pixels, uint8 (height, width, 3), of a row of the predictions. It is called for
            the pictures of the page alone, one after the other.
        limit: the largest number of pictures.
    """
    rows = wrong_rows(predictions)
    tiles = [_tile(predictions, row, names, *image(row)) for row in rows[:limit]]
    return render(
        "contact_sheet/page.html.jinja",
        title=title,
        summary=_summarize(len(predictions), len(rows), len(tiles)),
        tiles=tiles,
    )


def _tile(predictions: Predictions, row: int, names: Sequence[Label], name: str, pixels: np.ndarray) -> Tile:
    def class_name(index: int) -> str:
        return names[index].name if names else f"output {index}"

    true, predicted = int(predictions.label[row]), int(predictions.predicted[row])
    if predicted == NOTHING:
        return Tile(thumbnail(pixels), name, class_name(true), "nothing, its outputs are not numbers", None, ())
    top5 = [(class_name(int(index)), int(index) == true) for index in predictions.top5[row]]
    confidence = float(predictions.confidence[row])
    return Tile(thumbnail(pixels), name, class_name(true), class_name(predicted), confidence, top5)


def _summarize(images: int, wrong: int, shown: int) -> str:
    """Returns the sentences above the pictures."""
    if not wrong:
        return f"All {images:,} predictions are right."
    part = "All of them are shown" if shown == wrong else f"{shown:,} of {wrong:,} are shown"
    return f"{wrong:,} of {images:,} images are classified wrong. {part}, most confident first."


def render_member(name: str, files: ResultFiles, place: Path, names: Sequence[Label]) -> str:
    """Returns the page of a member that was validated, whether it passed or not.

    Args:
        name: the member.
        files: of the run.
        place: the images of that run.
        names: the labels in the order of the outputs.

    Raises:
        Fault: when the accuracy was not measured, or on other images.
    """
    measured = load_report(files.report).accuracy.measured
    predictions = load_predictions(files.predictions)
    if measured is None or predictions is None:
        raise Fault(
            f"{files.report}: no accuracy was measured, or {files.predictions.name} is missing or damaged; run make"
            " validate with images"
        )
    images = image_set.open_images(place, names, split=Split(measured.split) if measured.split else None)
    examples = _find_examples(images, measured, place, files)
    is_beyond = names and len(predictions) and predictions.top5.max() >= len(names)
    if is_beyond or [example.label for example in examples] != predictions.label.tolist():
        raise Fault(f"{files.predictions}: not of the same run as {files.report}; run make validate again")

    def image(row: int) -> tuple[str, np.ndarray]:
        example = examples[row]
        return example.name, decode(images.read(example), images.locate(example))

    title = f"{name}: wrong predictions" + (" of the run that failed" if files.is_failed else "")
    return contact_sheet(title, predictions, names, image)


def _find_examples(images: ImageSet, measured: Measured, place: Path, files: ResultFiles) -> list[Example]:
    """Returns the images that a run classified, in order."""
    count = min(measured.images + len(measured.damaged), len(images.examples))
    chosen = image_set.choose(images, count)
    if image_set.manifest_digest(chosen) != measured.manifest_sha256:
        raise Fault(f"{place}: not the images of {files.report}; set the same IMAGENET=, or run make validate again")
    return [example for example in chosen if example.name not in measured.damaged]


def find_latest(files: ResultFiles) -> ResultFiles:
    """Returns the files of the last run that classified images: the failed one's, if there are any."""
    failed = files.failed
    return failed if failed.report.is_file() and failed.predictions.is_file() else files


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.contact_sheet", description="Shows wrong predictions.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("report", type=Path, help="its report.json")
    parser.add_argument("out", type=Path, help="the page to write, HTML")
    parser.add_argument("--imagenet", type=Path, metavar="PLACE", help="the images, as validate was given them")
    parser.add_argument("--images", type=Path, metavar="PLACE", help="the images, if validate was given --images")
    args = parser.parse_args(arguments)
    member = Member(args.member)
    model, evaluation = member.section("model", Model), member.section("evaluation", Evaluation)
    place = args.images or images_of(evaluation, member.folder, args.imagenet)
    files = find_latest(ResultFiles(args.report))
    if not files.report.is_file():
        raise Fault(f"{files.report}: no report; run make validate MODEL={member.name} first, with images")
    if model.labels is None:
        raise Fault(f"{member.path}: model.labels is missing, so the classes have no names; add a label file")
    if place is None:
        raise Fault(f"{member.name}: no images; set IMAGENET= as for make validate")
    names = labels.read(member.folder / model.labels, model.classes)
    write_text(args.out, render_member(member.name, files, place, names))
    print(f"wrote {args.out}: wrong predictions of {files.report}")
    return member.name


if __name__ == "__main__":
    raise SystemExit(command("contact-sheet", main))
