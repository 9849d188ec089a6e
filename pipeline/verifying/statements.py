"""Checks the statement of one module: whom it is by, and that it is about this module and these bytes."""

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.base.files import Unreadable
from pipeline.trust.envelope import parse_envelope, verify
from pipeline.trust.roles import NamedKey
from pipeline.trust.statement import Statement, parse_statement


@dataclass(frozen=True)
class CheckedStatement:
    """A statement, and the names of those whose signatures are right; none where no keys are trusted.

    `is_signed` says whether there are signatures at all, whosever they are.
    """

    statement: Statement
    signers: tuple[str, ...]
    is_signed: bool

    def refuse_other(self, handle: str, sha256: str) -> None:
        """Raises Unreadable for a statement of another module or other bytes."""
        if self.statement.handle != handle:
            raise Unreadable(f"it is the statement of {self.statement.handle}, expected that of {handle}")
        if self.statement.sha256 != sha256:
            raise Unreadable(f"it is about the tarball {self.statement.sha256}, expected {sha256}")


def check_statement(content: bytes, keys: Mapping[str, NamedKey] | None) -> CheckedStatement:
    """Reads a statement and verifies its signatures.

    Args:
        content: of provenance.dsse.json.
        keys: those whose statements count, by id; None to verify no signature.

    Raises:
        Unreadable: when it is malformed, or it is signed, and by none of the keys.
    """
    envelope = parse_envelope(content)
    statement = parse_statement(envelope.payload)
    if keys is None or not envelope.signatures:
        return CheckedStatement(statement, (), bool(envelope.signatures))
    valid = verify(envelope, [key.key for key in keys.values()])
    if not valid:
        known = [signature.key_id for signature in envelope.signatures if signature.key_id in keys]
        text = "its signature is wrong" if known else "it is signed by a key that does not count, or no longer"
        raise Unreadable(f"{text} (key {(known or [envelope.signatures[0].key_id])[0][:8]})")
    names = (f"{keys[key_id].name}{', a key replaced since' if keys[key_id].is_retired else ''}" for key_id in valid)
    return CheckedStatement(statement, tuple(names), is_signed=True)
