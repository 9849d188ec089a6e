"""Tests of how targets find credentials and servers, and that no message has a secret."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from pipeline.base.fault import Fault
from pipeline.targets.interface import AlreadyThere, Moved
from pipeline.targets.open import open_target
from tests.certificates import Authority
from tests.faulty_server import faulty
from tests.machine import fake_interpreter
from tests.targets.conftest import QUICK, nothing
from tests.targets.proxy import (
    echo,
    proxying,
)
from tests.targets.servers import (
    KEY,
    Servers,
    fake_gcs,
    moto,
    nanio,
    s3_environment,
)

PATH = "index/3f.json"
SECRETS = ("planted-", "Signature=", "Credential=")


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 412, 500, 501])
@pytest.mark.parametrize("scheme", ["s3", "az", "gs"])
def test_messages_have_no_secrets(monkeypatch: pytest.MonkeyPatch, scheme: str, code: int, tmp_path: Path) -> None:
    """Every refusal of a server that repeats the client's request."""
    (tmp_path / "a").write_bytes(b"a")
    with proxying("http://127.0.0.1:9") as proxy:
        for name, value in {
            **s3_environment(proxy.url),
            "AWS_SESSION_TOKEN": "planted-session",
            "AZURE_STORAGE_ACCOUNT_NAME": "account",
            "AZURE_STORAGE_ENDPOINT": proxy.url,
            "AZURE_STORAGE_SAS_TOKEN": "sv=2021-12-02&sig=planted-signature%3D",
            "STORAGE_EMULATOR_HOST": proxy.url,
        }.items():
            monkeypatch.setenv(name, value)
        target = open_target(f"{scheme}://hub/a", replace(QUICK, tries=1))
        proxy.choose = lambda request: echo(code)
        messages = list[Exception]()
        for action in (
            lambda: target.head(PATH),
            lambda: target.get(PATH),
            lambda: list(target.chunks(PATH)),
            lambda: target.create(PATH, b""),
            lambda: target.swap(PATH, b"", '"1"' if scheme != "gs" else "1"),
            lambda: target.put_large(PATH, tmp_path / "a", nothing),
            lambda: list(target.list("")),
            lambda: target.delete(PATH),
            lambda: target.sweep(),
        ):
            try:
                action()
            except (Fault, FileNotFoundError, Moved, AlreadyThere) as error:
                messages.append(error)
    assert messages
    for message in messages:
        assert not [secret for secret in SECRETS if secret in str(message)]
        assert "\n" not in str(message)
        assert len(str(message)) < 400
        assert message.__suppress_context__ or message.__context__ is None
    assert any("planted" in f"{request.path}{request.headers}" for request in proxy.requests) or scheme == "gs"


def test_missing_bucket_and_credentials(monkeypatch: pytest.MonkeyPatch, servers: Servers) -> None:
    for start, address in ((moto, "s3://nowhere/a"), (fake_gcs, "gs://nowhere/a")):
        with monkeypatch.context() as patch:
            for name, value in servers.get(start).environment.items():
                patch.setenv(name, value)
            target = open_target(address, QUICK)
            for action in (
                lambda target=target: target.create(PATH, b""),
                lambda target=target: list(target.list("")),
            ):
                with pytest.raises(Fault, match=r"there is no such bucket .*create it, or correct the address"):
                    action()
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers.get(moto).url)
    with pytest.raises(Fault, match="no credentials; expected AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        open_target("s3://hub/a", QUICK).head(PATH)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/planted-secret.json")
    with pytest.raises(Fault, match="no Google credentials, or they cannot be used") as refusal:
        open_target("gs://hub/a", QUICK)
    assert "planted" not in str(refusal.value)
    with pytest.raises(Fault, match="set AZURE_STORAGE_ACCOUNT_NAME"):
        open_target("az://hub/a", QUICK)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "planted-secret, not base64")
    with pytest.raises(Fault, match=r"environment .* cannot be used") as refusal:
        open_target("az://hub/a", QUICK)
    assert "planted" not in str(refusal.value)


