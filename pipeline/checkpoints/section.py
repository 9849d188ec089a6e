"""The section `checkpoint` of a member, and the sources of its file."""

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.base.addresses import bucket_address, public_address
from pipeline.base.fault import Fault
from pipeline.base.files import expand_home
from pipeline.download.address import is_remote, local_path, scheme_of

# Where the authors of the AugReg pool publish it, each file under its checkpoint's name. Other folders of the bucket
# have other weights under equal names, such as sam/ViT-B_16.npz.
AUTHORS = "gs://vit_models/augreg/"
_COPIES = (".safetensors", ".msgpack")


@dataclass(frozen=True)
class Checkpoint:
    """The section `checkpoint`.

    Attributes:
        name: the upstream file name without `.npz`.
        sources: paths and addresses (pipeline.download.address) to try in order; `{name}` stands for the name. A path
            is relative to the YAML file. What kind of file it is, and whose names its arrays have, is told by looking.
        sha256: the digest of the upstream .npz file in hexadecimal, if it is known; in lower case, though the YAML may
            have capitals, as PowerShell prints. It does not apply to copies, whose names end in .safetensors or
            .msgpack: these are then refused unless the lock file has the digest of the arrays. Where all sources are
            such copies, it is the digest of the first, and of those of the same kind.
        prefix: what stands before the names of the parameters, such as "ema_params/", in a file that holds several
            models; None where it does not have to be said.
    """

    name: str
    sources: tuple[str, ...]
    sha256: str | None = None
    prefix: str | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None:
            if not re.fullmatch(r"[0-9a-fA-F]{64}", self.sha256):
                raise Fault(f"checkpoint.sha256 must be 64 hexadecimal digits, got {self.sha256!r}")
            object.__setattr__(self, "sha256", self.sha256.lower())
        for source in self.sources:
            scheme_of(source, "checkpoint.sources")

    @property
    def addresses(self) -> tuple[str, ...]:
        """The sources with the checkpoint's name filled in."""
        return tuple(source.replace("{name}", self.name) for source in self.sources)

    def is_pinnable(self, source: "Source") -> bool:
        """Whether `sha256` is, or would be, the digest of the source's file."""
        endings = [_ending_of(address) for address in self.addresses]
        return _ending_of(source.address) == ("" if "" in endings or not endings else endings[0])

    def pin_of(self, source: "Source") -> str | None:
        """Returns the digest that the file of a source must have, None where the section says none."""
        return self.sha256 if self.is_pinnable(source) else None


@dataclass(frozen=True)
class Source:
    """A place that may have the checkpoint.

    Attributes:
        address: a path or an address; it may hold a password.
        name: what records and the lock file call it, without its secrets.
        is_from_user: whether it comes from CHECKPOINTS=.
    """

    address: str
    name: str
    is_from_user: bool = False

    @property
    def is_recorded(self) -> bool:
        """Whether a first download from it is recorded in the lock file; files that the user brings are not."""
        return is_remote(self.address) and not self.is_from_user


def _ending_of(address: str) -> str:
    """Returns the ending of a copy in another kind of file than upstream's; "" for any other address."""
    path = urlsplit(address).path
    return next((ending for ending in _COPIES if path.endswith(ending)), "")


def list_sources(checkpoint: Checkpoint, home: Path, checkpoints: str | None) -> list[Source]:
    """Returns the sources to try, in order: the user's first, then the member's.

    Args:
        checkpoint: the section.
        home: the folder of the member's YAML file, to which paths are relative.
        checkpoints: the setting CHECKPOINTS, a folder or URL of files under their upstream names, or None.

    Raises:
        Fault: when the setting is no address that can be read.
    """
    listed = []
    if checkpoints:
        file = f"{checkpoint.name}.npz"
        address = _place_in(checkpoints, file)
        if not scheme_of(address, "CHECKPOINTS"):
            address = str(expand_home(address))
        listed.append(_users_source(checkpoint, address, file))
    for address in checkpoint.addresses:
        if is_remote(address):
            listed.append(Source(address, public_address(address)))
        else:
            path = address if address.startswith("file:") else str(home / address)
            listed.append(Source(path, local_path(address).name))
    return listed


def _place_in(folder: str, file: str) -> str:
    """Returns the place of a file in a folder, which may be an address with a query, such as Azure's signatures."""
    query = re.search(r"[?#].*", folder) if re.match("https?:", folder, re.IGNORECASE) else None
    path = folder[: query.start()] if query else folder
    return f"{path.rstrip('/')}/{file}{query[0] if query else ''}"


def _users_source(checkpoint: Checkpoint, address: str, file: str) -> Source:
    """Returns the source that CHECKPOINTS= names; an address of the member, or of the authors, is not the user's."""
    bucket = bucket_address(public_address(address))
    names = {bucket_address(own): own for own in map(public_address, checkpoint.addresses)}
    if is_remote(address) and (bucket in names or bucket == AUTHORS + file):
        return Source(address, names.get(bucket, bucket))
    return Source(address, file, is_from_user=True)
