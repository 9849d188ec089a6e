"""Statements and envelopes: what is written is read, and what is malformed or signed by others is refused."""

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner

from pipeline.base.files import Unreadable
from pipeline.trust.envelope import Envelope, parse_envelope, render_envelope, sign, verify
from pipeline.trust.statement import (
    BuildDefinition,
    Resource,
    RunDetails,
    Statement,
    parse_statement,
    render_statement,
)

STATEMENT = Statement(
    "vit-publisher/vit_demo_fe/1",
    "ab" * 32,
    BuildDefinition(
        {"member": {"name": "vit_demo", "head": "fe"}, "model": {"variant": "Mini/4", "dropout": 0.1}},
        (
            Resource("checkpoint", {"sha256": "cd" * 32}, "https://example.org/vit_demo.npz"),
            Resource("source", {"gitCommit": "ef" * 20}, annotations={"clean": True}),
        ),
    ),
    RunDetails(
        "https://example.org/builder",
        {"python": "3.11.2"},
        datetime(2026, 11, 29, 1, 2, 3, tzinfo=UTC),
        datetime(2026, 11, 29, 2, 2, 3, tzinfo=UTC),
        {"weights": "passed"},
        "12" * 32,
    ),
    "34" * 32,
)


def test_a_statement_is_read_as_it_was_written() -> None:
    content = render_statement(STATEMENT)
    assert parse_statement(content) == STATEMENT
    assert render_statement(parse_statement(content)) == content
    document = json.loads(content)
    assert document["subject"] == [
        {
            "name": "vit-publisher/vit_demo_fe/1.tar.gz",
            "digest": {"sha256": "ab" * 32},
            "annotations": {"contentSha256": "34" * 32},
        }
    ]
    without = dataclasses.replace(STATEMENT, content_sha256=None)
    assert parse_statement(render_statement(without)) == without
    assert document["predicate"]["runDetails"]["metadata"]["finishedOn"] == "2026-11-29T02:02:03Z"


def test_keys_of_later_versions_are_ignored() -> None:
    document = json.loads(render_statement(STATEMENT))
    document["predicate"]["buildDefinition"]["internalParameters"] = {"x": [1]}
    assert parse_statement(json.dumps(document).encode()) == STATEMENT


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda d: d.update(_type="https://in-toto.io/Statement/v0.1"), "_type is"),
        (lambda d: d.update(predicateType="https://example.org/other"), "predicateType is"),
        (lambda d: d.pop("predicate"), "it lacks predicate"),
        (lambda d: d["subject"].append(d["subject"][0]), "it is about 2 files"),
        (lambda d: d["subject"][0].update(name="../../x/1.tar.gz"), "is no handle"),
        (lambda d: d["subject"][0].update(name="a/b/1"), "expected <handle>.tar.gz"),
        (lambda d: d["subject"][0]["digest"].update(sha256="xy"), "the sha256 of"),
        (lambda d: d["subject"][0].update(digest={"sha512": "ab" * 64}), "it lacks sha256"),
        (lambda d: d["subject"][0]["annotations"].update(contentSha256="12"), "expected 64 hexadecimal digits"),
        (lambda d: d["predicate"]["runDetails"]["metadata"].update(finishedOn="yesterday"), "is no time"),
        (lambda d: d["predicate"]["runDetails"]["metadata"].update(finishedOn="2026-13-41T00:00:00Z"), "month"),
        (lambda d: d["predicate"]["buildDefinition"].update(externalParameters=[]), "externalParameters is []"),
        (lambda d: d["predicate"]["buildDefinition"].update(externalParameters={"a": {"b": [1]}}), "a.b is no text"),
        (lambda d: d["predicate"]["buildDefinition"].update(resolvedDependencies=[{}] * 201), "at most 200"),
    ],
)
def test_a_malformed_statement_is_refused(damage: Callable[[dict[str, Any]], object], reason: str) -> None:
    document = json.loads(render_statement(STATEMENT))
    damage(document)
    with pytest.raises(Unreadable, match="no statement of this program") as raised:
        parse_statement(json.dumps(document).encode())
    assert reason in str(raised.value)


def test_an_envelope_is_unsigned_until_it_is_signed() -> None:
    mine, others = CryptoSigner.generate_ed25519(), CryptoSigner.generate_ed25519()
    unsigned = Envelope(render_statement(STATEMENT))
    assert parse_envelope(render_envelope(unsigned)) == unsigned
    assert verify(unsigned, [mine.public_key]) == ()
    signed = parse_envelope(render_envelope(sign(unsigned, mine)))
    assert verify(signed, [others.public_key, mine.public_key]) == (mine.public_key.keyid,)
    assert verify(signed, [others.public_key]) == ()
    assert sign(signed, mine) == signed
    assert len(verify(sign(signed, others), [mine.public_key, others.public_key])) == 2


def test_a_signature_of_another_statement_is_no_signature() -> None:
    mine = CryptoSigner.generate_ed25519()
    other = dataclasses.replace(STATEMENT, handle="vit-publisher/vit_demo_fe/2")
    signed = sign(Envelope(render_statement(STATEMENT)), mine)
    moved = Envelope(render_statement(other), signed.signatures)
    assert verify(moved, [mine.public_key]) == ()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"payloadType": "text/plain"}, "no DSSE envelope"),
        ({"payload": "%"}, "payload is not base64"),
        ({"payload": "ä"}, "payload is not base64"),
        ({"signatures": None}, "expected a list"),
        ({"signatures": [{"keyid": "../x", "sig": "AA=="}]}, "keyid is '../x'"),
        ({"signatures": [{"keyid": "a" * 64, "sig": "?"}]}, "sig is not base64"),
        ({"signatures": [{"keyid": "a" * 64, "sig": "AA=="}] * 2}, "two are by the same key"),
        ({"x": "x" * (1 << 20)}, "more than 1,048,576 bytes"),
    ],
)
def test_a_malformed_envelope_is_refused(change: dict[str, Any], reason: str) -> None:
    document = json.loads(render_envelope(Envelope(render_statement(STATEMENT)))) | change
    with pytest.raises(Unreadable) as raised:
        parse_envelope(json.dumps(document).encode())
    assert reason in str(raised.value)
