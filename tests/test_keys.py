"""The commands of the key ceremony, on a hub in a folder."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import keys
from pipeline.base.fault import Fault
from pipeline.targets.folder import Folder
from pipeline.trust.client import read_trusted_index
from pipeline.trust.roles import Role
from tests.conftest import ROOT
from tests.trust.signed import SHARDS

SAFE, ONLINE = "planted-password-of-the-safe", "planted-password-online"


@pytest.fixture(autouse=True)
def _passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGN_PASSWORD", ONLINE)
    for name in ("ROOT", "TARGETS"):
        monkeypatch.setenv(f"SIGN_PASSWORD_{name}", SAFE)


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    for path, content in SHARDS.items():
        (tmp_path / "hub" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "hub" / path).write_bytes(content)
    return tmp_path / "hub"


def run(*arguments: object) -> str:
    return keys.main([str(argument) for argument in arguments])


def versions(hub: Path, root: Path, state: Path) -> dict[Role, int]:
    """Returns the version of each role's metadata, as a client sees them."""
    trusted = read_trusted_index(keys.reads(Folder(str(hub), hub)), root.read_bytes(), state)
    return {role: state.version for role, state in trusted.roles.items()}


def test_the_ceremony(hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    safe, state = tmp_path / "safe", tmp_path / "state"
    assert "signed; give" in run("make", hub, "--sign", safe, "--owner", "Ada")
    root = safe / "root.json"
    first = root.read_bytes()
    assert set(versions(hub, root, state).values()) == {1}
    assert "nothing to sign" in run("sign", hub, "--sign", safe)
    (hub / "index/3f.json").write_text('{"modules": {"a/b/1": {}}}')
    online = f"{safe}/release.pem,{safe}/snapshot.pem,{safe}/timestamp.pem"
    assert "signed, 4 files written" in run("sign", hub, "--sign", online)
    assert "all signatures count until" in run("renew", hub, "--sign", f"{safe}/snapshot.pem,{safe}/timestamp.pem")
    assert versions(hub, root, state)[Role.TIMESTAMP] == 3
    new = ("--key", safe / "release-2.pem", "--owner", "Grace")
    assert "the key of release is" in run("replace", hub, "--role", "release", "--sign", safe, *new)
    assert "give" in run("replace", hub, "--role", "timestamp", "--sign", safe, "--key", safe / "timestamp-2.pem")
    run("replace", hub, "--role", "root", "--sign", safe, "--key", safe / "root-2.pem", "--root", root)
    assert versions(hub, root, state)[Role.ROOT] == 3
    assert root.read_bytes() != first
    capsys.readouterr()
    run("show", hub)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [role.value for role in Role]
    assert "Grace (key " in lines[2]
    assert "Ada (key " in lines[4]  # a new key has the name of the old one
    root.write_bytes(first)
    assert versions(hub, root, state)[Role.ROOT] == 3  # the first root leads to the newest


def test_a_further_hub_gets_the_same_root(hub: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its SHA-256 is in the owner's documentation; a root of other keys or owners is kept under another name."""
    other, third, safe = tmp_path / "other", tmp_path / "third", tmp_path / "safe"
    for copy in (other, third):
        shutil.copytree(hub, copy)
    run("make", hub, "--sign", safe, "--owner", "Ada")
    first = (safe / "root.json").read_bytes()
    run("make", other, "--sign", safe)
    assert (safe / "root.json").read_bytes() == first
    assert (other / "metadata/1.root.json").read_bytes() == first
    assert set(versions(other, safe / "root.json", tmp_path / "state").values()) == {1}
    capsys.readouterr()
    run("show", other)
    assert [line.split(", ")[1].split(" (")[0] for line in capsys.readouterr().out.splitlines()] == ["by Ada"] * 5
    run("make", third, "--sign", safe, "--owner", "Grace")
    assert [path.read_bytes() for path in safe.glob("root-*.json")] == [first]
    assert (safe / "root.json").read_bytes() == (third / "metadata/1.root.json").read_bytes() != first


@pytest.mark.parametrize("moved", [("root",), ("targets",), ("root", "targets"), ("snapshot",), ("timestamp",)])
def test_a_further_hub_gets_no_other_root_when_keys_are_in_the_safe(
    hub: Path, tmp_path: Path, moved: tuple[str, ...]
) -> None:
    """As docs/trust.md asks, root.pem and targets.pem leave the machine after the first hub."""
    other, safe = shutil.copytree(hub, tmp_path / "other"), tmp_path / "safe"
    run("make", hub, "--sign", safe)
    before = (safe / "root.json").read_bytes()
    for role in moved:
        (safe / f"{role}.pem").rename(tmp_path / f"{role}.pem")
    names = " and ".join(f"{role}.pem" for role in moved)
    with pytest.raises(Fault, match=rf"root\.json is there, but not {re.escape(names)}; .*put the keys back from"):
        run("make", other, "--sign", safe)
    assert (safe / "root.json").read_bytes() == before
    assert not (other / "metadata").exists()
    for role in moved:
        (tmp_path / f"{role}.pem").rename(safe / f"{role}.pem")
    run("make", other, "--sign", safe)
    assert (safe / "root.json").read_bytes() == before


def test_an_interrupted_ceremony_goes_on(hub: Path, tmp_path: Path) -> None:
    run("make", hub, "--sign", tmp_path / "keys")
    before = (tmp_path / "keys/root.pem").read_bytes()
    (hub / "metadata/timestamp.json").unlink()
    for name in ("snapshot.pem", "root.json"):
        (tmp_path / "keys" / name).unlink()
    run("make", hub, "--sign", tmp_path / "keys")
    assert versions(hub, tmp_path / "keys/root.json", tmp_path / "state")[Role.ROOT] == 1
    assert (tmp_path / "keys/root.pem").read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("make", "{hub}", "--sign", "{keys}"), "it is signed already"),
        (("make", "{keys}", "--sign", "{keys}"), "no index/root.json to sign"),
        (("make", "{hub}", "--sign", "{keys},{hub}"), "expected one folder, with all keys of"),
        (("make", "{hub}", "--sign", "env:KEYS"), "expected one folder, with all keys"),
        (("sign", "{hub}"), "SIGN=<keys> is not set"),
        (("sign", "{hub}", "--sign", "{hub}"), "has no *.pem"),
        (("sign", "{hub}", "--sign", "{keys}", "--root", "{hub}/none"), "no such file, expected a root.json"),
        (("renew", "{hub}", "--sign", "{keys}/release.pem"), "no key of the role snapshot"),
        (("replace", "{hub}", "--role", "release", "--sign", "{keys}"), "expected ROLE=<role> and KEY="),
        (
            ("replace", "{hub}", "--role", "root", "--sign", "{keys}", "--key", "{keys}/r.pem", "--revoke"),
            "REVOKE=1 is about",
        ),
        (("show", "{keys}"), "metadata/1.root.json: no such file, so this hub is not signed"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_sentence(
    hub: Path, tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    folder = tmp_path / "keys"
    run("make", hub, "--sign", folder)
    before = {path: path.read_bytes() for path in hub.rglob("*.json")}
    with pytest.raises(Fault) as raised:
        run(*(argument.format(hub=hub, keys=folder) for argument in arguments))
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert {path: path.read_bytes() for path in hub.rglob("*.json")} == before


def test_a_shard_that_was_signed_and_is_missing_is_named(hub: Path, tmp_path: Path) -> None:
    run("make", hub, "--sign", tmp_path / "keys")
    (hub / "index/3f.json").unlink()
    with pytest.raises(Fault, match=r"index/3f.json was signed before, and is missing"):
        run("sign", hub, "--sign", tmp_path / "keys")


def test_no_key_and_no_password_is_printed_or_written(hub: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pipeline.keys"]
    done = subprocess.run(
        [*command, "make", hub, "--sign", tmp_path / "keys"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    secrets = [SAFE, ONLINE]
    for path in (tmp_path / "keys").glob("*.pem"):
        lines = path.read_text().splitlines()[1:-1]
        assert len(lines) > 2
        secrets += lines
        assert path.stat().st_mode & 0o077 == 0
    assert "made" in done.stdout
    texts = [done.stdout, done.stderr, *(path.read_text() for path in hub.rglob("*") if path.is_file())]
    texts.append((tmp_path / "keys/root.json").read_text())
    assert not [secret for secret in secrets for text in texts if secret in text]
