"""Downloads from a real server with faults: lengths, checksums, encodings, redirects and tokens."""

import base64
import gzip
import hashlib
import subprocess
import sys
from pathlib import Path

import google_crc32c
import pytest

from pipeline.base.fault import Forbidden, Unavailable
from tests.certificates import Authority
from tests.conftest import ROOT
from tests.download.client import CLIENT, CONTENT, SHA256, Client
from tests.faulty_server import (
    Handler,
    Resource,
    cut,
    faulty,
    redirect,
    status,
    whole,
)

GOOD_HASHES = {
    "md5": base64.b64encode(hashlib.md5(CONTENT).digest()).decode(),
    "crc32c": base64.b64encode(google_crc32c.Checksum(CONTENT).digest()).decode(),
}


def test_a_length_that_is_too_large_is_a_short_body(client: Client) -> None:
    with faulty(CONTENT, *[whole(Content_Length=len(CONTENT) + 1)] * 6) as server:
        reason = client.refused(server.url())
    assert f"{len(CONTENT)} of {len(CONTENT) + 1} bytes" in reason or "1 more expected" in reason


def test_a_length_that_is_too_small_is_noticed_by_the_checksum(client: Client) -> None:
    with faulty(CONTENT, *[whole(Content_Length=1000)] * 2, headers={"x-goog-hash": f"md5={GOOD_HASHES['md5']}"}) as s:
        assert "the file was damaged on its way: wrong md5" in client.refused(s.url())


def test_a_body_without_a_length_is_accepted(client: Client) -> None:
    with faulty(CONTENT, whole(Content_Length=None)) as server:
        assert client.get(server.url()) == CONTENT


@pytest.mark.parametrize("complete", [True, False])
def test_a_chunked_body_is_whole_only_with_its_last_chunk(client: Client, complete: bool) -> None:
    def chunked(handler: Handler, resource: Resource) -> None:
        handler.answer(200, resource, Transfer_Encoding="chunked")
        handler.body(b"%x\r\n%b\r\n" % (len(CONTENT), CONTENT))
        if complete:
            handler.body(b"0\r\n\r\n")

    with faulty(CONTENT, *[chunked] * 6) as server:
        if complete:
            assert client.get(server.url()) == CONTENT
        else:
            assert "the connection broke after" in client.refused(server.url())


def test_right_checksums_are_accepted(client: Client) -> None:
    hashes = ", ".join(f"{kind}={value}" for kind, value in GOOD_HASHES.items())
    with faulty(CONTENT, cut(300_000), headers={"x-goog-hash": hashes, "X-Linked-Etag": f'"{SHA256}"'}) as server:
        assert client.get(server.url()) == CONTENT


@pytest.mark.parametrize(
    ("header", "value", "message"),
    [
        ("x-goog-hash", "crc32c=AAAAAA==", "wrong crc32c: expected 00000000, got "),
        (
            "x-goog-hash",
            f"crc32c={GOOD_HASHES['crc32c']},md5=AAAAAAAAAAAAAAAAAAAAAA==",
            f"wrong md5: expected {'0' * 32}",
        ),
        ("x-goog-hash", "md5=?", "wrong md5: expected no base64: ?, got"),
        ("X-Linked-Etag", f'"{"0" * 64}"', f"wrong sha256: expected {'0' * 64}, got {SHA256}"),
    ],
)
def test_a_wrong_checksum_is_retried_once(client: Client, header: str, value: str, message: str) -> None:
    with faulty(CONTENT, headers={header: value}) as server:
        assert message in client.refused(server.url())
        assert [request.start for request in server.requests] == [None, None]
        server.resource.headers = {}
        assert client.get(server.url()) == CONTENT


def test_the_checksum_of_a_compressed_form_is_ignored(client: Client) -> None:
    headers = {"x-goog-stored-content-encoding": "gzip", "x-goog-hash": "crc32c=AAAAAA=="}
    with faulty(CONTENT, headers=headers) as server:
        assert client.get(server.url()) == CONTENT


def test_an_etag_that_is_no_sha256_is_ignored(client: Client) -> None:
    with faulty(CONTENT, headers={"X-Linked-Etag": f'"{"0" * 40}"'}) as server:
        assert client.get(server.url()) == CONTENT


