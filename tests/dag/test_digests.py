"""Digests of files, and the folder of stamps."""

import os
from pathlib import Path

import pytest

from pipeline.dag.digests import Digests, Stamps, digest_texts


def test_an_unchanged_file_is_not_read_again(tmp_path: Path) -> None:
    file, memory = tmp_path / "a.npz", tmp_path / "digests.json"
    file.write_bytes(b"weights")
    stat = file.stat()
    digests = Digests(memory)
    digest = digests.file(file)
    digests.keep()
    file.write_bytes(b"another")  # of the same size; with the same time, nothing shows that it is another file
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert Digests(memory).file(file) == digest
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert Digests(memory).file(file) != digest


def test_the_memory_is_written_only_when_it_changed(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    for _ in range(2):
        digests = Digests(tmp_path / "digests.json")
        digests.file(tmp_path / "a")
        digests.keep()
        written = (tmp_path / "digests.json").stat().st_mtime_ns
    digests = Digests(tmp_path / "digests.json")
    digests.keep()
    assert (tmp_path / "digests.json").stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("change", "differs"),
    [("a/new.png", True), ("new.png", True), ("a/b/1.png", True), (".cache/x", False), ("a/.DS_Store", False)],
)
def test_a_folder_is_its_names_and_contents_at_any_depth(tmp_path: Path, change: str, differs: bool) -> None:
    folder, digests = tmp_path / "images", Digests(tmp_path / "digests.json")
    (folder / "a/b").mkdir(parents=True)
    (folder / "a/b/1.png").write_bytes(b"1")
    before = digests.place(folder)
    (folder / change).parent.mkdir(exist_ok=True)
    (folder / change).write_bytes(b"22")
    assert (digests.place(folder) != before) is differs


def test_texts_are_digested_by_name_and_content(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("text")
    digests = [digest_texts([tmp_path / name for name in names], tmp_path) for names in ("a", "b", "ab", "ba", "ax")]
    assert digests[2] == digests[3]
    assert digests[0] == digests[4]  # x does not exist
    assert len(set(digests)) == 3


def test_a_stamp_is_written_only_when_its_text_changes(tmp_path: Path) -> None:
    stamps, stamp = Stamps(tmp_path / "stamps"), tmp_path / "stamps/a"

    def is_written(write: str, text: str, **renew: bool) -> bool:
        if stamp.exists():
            os.utime(stamp, ns=(0, 0))
        getattr(stamps, write)("a", text, **renew)
        return stamp.stat().st_mtime_ns > 0

    assert is_written("write_unless_empty", "")
    assert not is_written("write", "")
    assert is_written("write", "one")
    assert not is_written("write", "one")
    assert is_written("write", "one", renew=True)
    assert not is_written("write_unless_empty", "")
    assert is_written("write_unless_empty", "two")
    assert stamp.read_text() == "two"
