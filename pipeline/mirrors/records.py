"""What a hub remembers of its mirrors: mirrors/<host>-<owner>.json, which travels with the hub.

It can be made again from what the hosts hold, so a damaged record counts as missing.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base import files
from pipeline.base.files import write_text
from pipeline.base.json_files import recall_json
from pipeline.hub.folder import locked
from pipeline.mirrors.plan import MirrorAddress


@dataclass(frozen=True)
class Mirrored:
    """A version that is on a host.

    Attributes:
        handle: <publisher>/<module>/<version>.
        sha256: of its tarball.
        place: the repository, or Kaggle's variation.
        name: the tag, or Kaggle's number of the version.
        commit: that the tag named when it was made; None on Kaggle.
        date: when it was mirrored or recognised there, UTC, ISO 8601.
    """

    handle: str
    sha256: str
    place: str
    name: str
    commit: str | None
    date: str


@dataclass(frozen=True)
class Sent:
    """A version that Kaggle was asked to add, and has not been seen there yet.

    Attributes:
        sha256: of its tarball.
        place: the variation.
        newest: the newest number there before.
        date: when it was sent, UTC, ISO 8601.
    """

    sha256: str
    place: str
    newest: int
    date: str


@dataclass(frozen=True)
class MirrorRecord:
    """The versions that are on a host, by handle, and those that were sent."""

    mirrored: dict[str, Mirrored] = field(default_factory=dict)
    sent: dict[str, Sent] = field(default_factory=dict)

    def with_mirrored(self, version: Mirrored) -> "MirrorRecord":
        """Returns the record with a version, which counts as sent no longer."""
        sent = {handle: sent for handle, sent in self.sent.items() if handle != version.handle}
        return MirrorRecord({**self.mirrored, version.handle: version}, sent)

    def with_sent(self, handle: str, sent: Sent | None) -> "MirrorRecord":
        """Returns the record with a version that was sent; None takes it away."""
        others = {other: value for other, value in self.sent.items() if other != handle}
        return MirrorRecord(self.mirrored, others if sent is None else {**others, handle: sent})


def read_record(hub: Path, address: MirrorAddress) -> MirrorRecord:
    """Reads what a hub remembers of a mirror; an empty record where it remembers nothing."""
    return recall_json(_path(hub, address), MirrorRecord) or MirrorRecord()


def write_record(hub: Path, address: MirrorAddress, record: MirrorRecord) -> None:
    """Writes what a hub remembers of a mirror."""
    with locked(hub):
        write_text(_path(hub, address), json.dumps(_sorted(dataclasses.asdict(record)), indent=1) + "\n")


def _sorted(record: Mapping[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {name: dict(sorted(values.items())) for name, values in record.items()}


@contextmanager
def one_at_a_time(hub: Path, address: MirrorAddress) -> Iterator[None]:
    """Lets one process at a time mirror a hub to an address; the others wait."""
    path = _path(hub, address)
    with files.locked(path.with_name(f".{path.stem}.lock"), f"another process mirrors {hub} to {address}; waiting"):
        yield


def _path(hub: Path, address: MirrorAddress) -> Path:
    return hub / "mirrors" / f"{address.host}-{address.owner}.json"
