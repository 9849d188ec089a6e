"""add: writes a member's YAML file for any checkpoint that upstream documents, from its name or address, or for many.

    python -m pipeline.add CHECKPOINT [--size PIXELS] [--collection NAME] [--name MEMBER] [--index FILE_OR_URL]
                           [--checkpoints FOLDER] [--kept FILE] [--cards FOLDER]

writes FOLDER/<collection>/<member>.yaml, and collection.yaml for a new collection; `make publish` needs no edit.
CHECKPOINT is a file of the AugReg pool, of another folder of upstream's buckets, or a copy on Hugging Face
(pipeline/pool/lookup.py), or a .txt file of such names and addresses, one a line. pipeline/pool/drafts.py and
upstream.py say how members and collections are named by default.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault, show_name
from pipeline.base.files import write_text
from pipeline.download import cache
from pipeline.pool import augreg, index
from pipeline.pool.candidate import Candidate
from pipeline.pool.index import Index
from pipeline.pool.lookup import image_size_of, look_up
from pipeline.pool.members import KnownMembers, check_collection_name, check_member_name, read_known_members
from pipeline.pool.upstream import UpstreamFile
from pipeline.pool.upstream_member import Upstream


@dataclass(frozen=True)
class Added:
    """What add() wrote: the member, its collection, the files, and notes for the user."""

    member: str
    collection: str
    files: tuple[Path, ...]
    notes: tuple[str, ...]


LISTED = 20  # lines of a list that a message names


class IsMember(Fault):
    """The checkpoint is a member already."""


def _name_member(candidate: Candidate, members: KnownMembers, name: str | None) -> str:
    """Returns the new member's name: `name`, else the first of the candidate's that is not in use.

    Raises:
        IsMember: for a checkpoint that is a member already.
        Fault: for a name that is malformed or in use.
    """
    if name:
        check_member_name(f"NAME={name}", name, candidate.member_names[-1])
    if path := members.by_checkpoint.get(candidate.checkpoint):
        raise IsMember(f"{path}: {candidate.checkpoint} is a member already; run make publish MODEL={path.stem}")
    possible = [name] if name else candidate.member_names
    for member in possible:
        if member not in members.by_name:
            return member
    taken = members.by_name[possible[-1]]
    raise Fault(f"{taken}: this member exists, with another checkpoint; set NAME=<another name>")


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
    checkpoint: str,
    cards: Path,
    collection: str | None,
    name: str | None,
    pool: Index | None,
    size: str | None = None,
    members: KnownMembers | None = None,
) -> Added:
    """Writes a member's YAML file, and its collection's if that is new.

    Args:
        checkpoint: a name or an address, see pipeline.pool.lookup.
        cards: the folder of all collections.
        collection: its name; None for the collection of its training.
        name: the member's name; None for the usual one.
        pool: the AugReg pool's index, if there is one.
        size: the setting SIZE, the image size in pixels, where nothing else tells it.
        members: what read_known_members() returned, which gets the new one; None to read them.

    Raises:
        IsMember: when the checkpoint is a member already. Nothing is written then.
        Fault: when the checkpoint's name is unknown, malformed or not in the index, the member's name is in use, or the
            collection has other models. Nothing is written then.
    """
    candidate = open_candidate(checkpoint, size, pool)
    collection = collection or candidate.collection
    check_collection_name(collection)
    members = members or read_known_members(cards)
    member = _name_member(candidate, members, name)
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
    members.enter(folder / f"{member}.yaml", candidate.checkpoint)
    return Added(member, collection, tuple(texts), tuple(notes))


def is_list(checkpoint: str) -> bool:
    """Whether the setting CHECKPOINT names a list: no checkpoint has the ending .txt."""
    return checkpoint.endswith(".txt") and "://" not in checkpoint


def read_list(path: Path) -> dict[int, str]:
    """Returns the names of a list by their lines, from 1; empty lines and those that begin with # are none.

    Raises:
        Fault: when there is no such file, or it is no text, or has no name.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8 text"
        raise Fault(f"CHECKPOINT={path}: expected a list of checkpoints, one a line: {reason}") from error
    names = {number: line.strip() for number, line in enumerate(lines, 1)}
    names = {number: name for number, name in names.items() if name and not name.startswith("#")}
    if not names:
        raise Fault(f"CHECKPOINT={path}: expected a list of checkpoints, one a line, got no name")
    return names


def add_list(path: Path, cards: Path, collection: str | None, pool: Index | None, size: str | None) -> None:
    """Adds the checkpoints of a list, and prints what was done; one that cannot be added keeps no other from it.

    Those that are members already are left as they are, so that a list can be corrected and given again.

    Args:
        path: see read_list(); for the others see add().
        cards: the folder of all collections.
        collection: of all of them.
        pool: the AugReg pool's index.
        size: of all of them.

    Raises:
        Fault: when a line could not be added; names the lines.
    """
    names, members = read_list(path), read_known_members(cards)
    added: list[Added] = []
    faults: list[str] = []
    known = 0
    try:
        for number, name in names.items():
            try:
                added.append(add(name, cards, collection, None, pool, size, members))
            except IsMember:
                known += 1
            except Fault as fault:
                faults.append(f"line {number}: {fault}")
    finally:  # a full disk ends it at any line
        for note in dict.fromkeys(note for each in added for note in each.notes):
            print(f"note: {note}")
        counts = f"{len(added):,} added, {known:,} members already, {len(faults):,} not added"
        if left := len(names) - len(added) - known - len(faults):
            counts += f", {left:,} not reached"
        print(f"{path}: {len(names):,} checkpoints: {counts}")
    for name in dict.fromkeys(each.collection for each in added):
        print(f"next: make -k publish-all COLLECTION={name}")
    if faults:
        more = [f"and {len(faults) - LISTED:,} more"] if len(faults) > LISTED else []
        listed = "\n  ".join([*faults[:LISTED], *more])
        raise Fault(f"{path}: {len(faults):,} of {len(names):,} checkpoints were not added:\n  {listed}")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.add", description="Writes a member's YAML file for a checkpoint of upstream's."
    )
    parser.add_argument(
        "checkpoint", help="the name of a file of the pool, or the address of any of upstream's; or a .txt file of such"
    )
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
    collection, size = args.collection or None, args.size or None
    if is_list(args.checkpoint):
        if args.name:
            raise Fault(f"NAME={args.name}: a list of checkpoints has several members; leave NAME out")
        add_list(Path(args.checkpoint), args.cards, collection, pool, size)
        return
    added = add(args.checkpoint, args.cards, collection, args.name or None, pool, size)
    for path in added.files:
        print(f"wrote {path}")
    for note in added.notes:
        print(f"note: {note}")
    print(f"next: make publish MODEL={added.member}")


if __name__ == "__main__":
    raise SystemExit(guarded("add", lambda: main(command_line())))
