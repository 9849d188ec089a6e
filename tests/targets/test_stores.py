"""Tests of what object stores must do beyond the contract: headers, the probe, unfinished uploads, two publishers."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.targets.interface import Moved, Target
from pipeline.targets.object_store import PART
from pipeline.targets.open import open_target
from pipeline.targets.probe import probe
from pipeline.targets.remote import Patience
from tests.targets.conftest import QUICK, Opener, nothing
from tests.targets.proxy import (
    good,
    proxying,
    status,
    without,
)
from tests.targets.servers import (
    Server,
    Servers,
    azurite,
    fake_gcs,
    moto,
    nanio,
    s3_environment,
    unfinished,
)

PATH = "index/3f.json"
STORES = {"s3": moto, "gs": fake_gcs, "az": azurite}


def test_headers(servers: Servers, open_on: Opener, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * (PART + 1))
    expected = {
        "a/vit/1.tar.gz": ("application/gzip", "public, max-age=31536000, immutable"),
        "a/vit/1/onnx/model.onnx": ("application/octet-stream", "public, max-age=31536000, immutable"),
        "claims/a/vit/1.json": ("application/json", "public, max-age=31536000, immutable"),
        "index/3f.json": ("application/json", "no-cache"),
        f"index/{'a' * 64}.3f.json": ("application/json", "public, max-age=31536000, immutable"),
        "index.html": ("text/html; charset=utf-8", "no-cache"),
        "metadata/timestamp.json": ("application/json", "no-cache"),
        "metadata/2.root.json": ("application/json", "public, max-age=31536000, immutable"),
    }
    for start in (moto, fake_gcs):
        server = servers.get(start)
        with proxying(server.url) as proxy:
            environment = {name: value.replace(server.url, proxy.url) for name, value in server.environment.items()}
            target = open_on(replace(server, environment=environment))
            for path, headers in expected.items():
                proxy.requests.clear()
                if path.endswith(".gz"):
                    target.put_large(path, tmp_path / "a", nothing)
                else:
                    target.create(path, b"{}")
                sent = "".join(f"{request.headers}{request.body[:1000]!r}" for request in proxy.requests)
                for value in headers:
                    assert value in sent, (start.__name__, path, value)


def test_probe_refuses_servers_without_conditions(servers: Servers, open_on: Opener) -> None:
    instead = "Release into a folder instead and copy that"
    with pytest.raises(Fault, match=f"must only create .*{instead}"):
        probe(open_on(servers.get(nanio)))
    with proxying(servers.get(moto).url) as proxy:
        target = open_on(Server(proxy.url, "s3://hub", s3_environment(proxy.url)))
        proxy.choose = lambda request: without("if-match")
        with pytest.raises(Fault, match=f"replaced a file that had changed meanwhile .*{instead}"):
            probe(target)
        proxy.choose = lambda request: status(501, "NotImplemented") if "if-match" in request.headers else good
        with pytest.raises(Fault, match=f"knows no conditional writes: .*501 NotImplemented.*{instead}"):
            probe(target)
        proxy.choose = lambda request: status(412, "PreconditionFailed") if "if-match" in request.headers else good
        with pytest.raises(Fault, match=f"refused to replace a file that nobody had changed .*{instead}"):
            probe(target)
        proxy.choose = None
        assert list(target.list("")) == []
        target.create(".probe/1000000000-left", b"first")
        target.create(".probe/9000000000-theirs", b"first")
        probe(target)
        assert [stored.path for stored in target.list("")] == [".probe/9000000000-theirs"]


UPLOAD = """
import os, signal, sys
from pathlib import Path
from pipeline.targets.open import open_target
sent = []
def advance(count):
    sent.append(count)
    if len(sent) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
open_target(sys.argv[1]).put_large("a.tar.gz", Path(sys.argv[2]), advance)
"""


def test_upload_of_a_killed_process_is_removed(servers: Servers, open_on: Opener, tmp_path: Path) -> None:
    server = servers.get(nanio)  # which checks the signatures of the two requests
    target = open_on(server)
    (tmp_path / "a").write_bytes(os.urandom(3 * PART + 1000))

    def kill() -> None:
        # The upload has begun before all parts are read.
        command = [sys.executable, "-c", UPLOAD, target.address, str(tmp_path / "a")]
        assert subprocess.run(command, check=False).returncode == -9

    kill()
    assert unfinished(server.url) == 1
    assert target.head("a.tar.gz") is None
    assert target.sweep() == 0, "it may be another publisher's"
    target.put_large("a.tar.gz", tmp_path / "a", nothing)
    assert unfinished(server.url) == 0
    kill()
    assert open_target(target.address, Patience(abandoned=0)).sweep() == 1
    assert unfinished(server.url) == 0
    assert b"".join(target.chunks("a.tar.gz")) == (tmp_path / "a").read_bytes()


@pytest.mark.parametrize("rest", [0, 1000])
def test_source_that_changes_is_not_published(servers: Servers, open_on: Opener, tmp_path: Path, rest: int) -> None:
    target, source = open_on(servers.get(moto)), tmp_path / "a"
    source.write_bytes(os.urandom(PART + 1000))

    def change(count: int) -> None:
        os.truncate(source, PART + rest)

    with pytest.raises(Fault, match=r"/a: changed while it was uploaded; run the same command again"):
        target.put_large("a.tar.gz", source, change)
    assert target.head("a.tar.gz") is None
    assert unfinished(servers.get(moto).url) == 0


def test_two_publishers_lose_nothing(servers: Servers, open_on: Opener) -> None:
    for start in (moto, fake_gcs):
        targets = [open_on(servers.get(start))]
        targets.append(open_target(targets[0].address, QUICK))
        targets[0].create("number", b"0")

        def count(target: Target) -> None:
            left = 10
            while left:
                content, stored = target.get("number") or (b"", None)
                try:
                    target.swap("number", b"%d" % (int(content) + 1), stored.tag if stored else None)
                    left -= 1
                except Moved:
                    continue

        with ThreadPoolExecutor() as pool:
            list(pool.map(count, targets))
        assert (targets[0].get("number") or (b"",))[0] == b"20"
