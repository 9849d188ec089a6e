"""Finds a published module by any name that people have for it, with its statement and its lock file."""

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, read_bounded, sha256_of
from pipeline.saved_model.remote import Downloads, local_copy
from pipeline.trust.envelope import LARGEST, parse_envelope
from pipeline.trust.provenance import LOCK, lock_path
from pipeline.trust.statement import Statement, parse_statement, statement_path

_HANDLE = re.compile(r"(?P<hub>.*?)/?(?P<handle>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*/[1-9][0-9]{0,8})", re.ASCII)
_STATEMENT = "provenance.dsse.json"


@dataclass(frozen=True)
class Published:
    """A module of a hub on this machine.

    Attributes:
        tarball: the file.
        statement: what it was made from; it is about this tarball.
        lock: the lock file that the statement names; None where the hub does not have it.
    """

    tarball: Path
    statement: Statement
    lock: Path | None


@dataclass(frozen=True)
class _Place:
    """Where a module's files are: paths or addresses.

    Attributes:
        tarball, statement: of the module.
        hub: of the hub; None for a tarball away from one.
    """

    tarball: str
    statement: str
    hub: str | None


@contextmanager
def open_published(name: str, hub: str, downloads: Downloads) -> Iterator[Published]:
    """Yields a published module; its files stay where they are, those of an address in the cache.

    Args:
        name: a handle of `hub`; a hub's folder or address and a handle; or a tarball with its statement beside it.
        hub: the hub of a handle, a folder or an address.
        downloads: where downloads go.

    Raises:
        Fault: when there is no such module, it has no statement, or that is about another tarball.
    """
    place = _locate(name, hub)
    shown = public_address(place.statement)
    with ExitStack() as stack:
        tarball = stack.enter_context(local_copy(place.tarball, "MODULE", downloads))
        if not tarball.is_file():
            raise Fault(f"{tarball}: no such file; expected a published tarball, <hub>/<handle> or a handle in HUB=")
        envelope = stack.enter_context(local_copy(place.statement, "MODULE", downloads))
        statement = _read_statement(envelope, shown)
        sha256 = sha256_of(tarball)
        if statement.sha256 != sha256:
            raise Fault(
                f"{shown}: it is about {statement.handle} with sha256 {statement.sha256}, but the tarball has {sha256};"
                " get both again"
            )
        yield Published(tarball, statement, _open_lock(place, statement, downloads, stack))


def _locate(name: str, hub: str) -> _Place:
    if name.endswith(".tar.gz"):
        return _locate_tarball(name)
    match = _HANDLE.fullmatch(name.rstrip("/"))
    if not match:
        raise Fault(
            f"MODULE={public_address(name)}: expected <publisher>/<module>/<version> in HUB=, a hub's folder or address"
            " before that, or a .tar.gz"
        )
    base = match["hub"] or ("/" if name.startswith("/") else hub)
    handle = match["handle"]
    return _Place(f"{base}/{handle}.tar.gz", f"{base}/{statement_path(handle)}", base)


def _locate_tarball(name: str) -> _Place:
    """Returns the place of a tarball in a hub, or of one with its statement beside it."""
    stem = name.removesuffix(".tar.gz")
    match = _HANDLE.fullmatch(stem)
    beside = str(Path(name).parent / _STATEMENT)
    if match and ("://" in name or not Path(beside).is_file()):
        return _Place(name, f"{stem}/{_STATEMENT}", match["hub"] or ".")
    return _Place(name, beside, None)


def _read_statement(path: Path, shown: str) -> Statement:
    try:
        return parse_statement(parse_envelope(read_bounded(path, LARGEST)).payload)
    except FileNotFoundError:
        raise Fault(
            f"{shown}: no such file; a module is made again from its statement, expected it in the hub, or"
            f" {_STATEMENT} beside the tarball (modules that an older release published have none)"
        ) from None
    except Unreadable as reason:
        raise Fault(f"{shown}: {reason}; get it again") from None


def _open_lock(place: _Place, statement: Statement, downloads: Downloads, stack: ExitStack) -> Path | None:
    """Returns the lock file of the statement, where the hub has the right one."""
    recorded = statement.definition.dependency(LOCK)
    if recorded is None or place.hub is None:
        return None
    sha256 = recorded.digest["sha256"]
    address = f"{place.hub}/{lock_path(sha256)}"
    try:
        path = stack.enter_context(local_copy(address, "MODULE", downloads))
    except Fault:
        if "://" in address:
            return None
        raise
    if not path.is_file():
        return None
    if (actual := sha256_of(path)) != sha256:
        raise Fault(f"{public_address(address)}: it has sha256 {actual}, expected {sha256}; get it again")
    return path
