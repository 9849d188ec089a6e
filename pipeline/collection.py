"""collection: the Markdown page of a collection, from the facts and reports of its members.

python -m pipeline.collection COLLECTION.yaml ARTIFACTS OUT [--lock FILE] [--published HUB]

With --published the page has the members alone that this hub has, with the figures of their last reports: others may
have failed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.yaml_sections import Member
from pipeline.cards.collection_page import ListedMember, check_collection, list_member, render_collection
from pipeline.checkpoints import lock_file
from pipeline.checkpoints.lock_file import LockFile
from pipeline.dag.runs import has_member
from pipeline.facts.collection import Collection, Module, collection_of
from pipeline.facts.report import load_report, with_recorded_arrays
from pipeline.hub.folder import hub_folder
from pipeline.prose.read import refuse_text_faults


def read_members(
    collection: Collection, folder: Path, artifacts: Path, lock: str | None = None, hub: Path | None = None
) -> list[ListedMember]:
    """Reads a collection's members.

    Args:
        collection: its facts.
        folder: holds collection.yaml and the members' YAML files.
        artifacts: holds each member's report, <member>/report.json.
        lock: the setting LOCK, or None for the collection's own lock file.
        hub: leave members out that this hub does not have; None for all members.

    Raises:
        Fault: when there is no member, or one has no report yet.
    """
    members, pins = [], LockFile(lock_file.locate(folder, lock))
    for path in folder.glob("*.yaml"):
        if path.name == "collection.yaml" or (hub and not has_member(path, collection, artifacts, hub)):
            continue
        member = Member(path)
        report = load_report(artifacts / path.stem / "report.json")
        report = with_recorded_arrays(report, pins.pin_of(member.checkpoint_name()).arrays)
        members.append(list_member(collection, path.stem, member.section("module", Module), report))
    if not members and hub:
        raise Fault(f"{hub}: it has no member of {folder} yet, so the page would be empty; publish one first")
    if not members:
        raise Fault(f"{folder}: no member; expected a <member>.yaml beside collection.yaml")
    return members


def page(
    collection: Collection,
    folder: Path,
    artifacts: Path,
    where: str = "page.md",
    lock: str | None = None,
    hub: Path | None = None,
) -> str:
    """Returns the collection's page; `where` is its name in messages, see read_members() for the rest.

    Raises:
        Fault: as read_members() does, and when the page breaks TF-Hub's rules or its counts differ from its list.
    """
    members = read_members(collection, folder, artifacts, lock, hub)
    text = render_collection(collection, members)
    check_collection(text, collection, [member.report for member in members], where)
    return text


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.collection", description="Writes a collection's page.")
    parser.add_argument("collection", type=Path, help="collection.yaml")
    parser.add_argument("artifacts", type=Path, help="the folder of all members' folders")
    parser.add_argument("out", type=Path, help="the page to write")
    lock_file.add_option(parser)
    parser.add_argument("--published", metavar="HUB", help="leave members out that this hub does not have")
    args = parser.parse_args(arguments)
    collection, _ = collection_of(args.collection, None)
    folder, hub = args.collection.parent, hub_folder(args.published) if args.published else None
    for member in sorted(set(folder.glob("*.yaml")) - {args.collection})[:1]:  # it has the same texts
        refuse_text_faults(member)
    write_text(args.out, page(collection, folder, args.artifacts, str(args.out), args.lock, hub))
    return collection.name


if __name__ == "__main__":
    raise SystemExit(command("collection", main))
