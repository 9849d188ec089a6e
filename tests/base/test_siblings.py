"""What killed processes left beside their targets is removed, and nothing that a process still fills."""

import fcntl
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base import siblings
from pipeline.base.files import make_folder, replacing, replacing_folder, sync_folder, write_text
from pipeline.base.siblings import REUSED, sweep, sweeping_once
from tests.conftest import ROOT

HOST = siblings.host()
FILLER = """
import sys
from pathlib import Path
from pipeline.base.files import replacing, replacing_folder
with replacing_folder(Path(sys.argv[1], "a")), replacing(Path(sys.argv[1], "b")):
    print("filling", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def filler(tmp_path: Path) -> Iterator[subprocess.Popen]:
    """A process that fills a folder and a file in the test's folder."""
    command = [sys.executable, "-c", FILLER, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "filling\n"
        yield process
        process.kill()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def make_leftover(folder: Path, process: int, host: str = HOST, age: float = 0) -> Path:
    path = folder / f".report.json.{host}.{process}.part"
    path.write_text("half")
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime - age))
    return path


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_leftovers_of_any_target_go_with_the_next_write(filler: subprocess.Popen, tmp_path: Path) -> None:
    """A file that only some runs write, such as a failed report, would keep its leftover for ever."""
    filler.kill()
    filler.wait()
    assert len(names(tmp_path)) == 2
    write_text(tmp_path / "c", "whole")
    assert names(tmp_path) == {"c"}


def test_what_a_process_fills_stays(filler: subprocess.Popen, tmp_path: Path) -> None:
    filled = names(tmp_path)
    assert len(filled) == 2
    for name in filled:
        os.utime(tmp_path / name, (0, 0))  # however long ago it was written to
    write_text(tmp_path / "c", "whole")
    with replacing(tmp_path / "b") as stream:
        stream.write(b"ours")
    assert names(tmp_path) == filled | {"b", "c"}
    assert filler.stdin
    filler.stdin.close()
    assert filler.wait() == 0
    assert names(tmp_path) == {"a", "b", "c"}
    assert (tmp_path / "b").read_bytes() == b""


def test_what_is_locked_stays_though_its_number_is_of_no_process_here(tmp_path: Path) -> None:
    """As in two containers of one host name that share a disk."""
    path = make_leftover(tmp_path, dead_process())
    with path.open("rb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        sweep(tmp_path)
        assert path.exists()
    sweep(tmp_path)
    assert not path.exists()


def test_a_number_that_is_another_process_by_now_keeps_its_leftover_for_a_day(tmp_path: Path) -> None:
    path = make_leftover(tmp_path, os.getppid())
    sweep(tmp_path)
    assert path.exists()
    make_leftover(tmp_path, os.getppid(), age=REUSED + 60)
    sweep(tmp_path)
    assert not path.exists()


def test_a_number_that_is_this_process_by_now_keeps_nothing(tmp_path: Path) -> None:
    path = make_leftover(tmp_path, os.getpid())
    with replacing_folder(tmp_path / "a"), replacing(tmp_path / "b"):
        assert not path.exists()
        assert len(names(tmp_path)) == 2
        write_text(tmp_path / "c", "whole")
    assert names(tmp_path) == {"a", "b", "c"}


def test_leftovers_of_other_hosts_and_other_files_stay(tmp_path: Path) -> None:
    make_leftover(tmp_path, dead_process(), host="other", age=REUSED + 60)
    for name in (f".a.{HOST}.x.part", f"a.{HOST}.1.part", f".a.{HOST}.999999999.parts", f".{HOST}.999999999.part"):
        (tmp_path / name).touch()
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before


def test_a_leftover_of_another_host_goes_after_a_day_unless_somebody_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process number says nothing here, also where both machines have the same name."""
    other = f"{socket.gethostname()}-00000000"
    left, held = make_leftover(tmp_path, dead_process(), other), make_leftover(tmp_path, os.getppid(), other)
    sweep(tmp_path)
    assert names(tmp_path) == {left.name, held.name}
    monkeypatch.setattr(siblings, "REUSED", -1)
    with held.open("r+b") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        sweep(tmp_path)
        assert names(tmp_path) == {held.name}
    sweep(tmp_path)
    assert names(tmp_path) == set()


def test_machines_of_one_name_fill_siblings_of_other_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = set()
    for content in ("0123", "4567", None):
        if content:
            (tmp_path / "machine-id").write_text(content)
        monkeypatch.setattr(siblings, "_MACHINE", tmp_path / ("machine-id" if content else "missing"))
        siblings.host.cache_clear()
        hosts.add(siblings.host())
    siblings.host.cache_clear()
    assert len(hosts) == 3
    assert all(host.startswith(socket.gethostname()) for host in hosts)


def test_several_processes_replace_one_folder(tmp_path: Path) -> None:
    """As attempts of one stage on two machines: each ends, and one of their folders stays, whole."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom pipeline.base.files import replacing_folder\n"
        "for number in range(150):\n"
        "    with replacing_folder(Path(sys.argv[1], 'module')) as folder:\n"
        "        (folder / 'a').write_text('whole')\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    writers = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(4)]
    assert [writer.communicate()[1] for writer in writers] == [""] * 4
    assert names(tmp_path) == {"module"}
    assert (tmp_path / "module/a").read_text() == "whole"


def test_a_number_that_no_process_can_have_is_of_none(tmp_path: Path) -> None:
    make_leftover(tmp_path, 9_999_999_999)
    sweep(tmp_path)
    assert names(tmp_path) == set()


def test_without_locks_the_number_alone_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    dead, alive = make_leftover(tmp_path, dead_process()), make_leftover(tmp_path, os.getppid(), age=REUSED + 60)
    write_text(tmp_path / "c", "whole")
    assert not dead.exists()
    assert alive.exists()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What is flushed to the disk, in order."""
    paths: list[Path] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: paths.append(Path(f"/proc/self/fd/{descriptor}").readlink()))
    return paths


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads Linux' /proc")
def test_new_folders_above_a_file_are_flushed_too(tmp_path: Path, synced: list[Path]) -> None:
    """Else a crash of the machine could lose the folder of a file that was flushed."""
    write_text(tmp_path / "a/b/c", "whole")
    assert set(synced) >= {tmp_path, tmp_path / "a", tmp_path / "a/b"}
    assert synced[-1] == tmp_path / "a/b"
    synced.clear()
    write_text(tmp_path / "a/b/d", "whole")
    assert synced[1:] == [tmp_path / "a/b"]
    synced.clear()
    make_folder(tmp_path / "a/b")
    assert synced == []


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="reads Linux' /proc")
def test_a_folder_is_flushed_after_what_is_in_it(tmp_path: Path, synced: list[Path]) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/c").touch()
    sync_folder(tmp_path / "a")
    assert synced == [tmp_path / "a/b", tmp_path / "a/b/c", tmp_path / "a"]


def test_a_folder_that_another_process_removed_has_nothing_to_sweep(tmp_path: Path) -> None:
    assert sweep(tmp_path / "gone") == 0


def test_a_folder_of_thousands_of_files_is_swept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[Path] = []
    monkeypatch.setattr("pipeline.base.siblings.sweep", swept.append)
    with sweeping_once(tmp_path):
        write_text(tmp_path / "a", "")
        write_text(tmp_path / "b", "")
        assert swept == [tmp_path]
        write_text(tmp_path / "other/c", "")
    write_text(tmp_path / "a", "again")
    assert swept == [tmp_path, tmp_path / "other", tmp_path]
