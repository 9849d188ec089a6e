"""fetch and the cache of downloads: clones, offline mode, damaged files, kills, and the command."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.checkpoints import provenance
from pipeline.checkpoints.lock_file import LockFile
from pipeline.checkpoints.section import Checkpoint
from pipeline.download.obtain import Access, obtain_file
from pipeline.download.retry import Policy
from pipeline.fetch import Settings, fetch
from tests.conftest import ROOT, Stage, assert_refused
from tests.faulty_server import Faulty, cut, faulty
from tests.fetch.fetching import archive, digest, refuse, run, sha256


def test_clones_share_the_cache(tmp_path: Path) -> None:
    with faulty(archive()) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        for clone in ("one", "two"):
            run(checkpoint, tmp_path, tmp_path / clone / "checkpoint.npz")
        assert len(server.requests) == 1
    assert (tmp_path / "two/checkpoint.npz").read_bytes() == archive()


def test_offline(tmp_path: Path, out: Path) -> None:
    with faulty(archive()) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        message = refuse(checkpoint, tmp_path, out, offline=True)
        assert f"{server.url()}: OFFLINE=1, and the cache {tmp_path}/cache does not have it" in message
        assert server.requests == []
        run(checkpoint, tmp_path, out)
    out.unlink()
    run(checkpoint, tmp_path, out, offline=True)
    assert out.read_bytes() == archive()


def test_a_download_with_a_password_is_resumed(tmp_path: Path, out: Path) -> None:
    with faulty(archive(), cut(20_000)) as server:
        url = server.url().replace("://", "://me:secret@")
        impatient = Settings(None, tmp_path / "lock", Access(tmp_path / "cache", policy=Policy(tries=1)))
        with pytest.raises(Fault):
            fetch(Checkpoint("a", (url,)), tmp_path, out, impatient)
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
        run(Checkpoint("a", (url.replace("secret", "other"),)), tmp_path, out)  # the file is the same
    assert out.read_bytes() == archive()
    assert server.requests[-1].headers["range"] == "bytes=20000-"


def test_a_damaged_download_is_downloaded_again(tmp_path: Path, out: Path) -> None:
    """Without checksum and pin, the archive's own CRC-32 tells. A damaged file does not stay in the cache."""
    damaged = bytearray(archive())
    damaged[20_000] ^= 1
    with faulty(bytes(damaged)) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        message = refuse(checkpoint, tmp_path, out)
        assert "the array 'a' is damaged" in message
        assert message.endswith("; it was removed from the cache")
        assert not list((tmp_path / "cache").rglob("*.npz"))
        server.resource.content = archive()
        run(checkpoint, tmp_path, out)
    assert out.read_bytes() == archive()


def test_wrong_weights_in_the_cache_are_downloaded_again(tmp_path: Path, out: Path) -> None:
    """The file in the cache matches its record, but not the lock file."""
    with faulty(archive(1)) as server:
        checkpoint = Checkpoint("a", (server.url(),))
        entry = {"arrays": digest(archive(), tmp_path), "files": {server.url(): sha256(archive())}}
        (tmp_path / "checkpoints.lock").write_text(json.dumps({"a": entry}))
        refuse(checkpoint, tmp_path, out)
        server.resource.content = archive()  # under the same ETag
        run(checkpoint, tmp_path, out)
    assert out.read_bytes() == archive()


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize(
    "entry", [{"arrays": "0" * 64}, {"files": {"URL": "0" * 64}}, None], ids=["arrays", "file", "yaml"]
)
def test_a_wrong_pin_keeps_the_download_in_the_cache(
    tmp_path: Path, out: Path, offline: bool, entry: dict[str, object] | None
) -> None:
    lock = tmp_path / "checkpoints.lock"
    with faulty(archive()) as server:
        good = Checkpoint("a", (server.url(),))
        run(good, tmp_path, out)
        out.write_bytes(b"earlier")
        right = lock.read_text()
        if entry is None:
            lock.unlink()
            refuse(Checkpoint("a", (server.url(),), "0" * 64), tmp_path, out, offline=offline)
        else:
            lock.write_text(json.dumps({"a": entry}).replace("URL", server.url()))
            refuse(good, tmp_path, out, offline=offline)
    lock.write_text(right)
    run(good, tmp_path, out, offline=True)  # the server is gone
    assert out.read_bytes() == archive()


