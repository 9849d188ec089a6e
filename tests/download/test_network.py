"""The certificates and proxies that the environment names, with real servers, proxies and certificates."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from pipeline.base.fault import Fault, Misconfigured
from pipeline.download.address import resolve
from pipeline.download.network import CERTIFICATES
from pipeline.pool import index
from tests.certificates import Authority
from tests.conftest import Stage, assert_refused, serving_folder
from tests.download.client import CONTENT, Client
from tests.download.test_address import new_private_key, service_account
from tests.faulty_server import Faulty, cut, faulty, redirect, status
from tests.proxies import http_proxy, socks_proxy


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


@pytest.fixture
def secure(authority: Authority) -> Iterator[Faulty]:
    """A server over https whose certificate is of an authority of one's own."""
    with faulty(CONTENT, certificate=authority.issue()) as server:
        yield server


@pytest.fixture
def closed(tmp_path: Path) -> str:
    """A host and port where nobody listens."""
    with serving_folder(tmp_path) as address:
        pass
    return address.removeprefix("http://")


@pytest.mark.parametrize("name", CERTIFICATES)
def test_each_variable_names_certificates_to_trust(
    client: Client, authority: Authority, secure: Faulty, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, str(authority.certificate))
    assert client.get(secure.url()) == CONTENT


def test_all_variables_count(
    client: Client, authority: Authority, secure: Faulty, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A machine has some set, and a person sets another."""
    others = Authority(tmp_path / "others").certificate
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(others))
    monkeypatch.setenv("CURL_CA_BUNDLE", "")  # as unset
    reason = client.refused(secure.url())
    assert f"the authority that signed it is not among the certificates of REQUESTS_CA_BUNDLE={others}; if" in reason
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    assert client.get(secure.url()) == CONTENT


@pytest.mark.parametrize("hashed", [False, True])
def test_a_folder_of_certificates(
    client: Client, authority: Authority, secure: Faulty, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, hashed: bool
) -> None:
    """With the names that OpenSSL looks for, or without."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    (folder / "README").write_text("none yet")
    assert f"SSL_CERT_DIR={folder}: a folder without certificates; expected" in client.refused(secure.url())
    shutil.copy(authority.certificate, folder)
    if hashed and not shutil.which("openssl"):
        pytest.skip("openssl gives the names, and is missing")
    if hashed:
        subprocess.run(["openssl", "rehash", folder], check=True)
    monkeypatch.setenv("SSL_CERT_DIR", f"{Authority(tmp_path / 'others').certificate.parent}:/nonexistent:{folder}")
    assert client.get(secure.url()) == CONTENT


@pytest.mark.parametrize("name", CERTIFICATES)
@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"<html>", "holds no certificates"),
        (b"\x30\x82", "holds no"),
    ],
)
def test_a_variable_that_names_no_certificates_is_named(
    client: Client,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
    fault: str,
) -> None:
    """Before anybody is connected, and over http not at all."""
    path = tmp_path / "bundle.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(name, str(path))
    reason = client.refused("https://127.0.0.1:9/a.npz")
    assert reason.startswith(f"{name}={path}: {fault}")
    assert "expected certificates to trust, a PEM file or a folder of them; correct or unset it" in reason
    with faulty(CONTENT) as plain:
        assert client.get(plain.url()) == CONTENT


