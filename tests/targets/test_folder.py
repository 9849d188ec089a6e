"""Tests of pipeline.targets.folder: what only folders do."""

import os
import resource
import signal
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from pipeline.base import siblings
from pipeline.base.fault import Fault
from pipeline.targets.folder import Folder
from pipeline.targets.interface import AlreadyThere, Moved


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder("TO", tmp_path / "hub")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _count(root: Path, times: int) -> int:
    """Adds one to a number `times` times, as publishers add to an index; returns how often another was faster."""
    folder, lost = Folder("TO", root), 0
    while times:
        content, stored = folder.get("number") or (b"0", None)
        try:
            folder.swap("number", b"%d" % (int(content) + 1), stored.tag if stored else None)
            times -= 1
        except Moved:
            lost += 1
    return lost


def _claim(root: Path, content: bytes) -> int:
    claimed = 0
    for number in range(50):
        try:
            Folder("TO", root).create(f"claims/{number}.json", content)
            claimed += 1
        except AlreadyThere:
            continue
    return claimed


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        counts = [pool.submit(_count, tmp_path, 50) for _ in range(2)]
        claims = [pool.submit(_claim, tmp_path, name) for name in (b"one", b"two")]
        lost = sum(count.result() for count in counts)
        assert sum(claim.result() for claim in claims) == 50
    assert (tmp_path / "number").read_text() == "100", f"{lost} were refused"


def test_link_on_one_disk(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"content")
    folder.put_large("b/a", tmp_path / "a", lambda count: None)
    assert (tmp_path / "hub/b/a").samefile(tmp_path / "a")
    assert folder.put_large("b/a", tmp_path / "a", lambda count: None) == folder.head("b/a")
    assert _names(tmp_path / "hub/b") == ["a"]


def test_everybody_may_read_what_is_released(folder: Folder, tmp_path: Path) -> None:
    umask = os.umask(0o077)
    try:
        (tmp_path / "a").write_bytes(b"content")
        folder.put_large("b/c/large", tmp_path / "a", lambda count: None)
        folder.create("b/c/small", b"")
        folder.swap("b/c/swapped", b"", None)
    finally:
        os.umask(umask)
    for path in (tmp_path / "hub").rglob("*"):
        assert path.stat().st_mode & 0o444 == 0o444, path
    assert (tmp_path / "hub/b").stat().st_mode & 0o111 == 0o111
    assert (tmp_path / "a").stat().st_mode & 0o077 == 0, "the source keeps its rights"


def test_edit_by_hand_is_noticed(folder: Folder, tmp_path: Path) -> None:
    stored = folder.create("index.json", b"12")
    times = (tmp_path / "hub/index.json").stat()
    (tmp_path / "hub/index.json").write_bytes(b"21")
    os.utime(tmp_path / "hub/index.json", ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(Moved):
        folder.swap("index.json", b"13", stored.tag)


def test_sweep_removes_what_a_killed_process_left(folder: Folder, tmp_path: Path) -> None:
    folder.create("a/b", b"")
    child = os.fork()
    if child == 0:
        left = tmp_path / f"hub/a/.c.{siblings.host()}.{os.getpid()}.part"
        left.write_bytes(b"half")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert [file.path for file in folder.list("")] == ["a/b"]
    assert folder.sweep() == 1
    assert _names(tmp_path / "hub/a") == ["b"]


def test_locks_and_probes_leave_nothing(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "hub").mkdir()
    for name in (".lock", ".clean"):
        (tmp_path / "hub" / name).touch()
    folder.create(".probe/a", b"")
    folder.delete(".probe/a")
    assert list(folder.list("")) == []
    assert sorted(_names(tmp_path / "hub")) == [".clean", ".lock"]


def test_full_disk_leaves_nothing_half_written(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a" * 100_000)
    (tmp_path / "a").chmod(0o600)  # is copied
    stored = folder.create("b", b"before")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        for write in (
            lambda: folder.put_large("b", tmp_path / "a", lambda count: None),
            lambda: folder.create("c", b"a" * 100_000),
            lambda: folder.swap("b", b"a" * 100_000, stored.tag),
        ):
            with pytest.raises(Fault, match=r"TO: cannot use .*/hub/[bc]: the file is too large for .* choose another"):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert _names(tmp_path / "hub") == ["b"]
    assert folder.get("b") == (b"before", stored)


def test_something_else_in_the_place(folder: Folder, tmp_path: Path) -> None:
    (tmp_path / "hub/a").mkdir(parents=True)
    with pytest.raises(Fault, match="it is a folder, expected a file"):
        folder.create("a", b"")
    folder.create("b", b"")
    assert folder.head("b/c") is None
    with pytest.raises(Fault, match="a file stands where a folder is needed"):
        folder.create("b/c", b"")
    os.mkfifo(tmp_path / "hub/pipe")
    with pytest.raises(Fault, match="a pipe or a device, expected a file"):
        folder.get("pipe")
