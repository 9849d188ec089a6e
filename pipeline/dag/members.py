"""The stamps of a member: its sections, its checkpoint's file and its images."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pipeline.accuracy.section import Evaluation, images_of
from pipeline.base.addresses import hide_secrets, identity
from pipeline.base.fault import Fault
from pipeline.base.yaml_sections import SECTIONS, YamlFile
from pipeline.checkpoints.section import Checkpoint, list_sources
from pipeline.dag.digests import Digests, digest_texts
from pipeline.dag.settings import Settings
from pipeline.download.address import is_remote, local_path
from pipeline.model.architectures import is_own
from pipeline.model.section import Model, architecture_of

Section = TypeVar("Section")
_STAMPED = tuple(name for name in SECTIONS if name != "formats")  # whose stamp has a setting, too


@dataclass(frozen=True)
class CollectionFacts:
    """What collection.yaml adds to the stamps of its members.

    Attributes:
        activation: the activation of the logits; "" where the file has a fault, which a stage reports.
        digest: the digest of the whole file.
        formats: what the files of further formats say of it, and which there are by default.
    """

    activation: str
    digest: str
    formats: str = ""


def read_collection(folder: Path) -> CollectionFacts:
    """Parses collection.yaml once for all members of the folder."""
    path = folder / "collection.yaml"
    plain: dict[str, Any] = {}
    try:
        file = YamlFile(path)
        plain = file.plain()
        activation = str(file.key("activation", str))
    except Fault:
        activation = ""
    publisher = plain.get("publisher")
    named = publisher.get("id") if isinstance(publisher, dict) else None
    formats = json.dumps([plain.get("formats"), plain.get("license"), named], default=str)
    return CollectionFacts(activation, digest_texts([path], folder), formats)


@dataclass(frozen=True)
class Sections:
    """A member's file as stamps need it: a section that is not valid is None, and its stage reports the fault.

    Attributes:
        path: the member's YAML file.
        plain: the plain values of its top-level keys.
        checkpoint: the section `checkpoint`.
        model: the section `model`.
        evaluation: the section `evaluation`.
        fault: what is wrong with the file where it cannot be read at all, else "".
    """

    path: Path
    plain: dict[str, Any]
    checkpoint: Checkpoint | None = None
    model: Model | None = None
    evaluation: Evaluation | None = None
    fault: str = ""


def read_sections(path: Path) -> Sections:
    """Parses a member's file once for all of its stamps."""
    try:
        file = YamlFile(path)
        plain = file.plain()
    except Fault as fault:
        return Sections(path, {}, fault=str(fault))
    checkpoint = _valid(file, "checkpoint", Checkpoint)
    return Sections(path, plain, checkpoint, _valid(file, "model", Model), _valid(file, "evaluation", Evaluation))


def _valid(file: YamlFile, name: str, kind: type[Section]) -> Section | None:
    try:
        return file.key(name, kind)
    except Fault:
        return None


def section_texts(member: Sections, collection: CollectionFacts, digests: Digests) -> dict[str, str]:
    """Returns the stamp text of each section, with the digests of the files that the section names.

    `module` includes collection.yaml, which the cards are made of too, and `model` the collection's activation. Of
    a file that cannot be read, `module` holds the fault and the others are empty, "as before": once the file is
    repaired, nothing but the cards is made again.
    """
    if member.fault:
        return dict.fromkeys(_STAMPED, "") | {"module": hide_secrets(member.fault)}
    texts = {name: json.dumps(member.plain.get(name), default=str) for name in _STAMPED}
    checkpoint = json.dumps(_identities(member.plain.get("checkpoint")), default=str)
    texts["checkpoint"] = hashlib.sha256(checkpoint.encode()).hexdigest()  # a source may hold a password
    if is_own(architecture := architecture_of(member.plain)):
        texts["checkpoint"] += architecture  # its arrays keep the names that they have in any file
    if member.model and member.model.labels:
        texts["model"] += digest_texts([member.path.parent / member.model.labels], member.path.parent)
    if member.model and (file := member.model.own_file(member.path.parent)):
        texts["model"] += digest_texts([file], member.path.parent)
    if member.evaluation and (place := images_of(member.evaluation, member.path.parent, imagenet=None)):
        texts["evaluation"] += digests.place(place)
    texts["model"] += collection.activation
    texts["module"] += collection.digest
    return texts


def _identities(value: Any) -> Any:
    """Returns a plain value with its addresses as they are recognised, whatever their passwords and signatures are."""
    if isinstance(value, dict):
        return {key: _identities(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_identities(each) for each in value]
    return identity(value) if isinstance(value, str) else value


def source_text(member: Sections, settings: Settings, digests: Digests) -> str:
    """Returns the digest of a member's checkpoint where one lies on this machine, else "".

    A member without a pinned digest is defined by the file itself: another file at its source, or in CHECKPOINTS=, is
    another checkpoint. A pinned digest alone counts.
    """
    checkpoint = member.checkpoint
    if checkpoint is None or checkpoint.sha256:
        return ""
    sources = list_sources(checkpoint, member.path.parent, settings.checkpoints or None)
    paths = (local_path(source.address) for source in sources if not is_remote(source.address))
    return next((digests.place(path) for path in paths if path.exists()), "")  # Orbax writes folders


def formats_text(member: Sections, collection: CollectionFacts, settings: Settings) -> str:
    """Returns which formats are wanted, and what their files say of the member: its version, publisher and licence.

    "" for a member whose file cannot be read.
    """
    if member.fault:
        return ""
    module = member.plain.get("module")
    version = module.get("version") if isinstance(module, dict) else None
    return json.dumps([member.plain.get("formats"), version, collection.formats, settings.formats], default=str)


def images_text(member: Sections, settings: Settings) -> str:
    """Returns the place, number and split of a member's evaluation images; "" where it has none."""
    imagenet = Path(settings.imagenet) if settings.imagenet else None
    place = images_of(member.evaluation, member.path.parent, imagenet) if member.evaluation else None
    labels = f", ReaL labels {settings.real}" if settings.real else ""
    split = f", split {settings.split}" if settings.split else ""
    return f"{settings.samples or 'all'} of {place}{labels}{split}" if place else ""
