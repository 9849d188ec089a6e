"""The section `checkpoint` of a member, and the places where its file may be."""

import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault, shown
from pipeline.download.address import is_remote, local_path, scheme_of


@dataclass(frozen=True)
class Checkpoint:
    """The section `checkpoint`.

    Attributes:
        name: the upstream file name without `.npz`.
        sources: where the file may be had, in order, see pipeline.download.address; `{name}` stands for the name. A
            path is relative to the YAML file. A file that ends in `.safetensors` is timm's and is converted back.
        sha256: the digest of the upstream .npz file in hexadecimal, once it is known. It says nothing of timm's file,
            which is refused then unless the lock file has the digest of the arrays.
    """

    name: str
    sources: tuple[str, ...]
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None and not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise Fault(f"checkpoint.sha256 must be 64 hexadecimal digits in lower case, got {self.sha256!r}")
        for source in self.sources:
            scheme_of(source, "checkpoint.sources")


@dataclass(frozen=True)
class Source:
    """One place to try: its address, and the name, free of secrets, by which records and the lock file know it."""

    address: str
    name: str
    is_from_user: bool = False  # by the user, in CHECKPOINTS=


def list_sources(checkpoint: Checkpoint, home: Path, checkpoints: str | None) -> list[Source]:
    """Returns the places to try, in order: the user's own first, then the member's.

    Args:
        checkpoint: the section.
        home: the folder of the member's YAML file, from which relative paths count.
        checkpoints: a folder or URL that holds files under their upstream names, or None.
    """
    own = []
    if checkpoints:
        file = f"{checkpoint.name}.npz"
        address = f"{checkpoints.rstrip('/')}/{file}"
        if not scheme_of(address, "CHECKPOINTS"):
            address = str(Path(address).expanduser())
        own.append(Source(address, file, is_from_user=True))
    for source in checkpoint.sources:
        named = source.replace("{name}", checkpoint.name)
        if is_remote(named):
            own.append(Source(named, shown(named)))
        else:
            own.append(Source(named if named.startswith("file:") else str(home / named), local_path(named).name))
    return own
