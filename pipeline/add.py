"""add: writes a member's YAML file for any checkpoint that upstream documents, from its name or address.

    python -m pipeline.add CHECKPOINT [--size PIXELS] [--collection NAME] [--name MEMBER] [--index FILE_OR_URL]
                           [--checkpoints FOLDER] [--kept FILE] [--cards FOLDER]

writes FOLDER/<collection>/<member>.yaml, and collection.yaml for a new collection; `make publish` needs no edit.
CHECKPOINT is a file of the AugReg pool, of another folder of upstream's buckets, or a copy on Hugging Face
(pipeline/pool/lookup.py). pipeline/pool/drafts.py and upstream.py say how members and collections are named by default.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import write_text
from pipeline.base.yaml_sections import Member
from pipeline.download import cache
from pipeline.pool import augreg, index
from pipeline.pool.candidate import Candidate
from pipeline.pool.index import Index
from pipeline.pool.lookup import image_size_of, look_up
from pipeline.pool.members import check_collection_name, check_member_name
from pipeline.pool.upstream import UpstreamFile
from pipeline.pool.upstream_member import Upstream


@dataclass(frozen=True)
class Added:
    """What add() wrote: the member, its collection, the files, and notes for the user."""

    member: str
    collection: str
    files: tuple[Path, ...]
    notes: tuple[str, ...]


def _name_member(candidate: Candidate, cards: Path, name: str | None) -> str:
    """Returns the new member's name: `name`, else the first of the candidate's that is not in use.

    Raises:
        Fault: for a name that is malformed or in use, or a checkpoint that is a member already.
    """
    if name:
        check_member_name(f"NAME={name}", name, candidate.member_names[-1])
    paths = {path.stem: path for path in sorted(cards.glob("*/*.yaml")) if path.name != "collection.yaml"}
    _refuse_member(candidate, paths)
    possible = [name] if name else candidate.member_names
    for member in possible:
        if member not in paths:
            return member
    raise Fault(f"{paths[possible[-1]]}: this member exists, with another checkpoint; set NAME=<another name>")


def _refuse_member(candidate: Candidate, paths: dict[str, Path]) -> None:
    """Raises a Fault when the checkpoint is a member already; `paths` are all members' files by member."""
    for member, path in paths.items():
        if _checkpoint_of(path) == candidate.checkpoint:
            raise Fault(f"{path}: {candidate.checkpoint} is a member already; run make publish MODEL={member}")


def _checkpoint_of(path: Path) -> str | None:
    """Returns the checkpoint of a member; None where its file has a fault or open places, which its stages report."""
    try:
        return Member(path).checkpoint_name()
    except Fault:
        return None


def open_candidate(checkpoint: str, size: str | None, pool: Index | None) -> Candidate:
    """Returns what is known of a checkpoint by its name or address.

    Raises:
        Fault: for one that is unknown or that SIZE does not fit, and see pipeline.pool.augreg.
    """
    known = look_up(checkpoint)
    if isinstance(known, UpstreamFile):
        return Upstream(known, image_size_of(known, size))
    if size is not None and size != str(known.resolution):
        raise Fault(
            f"SIZE={show_name(size)}: by its name {known.name} has {known.resolution} pixels; leave SIZE out. To"
            " publish at another size, edit model.image_size"
        )
    return augreg.open_candidate(known, pool)


def add(
    checkpoint: str, cards: Path, collection: str | None, name: str | None, pool: Index | None, size: str | None = None
) -> Added:
    """Writes a member's YAML file, and its collection's if that is new.

    Args:
        checkpoint: a name or an address, see pipeline.pool.lookup.
        cards: the folder of all collections.
        collection: its name; None for the collection of its training.
        name: the member's name; None for the usual one.
        pool: the AugReg pool's index, if there is one.
        size: the setting SIZE, the image size in pixels, where nothing else tells it.

    Raises:
        Fault: when the checkpoint's name is unknown, malformed or not in the index, the member exists, or the
            collection has other models. Nothing is written then.
    """
    candidate = open_candidate(checkpoint, size, pool)
    collection = collection or candidate.collection
    check_collection_name(collection)
    member = _name_member(candidate, cards, name)
    folder = cards / collection
    texts = {folder / "collection.yaml": candidate.draft_collection(collection)}
    notes: list[str] = []
    if (folder / "collection.yaml").exists():
        notes += candidate.check_collection(folder / "collection.yaml")
        texts = {}
    dataset = candidate.dataset
    if not (cards / dataset.labels).is_file():
        raise Fault(f"{cards / dataset.labels}: the label file of {dataset.name} is missing; restore it")
    notes += candidate.notes
    texts[folder / f"{member}.yaml"] = candidate.draft_member(folder, cards)
    for path, text in texts.items():
        write_text(path, text)
    return Added(member, collection, tuple(texts), tuple(notes))


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.add", description="Writes a member's YAML file for a checkpoint of upstream's."
    )
    parser.add_argument("checkpoint", help="the name of a file of the pool, or the address of any of upstream's")
    parser.add_argument("--size", help="the image size in pixels, where nothing else tells it")
    parser.add_argument("--collection", help="its collection (default: the collection of its training)")
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
    added = add(args.checkpoint, args.cards, args.collection or None, args.name or None, pool, args.size or None)
    for path in added.files:
        print(f"wrote {path}")
    for note in added.notes:
        print(f"note: {note}")
    print(f"next: make publish MODEL={added.member}")


if __name__ == "__main__":
    raise SystemExit(guarded("add", lambda: main(command_line())))
