"""Addresses without their secrets: what is shown and recorded, what is recognised, and what a long one costs."""

import time

import pytest

from pipeline.base.addresses import check_public, hide_secrets, identity, public_address
from pipeline.base.fault import Fault

SIGNED = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAsecret%2F2026&X-Amz-Date=20261128T000000Z&X-Amz-Expires=60"
    "&X-Amz-Security-Token=secret&X-Amz-Signature=secret",
    "X-Goog-Algorithm=GOOG4&X-Goog-Credential=secret&X-Goog-Signature=secret",
    "GoogleAccessId=secret&Expires=1&Signature=secret%3D",
    "AWSAccessKeyId=secret&Expires=1&Signature=secret",
    "sv=2024-11-04&ss=b&srt=o&sp=r&se=2026-12-01&st=2026-11-28&spr=https&sig=secret",
    "Policy=secret&Signature=secret&Key-Pair-Id=secret",
    *(
        f"{name}=secret"
        for name in ("token", "access_token", "api_key", "apikey", "key", "private_token", "auth", "TOKEN")
    ),
    "rlkey=secret",
    "%74oken=secret",
)


@pytest.mark.parametrize("query", SIGNED)
def test_a_signed_address_is_shown_recorded_and_recognised_without_its_signature(query: str) -> None:
    for plain in ("https://host/a.npz", "https://host:1/a.npz?versionId=3/L4kqt"):
        address = f"{plain}{'&' if '?' in plain else '?'}{query}"
        assert public_address(address) == plain
        assert identity(address) == plain
        assert "secret" not in hide_secrets(f"MaxRetryError: with url: {address}")
        assert "secret" not in hide_secrets(f"(Caused by X('/a.npz?{query}'))")
    for scheme in ("gs", "s3", "hf"):
        assert public_address(f"{scheme}://a/b/c?{query}") == f"{scheme}://a/b/c"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("https://me:secret@host:1/a", "https://host:1/a"),
        ("https://me:sec@ret@host/a", "https://host/a"),
        ("https://secret@host/a", "https://host/a"),
        ("HTTPS://me:secret@host/a", "HTTPS://host/a"),
        (" https://me:secret@host/a", " https://host/a"),
        # Typing errors.
        ("https:/me:secret@host/a", "https:/host/a"),
        ("https:me:secret@host/a", "https:host/a"),
        ("https:///me:secret@host/a", "https:///host/a"),
        ("https:\\\\me:secret@host/a", "https:\\\\host/a"),
        ("//me:secret@host/a", "//host/a"),
        ("me:secret@host/a?token=secret", "host/a"),
        ("https://host/a&token=secret/b", "https://host/a/b"),
        ("https://host/a?token[]=secret", "https://host/a"),
        # A password that is not escaped makes the address invalid, and is hidden all the same.
        ("https://me:sec/ret@host/a", "https://host/a"),
        ("https://me:sec?ret@host/a", "https://host/a"),
        ("https://me:1sec#ret@host/a", "https://host/a"),
        ("socks5://me:secret@host:1", "socks5://host:1"),
        ("https://host/a#access_token=secret", "https://host/a"),
        ("https://host/a?secret", "https://host/a"),
        ("https://host/a?model=secret", "https://host/a"),
        ("https://host/a?download=true&id=eyJ.secret-secret-secret-secret-secret-secret-secret-secret-secret",
         "https://host/a?download=true"),
        ("https://host/a?path=b%3Ftoken%3Dsecret", "https://host/a"),
        ("https://host/a;token=secret/b;c?raw=1", "https://host/a/b;c?raw=1"),
        ("gs://bucket/a#b=secret", "gs://bucket/a"),
    ],
)  # fmt: skip
def test_what_is_shown_of_an_address(address: str, public: str) -> None:
    assert public_address(address) == public
    assert public_address(public) == public


@pytest.mark.parametrize(
    "address",
    [
        "/a@b/c",
        "a/b:c@d",
        "//data/a#1?b=c@d",
        "a?token=b",
        "file:/home/me@work/a",
        "file:///me@work/a?b#c",
        "https://host:80/a@b",
        "https://[::1]:80/a@b",
        "https://host/a?download=true&ref=main",
        "https://tfhub.dev/google/a/1?tf-hub-format=compressed",
        "hf://owner/repo@main/file",
        "gs://b/a:c@d",
        "gs://b/what?#.npz",
    ],
)
def test_paths_and_addresses_without_secrets_stay_as_they_are(address: str) -> None:
    assert public_address(address) == identity(address) == address


def test_other_parameters_make_another_file_and_other_secrets_do_not() -> None:
    assert identity("https://me:a@host/a?model=x&token=1#y") == identity("https://host/a?model=x&token=2")
    assert identity("https://host/a?model=x") != identity("https://host/a?model=y")


def test_texts_keep_all_but_secrets() -> None:
    for text in (
        "it expects a password: http://<user>:<password>@<host>:<port>, or hf://<owner>/<repo>[@<revision>]/<file>",
        "see https://host/a?page=2&sort=x; write to me@host, or a@b://c",
    ):
        assert hide_secrets(text) == text
    assert hide_secrets("'https://me:sec@ret@h/a?b=1&sig=x', ftp://u@h") == "'https://h/a?b=1&sig=...', ftp://h"


def test_a_public_address_has_no_secret() -> None:
    check_public("https://host/a", "HUB_URL")
    for address in (
        "https://me:secret@host/a",
        "https://host/a?token=secret",
        "https://host/a?id=1",
        "https://host/#a",
    ):
        with pytest.raises(Fault, match=r"HUB_URL=https://host\S*: has a user name, a query or a fragment") as raised:
            check_public(address, "HUB_URL")
        assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    "piece", ["@", ":", ";", "?", "&", "&a=", ";a", "::]", "https://", "key", "a:b@", "token=", "token"]
)
def test_a_long_address_of_a_stranger_costs_no_time(piece: str) -> None:
    """As of a redirect, whose address may have 64 kB."""
    address = f"https://a{piece * (64_000 // len(piece))}"
    started = time.process_time()
    for read in (public_address, identity, hide_secrets):
        read(address)
        read(f"{address}\n")
        read(f"https://a/?{address[9:]}.=x")
    assert time.process_time() - started < 1
