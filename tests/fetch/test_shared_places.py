"""fetch with a cache, a clone or a home that belongs to others, or that cannot be written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.fault import Fault, Unavailable
from pipeline.checkpoints.section import Checkpoint
from pipeline.download import cache
from pipeline.download.obtain import Access, obtain_file
from pipeline.download.retry import Policy
from tests.conftest import ROOT, assert_refused, protect, without_privileges
from tests.faulty_server import Faulty, cut, faulty
from tests.fetch.fetching import archive, run


def fetch(folder: Path, url: str, *arguments: str, pinned: bool = True) -> subprocess.CompletedProcess[str]:
    """Runs the command without root's privileges; the cache is below the folder, everything else in `own`."""
    own = folder / "own"
    own.mkdir(exist_ok=True)
    shutil.copy(folder / "checkpoints.lock", own / "lock") if pinned else (own / "lock").unlink(missing_ok=True)
    (own / "m.yaml").write_text(json.dumps({"checkpoint": {"name": "a", "sources": [url]}}))
    options = ("--lock", own / "lock", "--cache", folder / "cache", *arguments)
    command = without_privileges(sys.executable, "-m", "pipeline.fetch", own / "m.yaml", own / "a.npz", *options)
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)


def filled_cache(folder: Path, server: Faulty) -> Path:
    """Fetches into the folder's cache and lock file, and takes the right to write there away."""
    run(Checkpoint("a", (server.url(),)), folder, folder / "a.npz")
    return protect(folder / "cache")


def state(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize("has_lock", [True, False])
@pytest.mark.parametrize("arguments", [("--offline",), ()])
@pytest.mark.parametrize("pinned", [True, False])
def test_a_cache_that_cannot_be_written_is_read(
    tmp_path: Path, has_lock: bool, arguments: tuple[str, ...], pinned: bool
) -> None:
    """Without a pinned digest, the server is asked whether it still has the same file."""
    with faulty(archive()) as server:
        folder = filled_cache(tmp_path, server)
        if not has_lock:  # as a copy without locks
            (lock,) = folder.glob("*/*/lock")
            lock.parent.chmod(0o755)
            lock.unlink()
            protect(folder)
        before = state(folder)
        done = fetch(tmp_path, server.url(), *arguments, pinned=pinned)
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "own/a.npz").read_bytes() == archive()
        assert state(folder) == before
        assert len(server.requests) == (1 if pinned or arguments else 2)


def test_what_such_a_cache_lacks_cannot_be_downloaded_into_it(tmp_path: Path) -> None:
    with faulty(archive()) as server:
        folder = filled_cache(tmp_path, server)
        before = state(folder)
        for name in ("other.npz", "a.npz"):
            server.resource.etag = '"two"'  # of the file that is there, the server has another one
            done = fetch(tmp_path, server.url(name), pinned=False)
            assert_refused(done, "the cache does not have it, and cannot be written by this user", "CACHE=<another")
            assert "correct the setting that the reason names" in done.stderr
        assert_refused(fetch(tmp_path, server.url("other.npz"), "--offline"), "does not have it")
        assert state(folder) == before


def test_a_damaged_file_in_such_a_cache_is_not_used(tmp_path: Path) -> None:
    with faulty(archive()) as server:
        folder = filled_cache(tmp_path, server)
        (file,) = folder.glob("*/*/a.npz")
        file.chmod(0o644)
        file.write_bytes(b"damaged")
        protect(folder)
        assert_refused(fetch(tmp_path, server.url(), "--offline"), "is damaged")
        assert_refused(fetch(tmp_path, server.url(), pinned=False), "CACHE=<another folder>")
        assert file.read_bytes() == b"damaged"


def test_a_broken_file_in_such_a_cache_is_refused_and_stays(tmp_path: Path) -> None:
    with faulty(archive()[:-100]) as server:
        with obtain_file(server.url(), Access(tmp_path / "cache"), "") as file:
            assert file.path.read_bytes() == archive()[:-100]
        protect(tmp_path / "cache")
        done = fetch(tmp_path, server.url(), pinned=False)
        assert_refused(done, "; it stays in the cache, which this user may not write")


def test_a_part_of_another_user_is_replaced(tmp_path: Path) -> None:
    """In a cache that a group shares: its members may write to the folders, and not to each other's files."""
    with faulty(archive(), cut(20_000)) as server:
        impatient = Access(tmp_path / "cache", policy=Policy(tries=1))
        with pytest.raises(Unavailable), obtain_file(server.url(), impatient, ""):
            pass
        (part,) = tmp_path.glob("cache/*/*/*.part")
        part.chmod(0o444)
        done = fetch(tmp_path, server.url(), pinned=False)
        assert done.returncode == 0, done.stderr
        assert "range" not in server.requests[-1].headers
    assert (tmp_path / "own/a.npz").read_bytes() == archive()


def test_a_lock_file_that_cannot_be_written(tmp_path: Path) -> None:
    """In a clone that another user owns. The download is not lost."""
    clone = tmp_path / "clone"
    clone.mkdir()
    with faulty(archive()) as server:
        (clone / "m.yaml").write_text(json.dumps({"checkpoint": {"name": "a", "sources": [server.url()]}}))
        protect(clone)
        arguments = (clone / "m.yaml", tmp_path / "out/a.npz", "--cache", tmp_path / "cache")
        command = without_privileges(sys.executable, "-m", "pipeline.fetch", *arguments)
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert_refused(
            done, f"{clone}/checkpoints.lock: cannot be written (Permission denied)", "set LOCK=<another file>"
        )
        assert list((tmp_path / "out").iterdir()) == []
        command += ["--lock", str(tmp_path / "lock"), "--offline"]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == 0
    clone.chmod(0o755)


def test_a_user_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a number for a user in a container."""

    def missing() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", missing)
    with pytest.raises(
        Fault, match=r"no folder for downloads: Could not determine home directory.*; set CACHE=<a folder>"
    ):
        cache.folder(None)
    assert cache.folder("/a") == Path("/a")
    assert cache.folder("~no-such-user/a") == Path("~no-such-user/a")
