"""Addresses: where each kind leads, whose token goes with it, and which ones are refused."""

import json
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import fsspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from fsspec.implementations.memory import MemoryFileSystem

from pipeline.base.fault import Fault, Unavailable
from pipeline.download.address import resolve, scheme_of
from pipeline.download.obtain import Access, obtain_file
from tests.faulty_server import Handler, Resource, faulty, redirect, status

CREDENTIALS = ("CLOUDSDK_AUTH_ACCESS_TOKEN", "GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "HF_ENDPOINT")


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Removes the credentials of the person who runs the tests."""
    for name in (*CREDENTIALS, "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_GCE_CHECK", "true")  # or google-auth looks for the metadata server
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))


@pytest.mark.parametrize(
    ("source", "url"),
    [
        ("gs://vit_models/augreg/a b.npz", "https://storage.googleapis.com/vit_models/augreg/a%20b.npz"),
        ("gs://b/what?#.npz", "https://storage.googleapis.com/b/what%3F%23.npz"),
        ("hf://timm/a.b/model.safetensors", "https://huggingface.co/timm/a.b/resolve/main/model.safetensors"),
        ("hf://timm/a@v1/sub/c.npz", "https://huggingface.co/timm/a/resolve/v1/sub/c.npz"),
        ("https://example.org/a?b=c", "https://example.org/a?b=c"),
    ],
)
def test_the_url_of_an_address(source: str, url: str) -> None:
    address = resolve(source)
    assert address.url == url
    assert address.token() is None


def test_hosts_and_tokens_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (
        ("HF_ENDPOINT", "https://mirror.example/"),
        ("HF_TOKEN", "hf\r\n"),  # as read from a file with such line ends
        ("CLOUDSDK_AUTH_ACCESS_TOKEN", " google\r"),
    ):
        monkeypatch.setenv(name, value)
    google, hugging_face = resolve("gs://b/o"), resolve("hf://timm/a/b")
    assert (google.url, google.token()) == ("https://storage.googleapis.com/b/o", "google")
    assert (hugging_face.url, hugging_face.token()) == ("https://mirror.example/timm/a/resolve/main/b", "hf")
    assert resolve("https://huggingface.co/timm/a").token() is None
    # Google's token is for Google.
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "localhost:9023")
    google = resolve("gs://b/o")
    assert (google.url, google.token()) == ("http://localhost:9023/b/o", None)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("ftp://host/a", "has the unknown scheme 'ftp': expected a path, file:, http:, https:, gs:, hf:, s3:"),
        ("gs://bucket", "'gs://bucket' is incomplete: expected gs://<bucket>/<object>"),
        ("s3://bucket/", "expected s3://<bucket>/<object>"),
        ("hf://timm/model", "expected hf://<owner>/<repo>[@<revision>]/<file>"),
        ("hf://timm/@main/file", "expected hf://<owner>/<repo>[@<revision>]/<file>"),
        ("http://[", "'http://[' is no URL; expected <scheme>://<host>/<file>"),
        ("ftp://me:secret@host/a", "'ftp://host/a' has the unknown scheme 'ftp'"),
        ("https://me:secret@[host/a", "'https://[host/a' is no URL"),
        ("https://me:secret\u2100@host/a", "'https://host/a' is no URL"),
        ("gs://me:secret@bucket", "'gs://bucket' is incomplete"),
        *(
            (f"{kind}://me:secret@a/b/c", f"'{kind}://a/b/c' has a user name or a password")
            for kind in ("gs", "hf", "s3")
        ),
    ],
)
def test_an_invalid_address_is_refused(source: str, message: str) -> None:
    with pytest.raises(Fault) as raised:
        scheme_of(source, "checkpoint.sources")
    assert message in str(raised.value)
    assert str(raised.value).startswith("checkpoint.sources: ")
    assert "secret" not in str(raised.value)


def get(source: str, folder: Path) -> bytes:
    with obtain_file(source, Access(folder), "get") as file:
        return file.path.read_bytes()


def test_an_emulator_of_google_cloud_storage_gets_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with faulty(b"weights", headers={"x-goog-generation": "7"}) as server:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", server.address)
        monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "secret")
        assert get("gs://vit_models/augreg/a.npz", tmp_path) == b"weights"
    assert server.requests[0].path == "/vit_models/augreg/a.npz"
    assert "authorization" not in server.requests[0].headers


@pytest.fixture(scope="module")
def private_key() -> str:
    return new_private_key()


def new_private_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def service_account(path: Path, key: str, token_uri: str) -> Path:
    fields = {"type": "service_account", "client_email": "me@example.org", "private_key": key, "token_uri": token_uri}
    path.write_text(json.dumps(fields))
    return path


def test_google_cloud_storage_with_a_service_account(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private_key: str
) -> None:
    def token(handler: Handler, resource: Resource) -> None:
        body = json.dumps({"access_token": "fresh", "expires_in": 3600, "token_type": "Bearer"}).encode()
        handler.rfile.read(int(handler.headers["Content-Length"]))
        handler.answer(200, resource, Content_Type="application/json", Content_Length=len(body))
        handler.body(body)

    with faulty(b"", token) as issuer:
        account = service_account(tmp_path / "account.json", private_key, issuer.url("token"))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        assert resolve("gs://b/a.npz").token() == "fresh"


def test_unusable_google_credentials_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, private_key: str
) -> None:
    with faulty(b"", status(401)) as issuer:
        account = service_account(tmp_path / "account.json", private_key, issuer.url("token"))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(account))
        with pytest.raises(Unavailable, match="the Google credentials cannot be used"):
            get("gs://b/a.npz", tmp_path)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    (tmp_path / "gcloud").mkdir()
    (tmp_path / "gcloud/application_default_credentials.json").write_text("{}")
    with pytest.raises(Unavailable, match=r"the Google credentials cannot be used: .*does not have a valid type"):
        get("gs://b/a.npz", tmp_path)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(Unavailable, match=r"the Google credentials cannot be used: File .*missing.json was not found"):
        get("gs://b/a.npz", tmp_path)


def test_hugging_faces_redirect_gets_no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with faulty(b"weights") as store, faulty(b"") as front:
        front.script.append(redirect(store.url("signed?x=y")))
        monkeypatch.setenv("HF_ENDPOINT", front.address)
        monkeypatch.setenv("HF_TOKEN", "secret")
        assert get("hf://timm/a/model.safetensors", tmp_path) == b"weights"
    assert front.requests[0].path == "/timm/a/resolve/main/model.safetensors"
    assert front.requests[0].headers["authorization"] == "Bearer secret"
    assert "authorization" not in store.requests[0].headers


@pytest.mark.skipif(find_spec("s3fs") is not None, reason="s3fs is installed")
def test_s3_names_the_missing_library(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r's3: needs fsspec with s3fs .*; install it with pip install "\.\[cloud\]"'):
        get("s3://bucket/a.npz", tmp_path)


class _S3(MemoryFileSystem):
    """fsspec's file system in memory, under the name of S3's."""

    protocol = "s3"
    short = False

    @classmethod
    def _strip_protocol(cls, path: str) -> Any:
        return super()._strip_protocol(path.replace("s3://", "memory://"))

    def size(self, path: str) -> Any:
        return super().size(path) + self.short


def test_s3_through_fsspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(import_module("fsspec.registry")._registry, "s3", _S3)
    with fsspec.open("s3://bucket/a.npz", "wb") as stream:
        stream.write(b"weights")
    assert get("s3://bucket/a.npz", tmp_path) == b"weights"
    with pytest.raises(Unavailable, match=r"FileNotFoundError: .*missing\.npz"):
        get("s3://bucket/missing.npz", tmp_path)
    monkeypatch.setattr(_S3, "short", True)
    with pytest.raises(Unavailable, match="the connection ended after 7 of 8 bytes"):
        get("s3://bucket/a.npz", tmp_path)
