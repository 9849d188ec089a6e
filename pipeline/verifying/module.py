"""Checks one module against its statement, also away from its hub: a tarball, or the folder of an unpacked one."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault, NotFound, Unavailable
from pipeline.base.files import Unreadable, expand_home, open_regular, read_bounded
from pipeline.saved_model.files import model_digest
from pipeline.trust.envelope import LARGEST
from pipeline.trust.statement import Statement, render_time
from pipeline.verifying.findings import Findings
from pipeline.verifying.hub import trust_index
from pipeline.verifying.listed import check_listed
from pipeline.verifying.readers import Seen, digest_stream, downloaded, open_reader
from pipeline.verifying.statements import CheckedStatement, check_statement

SUFFIX, NAME = ".tar.gz", "provenance.dsse.json"
_LARGEST = 1 << 40  # bytes of a tarball
_IN_HUB = re.compile(r"(?P<hub>.*?)/?(?P<handle>[^/]+/[^/]+/[1-9][0-9]*)\.tar\.gz", re.ASCII)


@dataclass(frozen=True)
class Module:
    """A module to check.

    Attributes:
        place: a tarball's path or http(s) address, or the folder of an unpacked module.
        cache: the folder of downloads.
        statement: where its statement is, a path or an address; None to look beside it.
        hub: the hub that it is of, whose metadata lead from the root to the key of the statement; None for the hub that
            the tarball lies in.
    """

    place: str
    cache: Path
    statement: str | None = None
    hub: str | None = None

    @property
    def stem(self) -> str:
        return self.place.removesuffix(SUFFIX)

    @property
    def is_tarball(self) -> bool:
        return self.place.endswith(SUFFIX)

    @property
    def handle(self) -> str | None:
        """The handle that its place in a hub says; None elsewhere."""
        match = _IN_HUB.fullmatch(self.place)
        return match["handle"] if match else None

    @property
    def own_hub(self) -> str | None:
        """The hub that its place says, if it is a tarball's place in one."""
        match = _IN_HUB.fullmatch(self.place)
        return self.hub or (match["hub"] or "." if match else None)


def verify_module(module: Module, root: bytes | None, state: Path) -> Findings:
    """Checks that a module is the one that its statement is about, and with a pinned root, who signed that.

    Args:
        module: which.
        root: the pinned root.json; without one no signature is verified.
        state: the folder of what was seen of the hub before, with this root.

    Raises:
        Fault: when there is no statement, or no hub whose metadata lead from the root to its key.
    """
    findings = Findings(public_address(module.place), modules=1, files=1)
    content, beside = _find_statement(module)
    trusted = reader = None
    if root is not None:
        if module.own_hub is None:
            raise Fault(f"{findings.address}: the root leads to the key by a hub's metadata; expected --hub=<its hub>")
        reader = open_reader(module.own_hub, module.cache)
        trusted = trust_index(reader, root, state, findings)
    try:
        checked = check_statement(content, trusted.keys if trusted else None)
    except Unreadable as reason:
        findings.problems.append(f"{findings.address}: its statement: {reason}")
        return findings
    findings.statements = 1
    findings.signed_by.update(checked.signers)
    findings.notes.append(_describe(checked.statement))
    findings.problems += [f"{findings.address}: {text}" for text in _compare(module, checked, beside, findings)]
    if reader and trusted:
        check_listed(reader, trusted, checked.statement, findings)
    return findings


def _compare(module: Module, checked: CheckedStatement, beside: bool, findings: Findings) -> Iterator[str]:
    """Yields what is wrong with a module."""
    statement = checked.statement
    if findings.is_verified and not checked.signers:
        yield "its statement is not signed"
    is_in_hub = beside or (findings.is_verified and module.hub is None) or _is_web(module.place)
    if is_in_hub and module.handle and statement.handle != module.handle:
        yield f"it lies in the place of {module.handle}, and its statement is that of {statement.handle}"
    if not module.is_tarball:
        yield from _compare_folder(module, statement)
        return
    seen = _digest(module)
    findings.bytes = seen.size
    if seen.sha256 != statement.sha256:
        yield f"sha256 {seen.sha256}, expected {statement.sha256}, that of {statement.handle}; do not load it"


def _compare_folder(module: Module, statement: Statement) -> Iterator[str]:
    if statement.content_sha256 is None:
        yield "its statement does not say the digest of the unpacked files; check the tarball instead"
    elif (digest := model_digest(expand_home(module.place))) != statement.content_sha256:
        expected = f"expected {statement.content_sha256}, that of {statement.handle}"
        yield f"the digest of its files is {digest}, {expected}; do not load it"


def _describe(statement: Statement) -> str:
    """Returns which module a statement is about, and who built it from what, as it says itself."""
    source = statement.definition.dependency("source")
    commit = f" from commit {source.digest['gitCommit'][:12]}" if source and "gitCommit" in source.digest else ""
    return (
        f"it is {statement.handle}, built{commit} by {statement.run.builder} on {render_time(statement.run.finished)}"
    )


def _digest(module: Module) -> Seen:
    if _is_web(module.place):
        try:
            with downloaded(module.place, module.cache) as stream:
                return digest_stream(stream, _LARGEST)
        except Unavailable as error:
            raise Fault(f"{public_address(module.place)}: cannot be downloaded ({error}); check the address") from None
    try:
        with open_regular(expand_home(module.place)) as stream:
            return digest_stream(stream, _LARGEST)
    except FileNotFoundError:
        raise Fault(f"{module.place}: no such file, expected a hub, a tarball or a module's folder") from None
    except Unreadable as reason:
        raise Fault(f"{module.place}: {reason}; expected a tarball") from None


def _find_statement(module: Module) -> tuple[bytes, bool]:
    """Returns the statement's file, and whether it lies where a hub has it."""
    if module.statement is not None:
        content = _read(module.statement, module.cache)
        if content is None:
            raise Fault(f"{public_address(module.statement)}: no such file, expected a statement, {NAME}")
        return content, False
    for place in (f"{module.stem}/{NAME}", f"{module.stem}.{NAME}", f"{module.stem.rpartition('/')[0] or '.'}/{NAME}"):
        if (content := _read(place, module.cache)) is not None:
            return content, place == f"{module.stem}/{NAME}"
    text = f"there is no statement beside it, such as {public_address(module.stem)}.{NAME}"
    raise Fault(f"{public_address(module.place)}: {text}; name it with --statement")


def _read(place: str, cache: Path) -> bytes | None:
    try:
        if not _is_web(place):
            return read_bounded(expand_home(place), LARGEST)
        with downloaded(place, cache) as stream:
            return stream.read(LARGEST + 1)  # whose reader refuses more
    except (FileNotFoundError, NotADirectoryError, NotFound):
        return None
    except Unavailable as error:
        raise Fault(f"{public_address(place)}: cannot be downloaded ({error}); check the address") from None
    except Unreadable as reason:
        raise Fault(f"{place}: {reason}; expected a statement") from None


def _is_web(place: str) -> bool:
    return place.startswith(("http://", "https://"))
