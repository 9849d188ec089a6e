"""The guides for each kind of reader: their commands and snippets run as printed, on a hub of this machine.

Pages: docs/index.md, docs/using.md, docs/publishing.md, docs/self_hosting.md, docs/verifying.md.
"""

import ast
import gzip
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml

from benchmarks.open_places import fill, list_open_places
from pipeline.check import Settings, problems
from pipeline.server.middleware import PICTURE, SECURITY, WORKER
from pipeline.trust.roles import Role
from tests import hubs
from tests.conftest import ROOT, copy_project, make, serving
from tests.signed_hub import sign_first, state_modules
from tests.snippets import code_blocks, run_scripts, write_image
from tests.trust.signed import make_keys

DEMO = "vit-publisher/vit_demo_classification/2"
POLICY = "Content-Security-Policy"


def read_page(name: str) -> str:
    """Returns the text of a page, such as docs/using.md."""
    return (ROOT / name).read_text()


def run_block(folder: Path, block: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a block of shell commands in a folder; `python` is the interpreter of the tests."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", block], cwd=folder, capture_output=True, text=True, check=False,
        env=os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)} | environment,
    )  # fmt: skip


def free_port() -> int:
    """Returns a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def started(block: str, hub: Path) -> Iterator[str]:
    """Starts the server of a block, for a hub in place of ~/site and on a free port; yields its address."""
    command, port = block.replace("~/site", f"'{hub}'"), free_port()
    command = re.sub(r"\b80[89]0\b", str(port), command).replace("make ", f"make PYTHON='{sys.executable}' ")
    command = re.sub(r"^python ", f"'{sys.executable}' ", command)
    with subprocess.Popen(
        ["bash", "-c", command], cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    """Waits until a process listens on a port."""
    for _ in range(300):
        assert process.poll() is None, "the server has ended"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("the server does not listen")


def test_make_help_begins_with_a_page_for_each_kind_of_reader() -> None:
    """It is the first page that each part of docs/index.md names, or that part."""
    named = [line.split()[-1].removeprefix("docs/") for line in make(ROOT, "help").stdout.splitlines()[:4]]
    _, *parts = re.split(r"^## (?=.)", read_page("docs/index.md"), flags=re.MULTILINE)
    firsts = [re.findall(r"\]\(([^)]+)\)", part)[0] for part in parts]
    anchors = [f"index.md#{part.splitlines()[0].lower()}" for part in parts]
    assert len(parts) == 4
    for name, first, anchor in zip(named, firsts, anchors, strict=True):
        assert name in (first, anchor)


# docs/using.md --------------------------------------------------------------------------------------------------------


def for_mini(block: str, address: str) -> str:
    """Returns a block about vit_demo, changed for the smaller model of the fixture `published` at an address."""
    block = re.sub(r"http://(localhost:8080|127\.0\.0\.1:8090)", address, block)
    block = block.replace("vit-publisher/vit_demo_", "tester/mini_").replace("/2.tar.gz", "/1.tar.gz")
    return re.sub(r"\b28\b", "16", block)  # pixels, and no part of a port


@pytest.mark.slow
def test_a_model_is_used_as_the_page_says(published: Path, tmp_path: Path) -> None:
    """All blocks of docs/using.md in their order, from the static host that docs/self_hosting.md starts."""
    hosting, page = read_page("docs/self_hosting.md"), read_page("docs/using.md")
    (server,) = [block for block in code_blocks(hosting, "sh") if "http.server" in block]
    write_image(tmp_path)
    with started(server, published / "artifacts/hub") as address:
        _, download, selftest = (for_mini(block, address) for block in code_blocks(page, "sh"))
        assert run_block(tmp_path, download).returncode == 0
        scripts = [for_mini(block, address) for block in code_blocks(hosting) + code_blocks(page)]
        lines = run_scripts(tmp_path, *scripts)
    classes = [line.split("  ") for line in lines[:3]]
    assert sorted(name for _, name in classes) == ["Blue", "Green", "Red"]
    assert sum(float(probability) for probability, _ in classes) == pytest.approx(1, abs=0.002)
    width = re.fullmatch(r"\(1, (\d+)\)", lines[5])
    assert width, lines
    assert lines[3] == "(100, 3)"
    assert set(ast.literal_eval(lines[4])) <= {"Blue", "Green", "Red"}
    assert lines[6] == f"(1, {width[1]}) (1, 5, {width[1]})"
    assert lines[7:] == ["(3, 3)", "(1, 3)"]
    done = run_block(tmp_path, selftest)
    assert done.returncode == 0, done.stderr


# docs/publishing.md ---------------------------------------------------------------------------------------------------


@pytest.fixture
def newcomer(tmp_path: Path) -> Path:
    """A clone with the demonstration member, before the first command of the page."""
    tree = copy_project(tmp_path / "tree")
    shutil.copytree(ROOT / "model_cards/demo", tree / "model_cards/demo")
    return tree


def write_answers(path: Path, answers: dict[str, object]) -> int:
    """Writes the values of a block into the open places of a file, in order; returns how many places it had."""
    places = [name for _, name in list_open_places(path)]
    written = [name for name in places if name != "model.dropout"]
    assert [re.split(r"\.", name)[-1] for name in written] == list(answers)
    fill(path, {name: json.dumps(value) for name, value in zip(written, answers.values(), strict=True)})
    return len(places)


def test_a_new_member_is_written_as_the_page_says(newcomer: Path, tmp_path: Path) -> None:
    """docs/publishing.md up to `make publish`, which the check of the YAML files precedes."""
    page = read_page("docs/publishing.md")
    copy, new, bring, publish, *_ = code_blocks(page, "sh")
    assert "make publish MODEL=clothes_mini " in publish
    own = f"make PYTHON='{sys.executable}' "
    for block in (copy, new, bring):
        done = run_block(newcomer, block.replace("make ", own), HOME=str(tmp_path))
        assert done.returncode == 0, done.stderr
    folder = newcomer / "model_cards/clothes"
    member, collection = folder / "clothes_mini.yaml", folder / "collection.yaml"
    of_member, of_collection = (yaml.safe_load(block) for block in code_blocks(page, "yaml"))
    counts = write_answers(member, of_member), write_answers(collection, of_collection)
    assert counts == (6, 12)
    assert "18 places begin with" in page
    assert problems(member, Settings()) == []


# docs/self_hosting.md -------------------------------------------------------------------------------------------------


def test_the_headers_are_those_of_the_server() -> None:
    """The policies of docs/self_hosting.md in nginx's words."""
    (block,) = code_blocks(read_page("docs/self_hosting.md"), "nginx")
    policies = re.search(r"map \$uri \$hub_policy \{\n(.*?)^\}", block, re.MULTILINE | re.DOTALL)
    assert policies
    values = re.findall(r'^ +(?:default|"~.*?") "(.*)";$', policies[1], re.MULTILINE)
    assert values == [headers[POLICY] for headers in (SECURITY, PICTURE, WORKER)]
    for name in ("X-Content-Type-Options", "Referrer-Policy"):
        assert f"add_header {name} {SECURITY[name]} always;" in block


