"""Signed statements: DSSE envelopes (https://github.com/secure-systems-lab/dsse), as provenance.dsse.json has them.

An envelope without signatures is written and read by the standard library alone; signing and verifying need the extra
`trust`.
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline.base.fault import show_name
from pipeline.base.files import Unreadable
from pipeline.base.json_files import parse_facts

if TYPE_CHECKING:
    from securesystemslib.dsse import Envelope as Dsse
    from securesystemslib.signer import Key, Signer

PAYLOAD_TYPE = "application/vnd.in-toto+json"
LARGEST = 1 << 20  # bytes of an envelope; a statement has some kilobytes
_MOST_SIGNATURES = 16


@dataclass(frozen=True)
class Signature:
    """A signature: the id of its key, which says what to verify it with, and its bytes."""

    key_id: str
    value: bytes


@dataclass(frozen=True)
class Envelope:
    """A statement and who signed it; no signatures until somebody does.

    Attributes:
        payload: the statement's JSON (pipeline.trust.statement).
        signatures: one for each key.
    """

    payload: bytes
    signatures: tuple[Signature, ...] = ()


def render_envelope(envelope: Envelope) -> bytes:
    """Returns an envelope as JSON, the same bytes for the same envelope."""
    document = {
        "payload": base64.b64encode(envelope.payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": signature.key_id, "sig": base64.b64encode(signature.value).decode()}
            for signature in envelope.signatures
        ],
    }
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def parse_envelope(content: bytes) -> Envelope:
    """Reads an envelope; the statement in it is not read, nor is any signature verified.

    Raises:
        Unreadable: when it is no envelope of an in-toto statement, malformed, or too large.
    """
    if len(content) > LARGEST:
        raise Unreadable(f"it has more than {LARGEST:,} bytes, which no statement needs")
    document = parse_facts(content)
    if not isinstance(document, dict) or document.get("payloadType") != PAYLOAD_TYPE:
        raise Unreadable(f"it is no DSSE envelope of payloadType {PAYLOAD_TYPE}")
    signatures = document.get("signatures")
    if not isinstance(signatures, list) or len(signatures) > _MOST_SIGNATURES:
        raise Unreadable(f"signatures: expected a list of at most {_MOST_SIGNATURES}")
    envelope = Envelope(_decode(document.get("payload"), "payload"), tuple(map(_read_signature, signatures)))
    if len({signature.key_id for signature in envelope.signatures}) != len(signatures):
        raise Unreadable("signatures: two are by the same key")
    return envelope


def _read_signature(signature: Any) -> Signature:
    key_id = signature.get("keyid") if isinstance(signature, dict) else None
    if not isinstance(key_id, str) or not re.fullmatch("[0-9a-f]{64}", key_id):
        raise Unreadable(f"signatures: keyid is '{show_name(str(key_id))}', expected 64 hexadecimal digits")
    return Signature(key_id, _decode(signature.get("sig"), "sig"))


def _decode(value: Any, name: str) -> bytes:
    try:
        if isinstance(value, str) and value:
            return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):  # ValueError: it is not ASCII
        pass
    raise Unreadable(f"{name} is not base64")


def sign(envelope: Envelope, signer: "Signer") -> Envelope:
    """Returns an envelope with a signature added; an earlier one by the same key is replaced."""
    signature = _dsse(envelope).sign(signer)
    others = (other for other in envelope.signatures if other.key_id != signature.keyid)
    return replace(envelope, signatures=(*others, Signature(signature.keyid, bytes.fromhex(signature.signature))))


def verify(envelope: Envelope, keys: "Iterable[Key]") -> tuple[str, ...]:
    """Returns the ids of the keys among `keys` whose signatures are right, sorted; empty for none.

    A wrong signature by one of the keys counts as none.
    """
    from securesystemslib.exceptions import VerificationError

    valid: list[str] = []
    for key in keys:
        try:
            valid += _dsse(envelope).verify([key], 1)
        except VerificationError:
            continue
    return tuple(sorted(valid))


def _dsse(envelope: Envelope) -> "Dsse":
    from securesystemslib.dsse import Envelope as Dsse
    from securesystemslib.signer import Signature as DsseSignature

    signatures = {
        signature.key_id: DsseSignature(signature.key_id, signature.value.hex()) for signature in envelope.signatures
    }
    return Dsse(envelope.payload, PAYLOAD_TYPE, signatures)
