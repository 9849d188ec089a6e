"""The section `model` of a member, which names an architecture and one of its variants.

Without JAX, so that commands that only read it start at once.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.model import architectures

Option = str | int | float | bool
DEFAULT = "vit"


@dataclass(frozen=True)
class Model:
    """The section `model` of a member.

    Attributes:
        variant: a name that the architecture knows, such as "S/16"; for a network of one's own, what cards call it.
        image_size: the side of the square input, in pixels.
        classes: the number of logits.
        labels: a label file, relative to the member's YAML file; None when the classes have no names.
        dropout: the rate the checkpoint was trained with, 0 to below 1; its modules apply it while training=True.
            AugReg's file names give it as do_<rate>.
        architecture: a folder of pipeline/model, or `<file>.py:<class>`, a file beside the member's YAML file.
        options: what else the architecture has to know, such as {"pooling": "gap"}; it says which options it has.
    """

    variant: str
    image_size: int
    classes: int
    labels: str | None = None
    dropout: float = 0.0
    architecture: str = DEFAULT
    options: Mapping[str, Option] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.image_size < 1:
            raise Fault(f"model.image_size must be 1 or more, got {self.image_size}")
        if self.classes < 1:
            raise Fault(f"model.classes must be 1 or more, got {self.classes}")
        if not 0 <= self.dropout < 1:
            raise Fault(f"model.dropout must lie in 0 to below 1, got {self.dropout!r}")
        try:
            architectures.find_part(self.architecture, "architecture").ARCHITECTURE.check(self)
        except Fault as fault:
            raise Fault(f"model.{fault}") from None

    def own_file(self, folder: Path) -> Path | None:
        """Returns the Python file of a network of one's own, beside the YAML file; None for other architectures."""
        is_own = architectures.is_own(self.architecture)
        return folder / self.architecture.partition(":")[0] if is_own else None


# What the record of a section has beside its keys.
OPTION, FILE_SHA256 = "options.", "architecture_sha256"


def record_section(model: Model, folder: Path) -> dict[str, Option | None]:
    """Returns what decides a module's bytes of a section, for provenance.json: no labels, and one value a key.

    The options are `options.<name>`, and FILE_SHA256 is the digest of the file of a network of one's own.
    """
    values = {name: value for name, value in asdict(model).items() if name not in ("labels", "options")}
    values |= {f"{OPTION}{name}": value for name, value in sorted(model.options.items())}
    file = model.own_file(folder)
    return values | ({FILE_SHA256: sha256_of(file)} if file else {})


def restore_section(record: Mapping[str, Option | None]) -> dict[str, object]:
    """Returns the section, as YAML has it, of a record."""
    values: dict[str, object] = {
        name: value for name, value in record.items() if not name.startswith(OPTION) and name != FILE_SHA256
    }
    options = {name.removeprefix(OPTION): value for name, value in record.items() if name.startswith(OPTION)}
    return values | ({"options": options} if options else {})


def architecture_of(plain: Mapping[str, Any]) -> str:
    """Returns the architecture that a member's plain values name, whether the rest of its section is valid or not."""
    section = plain.get("model")
    return str(section.get("architecture", DEFAULT)) if isinstance(section, dict) else DEFAULT