class Host(BaseHTTPRequestHandler):
    """A host that answers with one tarball in the ways of the page's table: the first name of an address tells how."""

    def __init__(self, tarball: bytes, *arguments: object) -> None:
        self._tarball = tarball
        super().__init__(*arguments)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""

    def do_GET(self) -> None:
        kind = self.path.split("/")[1]
        body, headers = self._tarball, {}
        match kind:
            case "302" | "308":
                self.send_response(int(kind))
                self.send_header("Location", "/plain/1.tar.gz")
                self.end_headers()
                return
            case "404":
                self.send_error(404)
                return
            case "typed":
                headers = {"Content-Type": "text/plain"}
            case "labelled":
                headers = {"Content-Encoding": "gzip"}
            case "unpacked":
                body = gzip.decompress(body)
            case "twice":
                body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
            case "page":
                body = b"<html>Sign in</html>"
            case "half":
                body = body[: len(body) // 2]
        self.send_response(200)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


# The rows of the page's table, in order, by what Host does.
ROWS = ("plain", "302 308", "typed", "labelled unpacked", "twice", "page", "half", "404")


@pytest.mark.slow
def test_what_hub_load_makes_of_a_host(published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table of docs/self_hosting.md, "What breaks hub.load"."""
    import tensorflow_hub

    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path))
    tarball = (published / "artifacts/hub/tester/mini_classification/1.tar.gz").read_bytes()
    section = read_page("docs/self_hosting.md").partition("## What breaks hub.load")[2].partition("\n## ")[0]
    answers = re.findall(r"^\| [^|]+ \| ((?:loads|fails).*) \|$", section, re.MULTILINE)
    with serving(partial(Host, tarball)) as address:
        for kinds, expected in zip(ROWS, answers, strict=True):
            for kind in kinds.split():
                handle = f"{address}/{kind}/1.tar.gz"
                if expected.startswith("loads"):
                    assert (Path(tensorflow_hub.resolve(handle)) / "saved_model.pb").exists()
                    continue
                (message,) = re.findall("^fails: `(.*)`$", expected)
                with pytest.raises(OSError, match=re.escape(message)):
                    tensorflow_hub.resolve(handle)


# docs/verifying.md ----------------------------------------------------------------------------------------------------


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A folder with a signed hub, `hub`, and its root.json."""
    hub, keys = hubs.write_hub(tmp_path), make_keys()
    state_modules(hub, keys[Role.RELEASE])
    sign_first(hub, keys)
    shutil.copy(hub / "metadata/1.root.json", tmp_path / "root.json")
    return tmp_path


def test_a_download_is_verified_as_the_page_says(signed: Path, tmp_path: Path) -> None:
    """All blocks of docs/verifying.md, with the server that docs/self_hosting.md starts by make."""
    page = read_page("docs/verifying.md")
    (server,) = [block for block in code_blocks(read_page("docs/self_hosting.md"), "sh") if "make serve" in block]
    index = json.loads((signed / "hub/index.json").read_text())
    files = {file["path"]: file["sha256"] for file in index["modules"][DEMO]["files"]}
    digest = files[f"{DEMO}.tar.gz"]
    with started(server, signed / "hub") as address:

        def run(block: str) -> subprocess.CompletedProcess[str]:
            own = re.sub(r"\b[0-9a-f]{64}\b", digest, block.replace("http://localhost:8080", address))
            return run_block(signed, own, XDG_CACHE_HOME=str(tmp_path / "cache"))

        by_hand, verify, statement, root = code_blocks(page, "sh")
        done = {block: run(block) for block in (by_hand, verify, statement, root)}
        for answer in done.values():
            assert answer.returncode == 0, answer.stderr
        (script,) = code_blocks(page)
        listed = run(f"python - <<'END'\n{script}END\n").stdout.splitlines()
        with (signed / "2.tar.gz").open("ab") as stream:
            stream.write(b"changed")
        changed = [run(block.splitlines()[-1]) for block in (by_hand, statement)]
    assert done[by_hand].stdout == "2.tar.gz: OK\n"
    assert listed == [f"{sha256} {path}" for path, sha256 in files.items()]
    assert "1 file, 0.0 MB, 1 statement; signatures NOT verified (no --root)" in done[statement].stderr
    assert "release version 1: signed by the tests' release (key " in done[root].stdout
    assert [answer.returncode for answer in changed] == [1, 1]
    assert f"that of {DEMO}; do not load it" in changed[1].stderr