def test_offline_mode_keeps_a_broken_file_in_the_cache(tmp_path: Path, out: Path) -> None:
    with faulty(b"<html>") as server:
        with obtain_file(server.url(), Access(tmp_path / "cache"), ""):
            pass
        checkpoint = Checkpoint("a", (server.url(),))
        for _ in range(2):
            assert "it is an HTML page" in refuse(checkpoint, tmp_path, out, offline=True)
        refuse(checkpoint, tmp_path, out)
        assert "does not have it" in refuse(checkpoint, tmp_path, out, offline=True)


MEMBER = """\
checkpoint:
  name: a
  sources: ["{url}"]
"""


@pytest.fixture
def member(tmp_path: Path) -> Iterator[tuple[Path, Faulty]]:
    """A member's YAML file whose one source is a real server."""
    with faulty(archive()) as server:
        (tmp_path / "m.yaml").write_text(MEMBER.format(url=server.url()))
        yield tmp_path / "m.yaml", server


def test_the_command(member: tuple[Path, Faulty], stage: Stage, tmp_path: Path, out: Path) -> None:
    yaml, server = member
    settings = ("--cache", tmp_path / "cache", "--lock", tmp_path / "other.lock")
    assert_refused(stage("fetch", yaml, out, *settings, "--offline"), "OFFLINE=1, and the cache")
    assert out.read_bytes() == b"earlier"
    done = stage("fetch", yaml, out, *settings)
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"fetch m from {server.url()}: ")
    assert list(LockFile(tmp_path / "other.lock").pins) == ["a"]
    assert not (tmp_path / "checkpoints.lock").exists()


KILLED = """
import os, signal, sys
from pipeline import fetch
member, out, folder = sys.argv[1:]
STEPS = ("open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "fcntl.flock")
def hook(event, arguments):
    global left
    if event in STEPS and (event == "fcntl.flock" or folder in str(arguments[0])):
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
for line in sys.stdin:
    child = os.fork()  # a fork saves the start of Python
    if child == 0:
        left = int(line)
        sys.addaudithook(hook)
        fetch.main([member, out, "--cache", folder + "/cache"])
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def start_over(server: Faulty, folder: Path, out: Path, has_cached_file: bool) -> None:
    """Leaves an earlier checkpoint, half of a download in the cache and, if asked for, an earlier whole file."""
    for leftover in (folder / "cache", folder / "checkpoints.lock", out.parent):
        shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink(missing_ok=True)
    out.parent.mkdir()
    out.write_bytes(b"earlier")
    if has_cached_file:
        server.resource.content, server.resource.etag = archive(1), '"zero"'
        with obtain_file(server.url(), Access(folder / "cache"), ""):
            pass
        server.resource.content, server.resource.etag = archive(), '"one"'
    server.script[:] = [cut(20_000)]
    impatient = Settings(None, folder / "checkpoints.lock", Access(folder / "cache", policy=Policy(tries=1)))
    with pytest.raises(Fault):
        fetch(Checkpoint("a", (server.url(),)), folder, out, impatient)


@pytest.mark.parametrize("has_cached_file", [False, True])
def test_a_kill_at_every_step_leaves_the_old_or_the_new(
    member: tuple[Path, Faulty], tmp_path: Path, out: Path, has_cached_file: bool
) -> None:
    """Kills the command before its first, second, ... access to a file, until it ends by itself.

    After each kill the earlier files are whole or replaced, and the next fetch succeeds.
    """
    yaml, server = member
    step, status = 0, None
    command = [sys.executable, "-c", KILLED, str(yaml), str(out), str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as driver:
        assert driver.stdin
        assert driver.stdout
        while status != 0:
            step += 1
            start_over(server, tmp_path, out, has_cached_file)
            driver.stdin.write(f"{step}\n")
            driver.stdin.flush()
            status = int(driver.stdout.readline())
            assert status in (0, -signal.SIGKILL)
            assert out.read_bytes() in (b"earlier", archive())
            if has_cached_file:
                with obtain_file(server.url(), Access(tmp_path / "cache", offline=True), "") as file:
                    assert file.sha256 in (sha256(archive(1)), sha256(archive()))
            run(Checkpoint("a", (server.url(),)), tmp_path, out)
            assert out.read_bytes() == archive()
            assert provenance.read(out).source == server.url()
            assert sorted(path.name for path in out.parent.iterdir()) == ["checkpoint.json", "checkpoint.npz"]
    assert step > 15
    assert LockFile(tmp_path / "checkpoints.lock").pins["a"].files == {server.url(): sha256(archive())}
