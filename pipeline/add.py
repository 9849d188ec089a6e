"""add: writes a member's YAML file for any checkpoint of the AugReg pool, from its name and its row in the index.

    python -m pipeline.add CHECKPOINT [--collection NAME] [--name MEMBER] [--index FILE_OR_URL]
                           [--checkpoints FOLDER] [--kept FILE] [--cards FOLDER]

writes FOLDER/<collection>/<member>.yaml, and collection.yaml for a new collection; `make publish` needs no edit.
pipeline/pool/drafts.py says how both are named by default.
"""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.download import cache
from pipeline.pool import index, names
from pipeline.pool.criteria import Criteria, read_criteria
from pipeline.pool.drafts import (
    collection_name,
    dataset_of,
    draft_collection,
    draft_member,
    long_name,
    member_name,
)
from pipeline.pool.index import Index, Row
from pipeline.pool.members import read_members
from pipeline.pool.names import Recipe


@dataclass(frozen=True)
class Added:
    """What add() wrote: the member, its collection, the files, and notes for the user."""

    member: str
    collection: str
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def find_row(recipe: Recipe, pool: Index) -> Row:
    """Returns a checkpoint's row; for one that was only pre-trained, the row of its first fine-tuning.

    Raises:
        Fault: when the index does not have it; names the nearest checkpoint.
    """
    column = "adapt_filename" if recipe.fine_tuning else "filename"
    rows = {getattr(row, column): row for row in reversed(pool.rows)}
    if recipe.name not in rows:
        nearest = names.closest_name(recipe.name, rows)
        raise Fault(
            f"the index has no checkpoint {recipe.name}; the nearest of its {len(rows):,} is {nearest}; check"
            " CHECKPOINT=, or set INDEX=<an index that has it>"
        )
    return rows[recipe.name]


def _name_member(recipe: Recipe, cards: Path, name: str | None) -> str:
    """Returns the new member's name: `name`, else the usual name, else the long one if the usual is in use.

    Raises:
        Fault: for a name that is malformed or in use, or a checkpoint that is a member already.
    """
    if name and (not re.fullmatch(r"[a-z0-9][a-z0-9_]*", name) or name == "collection"):
        raise Fault(f"NAME={name}: expected lower-case letters, digits and '_', such as {long_name(recipe)}")
    paths = {path.stem: path for path in sorted(cards.glob("*/*.yaml")) if path.name != "collection.yaml"}
    _refuse_member(recipe, paths)
    candidates = [name] if name else [member_name(recipe), long_name(recipe)]
    for candidate in candidates:
        if candidate not in paths:
            return candidate
    raise Fault(f"{paths[candidates[-1]]}: this member exists, with another checkpoint; set NAME=<another name>")


def _refuse_member(recipe: Recipe, paths: dict[str, Path]) -> None:
    """Raises a Fault when the checkpoint is a member already; `paths` are all members' files by member."""
    for folder in sorted({path.parent for path in paths.values()}):
        for member, checkpoint in read_members(folder).items():
            if checkpoint == recipe.name:
                raise Fault(f"{paths[member]}: {checkpoint} is a member already; run make publish MODEL={member}")


def _mismatch(recipe: Recipe, row: Row | None, criteria: Criteria) -> str | None:
    """Returns in words how a checkpoint differs from the criteria of a collection, or None."""
    fine_tuning = recipe.fine_tuning.ds if recipe.fine_tuning else None
    for key, got, expected in (
        ("ds", recipe.ds, criteria.ds),
        ("adapt_ds", fine_tuning, criteria.adapt_ds),
        ("adapt_resolution", recipe.resolution, criteria.adapt_resolution or recipe.resolution),
    ):
        if got != expected:
            return f"{key} {got or 'none'}, its members have {expected or 'none'}"
    if row and criteria.minimum_accuracy is not None:
        score = criteria.score(row)
        if not score >= criteria.minimum_accuracy:  # true for NaN
            return f"{criteria.best_by} {score}, its members have at least {criteria.minimum_accuracy}"
    return None


def _check_collection(path: Path, recipe: Recipe, row: Row | None) -> list[str]:
    """Refuses a collection with other criteria than the checkpoint meets; returns notes on what was not checked."""
    criteria = read_criteria(path)
    if reason := _mismatch(recipe, row, criteria):
        raise Fault(
            f"{path}: {recipe.name} does not belong in this collection: it has {reason}; leave out COLLECTION= to add"
            f" it to {collection_name(recipe)}"
        )
    if row is None and criteria.minimum_accuracy is not None:
        return [f"not checked without an index: {criteria.best_by} is at least {criteria.minimum_accuracy}"]
    return []


def add(checkpoint: str, cards: Path, collection: str | None, name: str | None, pool: Index | None) -> Added:
    """Writes a member's YAML file, and its collection's if that is new.

    Args:
        checkpoint: the name of a file of the pool, with or without folder and `.npz`.
        cards: the folder of all collections.
        collection: its name; None for the collection of its training data.
        name: the member's name; None for the usual one.
        pool: the pool's index, if there is one.

    Raises:
        Fault: when the checkpoint's name is malformed or not in the index, the member exists, or the collection has
            other criteria. Nothing is written then.
    """
    recipe = names.parse(checkpoint)
    row = find_row(recipe, pool) if pool else None
    collection = collection or collection_name(recipe)
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", collection):
        raise Fault(f"COLLECTION={collection}: expected lower-case letters, digits, '_' and '-'")
    member = _name_member(recipe, cards, name)
    folder = cards / collection
    texts = {folder / "collection.yaml": draft_collection(recipe, collection)}
    notes = []
    if (folder / "collection.yaml").exists():
        notes += _check_collection(folder / "collection.yaml", recipe, row)
        texts = {}
    dataset = dataset_of(recipe)
    if not (cards / dataset.labels).is_file():
        raise Fault(f"{cards / dataset.labels}: the label file of {dataset.name} is missing; restore it")
    if pool is None:
        notes.append("no index (INDEX=), so no reported accuracy was written")
    texts[folder / f"{member}.yaml"] = draft_member(recipe, folder, cards, pool, row)
    for path, text in texts.items():
        write_text(path, text)
    return Added(member, collection, tuple(texts), tuple(notes))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.add", description="Writes a member's YAML file for a checkpoint of the pool."
    )
    parser.add_argument("checkpoint", help="the name of a file of the pool, without .npz")
    parser.add_argument("--collection", help="its collection (default: the collection of its training data)")
    parser.add_argument("--name", help="the member's name (default: from the checkpoint's name)")
    index.add_options(parser)
    copy = Path("artifacts/selection/index.csv")
    parser.add_argument(
        "--kept",
        type=Path,
        default=copy,
        help="the local copy of upstream's index that select makes, used if it exists",
    )
    cache.add_options(parser)
    parser.add_argument("--cards", type=Path, default=Path("model_cards"), help="the folder of all collections")
    args = parser.parse_args(arguments)
    pool = None
    source = index.choose_source(args.index, args.checkpoints)
    if source or args.kept.exists():
        pool = index.load(source, args.kept, cache.folder(args.cache), args.offline)
    added = add(args.checkpoint, args.cards, args.collection or None, args.name or None, pool)
    for path in added.files:
        print(f"wrote {path}")
    for note in added.notes:
        print(f"note: {note}")
    print(f"next: make publish MODEL={added.member}")


if __name__ == "__main__":
    raise SystemExit(guarded("add", lambda: main(command_line())))
