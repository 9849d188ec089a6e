"""Reads the texts of members and refuses those that break a rule for pages."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from pathlib import Path

from pipeline.accuracy.section import Evaluation
from pipeline.base.fault import Fault
from pipeline.base.yaml_sections import Member, YamlFile
from pipeline.facts.collection import Collection, Module, collection_of
from pipeline.images import labels
from pipeline.model.section import Model
from pipeline.prose.faults import Others, Sources, text_faults
from pipeline.prose.fields import MemberTexts

# Other members with which the page of a collection is tried, and one of each further model: a row of the page takes a
# millisecond, and three stages of each member try it.
_MOST_TRIED = 100
_ReadLabels = Callable[[Path, int | None], Sequence[labels.Label]]


def read_texts(
    member: Member, collection: Collection, hub_url: str, read_labels: _ReadLabels = labels.read
) -> MemberTexts:
    """Reads a member's texts; raises Fault for a section or label file that is malformed."""
    model = member.section("model", Model)
    return MemberTexts(
        name=member.name,
        checkpoint_name=member.checkpoint_name(),
        model=model,
        evaluation=member.section("evaluation", Evaluation),
        module=member.section("module", Module),
        labels=read_labels(member.folder / model.labels, model.classes) if model.labels else (),
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
    read_labels = cache(labels.read)  # members share few label files
    texts = read_texts(member, collection, hub_url, read_labels)
    others = _read_others(member, partial(read_texts, collection=collection, hub_url=hub_url, read_labels=read_labels))
    sources = Sources(member, YamlFile(member.folder / "collection.yaml"), setting)
    return text_faults(texts, others, sources)


def _read_others(member: Member, read: Callable[[Member], MemberTexts]) -> Others:
    """Returns the texts of the other members of a collection; of many, those of the first and of each further model.

    The collection's texts may speak of each size, variant and architecture.
    """
    others: list[MemberTexts] = []
    models: set[tuple[str, str, int]] = set()
    total = 0
    for path in sorted(member.folder.glob("*.yaml")):
        if path.name not in ("collection.yaml", member.path.name):
            with suppress(Fault):
                other = Member(path)
                section = other.section("model", Model)
                model = section.architecture, section.variant, section.image_size
                if total < _MOST_TRIED or model not in models:
                    others.append(read(other))
                    models.add(model)
                total += 1
    return Others(others, are_all=len(others) == total)


def refuse_text_faults(path: Path, hub_url: str | None = None) -> None:
    """Raises a Fault that lists what find_text_faults() returns for a member's YAML file."""
    if faults := find_text_faults(Member(path), hub_url):
        raise Fault("\n  ".join(faults))
