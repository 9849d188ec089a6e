"""The wrong predictions as one HTML page that needs no other file: small pictures, the truth, what the model said.

    python -m pipeline.contact_sheet MEMBER.yaml REPORT OUT [--imagenet PLACE] [--images PLACE]

reads what validate wrote, REPORT and predictions.npz beside it, and the same images again. Where the last run failed a
gate, its report and predictions count, those with .failed at the end of their names.
"""

import argparse
import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.accuracy import predictions
from pipeline.accuracy.predictions import FAILED, FILE, NOTHING, Predictions
from pipeline.accuracy.section import Evaluation, images_of
from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.templates import render
from pipeline.base.yaml_sections import Member
from pipeline.facts.report import read_report
from pipeline.images import image_set, labels
from pipeline.images.decoding import decode
from pipeline.images.labels import Label
from pipeline.model.variants import Model

LIMIT = 200  # pictures on a page: 1 to 2 MB
_SIDE = 160  # pixels of a picture's longer side


def wrong(predictions: Predictions) -> list[int]:
    """Returns the rows that are wrong, the surest first; those whose outputs are not numbers come last."""
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
        image: gives the name and the pixels, uint8 (height, width, 3), of a row of the predictions. It is asked for the
            pictures of the page alone, one after the other.
        limit: how many pictures the page has at most.
    """
    rows = wrong(predictions)
    shown = rows[:limit]

    def called(index: int) -> str:
        return names[index].name if names else f"output {index}"

    tiles = []
    for row in shown:
        name, pixels = image(row)
        true, said = int(predictions.label[row]), int(predictions.predicted[row])
        known = said != NOTHING
        tiles.append(
            {
                "uri": thumbnail(pixels),
                "name": name,
                "true": called(true),
                "said": called(said) if known else "nothing, its outputs are not numbers",
                "confidence": float(predictions.confidence[row]) if known else None,
                "top5": [(called(int(one)), one == true) for one in predictions.top5[row]] if known else [],
            }
        )
    count = f"{len(rows):,} of {len(predictions):,} images are classified wrong"
    part = "all of them" if len(shown) == len(rows) else f"{len(shown):,} of {len(rows):,}"
    below = "below each, its true class and what the model said, with the confidence"
    right = f"All {len(predictions):,} images are right."
    summary = f"{count}. Here are {part}, the surest first; {below}." if rows else right
    return render("contact_sheet/page.html.jinja", title=title, summary=summary, tiles=tiles)


def page(name: str, report: Path, place: Path, names: Sequence[Label]) -> str:
    """Returns the page of a member that was validated, whether it passed or not.

    Args:
        name: the member's.
        report: what validate wrote; one whose name ends in .failed has its predictions beside it under such a name.
        place: the images that it was given.
        names: the labels in the order of the outputs.

    Raises:
        Fault: when the accuracy was not measured, or on other images.
    """
    found = read_report(report)["accuracy"]
    failed = report.suffix == FAILED
    stored = report.with_name(FILE + FAILED * failed)
    if "top1" not in found or (rows := predictions.load(stored)) is None:
        raise Fault(f"{report}: no accuracy was measured, or {stored.name} is missing; run make validate with images")
    images = image_set.open_images(place, names)
    chosen = image_set.choose(images, min(found["images"] + len(found["damaged"]), len(images.examples)))
    if image_set.manifest_digest(chosen) != found["manifest_sha256"]:
        raise Fault(
            f"{place}: not the images that {report} is about; say the same IMAGENET=, or run make validate again"
        )
    readable = [example for example in chosen if example.name not in found["damaged"]]
    if [example.label for example in readable] != rows.label.tolist():
        raise Fault(f"{stored}: not of the run that {report} is about; run make validate again")

    def image(row: int) -> tuple[str, np.ndarray]:
        example = readable[row]
        return example.name, decode(images.read(example), images.locate(example))

    title = f"{name}: wrong predictions" + " of the run that failed" * failed
    return contact_sheet(title, rows, names, image)


def latest(report: Path) -> Path:
    """Returns the report of the last run that classified images: the failed one beside `report`, or `report`."""
    failed = report.with_name(report.name + FAILED)
    there = failed.is_file() and report.with_name(FILE + FAILED).is_file()
    return failed if there else report


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.contact_sheet", description="Shows wrong predictions.")
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("report", type=Path, help="its report.json")
    parser.add_argument("out", type=Path, help="the page to write, HTML")
    parser.add_argument("--imagenet", type=Path, help="the images, as validate was given them")
    parser.add_argument("--images", type=Path, help="the images, if validate was given --images")
    args = parser.parse_args(arguments)
    member = Member(args.member)
    model, evaluation = member.section("model", Model), member.section("evaluation", Evaluation)
    place = args.images or images_of(evaluation, member.folder, args.imagenet)
    if place is None or model.labels is None:
        raise Fault(f"{member.name}: no images, or no labels; say IMAGENET=, as for make validate")
    names = labels.read(member.folder / model.labels, model.classes)
    report = latest(args.report)
    write_text(args.out, page(member.name, report, place, names))
    print(f"wrote {args.out}, of the predictions that {report} is about")
    return member.name


if __name__ == "__main__":
    raise SystemExit(command("contact-sheet", main))