def test_http_only_to_a_server_that_is_named(monkeypatch: pytest.MonkeyPatch, servers: Servers) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY.name)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY.secret)
    url = servers.get(moto).url
    monkeypatch.setenv("AWS_ENDPOINT_URL", url.replace("http:", "https:"))
    with pytest.raises(Fault, match="cannot be reached"):
        open_target("s3://hub/a", replace(QUICK, tries=1)).head(PATH)
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    assert open_target("s3://hub/a", QUICK).head(PATH) is None


def test_profile_of_aws(monkeypatch: pytest.MonkeyPatch, servers: Servers, tmp_path: Path) -> None:
    server = servers.get(nanio)  # which checks signatures
    (tmp_path / "credentials").write_text(
        f"[work]\naws_access_key_id = {KEY.name}\naws_secret_access_key = {KEY.secret}\nregion = us-east-1\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "work")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    target = open_target("s3://hub/profile", QUICK)
    (tmp_path / "a").write_bytes(b"a" * 1000)
    assert target.put_large("a.tar.gz", tmp_path / "a", nothing).size == 1000
    assert target.sweep() == 0
    monkeypatch.setenv("AWS_PROFILE", "other")
    with pytest.raises(Fault, match="the profile other has no credentials that can be used"):
        open_target("s3://hub/profile", QUICK)


def test_authority_of_an_organisation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A server whose certificate only REQUESTS_CA_BUNDLE makes trusted."""
    authority = Authority(tmp_path / "authority")
    with faulty(b"content", certificate=authority.issue()) as server:
        server.resource.headers["Last-Modified"] = "Sun, 29 Nov 2026 00:00:00 GMT"
        for name, value in s3_environment(server.address).items():
            monkeypatch.setenv(name, value)
        with pytest.raises(
            Fault, match=r"certificate is not trusted; .* REQUESTS_CA_BUNDLE, or check AWS_ENDPOINT_URL"
        ):
            open_target("s3://hub/a", QUICK).get(PATH)
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.certificate))
        assert (open_target("s3://hub/a", QUICK).get(PATH) or (b"",))[0] == b"content"
        with pytest.raises(Fault, match=r"refuses a request .200 MalformedList"):
            open_target("s3://hub/a", QUICK).sweep()  # a request that obstore does not send
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nonexistent.pem")
        with pytest.raises(Fault, match=r"/nonexistent.pem: the certificates cannot be read"):
            open_target("s3://hub/a", QUICK)


def test_profile_that_expires(monkeypatch: pytest.MonkeyPatch, servers: Servers, tmp_path: Path) -> None:
    expires = datetime.now(UTC) + timedelta(seconds=60)  # boto3 renews what ends within ten minutes
    answer = {"Version": 1, "AccessKeyId": "a", "SecretAccessKey": "planted", "SessionToken": "planted"}
    (tmp_path / "answer").write_text(json.dumps(answer | {"Expiration": expires.isoformat()}))
    program = fake_interpreter(tmp_path / "program", "")
    program.write_text('#!/bin/sh\ncd "${0%/*}" && cat answer && rm answer\n')
    (tmp_path / "config").write_text(f"[profile short]\ncredential_process = {program}\nregion = eu-west-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "short")
    monkeypatch.setenv("AWS_ENDPOINT_URL", servers.get(moto).url)
    target = open_target("s3://hub/a", QUICK)
    for action in (lambda: target.head(PATH), target.sweep):
        with pytest.raises(Fault, match="no credentials; expected") as refusal:
            action()
        assert "planted" not in str(refusal.value)


def test_credentials_of_google_that_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The server that exchanges a key for a token refuses it, and repeats the request."""
    key = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    with proxying("http://127.0.0.1:9") as proxy:
        account = {"type": "service_account", "project_id": "hub", "client_email": "planted-name@example.org"}
        account |= {"private_key": key.decode(), "private_key_id": "planted-id", "token_uri": f"{proxy.url}/token"}
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
        target = open_target("gs://hub/a", replace(QUICK, tries=1))
        proxy.choose = lambda request: echo(400)
        with pytest.raises(Fault, match=r"refuses these credentials \(401 RefreshError\)") as refusal:
            target.head(PATH)
    assert proxy.requests
    assertion = proxy.requests[0].body.decode()
    assert "assertion=" in assertion
    assert assertion[-100:] not in str(refusal.value)
    assert "planted" not in str(refusal.value)
