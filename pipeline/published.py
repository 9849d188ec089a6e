"""published: refuses other weights, or another computation, under a version that the hub has, before long stages run.

    python -m pipeline.published MEMBER.yaml FOLDER HUB [--converted]

FOLDER holds what the earlier stages made of the member: checkpoint.json, which fetch writes and, with --converted,
build.json, which convert writes. Both are compared with the statements of the member's modules in HUB. It writes
nothing; make runs it before convert and before validate where publish is to follow. Where HUB has no such version, or a
statement that does not say, it does nothing: publish compares the tarballs in any case.
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints import provenance
from pipeline.facts.collection import Module, collection_of
from pipeline.hub.folder import hub_folder
from pipeline.hub.index import handles_of
from pipeline.hub.parts import read_parts
from pipeline.trust import builder
from pipeline.trust.provenance import CHECKPOINT, read_statement
from pipeline.trust.statement import Statement, statement_path

_ADVICE = "published versions never change, so raise module.version to publish this one"


def find_changes(facts: Path, folder: Path, hub: Path, is_converted: bool) -> Iterator[str]:
    """Yields what differs from the published modules of the same version, a sentence each.

    Args:
        facts: the member's YAML file.
        folder: the member's outputs.
        hub: the hub's folder.
        is_converted: whether convert has run; build.json may be that of an earlier run otherwise.

    Raises:
        Fault: when a file of either is damaged.
    """
    member = Member(facts)
    collection, _ = collection_of(facts, None)
    handles = handles_of(collection, member.name, member.section("module", Module).version)
    statements = _read_statements(hub, handles)
    name = member.checkpoint_name()
    for head, statement in statements.items():
        difference = _other_checkpoint(name, folder, statement)
        if is_converted and not difference:
            difference = _other_content(head, folder, statement)
        if difference:
            yield f"{facts}: {statement.handle} is already published {difference}; {_ADVICE}"


def _read_statements(hub: Path, handles: Mapping[Head, str]) -> dict[Head, Statement]:
    """Returns the statements of those of the modules that the hub lists."""
    written = {head: handle for head, handle in handles.items() if (hub / statement_path(handle)).is_file()}
    if not written:
        return {}
    parts = read_parts(hub, {})  # of a large hub, the shards of these handles alone are parsed
    statements = {
        head: read_statement(hub, handle) for head, handle in written.items() if handle in parts.part_of(handle).modules
    }
    return {head: statement for head, statement in statements.items() if statement}


def _other_checkpoint(name: str, folder: Path, statement: Statement) -> str:
    """Returns how the fetched checkpoint differs from the published one in what provenance.json says of it."""
    fetched, published = provenance.read_record(folder / "checkpoint.npz"), statement.definition.dependency(CHECKPOINT)
    if fetched is None or published is None:
        return ""
    facts = {"name": name} | fetched.facts()
    recorded = {"sha256": published.digest.get("sha256"), **published.annotations}
    for key in ("arrays_sha256", "sha256", "name", "source", "converted_from", "source_sha256"):
        if facts.get(key) != recorded.get(key):
            what = "with other weights" if key == "arrays_sha256" else "from another checkpoint file or source"
            return f"{what}: {key} {recorded.get(key)} there, {facts.get(key)} here"
    return ""


def _other_content(head: Head, folder: Path, statement: Statement) -> str:
    """Returns how the converted module differs from the published one."""
    published = statement.content_sha256
    content = builder.read_build(folder).contents.get(head)
    if published in (None, content):
        return ""
    what = "with another computation (the code, the versions of its libraries, labels or the section model)"
    return f"{what}: content {published} there, {content} here"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.published", description="Refuses another model under a published version."
    )
    parser.add_argument("member", type=Path, help="the member's YAML file")
    parser.add_argument("folder", type=Path, help="the member's outputs")
    parser.add_argument("hub", help="the hub: a folder")
    parser.add_argument("--converted", action="store_true", help="compare what convert wrote, too")
    args = parser.parse_args(arguments)
    if changes := list(find_changes(args.member, args.folder, hub_folder(args.hub), args.converted)):
        raise Fault("\n  ".join(changes))


if __name__ == "__main__":
    raise SystemExit(guarded("published", lambda: main(command_line())))