def test_a_file_damaged_on_its_way_is_downloaded_again(client: Client) -> None:
    damaged = bytearray(CONTENT)
    damaged[123_456] ^= 1

    def damage(handler: Handler, resource: Resource) -> None:
        handler.answer(200, resource, Content_Length=len(damaged))
        handler.body(bytes(damaged))

    with faulty(CONTENT, damage, headers={"x-goog-hash": f"crc32c={GOOD_HASHES['crc32c']}"}) as server:
        assert client.get(server.url()) == CONTENT
        assert len(server.requests) == 2


def test_encoded_bytes_are_refused(client: Client) -> None:
    def encoded(handler: Handler, resource: Resource) -> None:
        packed = gzip.compress(resource.content)
        handler.answer(200, resource, Content_Length=len(packed), Content_Encoding="gzip")
        handler.body(packed)

    with faulty(CONTENT, encoded) as server:
        assert "sends the file gzip-encoded although the plain bytes were asked for" in client.refused(server.url())
        assert server.requests[0].headers["accept-encoding"] == "identity"
        assert len(server.requests) == 1


def test_a_circle_of_redirects_ends(client: Client) -> None:
    def circle(handler: Handler, resource: Resource) -> None:
        redirect("/b" if handler.path == "/a" else "/a")(handler, resource)

    with faulty(CONTENT, *[circle] * 100) as server:
        assert "redirects in a circle" in client.refused(server.url("a"))
        assert len(server.requests) <= 31


def test_a_redirect_to_another_host_gets_no_token(client: Client) -> None:
    with faulty(CONTENT) as other, faulty(b"", redirect("/same")) as first:
        first.script.append(redirect(other.url("there")))
        assert client.get(first.url(), token="secret") == CONTENT
    assert [request.headers.get("authorization") for request in first.requests] == ["Bearer secret"] * 2
    assert [request.headers.get("authorization") for request in other.requests] == [None]


def test_a_redirect_to_another_name_of_the_host_gets_no_token(client: Client) -> None:
    with faulty(CONTENT) as server:
        # The same address in short; localhost may be ::1 alone.
        server.script.append(redirect(server.url().replace("127.0.0.1", "127.1")))
        assert client.get(server.url(), token="secret") == CONTENT
    assert [request.headers.get("authorization") for request in server.requests] == ["Bearer secret", None]


def test_a_refused_token_is_mentioned(client: Client) -> None:
    with faulty(CONTENT, status(403)) as server, pytest.raises(Unavailable) as raised:
        client.get(server.url(), token="secret")
    assert str(raised.value) == "HTTP 403 Forbidden to the token that was sent"


def test_a_refused_password_is_called_that(client: Client) -> None:
    with faulty(CONTENT, status(401)) as server, pytest.raises(Forbidden) as raised:
        client.get(server.url().replace("://", "://me:secret@"))
    assert str(raised.value) == "HTTP 401 Unauthorized to the user name and password that were sent"


@pytest.mark.parametrize("token", ["secret\r", "sec\nret", "secret\N{EURO SIGN}"])
def test_no_message_has_a_token(client: Client, token: str) -> None:
    with faulty(CONTENT) as server, pytest.raises(Unavailable) as raised:
        client.get(server.url(), token=token)
    assert "the address, or the token for it, is not valid" in str(raised.value)
    assert "sec" not in str(raised.value)
    assert server.requests == []


def test_a_redirect_from_https_to_http_is_refused(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From https to http to https: anybody on the way could have changed the second address."""
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
    with faulty(CONTENT, certificate=authority.issue()) as secure, faulty(b"", redirect(secure.url("b"))) as plain:
        secure.script.append(redirect(plain.url()))
        assert client.refused(secure.url()).startswith(f"redirects from https to {plain.url()}, which anybody")
        secure.script.append(redirect(secure.url("c")))
        assert client.get(secure.url()) == CONTENT


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/a", "file:///etc/hostname", "http://["])
def test_a_redirect_that_cannot_be_followed_is_refused(client: Client, target: str) -> None:
    with faulty(CONTENT, redirect(target)) as server:
        assert client.refused(server.url())
        assert len(server.requests) == 1


def test_memory_stays_flat(tmp_path: Path) -> None:
    size = 300_000_000

    def large(handler: Handler, resource: Resource) -> None:
        handler.answer(200, resource, Content_Length=size)
        for _ in range(size // 1_000_000):
            handler.body(CONTENT[:1_000_000])

    # Not getrusage's: Linux hands the peak of the process that started this one on to it.
    code = f"{CLIENT}\nprint(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    with faulty(CONTENT, large) as server:
        command = [sys.executable, "-c", code, server.url(), str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=110)
    assert int(done.stdout.split()[1]) * 1024 < 200e6
