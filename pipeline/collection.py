"""collection: the Markdown page of a collection, from the facts and reports of its members.

python -m pipeline.collection COLLECTION.yaml ARTIFACTS OUT
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.heads import Head
from pipeline.base.templates import render
from pipeline.base.yaml_sections import Member
from pipeline.cards import counts, tf_hub_rules
from pipeline.cards.page import parse_page, refuse_problems
from pipeline.facts.collection import Collection, Module, collection_of, handle
from pipeline.facts.report import Report, load_report


@dataclass(frozen=True)
class ListedMember:
    """A member of the collection: its name, its section `module`, its report, and links to its modules' pages."""

    name: str
    module: Module
    report: Report
    links: dict[Head, str]

    @property
    def rank(self) -> tuple[bool, int, str]:
        """Its place in the lists: plain Vision Transformers before hybrids, small before large."""
        weights = self.report.modules[Head.CLASSIFICATION].weights
        return self.report.model.hybrid, weights.parameters, self.name


def read_members(collection: Collection, folder: Path, artifacts: Path) -> list[ListedMember]:
    """Reads a collection's members, in the order of the published lists.

    Args:
        collection: its facts.
        folder: holds collection.yaml and the members' YAML files.
        artifacts: holds each member's report, <member>/report.json.

    Raises:
        Fault: when there is no member, or one has no report yet.
    """
    members = []
    for path in folder.glob("*.yaml"):
        if path.name == "collection.yaml":
            continue
        module = Member(path).section("module", Module)
        handles = {head: handle(collection, path.stem, head, module.version) for head in Head}
        # From <publisher>/collections/<name>/1.md the modules are two folders up.
        links = {head: f"../../{name.split('/', 1)[1]}.md" for head, name in handles.items()}
        members.append(ListedMember(path.stem, module, load_report(artifacts / path.stem / "report.json"), links))
    if not members:
        raise Fault(f"{folder}: no member; expected a <member>.yaml beside collection.yaml")
    return sorted(members, key=lambda member: member.rank)


def page(collection: Collection, folder: Path, artifacts: Path, where: str = "page.md") -> str:
    """Returns the collection's page; `where` is its name in messages, see read_members() for the rest.

    Raises:
        Fault: as read_members() does, and when the page breaks TF-Hub's rules or its counts differ from its list.
    """
    text = render("collection.md.jinja", collection=collection, members=read_members(collection, folder, artifacts))
    parsed = parse_page(text)
    refuse_problems(where, [*tf_hub_rules.problems(parsed), *counts.collection_problems(parsed)])
    return text


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.collection", description="Writes a collection's page.")
    parser.add_argument("collection", type=Path, help="collection.yaml")
    parser.add_argument("artifacts", type=Path, help="the folder of all members' folders")
    parser.add_argument("out", type=Path, help="the page to write")
    args = parser.parse_args(arguments)
    collection, _ = collection_of(args.collection, None)
    write_text(args.out, page(collection, args.collection.parent, args.artifacts, str(args.out)))
    return collection.name


if __name__ == "__main__":
    raise SystemExit(command("collection", main))
