"""add: a member's YAML file for any checkpoint of the AugReg pool, from its name and its row in the index.

    python -m pipeline.add CHECKPOINT [--collection NAME] [--name MEMBER] [--index FILE_OR_URL] [--kept FILE]
                           [--cards FOLDER]

writes FOLDER/<collection>/<member>.yaml (and collection.yaml for a new collection); `make publish` takes it as it is.
How both are named unless NAMEs are given stands in pipeline/pool/drafts.py.
"""

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.download import cache
from pipeline.pool import index, names
from pipeline.pool.drafts import collection_name, collection_text, dataset_of, long_name, member_name, member_text
from pipeline.pool.index import Index, Row
from pipeline.pool.names import Recipe
from pipeline.pool.selection import Selection, criteria_of, members_of


@dataclass(frozen=True)
class Added:
    """What add wrote: the member, its collection, the files, and remarks for the person who asked."""

    member: str
    collection: str
    files: tuple[Path, ...]
    remarks: tuple[str, ...]


def row_of(recipe: Recipe, read: Index) -> Row:
    """Returns a checkpoint's row; for one that was only pre-trained, the first of its fine-tunings'.

    Raises:
        Fault: when the index does not have it; names the nearest.
    """
    column = "adapt_filename" if recipe.fine_tuning else "filename"
    rows = {getattr(row, column): row for row in reversed(read.rows)}
    if recipe.name not in rows:
        nearest = names.closest(recipe.name, rows)
        raise Fault(
            f"the index has no checkpoint {recipe.name}; the nearest of its {len(rows):,} is {nearest}; check"
            " CHECKPOINT=, or say INDEX=<an index that has it>"
        )
    return rows[recipe.name]


def _name_of(name: str | None, recipe: Recipe, cards: Path) -> str:
    """Returns the new member's name: the one given, else the usual one, or the long one where that is taken.

    Raises:
        Fault: for a name that is malformed or taken, or a checkpoint that is a member already.
    """
    if name and (not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or name == "collection"):
        raise Fault(f"NAME={name}: expected lower-case letters, digits and '_', such as {long_name(recipe)}")
    taken = {path.stem: path for path in sorted(cards.glob("*/*.yaml")) if path.name != "collection.yaml"}
    for folder in sorted({path.parent for path in taken.values()}):
        for member, checkpoint in members_of(folder).items():
            if checkpoint == recipe.name:
                raise Fault(f"{taken[member]}: {checkpoint} is this member already; run make publish MODEL={member}")
    for candidate in (name,) if name else (member_name(recipe), long_name(recipe)):
        if candidate not in taken:
            return candidate
    raise Fault(f"{taken[candidate]}: this member exists, with another checkpoint; say NAME=<another name>")


def _misfit(recipe: Recipe, row: Row | None, selection: Selection) -> str | None:
    """Returns in words why a checkpoint does not belong into a collection with these criteria, or None."""
    tuned = recipe.fine_tuning
    facts = (("ds", recipe.ds, selection.ds), ("adapt_ds", tuned.ds if tuned else None, selection.adapt_ds))
    for key, got, wanted in (*facts, ("adapt_resolution", recipe.resolution, selection.adapt_resolution)):
        if got != wanted and not (key == "adapt_resolution" and wanted is None):
            return f"{key} {got or 'none'}, its members have {wanted or 'none'}"
    if row and selection.minimum_accuracy is not None:
        score = getattr(row, selection.best_by)
        if not score >= selection.minimum_accuracy:
            return f"{selection.best_by} {score}, its members have at least {selection.minimum_accuracy}"
    return None


def _check_collection(path: Path, recipe: Recipe, row: Row | None) -> list[str]:
    """Refuses a collection whose pages would say something untrue of the checkpoint; returns remarks."""
    selection = criteria_of(path)
    if reason := _misfit(recipe, row, selection):
        raise Fault(
            f"{path}: {recipe.name} does not belong into this collection, whose pages speak of other models: it has"
            f" {reason}; leave COLLECTION= out to have it in {collection_name(recipe)}"
        )
    if row is None and selection.minimum_accuracy is not None:
        return [f"without an index it is not checked that {selection.best_by} is at least {selection.minimum_accuracy}"]
    return []


def add(checkpoint: str, cards: Path, collection: str | None, name: str | None, read: Index | None) -> Added:
    """Writes a member's YAML file, and its collection's if that is new.

    Args:
        checkpoint: the name of one of the pool's files, with or without folder and `.npz`.
        cards: the folder of all collections.
        collection: its name; None for the one that the checkpoint belongs to.
        name: the member's; None for the usual one.
        read: the pool's index, None when it is not at hand.

    Raises:
        Fault: when the checkpoint's name cannot be read or the index does not have it, the member exists, or the
            collection is one of other models; nothing is written.
    """
    recipe = names.parse(checkpoint)
    row = row_of(recipe, read) if read else None
    collection = collection or collection_name(recipe)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", collection):
        raise Fault(f"COLLECTION={collection}: expected lower-case letters, digits, '_' and '-'")
    member = _name_of(name, recipe, cards)
    folder = cards / collection
    remarks = []
    new = not (folder / "collection.yaml").exists()
    if not new:
        remarks += _check_collection(folder / "collection.yaml", recipe, row)
    labels = cards / dataset_of(recipe).labels
    if not labels.is_file():
        raise Fault(f"{labels}: the label file of {dataset_of(recipe).name} is missing; restore it")
    text = member_text(recipe, folder, cards, row, read.cited if read else "")
    if row is None:
        remarks.append("no index at hand (INDEX=): no reported accuracy was written")
    files = [folder / f"{member}.yaml"]
    if new:
        files.insert(0, folder / "collection.yaml")
        write_text(files[0], collection_text(recipe, collection))
    write_text(files[-1], text)
    return Added(member, collection, tuple(files), tuple(remarks))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.add", description="Makes a checkpoint a member.")
    parser.add_argument("checkpoint", help="the name of one of the pool's files, without .npz")
    parser.add_argument("--collection", help="its collection (default: the one of its training data)")
    parser.add_argument("--name", help="the member's name (default: from the checkpoint's)")
    parser.add_argument("--index", help="a file or URL of the pool's index")
    kept = Path("artifacts/selection/index.csv")
    parser.add_argument(
        "--kept", type=Path, default=kept, help="upstream's index that make select left, used if it is there"
    )
    cache.add_options(parser)
    parser.add_argument("--cards", type=Path, default=Path("model_cards"), help="the folder of all collections")
    args = parser.parse_args(arguments)
    read = None
    if args.index or args.kept.exists():
        read = index.obtain(args.index or None, args.kept, cache.folder(args.cache), args.offline)
    added = add(args.checkpoint, args.cards, args.collection or None, args.name or None, read)
    for path in added.files:
        print(f"wrote {path}")
    for remark in added.remarks:
        print(f"note: {remark}")
    print(f"next: make publish MODEL={added.member}")


if __name__ == "__main__":
    raise SystemExit(guarded("add", lambda: main(sys.argv[1:])))
