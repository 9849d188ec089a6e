"""What a module is made from again: the checkpoint, the section `model` and the labels."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

from pipeline.base.archives import read_files
from pipeline.base.data import data_path
from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of, write_text
from pipeline.base.heads import Head
from pipeline.base.text import decode_text
from pipeline.base.verification import Verification
from pipeline.base.yaml_sections import YamlFile
from pipeline.checkpoints import provenance
from pipeline.checkpoints.provenance import Origin
from pipeline.checkpoints.section import Checkpoint
from pipeline.download.address import is_remote
from pipeline.model.section import FILE_SHA256, restore_section
from pipeline.rebuilding.published import Published
from pipeline.trust.provenance import CHECKPOINT
from pipeline.trust.statement import Scalar, Statement

LABELS = "assets.extra/labels.tsv"
_LARGEST_LABELS = 4_000_000  # bytes, as pipeline.images.labels reads


@dataclass(frozen=True)
class Recipe:
    """What a rebuild is told.

    Attributes:
        member: the member's name.
        head: which of its modules.
        checkpoint: the checkpoint's upstream name.
        origin: where it came from, and its digests.
        model: the section `model` without the labels.
        labels: the text of a label file; "" for a module without labels.
        activation: of the probabilities; modules from before they returned any do not say one.
    """

    member: str
    head: Head
    checkpoint: str
    origin: Origin
    model: dict[str, Scalar]
    labels: str
    activation: str = "softmax"


def read_recipe(published: Published) -> Recipe:
    """Reads what a module was made from, of its statement; the labels, which it binds, of the tarball.

    Raises:
        Fault: when the statement lacks something.
    """
    statement = published.statement
    try:
        parameters = statement.definition.parameters
        member, head = str(parameters["member"]["name"]), Head(str(parameters["member"]["head"]))
        name, model = str(parameters["checkpoint"]["name"]), dict(parameters["model"])
        activation = str(parameters.get("collection", {}).get("activation", "softmax"))
        origin = _read_origin(statement)
    except (KeyError, TypeError, ValueError) as error:
        raise Fault(f"the statement of {statement.handle} does not say what it was made from ({error!r})") from None
    return Recipe(member, head, name, origin, model, _read_labels(published.tarball), activation)


def _read_origin(statement: Statement) -> Origin:
    """Raises KeyError or TypeError where the statement does not name the checkpoint."""
    checkpoint = statement.definition.dependency(CHECKPOINT)
    if checkpoint is None:
        raise KeyError(CHECKPOINT)
    facts = {name: None if value is None else str(value) for name, value in checkpoint.annotations.items()}
    return Origin(
        source=str(facts["source"]),
        sha256=checkpoint.digest["sha256"],
        arrays_sha256=str(facts["arrays_sha256"]),
        verification=Verification(str(facts["verification"])),
        converted_from=facts.get("converted_from"),
        source_sha256=facts.get("source_sha256"),
        prefix=facts.get("prefix"),
    )


def _read_labels(tarball: Path) -> str:
    """Returns the label file that the module's labels.tsv, of index, key and name, was written from."""
    content = read_files(tarball, {LABELS}, _LARGEST_LABELS).get(LABELS)
    if content is None:
        return ""
    rows = [line.split("\t") for line in decode_text(content).splitlines()[1:]]
    if not all(len(row) == 3 for row in rows):
        raise Fault(f"{tarball}: its {LABELS} is not what convert writes; get it again")
    return "".join(f"{key}\t{name}\n" for _, key, name in rows)


def write_member(recipe: Recipe, folder: Path) -> Path:
    """Writes the YAML files and the label file that convert makes the module of; returns the member's YAML file."""
    model = restore_section(recipe.model)
    if FILE_SHA256 in recipe.model:
        file = find_network(recipe)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / file.name)
    if recipe.labels:
        write_text(folder / "labels.tsv", recipe.labels)
        model["labels"] = "labels.tsv"
    write_text(folder / "collection.yaml", yaml.safe_dump({"activation": recipe.activation}))
    checkpoint: dict[str, object] = {"name": recipe.checkpoint, "sources": find_sources(recipe)}
    if recipe.origin.converted_from is None:  # the digest in YAML is of the authors' file, not of one converted to it
        checkpoint["sha256"] = recipe.origin.sha256
    if recipe.origin.prefix is not None:
        checkpoint["prefix"] = recipe.origin.prefix
    sections = {"checkpoint": checkpoint, "model": model}
    path = folder / f"{recipe.member}.yaml"
    write_text(path, yaml.safe_dump(sections, sort_keys=False))
    return path


def find_network(recipe: Recipe) -> Path:
    """Returns the Python file of a network of one's own, beside the member of that name here.

    No hub has this file. It runs with your rights, so it must be the one that lies here, and have the recorded digest.

    Raises:
        Fault: when there is none.
    """
    name, expected = str(recipe.model["architecture"]).partition(":")[0], recipe.model[FILE_SHA256]
    members = sorted(data_path("model_cards").glob(f"*/{recipe.member}.yaml"))
    files = [path.with_name(name) for path in members if path.with_name(name).is_file()]
    if file := next((file for file in files if sha256_of(file) == expected), None):
        return file
    got = "; ".join(f"{file} has sha256 {sha256_of(file)}" for file in files) or "there is none"
    raise Fault(
        f"{recipe.member}: the module was made by the Python file {name} with sha256 {expected}, which must lie beside"
        f" model_cards/<collection>/{recipe.member}.yaml here; {got}; get that file from its publisher"
    )


def find_sources(recipe: Recipe) -> list[str]:
    """Returns where the checkpoint may be: the recorded source, then those of the member here, if there is one."""
    sources = [recipe.origin.source] if is_remote(recipe.origin.source) else []
    for path in sorted(data_path("model_cards").glob(f"*/{recipe.member}.yaml")):
        checkpoint = YamlFile(path).key("checkpoint", Checkpoint)
        if checkpoint and checkpoint.name == recipe.checkpoint:
            sources += [
                address if is_remote(address) or address.startswith("file:") else str(path.parent / address)
                for address in checkpoint.addresses
            ]
    return list(dict.fromkeys(sources))


def refuse_other_checkpoint(recipe: Recipe, checkpoint: Path) -> None:
    """Refuses a checkpoint with another digest than the recorded one; records where that one came from.

    The same file from another source makes the same module, but for the source that provenance.json names.

    Raises:
        Fault: names both digests.
    """
    if (sha256 := sha256_of(checkpoint)) != recipe.origin.sha256:
        raise Fault(
            f"{recipe.checkpoint}.npz: it has sha256 {sha256}, but the module was made from {recipe.origin.sha256};"
            " bring that file with CHECKPOINTS="
        )
    provenance.write(checkpoint, recipe.origin)
