"""A module to write formats of: its self-test, and what its files will say."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.fault import Fault, show_name
from pipeline.base.heads import Head
from pipeline.base.yaml_sections import Member
from pipeline.facts.collection import Module as ModuleSection
from pipeline.facts.collection import handle, read_collection
from pipeline.forms.facts import Facts, Publication, read_facts, read_provenance
from pipeline.proof.loaders import SelfTest, read_selftest
from pipeline.saved_model.classes import Classes
from pipeline.saved_model.graph import parse, read_signatures
from pipeline.saved_model.selftest import scaled

BATCHES = (1, 2, 5)  # images in a call; a format must compute the same of an image in each
SIGNATURE = "serving_default"


@dataclass(frozen=True, eq=False)
class Module:
    """A module that pipeline.convert wrote.

    Attributes:
        folder: its SavedModel.
        test: its self-test.
        facts: what its files say of it, in any format.
    """

    folder: Path
    test: SelfTest
    facts: Facts


def example_images(test: SelfTest) -> np.ndarray:
    """Returns the inputs of proofs, float32 (n, size, size, 3) in [-1, 1]: the self-test's, and noise up to five."""
    more = max(0, max(BATCHES) - len(test.pixels))
    noise = np.random.default_rng(1).integers(0, 256, (more, *test.pixels.shape[1:]), np.uint8)
    return scaled(np.concatenate([test.pixels, noise]))


def read_module(folder: Path, member: Path | None = None) -> Module:
    """Reads a module.

    Args:
        folder: its SavedModel.
        member: the YAML file of its member, which tells its handle, publisher and licence.

    Raises:
        Fault: when it is none that pipeline.convert wrote, is damaged, or is another member's.
    """
    head = _read_head(folder)
    test = read_selftest(folder)
    if member:
        check_member(folder, member)
    publication = read_publication(member, head) if member else Publication(name_of(folder))
    return Module(folder, test, read_facts(folder, head, publication, find_activation(test)))


def name_of(folder: Path) -> str:
    """Returns what to call a module: "<member>_<head>" of a folder as convert writes it, else the folder's name."""
    path = folder.resolve()
    return f"{path.parent.name}_{path.name}" if path.name in list(Head) and path.parent.name else path.name


def _read_head(folder: Path) -> Head:
    path = folder / "saved_model.pb"
    if not path.is_file():
        raise Fault(f"{folder}: no saved_model.pb in it; expected the folder of a module that make convert wrote")
    outputs = {head.output: head for head in Head}
    signatures = read_signatures(parse(path.read_bytes(), folder).meta_graphs[0])
    names = list(signatures[SIGNATURE].outputs) if SIGNATURE in signatures else []
    if len(names) != 1 or names[0] not in outputs:
        got = f"{SIGNATURE} returns {', '.join(names)}" if names else f"it has no {SIGNATURE}"
        raise Fault(f"{folder}: {got}; expected a module that make convert wrote, which returns {' or '.join(outputs)}")
    return outputs[names[0]]


def find_activation(test: SelfTest) -> str:
    """Returns what turns logits into probabilities, by the probabilities of the self-test; softmax without them."""
    if test.probabilities is None:
        return "softmax"
    return min(
        ("softmax", "sigmoid"),
        key=lambda name: float(np.abs(Classes(name).probabilities(test.outputs) - test.probabilities).max()),
    )


def check_member(folder: Path, member: Path) -> None:
    """Refuses the YAML file of another member, whose name and licence the files would have.

    Raises:
        Fault: when the module's checkpoint has another name than the member's, or its images another size.
    """
    record, yaml = read_provenance(folder), Member(member)
    for section, key, what, expected in (
        ("checkpoint", "name", "of the checkpoint", yaml.checkpoint_name()),
        ("model", "image_size", "for an image_size of", yaml.section("model", dict).get("image_size")),
    ):
        recorded = record.get(section)
        value = recorded.get(key) if isinstance(recorded, dict) else None
        if value != expected:
            raise Fault(
                f"{folder}: it was made {what} {show_name(str(value))}, and {member} names {expected}; expected the"
                " YAML file of the module's member"
            )


def read_publication(member: Path, head: Head) -> Publication:
    """Returns what a member's YAML file, and collection.yaml beside it, say of a module.

    That is written into published files, which never change: names that a publisher may correct on a card, such as the
    title, are none of it.

    Raises:
        Fault: when one of them is missing or malformed.
    """
    yaml = Member(member)
    section, collection = yaml.section("module", ModuleSection), read_collection(member.parent / "collection.yaml")
    return Publication(
        handle=handle(collection, yaml.name, head, section.version),
        title=f"{yaml.name}_{head}",
        version=section.version,
        author=collection.publisher.id,
        license=collection.license,
    )
