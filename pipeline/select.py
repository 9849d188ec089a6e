"""select: the checkpoints that a collection's criteria choose from the pool's index, as a table and a plot.

    python -m pipeline.select COLLECTION.yaml OUT [--index FILE_OR_URL] [--kept FILE] [--diff]

prints the table and writes OUT/selection.md, OUT/selection.csv and OUT/selection.svg. The criteria are the section
`selection` of collection.yaml (pipeline/pool/selection.py).
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
from pipeline.pool.index import Index, Row
from pipeline.pool.selection import (
    Choice,
    Selection,
    checkpoint_of,
    choose,
    criteria_of,
    differences,
    members_of,
    names_of,
    passing,
)


def table(choices: Sequence[Choice], names: Mapping[str, str], selection: Selection) -> str:
    """Returns the choice as aligned text; `names` are the members' by their checkpoints."""
    lines = [("name", "checkpoint", selection.best_by, "images/s", "rows", "member")]
    lines += [
        (
            one.name,
            one.checkpoint,
            f"{one.score:.5f}",
            one.rate_text,
            str(one.passing),
            names.get(one.checkpoint, "no"),
        )
        for one in choices
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    to_the_right = {2, 3, 4}
    text = ""
    for line in lines:
        cells = [
            cell.rjust(width) if column in to_the_right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text += "  ".join(cells).rstrip() + "\n"
    for one in choices:
        if one.tied > 1:
            text += f"{one.name}: {one.tied} rows have {one.score}; the rule for equals chose this one\n"
    return text


def _csv(choices: Sequence[Choice], names: Mapping[str, str], selection: Selection) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["name", "checkpoint", selection.best_by, "infer_samples_per_sec", "rows_passing", "member"])
    for one in choices:
        rate = "" if math.isnan(one.rate) else one.rate
        writer.writerow([one.name, one.checkpoint, one.score, rate, one.passing, names.get(one.checkpoint, "")])
    return out.getvalue()


def picture(
    collection: str,
    groups: Mapping[str, Sequence[Row]],
    choices: Sequence[Choice],
    selection: Selection,
    synthetic: bool,
) -> str:
    """Returns the scatter plot of all rows that pass, the chosen ones labelled."""
    chosen = {choice.checkpoint: choice.name for choice in choices}
    points = [
        plot.Point(
            row.infer_samples_per_sec, getattr(row, selection.best_by), chosen.get(checkpoint_of(row, selection), "")
        )
        for group in groups.values()
        for row in group
        if row.infer_samples_per_sec > 0  # false for NaN
    ]
    unknown = [choice for choice in choices if math.isnan(choice.rate)]
    notes = [f"{sum(map(len, groups.values()))} rows: {selection.conditions}"]
    if unknown:
        listed = ", ".join(f"{choice.name} ({choice.score})" for choice in unknown)
        notes.append(f"not shown, since the index has no speed of it: {listed}")
    title = f"Checkpoints for the collection {collection}" + (" (made-up index)" if synthetic else "")
    described = "; ".join(f"{one.name} {one.score:.5f} at {one.rate_text} images per second" for one in choices)
    description = f"{selection.best_by} against images per second on a V100. Chosen: {described}."
    return plot.scatter(title, description, selection.best_by, points, notes)


def select(path: Path, read: Index, out: Path, diff: bool) -> str:
    """Applies a collection's criteria to an index, writes the three files and returns the text to print.

    Raises:
        Fault: when collection.yaml is malformed, the collection has no criteria, or no row meets them.
    """
    collection, _ = collection_of(path, None)
    selection = criteria_of(path)
    groups = passing(read.rows, selection)
    if not groups:
        raise Fault(
            f"none of {len(read.rows):,} rows meets the criteria of {path}: {selection.conditions}; the index is"
            f" {read.cited}"
        )
    choices = choose(groups, selection)
    members = members_of(path.parent)
    names = names_of(members)
    found = differences(choices, groups, read.rows, members, selection) if diff else None
    write_text(
        out / "selection.md",
        render(
            "selection/table.md.jinja", collection=collection.name, criteria=selection.conditions,
            score=selection.best_by, choices=choices, names=names, differences=found, synthetic=read.synthetic,
        ),
    )  # fmt: skip
    write_text(out / "selection.csv", _csv(choices, names, selection))
    write_text(out / "selection.svg", picture(collection.name, groups, choices, selection, read.synthetic))
    text = f"{selection.conditions}; the highest {selection.best_by} of each name\n\n{table(choices, names, selection)}"
    if read.synthetic:
        text = "The index is made up; so are its accuracies.\n" + text
    if found is not None:
        same = sum(choice.checkpoint in names for choice in choices)
        text += f"\n{same} of {len(choices)} chosen checkpoints are members; {len(found)} differences\n"
        text += "".join(f"  {difference.sentence}\n" for difference in found)
    return text


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.select", description="Chooses checkpoints of the pool.")
    parser.add_argument("collection", type=Path, help="collection.yaml")
    parser.add_argument("out", type=Path, help="the folder for selection.md, selection.csv and selection.svg")
    parser.add_argument("--index", help=f"a file or URL of the index (default: --kept, else {index.UPSTREAM})")
    parser.add_argument("--kept", type=Path, help="where upstream's index is kept (default: OUT/index.csv)")
    cache.add_options(parser)
    parser.add_argument("--diff", action="store_true", help="compare the choice with the collection's members")
    args = parser.parse_args(arguments)
    kept = args.kept or args.out / "index.csv"
    read = index.obtain(args.index or None, kept, cache.folder(args.cache), args.offline)
    sys.stdout.write(select(args.collection, read, args.out, args.diff))
    return f"{args.collection.parent.name} in {args.out}"


if __name__ == "__main__":
    raise SystemExit(command("select", main))
