"""The command serve: what it refuses, how it ends, and what make hands to it."""

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.serve import main, published_address
from tests.conftest import ROOT, make
from tests.server.harness import MODULE, TARBALL, Running, head, rest, sha256, write_hub


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (("nowhere",), ("HUB=nowhere: no such folder", "run make publish first, or name another folder with HUB=")),
        (("empty",), ("HUB=empty: there is no index.json, so this is not a hub", "run make publish first")),
        (("blank",), ("HUB=blank: no modules are published there", "run make publish first")),
        (("damaged",), ("damaged/index.json:1: not valid JSON",)),
        (("latin",), ("latin/index.json:1: not UTF-8 text (",)),
        (("strange",), ("strange/index.json: expected an object 'modules' of objects",)),
        (("hub", "--port", "eighty"), ("PORT=eighty: expected a whole number",)),
        (("hub", "--port", "65536"), ("PORT=65536: expected a whole number from 0",)),
        (("hub", "--port", "OCCUPIED"), ("cannot listen on 127.0.0.1, port", "choose another PORT")),
        (("hub", "--host", "192.0.2.1"), ("cannot listen on 192.0.2.1", "choose another HOST")),
        (("hub", "--host", "no host"), ("HOST=no host: not an address of this machine",)),
        (("hub", "--gcs", "s3://bucket"), ("GCS=s3://bucket: expected gs://bucket/prefix",)),
        (("hub", "--gcs", "gs://"), ("GCS=gs://: expected gs://bucket/prefix",)),
        (("hub", "--gcs", "gs://bucket/a b"), ("GCS=gs://bucket/a b: expected gs://bucket/prefix",)),
        (("https://host/hub",), ("HUB=https://host/hub",)),
    ],
)  # fmt: skip
def test_the_command_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], parts: tuple[str, ...]
) -> None:
    rest = b', "collections": {}}'
    indexes = {"hub": b'{"modules": {"a/b/1": {}}' + rest, "blank": b'{"modules": {}' + rest, "damaged": b"{"}
    for name, index in {**indexes, "latin": b'{"\xe9"', "strange": b'{"a": 1}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.json").write_bytes(index)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as occupied, pytest.raises(Fault) as refused:
        main([argument.replace("OCCUPIED", str(occupied.getsockname()[1])) for argument in arguments])
    for part in parts:
        assert part in str(refused.value)


@contextmanager
def commanded(root: Path, drain: int = 5) -> Iterator[tuple[subprocess.Popen[str], Running]]:
    command = [sys.executable, "-m", "pipeline.serve", str(root), "--port", "0", "--drain", str(drain)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr
            first, second = process.stderr.readline(), process.stderr.readline()
            line = re.search(r"serving 2 modules of .* at http://127\.0\.0\.1:(\d+)/ until Ctrl-C", first)
            assert line, first
            port = int(line[1])
            assert second.strip() == f'hub.load("http://127.0.0.1:{port}/alice/net/10")'  # the newest
            yield process, Running(port, root)
        finally:
            process.kill()


def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    with commanded(write_hub(tmp_path / "hub")) as (process, here):
        assert here.ask(MODULE + "?tf-hub-format=compressed").body == TARBALL
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0
    assert err == ""
    assert re.fullmatch(r'127.* "GET /alice/net/1\?tf-hub-format=compressed HTTP/1.1" 200 12000000\n', out)


def test_sigterm_lets_downloads_finish(tmp_path: Path) -> None:
    with commanded(write_hub(tmp_path / "hub")) as (process, here), here.connect(receive_buffer=4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
        head(client)
        process.send_signal(signal.SIGTERM)
        body = rest(client)
        _, err = process.communicate(timeout=20)
    assert sha256(body) == sha256(TARBALL)
    assert (process.returncode, err) == (0, "")


def test_a_download_that_takes_too_long_is_given_up_in_one_line(tmp_path: Path) -> None:
    with commanded(write_hub(tmp_path / "hub"), drain=0) as (process, here), here.connect(4096) as client:
        client.sendall(b"GET /alice/net/1.tar.gz HTTP/1.1\r\nHost: x\r\n\r\n")
        head(client)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=20)
        assert len(rest(client)) < len(TARBALL)
    assert process.returncode == 0
    assert "Cancel 1 running task(s), timeout graceful shutdown exceeded" in err
    assert "Traceback" not in err
    assert '"GET /alice/net/1.tar.gz HTTP/1.1" 200 ' in out


def test_too_few_files_are_refused(tmp_path: Path) -> None:
    """Else every client would be told that there are too many."""
    command = f"ulimit -n 256; exec {sys.executable} -m pipeline.serve '{write_hub(tmp_path / 'hub')}' --port 0"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert done.stderr == (
        "serve: this process may open 256 files at once; expected 400 or more: raise the hard limit (ulimit -Hn)\n"
    )


def test_make_serve_passes_its_settings() -> None:
    done = make(ROOT, "-n", "serve", "HUB=some/hub", "PORT=81", "HOST=0.0.0.0", "GCS=gs://bucket", "PROXIES=::1")
    # Values with a colon may have secrets, and go by the environment.
    assert (
        " -m pipeline.serve 'some/hub' --port='81' --host='0.0.0.0' \\\n  --gcs=env:GCS --proxies=env:PROXIES"
        in done.stdout
    )
    done = make(ROOT, "-n", "serve", HOST="of-the-environment")
    assert " -m pipeline.serve 'artifacts/hub' --port='8080' " in done.stdout
    assert "of-the-environment" not in done.stdout
    done = make(ROOT, "serve", "HUB=no/hub")
    assert done.returncode == 2
    assert "serve: HUB=no/hub: no such folder" in done.stderr


def test_it_says_what_address_the_pages_name(tmp_path: Path) -> None:
    card = tmp_path / "alice/net/1.md"
    card.parent.mkdir(parents=True)
    assert published_address(tmp_path, "alice/net/1") is None
    card.write_text("# Module alice/net/1\n\n<!-- asset-path: https://hub.example/a/alice/net/1.tar.gz -->\n")
    assert published_address(tmp_path, "alice/net/1") == "https://hub.example/a"
