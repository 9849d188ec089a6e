"""Reads the texts of members and refuses those that break a rule for pages."""

from contextlib import suppress
from pathlib import Path

from pipeline.accuracy.section import Evaluation
from pipeline.base.fault import Fault
from pipeline.base.yaml_sections import Member, YamlFile
from pipeline.facts.collection import Collection, Module, collection_of
from pipeline.images import labels
from pipeline.model.section import Model
from pipeline.prose.faults import Sources, text_faults
from pipeline.prose.fields import MemberTexts


def read_texts(member: Member, collection: Collection, hub_url: str) -> MemberTexts:
    """Reads a member's texts; raises Fault for a section or label file that is malformed."""
    model = member.section("model", Model)
    return MemberTexts(
        name=member.name,
        checkpoint_name=member.checkpoint_name(),
        model=model,
        evaluation=member.section("evaluation", Evaluation),
        module=member.section("module", Module),
        labels=labels.read(member.folder / model.labels, model.classes) if model.labels else (),
        collection=collection,
        hub_url=hub_url,
    )


def find_text_faults(member: Member, setting: str | None) -> list[str]:
    """Returns what is wrong with the texts of a member and its collection, a sentence each, with file and line.

    Args:
        member: its YAML file.
        setting: the setting HUB_URL, or None for the collection's own address.

    Raises:
        Fault: when the member's file or collection.yaml is malformed. Other members that are malformed are left out:
            their own stages report them.
    """
    collection, hub_url = collection_of(member.path, setting)
    texts, others = read_texts(member, collection, hub_url), []
    for path in sorted(member.folder.glob("*.yaml")):
        if path.name not in ("collection.yaml", member.path.name):
            with suppress(Fault):
                others.append(read_texts(Member(path), collection, hub_url))
    return text_faults(texts, others, Sources(member, YamlFile(member.folder / "collection.yaml"), setting))


def refuse_text_faults(path: Path, hub_url: str | None = None) -> None:
    """Raises a Fault that lists what find_text_faults() returns for a member's YAML file."""
    if faults := find_text_faults(Member(path), hub_url):
        raise Fault("\n  ".join(faults))
