"""The statement of a published module: made of its build and its report, and kept in the hub.

    <handle>/provenance.dsse.<digest>.json    the statement in an envelope, which the index lists
    <handle>/provenance.dsse.json             a copy of it, which is written after the index
    locks/<sha256>.lock                       the lock file that the statement names, once for all modules

A statement that the index lists may get signatures, in another file, but its payload is that of the first publication:
the same tarball published again does not become one of another day.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.fault import Fault
from pipeline.base.files import Unreadable, content_digest, has_text, read_bounded, sha256_of, write_text
from pipeline.base.heads import Head
from pipeline.base.stored_names import stored_path
from pipeline.facts.report import Report
from pipeline.trust import builder
from pipeline.trust.builder import Build
from pipeline.trust.envelope import LARGEST, Envelope, parse_envelope, render_envelope, sign
from pipeline.trust.statement import (
    BuildDefinition,
    Resource,
    RunDetails,
    Scalar,
    Statement,
    parse_statement,
    render_statement,
    statement_path,
)

if TYPE_CHECKING:
    from securesystemslib.signer import Signer

CHECKPOINT, SOURCE, LOCK = "checkpoint", "source", "requirements.lock"
_LARGEST_LOCK = 4 << 20


def lock_path(sha256: str) -> str:
    """Returns where a hub has the lock file of a digest."""
    return f"locks/{sha256}.lock"


def make_statement(handle: str, head: Head, sha256: str, build: Build, report: Report, report_sha256: str) -> Statement:
    """Returns the statement of a module that is published now.

    Args:
        handle: <publisher>/<module>/<version>.
        head: which of the member's modules it is.
        sha256: of the tarball.
        build: what converted it.
        report: what validate measured of it.
        report_sha256: of report.json.

    Raises:
        Fault: when the build is of another model than was validated.
    """
    content = report.modules[head].content_sha256
    if build.contents.get(head) != content:
        raise Fault(
            f"{build.member}: {builder.FILE} is about another {head} than was validated: content"
            f" {build.contents.get(head)} there, {content} in report.json; run make convert and make validate again"
        )
    verdicts = {f"{rung.rung} ({rung.head})" if rung.head else rung.rung: str(rung.verdict) for rung in report.ladder}
    parameters: dict[str, dict[str, Scalar]] = {
        "member": {"name": build.member, "head": str(head)},
        "checkpoint": {"name": build.checkpoint["name"]},
        "model": build.model,
        "collection": {"activation": build.activation},
    }
    run = RunDetails(
        builder=build.builder,
        versions=build.versions,
        started=datetime.fromisoformat(build.started),
        finished=datetime.now(UTC),
        verdicts=verdicts,
        report_sha256=report_sha256,
    )
    return Statement(handle, sha256, BuildDefinition(parameters, _dependencies(build, report)), run, content)


def _dependencies(build: Build, report: Report) -> tuple[Resource, ...]:
    checkpoint, source = build.checkpoint, build.source
    origin = str(checkpoint["source"])
    code = {"sha256": source.code_sha256} | ({"gitCommit": source.commit} if source.commit else {})
    resources = [
        Resource(
            CHECKPOINT,
            {"sha256": str(checkpoint["sha256"])},
            uri=origin if "://" in origin else None,
            annotations={name: value for name, value in checkpoint.items() if name != "sha256"}
            | {"verification": str(report.checkpoint.verification)},
        ),
        Resource(SOURCE, code, uri=source.address, annotations={"clean": source.is_clean}),
    ]
    if build.lock_sha256:
        resources.append(Resource(LOCK, {"sha256": build.lock_sha256}))
    return tuple(resources)


# In the hub -----------------------------------------------------------------------------------------------------------
def read_envelope(hub: Path, handle: str, listed: str | None = None) -> Envelope | None:
    """Returns the envelope of a module of the hub; None where there is none.

    Args:
        hub: its folder.
        handle: of the module.
        listed: the path of the statement that the index lists; None for that of the copy.

    Raises:
        Fault: when it is damaged.
    """
    path = hub / (listed or statement_path(handle))
    try:
        return parse_envelope(read_bounded(path, LARGEST))
    except FileNotFoundError:
        return None
    except Unreadable as reason:
        raise Fault(f"{path}: {reason}; delete it and publish the member again") from None


def read_statement(hub: Path, handle: str) -> Statement | None:
    """Returns the statement of a module of the hub, whoever signed it; None where there is none.

    Raises:
        Fault: when it is damaged, or about another module.
    """
    envelope = read_envelope(hub, handle)
    return None if envelope is None else open_envelope(envelope, hub / statement_path(handle), handle)


def open_envelope(envelope: Envelope, path: Path, handle: str) -> Statement:
    """Returns the statement of an envelope; `path` is its file.

    Raises:
        Fault: when it is damaged, or about another module than `handle`.
    """
    try:
        statement = parse_statement(envelope.payload)
    except Unreadable as reason:
        raise Fault(f"{path}: {reason}; delete it and publish the member again") from None
    if statement.handle != handle:
        raise Fault(f"{path}: it is about {statement.handle}, expected {handle}; delete it and publish {handle} again")
    return statement


def write_statement(
    hub: Path, statement: Statement, signers: "Sequence[Signer]" = (), listed: str | None = None
) -> tuple[str, ...]:
    """Writes a module's statement and its lock file into a hub, whose lock the caller holds; the index is to list them.

    A listed statement about the same tarball stays as it is, but for signatures that it lacks.

    Args:
        hub: its folder.
        statement: the statement of now.
        signers: who signs it.
        listed: the path of the statement that the index lists; None for none.

    Returns:
        The paths of both in the hub.

    Raises:
        Fault: as refuse_other_lock(), or when the statement in the hub is damaged.
    """
    envelope = read_envelope(hub, statement.handle, listed) if listed else None
    before = None if envelope is None else open_envelope(envelope, hub / str(listed), statement.handle)
    if envelope is None or before is None or before.sha256 != statement.sha256:
        before, envelope = statement, Envelope(render_statement(statement))
    for signer in signers:
        if signer.public_key.keyid not in {signature.key_id for signature in envelope.signatures}:
            envelope = sign(envelope, signer)
    content = render_envelope(envelope)
    path = stored_path(statement_path(statement.handle), content_digest(content))
    if not has_text(hub / path, content.decode()):
        write_text(hub / path, content.decode())
    lock = before.definition.dependency(LOCK)
    return (path,) if lock is None else (path, _write_lock(hub, lock.digest["sha256"]))


def refuse_other_lock(build: Build, hub: Path) -> None:
    """Refuses a build with another lock file than requirements.lock is now, unless the hub has that one already.

    Raises:
        Fault: says what to do.
    """
    sha256 = build.lock_sha256
    if sha256 and not _has_lock(hub, sha256) and builder.lock_digest() != sha256:
        raise Fault(
            f"{builder.LOCK}: not the lock file that {build.member} was converted with, which has sha256 {sha256};"
            " restore it, or run make convert again"
        )


def _has_lock(hub: Path, sha256: str) -> bool:
    path = hub / lock_path(sha256)
    return path.is_file() and sha256_of(path) == sha256


def _write_lock(hub: Path, sha256: str) -> str:
    path = lock_path(sha256)
    if not _has_lock(hub, sha256):
        write_text(hub / path, read_bounded(builder.LOCK, _LARGEST_LOCK).decode())
    return path