def test_certificates_are_checked_after_a_redirect_to_https(
    client: Client, secure: Faulty, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    with faulty(b"", redirect(secure.url())) as plain:
        assert "SSL_CERT_FILE=/nonexistent.pem: no such file" in client.refused(plain.url())


def test_an_unknown_authority_leads_to_the_variable_that_helps(client: Client, secure: Faulty) -> None:
    with pytest.raises(Misconfigured) as raised:
        client.get(secure.url())
    reason = str(raised.value)
    assert "its certificate cannot be verified: unable to get local issuer certificate" in reason
    assert "the authority that signed it is not among the certificates of certifi, the default; if it is" in reason
    assert "set SSL_CERT_FILE=<a PEM file with that authority's certificate>" in reason
    assert len(secure.requests) == 0
    assert client.pauses == []


@pytest.mark.parametrize(
    ("host", "days", "fault"),
    [
        ("127.0.0.1", (-3, -1), "certificate has expired"),
        ("127.0.0.1", (1, 3), "certificate is not yet valid"),
        ("127.0.0.2", (-1, 1), "IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
def test_a_certificate_that_is_out_of_date_or_of_another_host(
    client: Client, authority: Authority, monkeypatch: pytest.MonkeyPatch, host: str, days: tuple[int, int], fault: str
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    with faulty(CONTENT, certificate=authority.issue(host, days)) as server:
        reason = client.refused(server.url())
    assert reason == (
        f"its certificate cannot be verified: {fault}; check the address and this machine's clock, or tell whoever"
        " runs the server"
    )


def test_https_where_there_is_only_http(client: Client) -> None:
    with faulty(CONTENT) as plain:
        assert client.refused(plain.url().replace("http:", "https:")) == "it answers without TLS; an http:// address?"


@pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("scheme", ["http://", "", "socks5://", "socks5h://"])
def test_proxies(
    client: Client,
    authority: Authority,
    secure: Faulty,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    scheme: str,
) -> None:
    """The download is cut once, and resumed through the proxy."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    secure.script[:] = [cut(300_000)]
    with (socks_proxy if "socks" in scheme else http_proxy)("me:secret") as proxy:
        monkeypatch.setenv(variable, f"{scheme}me:secret@{proxy.host}")
        assert client.get(secure.url()) == CONTENT
    assert proxy.targets == [secure.address.removeprefix("https://")] * 2
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert client.get(secure.url("b")) == CONTENT  # the proxy is gone


@pytest.mark.parametrize("scheme", ["http://", "", "socks5://", "socks5h://"])
def test_a_proxy_that_does_not_answer_is_named(
    client: Client, closed: str, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    for name in ("http_proxy", "https_proxy", "ftp_proxy"):  # as a desktop sets them
        monkeypatch.setenv(name, f"{scheme}me:secret@{closed}")
    with pytest.raises(Misconfigured) as raised:
        client.get("https://example.invalid/a.npz")
    reason = str(raised.value)
    assert reason.startswith(f"https_proxy={scheme or 'http://'}{closed}: no connection through the proxy (")
    assert "Connection refused" in reason
    assert "secret" not in reason


@pytest.mark.parametrize(
    "proxy",
    [
        *("socks://127.0.0.1:9", "ftp://me:secret@h:9", "http://", "http://me:sec#ret@h:9", "http://me:secret@h:x"),
        *("http://me:secret@", "http://me:secret@:9", "http://a..b:9", f"http://{'a' * 64}:9", "http://[::1"),
    ],
)
def test_what_is_no_address_of_a_proxy_is_refused(client: Client, monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    for scheme in ("http", "https"):
        reason = client.refused(f"{scheme}://example.invalid/a.npz")
        assert reason.startswith(f"ALL_PROXY={proxy[:4]}")
        assert "no address of a proxy; expected http://, https://, socks4://, socks5:// or socks5h://" in reason
        assert "sec" not in reason


def test_a_proxy_that_wants_a_password(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with http_proxy("me:secret") as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:wrong@{proxy.host}")
        reason = client.refused("https://example.invalid/a.npz")
    assert reason == (
        f"HTTPS_PROXY=http://{proxy.host}: the proxy answers HTTP 407 Proxy Authentication Required; it expects a user"
        " name and a password: http://<user>:<password>@<host>:<port>"
    )
    with faulty(b"", status(407)) as plain:  # of http, a proxy answers itself
        assert "it expects a user name and a password" in client.refused(plain.url())


def test_a_proxy_that_does_not_speak_tls_itself(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(CONTENT) as plain:
        proxy = plain.address.replace("http:", "https:")
        monkeypatch.setenv("https_proxy", proxy)
        reason = client.refused("https://example.invalid/a.npz")
    assert reason == f"https_proxy={proxy}: the proxy does not speak TLS itself; write http:// for it"


def test_socks_without_its_library(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """As requests does without PySocks."""

    def missing(*_: object, **__: object) -> None:
        raise requests.exceptions.InvalidSchema("Missing dependencies for SOCKS support.")

    monkeypatch.setattr("requests.adapters.SOCKSProxyManager", missing)
    monkeypatch.setenv("https_proxy", "socks5://127.0.0.1:9")
    assert client.refused("https://example.invalid/a.npz") == (
        "https_proxy=socks5://127.0.0.1:9: a SOCKS proxy needs PySocks; install it with pip install pysocks"
    )


def test_fetch_names_the_setting_and_what_to_do(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closed: str
) -> None:
    member = tmp_path / "m.yaml"
    member.write_text('checkpoint: {name: a, sources: ["https://example.invalid/a.npz"]}\n')
    arguments = ("fetch", member, tmp_path / "a/m/checkpoint.npz", "--cache", tmp_path / "cache")
    for name, value in (("REQUESTS_CA_BUNDLE", "/nonexistent.pem"), ("https_proxy", f"socks5://{closed}")):
        monkeypatch.setenv(name, value)
        done = stage(*arguments)
        assert_refused(done, f"https://example.invalid/a.npz: {name}={value}: ", "Try: (1) correct the setting that")
        assert "check your network" not in done.stderr
        monkeypatch.delenv(name)


def test_an_index_is_downloaded_with_the_same_settings(
    authority: Authority, secure: Faulty, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pool_index: Path
) -> None:
    secure.resource.content = pool_index.read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    with pytest.raises(Fault, match=r": SSL_CERT_FILE=/nonexistent.pem: no such file; .*; set INDEX=<a copy"):
        index.load(secure.url("index.csv"), tmp_path / "copy.csv", tmp_path / "cache")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    assert index.load(secure.url("index.csv"), tmp_path / "copy.csv", tmp_path / "cache").rows


def test_google_credentials_are_exchanged_with_the_same_settings(
    authority: Authority, secure: Faulty, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    secure.resource.content = json.dumps({"access_token": "fresh", "expires_in": 3600}).encode()
    account = service_account(tmp_path / "account.json", new_private_key(), secure.url("token"))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
    for variables, reason in (
        ({}, "the Google credentials cannot be used: its certificate cannot be verified: "),
        (
            {"SSL_CERT_FILE": "/nonexistent"},
            "the Google credentials cannot be used: SSL_CERT_FILE=/nonexistent: no such",
        ),
        ({"SSL_CERT_FILE": str(authority.certificate)}, ""),
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        if reason:
            with pytest.raises(Misconfigured, match=f"^{reason}"):
                resolve("gs://b/a.npz").token()
    assert resolve("gs://b/a.npz").token() == "fresh"
