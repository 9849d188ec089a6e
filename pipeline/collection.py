"""collection: the Markdown page of a collection, from the facts and reports of its members.

python -m pipeline.collection COLLECTION.yaml ARTIFACTS OUT
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.heads import Head
from pipeline.base.templates import render
from pipeline.base.yaml_sections import Member
from pipeline.cards import claims, tf_hub_rules
from pipeline.cards.page import parse_page, refuse_problems
from pipeline.facts.collection import Collection, Module, collection_of, handle
from pipeline.facts.report import load_report


def _order(member: dict[str, Any]) -> tuple[bool, int, str]:
    """Plain Vision Transformers before hybrids, small before large: the order of the published collection."""
    report = member["report"]
    return report.model.hybrid, report.modules[Head.CLASSIFICATION].weights.parameters, member["name"]


def page(collection: Collection, folder: Path, artifacts: Path, where: str = "page.md") -> str:
    """Returns the collection's page.

    Args:
        collection: its facts.
        folder: holds collection.yaml and the members' YAML files.
        artifacts: holds each member's report, <member>/report.json.
        where: what messages call the page.

    Raises:
        Fault: when there is no member, one has no report yet, or the page breaks TF-Hub's rules or its own counts.
    """
    members = []
    for path in folder.glob("*.yaml"):
        if path.name == "collection.yaml":
            continue
        module = Member(path).section("module", Module)
        report = load_report(artifacts / path.stem / "report.json")
        heads = {head: handle(collection, path.stem, head, module.version) for head in Head}
        # From <publisher>/collections/<name>/1.md the modules are two folders up.
        links = {head: f"../../{name.split('/', 1)[1]}.md" for head, name in heads.items()}
        members.append({"name": path.stem, "module": module, "report": report, "links": links})
    if not members:
        raise Fault(f"{folder}: no member; expected a <member>.yaml beside collection.yaml")
    text = render("collection.md.jinja", collection=collection, members=sorted(members, key=_order))
    parsed = parse_page(text)
    refuse_problems(where, [*tf_hub_rules.problems(parsed), *claims.collection_problems(parsed)])
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
