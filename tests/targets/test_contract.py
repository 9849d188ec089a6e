"""Every target does what pipeline.targets.interface.Target says."""

from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.targets.interface import LARGEST_SMALL, AlreadyThere, Moved, Target
from pipeline.targets.open import open_target

PATH = "index/3f.json"


@pytest.fixture
def target(tmp_path: Path) -> Target:
    """An empty target of each kind."""
    return open_target(str(tmp_path / "released hub"))


def test_empty_target_has_no_files(target: Target) -> None:
    assert target.head(PATH) is None
    assert target.get(PATH) is None
    assert list(target.list("")) == []
    with pytest.raises(FileNotFoundError):
        next(target.chunks(PATH))
    target.delete(PATH)
    assert target.sweep() == 0


def test_create_writes_once(target: Target) -> None:
    stored = target.create(PATH, b"first")
    assert (stored.path, stored.size) == (PATH, 5)
    assert target.get(PATH) == (b"first", stored)
    assert target.head(PATH) == stored
    with pytest.raises(AlreadyThere):
        target.create(PATH, b"other")
    assert target.create(PATH, b"first") == stored
    assert target.get(PATH) == (b"first", stored)


def test_swap_replaces_only_what_was_read(target: Target) -> None:
    first = target.swap(PATH, b"first", None)
    with pytest.raises(Moved):
        target.swap(PATH, b"other", None)
    second = target.swap(PATH, b"second", first.tag)
    assert second.tag != first.tag
    assert target.get(PATH) == (b"second", second)
    for content in (b"third", b"second"):
        with pytest.raises(Moved):
            target.swap(PATH, content, first.tag)
    target.delete(PATH)
    with pytest.raises(Moved):
        target.swap(PATH, b"third", second.tag)
    assert target.head(PATH) is None


def test_put_large_replaces_and_counts(target: Target, tmp_path: Path) -> None:
    source, sent = tmp_path / "vit.tar.gz", list[int]()
    path = "tester/vit/1.tar.gz"
    target.create(path, b"an orphan")
    content = bytes(range(256)) * 50_000  # 12.8 MB, more than a part
    source.write_bytes(content)
    stored = target.put_large(path, source, sent.append)
    assert stored.size == sum(sent) == len(content)
    assert b"".join(target.chunks(path)) == content
    assert target.head(path) == stored
    assert target.put_large(path, source, sent.append).size == len(content)
    source.write_bytes(b"")
    assert target.put_large("empty.tar.gz", source, sent.append).size == 0


def test_list_has_what_begins_with_a_prefix(target: Target) -> None:
    paths = ["a/b/1.json", "a/b/10.json", "a/b/2.json", "a/ä.html", "a.html", "index/00.json", "index/3f.json"]
    for path in paths:
        target.create(path, path.encode())
    assert [file.path for file in target.list("")] == sorted(paths)
    assert [file.path for file in target.list("a/")] == ["a/b/1.json", "a/b/10.json", "a/b/2.json", "a/ä.html"]
    assert [file.path for file in target.list("a/b/1")] == ["a/b/1.json", "a/b/10.json"]
    assert list(target.list("index/")) == [target.head("index/00.json"), target.head("index/3f.json")]
    assert list(target.list("none/")) == []


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", "", "a/", "a\nb", "a/./b", "b\\a", "a" * 201, "a/" * 400 + "a"])
def test_path_out_of_the_hub_is_refused(target: Target, path: str) -> None:
    with pytest.raises(Fault, match="path"):
        target.create(path, b"")
    with pytest.raises(Fault, match="path"):
        target.head(path)


def test_get_reads_no_large_file(target: Target, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as stream:
        stream.truncate(LARGEST_SMALL + 1)
    stored = target.put_large("large", tmp_path / "large", lambda count: None)
    assert target.head("large") == stored
    with pytest.raises(Fault, match="67,108,864 bytes"):
        target.get("large")
