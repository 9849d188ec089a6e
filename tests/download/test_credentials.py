"""User names and passwords: of an address, of ~/.netrc, and after a redirect."""

import base64
from pathlib import Path

import pytest

from pipeline.base.fault import Unavailable
from tests.download.client import CONTENT, Client
from tests.faulty_server import Faulty, faulty, redirect, status


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ~/.netrc with an entry for this machine."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login stored password of-netrc\n")
    monkeypatch.setenv("NETRC", str(path))
    return path


def sent(server: Faulty) -> list[str | None]:
    """Returns the user name and password of each request that came."""
    headers = [request.headers.get("authorization") for request in server.requests]
    return [base64.b64decode(header.removeprefix("Basic ")).decode() if header else None for header in headers]


@pytest.mark.parametrize(
    ("before_host", "expected"),
    [
        ("", "stored:of-netrc"),
        ("me:secret@", "me:secret"),
        ("stored:other@", "stored:other"),
        ("me:@", "me:"),
        ("stored@", "stored:of-netrc"),
        ("me@", "me:"),  # the entry is another user's
        (":secret@", ":secret"),
        ("m%40e:%C3%A4%2F%25@", "m@e:ä/%"),
    ],
)
def test_the_password_of_an_address_comes_before_that_of_netrc(
    client: Client, netrc: Path, before_host: str, expected: str
) -> None:
    with faulty(CONTENT, redirect("/same")) as server:
        assert client.get(server.url().replace("://", f"://{before_host}")) == CONTENT
    assert sent(server) == [expected] * 2


def test_without_either_nothing_is_sent(client: Client, netrc: Path) -> None:
    netrc.write_text("machine example.org login a password b\n")
    with faulty(CONTENT) as server:
        client.get(server.url())
    assert sent(server) == [None]


def test_netrc_is_not_confused_by_a_user_name_that_looks_like_a_host(client: Client, netrc: Path) -> None:
    netrc.write_text("machine example.org login stored password of-netrc\n")
    with faulty(CONTENT) as server:
        client.get(server.url().replace("://", "://example.org@"))
        client.get(server.url("b").replace("://", "://example.org:@"))
    assert sent(server) == ["example.org:"] * 2


@pytest.mark.parametrize("entry", ["machine 127.0.0.1 login l password l", "default login l password l"])
def test_a_host_that_is_redirected_to_gets_no_credentials(client: Client, netrc: Path, entry: str) -> None:
    """Neither those of the first host, nor others of ~/.netrc, nor those of the redirect's own address."""
    netrc.write_text(f"{entry}\n")
    with faulty(CONTENT) as other, faulty(b"") as first:
        for name, target in (("a", other.url()), ("b", other.url().replace("://", "://you:yours@"))):
            first.script.append(redirect(target))
            assert client.get(first.url(name).replace("://", "://me:secret@")) == CONTENT
    assert sent(first) == ["me:secret"] * 2
    assert sent(other) == [None] * 2


def test_a_signed_redirect_is_neither_shown_nor_kept(client: Client, capfd: pytest.CaptureFixture[str]) -> None:
    """As of Hugging Face and S3, whose answers fail in every way."""
    signed = "X-Amz-Credential=secret&X-Amz-Signature=secret"
    for failure in (status(403), status(500), status(404)):
        with faulty(b"", failure) as store, faulty(b"") as front:
            front.script += [redirect(f"{store.url()}?{signed}") for _ in range(9)]
            store.script += [failure] * 9
            with pytest.raises(Unavailable) as raised:
                client.get(front.url())
            assert "secret" not in str(raised.value)
    for target in (f"ftp://me:secret@h/a?{signed}", f"http://[me:secret@h/a?{signed}", f"http://127.0.0.1:1/?{signed}"):
        with faulty(b"", redirect(target)) as front, pytest.raises(Unavailable) as raised:
            client.get(front.url())
        assert "secret" not in str(raised.value)
    with faulty(CONTENT) as store, faulty(b"", redirect(f"{store.url()}?{signed}")) as front:
        assert client.get(front.url()) == CONTENT
    assert "secret" not in "".join(capfd.readouterr())
    files = [path for path in client.folder.rglob("*") if path.is_file()]
    assert "whole.json" in {path.name for path in files}
    assert not [path for path in files if path.suffix == ".json" and b"secret" in path.read_bytes()]
