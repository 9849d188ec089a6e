"""What the files of a module say of it, in any format."""

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.json_files import load_json
from pipeline.saved_model.files import folder_digest

NOT_STATED = "NOASSERTION"  # SPDX's word for a licence that nobody stated


@dataclass(frozen=True)
class Publication:
    """What a module's own files do not say.

    Attributes:
        title: a short name, such as "vit_s16_classification".
        handle: of the published version, such as "publisher/vit_s16_classification/2"; "" where none is known.
        version: of the module; 0 where none is known.
        author: the publisher's id; "" where it is not known.
        license: as an SPDX identifier.
    """

    title: str
    handle: str = ""
    version: int = 0
    author: str = ""
    license: str = NOT_STATED


@dataclass(frozen=True)
class Facts:
    """What the files say of a module.

    Attributes:
        head: which of the two modules.
        content_sha256: pipeline.saved_model.files.folder_digest() of the SavedModel.
        image_size: the side of the images, in pixels.
        publication: its title, handle, version, author and licence.
        labels: the names of the classes in the order of the logits; () for features, or classes without names.
        activation: what turns logits into probabilities, "softmax" or "sigmoid"; of a classifier only.
    """

    head: Head
    content_sha256: str
    image_size: int
    publication: Publication
    labels: tuple[str, ...] = ()
    activation: str = "softmax"

    @property
    def name(self) -> str:
        """The title, and which of the two modules."""
        return f"{self.publication.title} ({self.head.noun})"


def read_provenance(folder: Path) -> dict[str, Any]:
    """Returns the content of a module's provenance.json.

    Raises:
        Fault: when it is missing or malformed.
    """
    path = folder / "assets.extra/provenance.json"
    try:
        record = load_json(path, "convert the member again")
    except FileNotFoundError:
        raise Fault(f"{path}: no such file; convert the member again") from None
    return record if isinstance(record, dict) else {}


def read_facts(folder: Path, head: Head, publication: Publication, activation: str = "softmax") -> Facts:
    """Returns the facts of a module that pipeline.convert wrote.

    Args:
        folder: its SavedModel.
        head: which of the two modules.
        publication: what its files do not say.
        activation: of its logits.

    Raises:
        Fault: when its provenance.json or labels.tsv is missing or malformed.
    """
    extra = folder / "assets.extra"
    model = read_provenance(folder).get("model")
    size = model.get("image_size") if isinstance(model, dict) else None
    if not isinstance(size, int):
        raise Fault(f"{extra / 'provenance.json'}: no image_size in model; convert the member again")
    return Facts(head, folder_digest(folder), size, publication, _read_labels(extra / "labels.tsv"), activation)


def _read_labels(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    if rows[:1] != [["index", "key", "name"]] or any(len(row) != 3 for row in rows):
        raise Fault(f"{path}: expected lines of index, key and name; convert the member again")
    return tuple(row[2] for row in rows[1:])
