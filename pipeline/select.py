"""select: chooses the best checkpoint of each variant from the pool's index, by the criteria of a collection.

    python -m pipeline.select COLLECTION.yaml OUT [--index FILE_OR_URL] [--checkpoints FOLDER] [--kept FILE] [--diff]

prints a table and writes OUT/selection.md, OUT/selection.csv and OUT/selection.svg. The criteria are the section
`selection` of collection.yaml (pipeline/pool/criteria.py).
"""

import argparse
import csv
import io
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.templates import render
from pipeline.download import cache
from pipeline.facts.collection import collection_of
from pipeline.pool import index, plot
from pipeline.pool.criteria import read_criteria
from pipeline.pool.index import Index
from pipeline.pool.members import Difference, compare_members, members_by_checkpoint, read_members
from pipeline.pool.selection import Selection, select_checkpoints


def table(selection: Selection, members: Mapping[str, str]) -> str:
    """Returns a selection as aligned text.

    Args:
        selection: what to show.
        members: the collection's members by checkpoint.
    """
    lines = [("variant", "checkpoint", selection.criteria.best_by, "images/s", "candidates", "member")]
    lines += [
        (
            choice.variant,
            choice.checkpoint,
            f"{choice.score:.5f}",
            choice.rate_text,
            str(choice.candidates),
            members.get(choice.checkpoint, "no"),
        )
        for choice in selection.choices
    ]
    ties = [
        f"{choice.variant}: {choice.tied} checkpoints tie at {choice.score}; the tie went to the faster, then by file"
        " name\n"
        for choice in selection.choices
        if choice.tied > 1
    ]
    return _align(lines, right_aligned={2, 3, 4}) + "".join(ties)


def _align(lines: Sequence[Sequence[str]], right_aligned: set[int]) -> str:
    """Returns rows of cells as text, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = ""
    for line in lines:
        cells = [
            cell.rjust(width) if column in right_aligned else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text += "  ".join(cells).rstrip() + "\n"
    return text


def _csv(selection: Selection, members: Mapping[str, str]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    score = selection.criteria.best_by
    writer.writerow(["name", "checkpoint", score, "infer_samples_per_sec", "rows_passing", "member"])
    for choice in selection.choices:
        rate = "" if math.isnan(choice.rate) else choice.rate
        member = members.get(choice.checkpoint, "")
        writer.writerow([choice.variant, choice.checkpoint, choice.score, rate, choice.candidates, member])
    return out.getvalue()


def draw(collection: str, selection: Selection, synthetic: bool) -> str:
    """Returns a scatter plot of all candidates as SVG, the choices labelled.

    Args:
        collection: its name, for the heading.
        selection: what to show; candidates without a speed are left out, choices without one are listed in a note.
        synthetic: whether the figures are made up.
    """
    criteria = selection.criteria
    labels = {choice.checkpoint: choice.variant for choice in selection.choices}
    points = [
        plot.Point(row.infer_samples_per_sec, criteria.score(row), labels.get(criteria.checkpoint(row), ""))
        for rows in selection.candidates.values()
        for row in rows
        if row.infer_samples_per_sec > 0  # false for NaN
    ]
    notes = [f"{sum(map(len, selection.candidates.values()))} checkpoints: {criteria.summary}"]
    without_rate = [f"{choice.variant} ({choice.score})" for choice in selection.choices if math.isnan(choice.rate)]
    if without_rate:
        notes.append(f"not shown, the index has no speed: {', '.join(without_rate)}")
    title = f"Checkpoints for the collection {collection}" + (" (made-up index)" if synthetic else "")
    selected = "; ".join(
        f"{choice.variant} {choice.score:.5f} at {choice.rate_text} images per second" for choice in selection.choices
    )
    description = f"{criteria.best_by} against images per second on a V100. Selected: {selected}."
    return plot.scatter(title, description, criteria.best_by, points, notes)


def _summary(selection: Selection, members: Mapping[str, str], differences: Sequence[Difference] | None) -> str:
    """Returns the text to print: criteria, table and, if given, the differences from the members."""
    criteria = selection.criteria
    text = f"{criteria.summary}; the highest {criteria.best_by} of each variant\n\n{table(selection, members)}"
    if differences is not None:
        choices = selection.choices
        shared = sum(choice.checkpoint in members for choice in choices)
        text += f"\n{shared} of {len(choices)} selected checkpoints are members; {len(differences)} differences\n"
        text += "".join(f"  {difference.sentence}\n" for difference in differences)
    return text


def select(path: Path, pool: Index, out: Path, diff: bool) -> str:
    """Applies a collection's criteria to an index, writes the three files and returns the text to print.

    Args:
        path: collection.yaml.
        pool: the index.
        out: the folder for the files.
        diff: whether to compare the selection with the collection's members.

    Raises:
        Fault: when collection.yaml is malformed, the collection has no criteria, or no row meets them.
    """
    collection, _ = collection_of(path, None)
    selection = select_checkpoints(pool.rows, read_criteria(path))
    if not selection.choices:
        raise Fault(
            f"none of {len(pool.rows):,} rows meets the criteria of {path}: {selection.criteria.summary}; the index is"
            f" {pool.citation}"
        )
    checkpoints = read_members(path.parent)
    members = members_by_checkpoint(checkpoints)
    differences = compare_members(selection, pool.rows, checkpoints) if diff else None
    page = render(
        "selection/table.md.jinja",
        collection=collection.name, selection=selection, members=members, differences=differences,
        synthetic=pool.synthetic,
    )  # fmt: skip
    write_text(out / "selection.md", page)
    write_text(out / "selection.csv", _csv(selection, members))
    write_text(out / "selection.svg", draw(collection.name, selection, pool.synthetic))
    warning = "The index is made up, and so are its accuracies.\n" if pool.synthetic else ""
    return warning + _summary(selection, members, differences)


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.select", description="Chooses the best checkpoints of the pool for a collection."
    )
    parser.add_argument("collection", type=Path, help="collection.yaml")
    parser.add_argument("out", type=Path, help="the folder for selection.md, selection.csv and selection.svg")
    index.add_options(parser)
    parser.add_argument("--kept", type=Path, help="the local copy of upstream's index (default: OUT/index.csv)")
    cache.add_options(parser)
    parser.add_argument("--diff", action="store_true", help="compare the selection with the collection's members")
    args = parser.parse_args(arguments)
    copy = args.kept or args.out / "index.csv"
    pool = index.load(index.choose_source(args.index, args.checkpoints), copy, cache.folder(args.cache), args.offline)
    sys.stdout.write(select(args.collection, pool, args.out, args.diff))
    return f"{args.collection.parent.name} in {args.out}"


if __name__ == "__main__":
    raise SystemExit(command("select", main))
