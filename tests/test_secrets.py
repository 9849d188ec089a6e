"""Passwords and signatures of addresses: in no command line, no output and no file, whichever command gets them."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base import command
from pipeline.base.addresses import hide_secrets
from pipeline.base.fault import Fault
from pipeline.dag.settings import Settings
from tests.conftest import ROOT, make, run_stage
from tests.faulty_server import Behaviour, Faulty, Handler, Resource, faulty, good, redirect
from tests.make_plans import replace

SECRET = "xyzzy" + "plugh"  # not in the text of this file, which tests copy and name
QUERY = f"X-Amz-Credential={SECRET}&X-Amz-Signature={SECRET}"


def command_lines() -> list[str]:
    """Returns the command lines of all processes but those of make itself, which has what a person typed."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().decode(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):  # it has ended
            continue
    return [line for line in lines if not line.startswith("make\0")]


class Watch:
    """Looks at all command lines whenever a request comes, as any user of the machine can."""

    def __init__(self) -> None:
        self.count = 0
        self.leaks: list[str] = []

    def behind(self, behaviour: Behaviour) -> Behaviour:
        def look(handler: Handler, resource: Resource) -> None:
            self.count += 1
            self.leaks += [line for line in command_lines() if SECRET in line]
            behaviour(handler, resource)

        return look


def with_secrets(server: Faulty, name: str) -> str:
    return f"{server.url(name)}?{QUERY}".replace("://", f"://me:{SECRET}@")


def files_with_secrets(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]


def test_a_checkpoint_from_signed_addresses(fresh: Path, tmp_path: Path) -> None:
    """CHECKPOINTS is in the environment, and redirects to another; the member's YAML file keeps its own."""
    member, artifacts = fresh / "model_cards/tiny/mini.yaml", fresh / "artifacts"
    watch = Watch()
    with faulty((fresh / "model_cards/tiny/mini.npz").read_bytes()) as server, faulty(b"") as front:
        server.script.append(watch.behind(good))
        front.script.append(watch.behind(redirect(with_secrets(server, "b.npz"))))
        replace(member, '"mini.npz"', f'"{with_secrets(server, "mini.npz")}"')
        folder = with_secrets(front, "folder")
        done = make(fresh, "--trace", "fetch", "MODEL=mini", f"CACHE={tmp_path}/cache", "V=1", CHECKPOINTS=folder)
    assert done.returncode == 0, done.stderr
    assert f"fetch mini from {front.url('folder/mini.npz')}: " in done.stderr
    assert front.requests[0].path == f"/folder/mini.npz?{QUERY}"
    assert (watch.count, watch.leaks) == (2, [])
    assert SECRET not in done.stdout + done.stderr
    assert (artifacts / "mini/checkpoint.json").exists()
    assert files_with_secrets(tmp_path) == [member]


@pytest.mark.parametrize(
    "command",
    [
        lambda address: (("select", f"INDEX={address}"), {}),
        lambda address: (("add", "CHECKPOINT=B_16", f"INDEX={address}"), {}),
        lambda address: (("doctor",), {"SAVED_MODEL": address}),
    ],
)
def test_an_address_that_does_not_have_the_file(
    fresh: Path, tmp_path: Path, command: Callable[[str], tuple[tuple[str, ...], dict[str, str]]]
) -> None:
    watch = Watch()
    with faulty(b"", watch.behind(redirect(f"ftp://me:{SECRET}@host/a?{QUERY}"))) as server:
        words, environment = command(with_secrets(server, "file"))
        done = make(fresh, *words, "COLLECTION=tiny", "V=1", f"CACHE={tmp_path}/cache", **environment)
    assert done.returncode == 2
    assert re.search(rf"(select|add|doctor): {server.url('file')}: .*redirects to ftp://host/a;", done.stderr)
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert watch.count == 1
    assert watch.leaks == []
    assert files_with_secrets(tmp_path) == []


def test_a_setting_that_takes_no_address(fresh: Path, tmp_path: Path) -> None:
    """Given one by mistake, no message of make or of the commands shows its password."""
    address = f"https://me:{SECRET}@host/a?{QUERY}"
    for name in ("MODEL", "COLLECTION", "ARTIFACTS", "PYTHON", "HUB_URL"):
        done = make(fresh, "fetch", "MODEL=mini", f"{name}={address}")
        assert done.returncode == 2
        assert f"{name}=" in done.stderr
        assert SECRET not in done.stdout + done.stderr
    for name in ("imagenet", "real", "samples", "split", "hub", "hub_url"):
        with pytest.raises(Fault) as raised:
            Settings(**{name: address}).check()
        assert name.upper() in str(raised.value)
        assert SECRET not in hide_secrets(str(raised.value))
    assert files_with_secrets(tmp_path) == []


def test_commands_read_addresses_from_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MODULE", "a=b env:HOME")
    monkeypatch.setattr(
        "sys.argv", ["x", "env:MODULE", "--a-b=env:MODULE", "hub=env:MODULE", "./env:MODULE", "env:a", "-x"]
    )
    assert command.command_line() == [
        *("a=b env:HOME", "--a-b=a=b env:HOME", "hub=a=b env:HOME"),
        *("./env:MODULE", "env:a", "-x"),
    ]


@pytest.mark.parametrize(
    ("variable", "message"),
    [("NOBODY", "doctor: env:NOBODY: expected a variable of the environment, and there is no NOBODY; set it"),
     ("OPTION", "doctor: env:OPTION: the value begins with -; write ./-")],
)  # fmt: skip
def test_a_variable_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch, variable: str, message: str) -> None:
    monkeypatch.setenv("OPTION", "--help")
    done = run_stage("doctor", f"env:{variable}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)


BUG = """
import sys
from pipeline.base.command import guarded
def fail():
    raise RuntimeError("Max retries exceeded with url: " + sys.stdin.read())
guarded("bug", fail)
"""


def test_a_traceback_has_no_secret() -> None:
    """As of a bug, where a library's exception repeats the address."""
    address = f"https://me:{SECRET}@host/a?{QUERY}"
    command = [sys.executable, "-c", BUG]  # no argument: other tests look for it in the command lines of all processes
    done = subprocess.run(command, input=address, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback (most recent call last):" in done.stderr
    assert "RuntimeError: Max retries exceeded with url: https://host/a?X-Amz-Credential=...&" in done.stderr
    assert SECRET not in done.stderr
