"""Every target does what pipeline.targets.interface.Target says."""

from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.targets import folder, remote
from pipeline.targets.interface import AlreadyThere, Moved, Target
from pipeline.targets.open import open_target
from pipeline.targets.probe import probe
from tests.targets.conftest import Opener
from tests.targets.servers import Missing, Servers, azurite, fake_gcs, moto

PATH = "index/3f.json"


@pytest.fixture(params=["folder", moto, fake_gcs, azurite], ids=lambda start: getattr(start, "__name__", start))
def target(request: pytest.FixtureRequest, tmp_path: Path, servers: Servers, open_on: Opener) -> Target:
    """An empty target of each kind."""
    if request.param == "folder":
        return open_target(str(tmp_path / "released hub"))
    try:
        return open_on(servers.get(request.param))
    except Missing as missing:
        pytest.skip(f"needs {missing}")


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
    content = bytes(range(250)) * 34_000  # 8.5 MB, more than a part of S3
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


def test_get_reads_no_large_file(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (folder, remote):
        monkeypatch.setattr(module, "LARGEST_SMALL", 3)
    target.create("large", b"1234")
    assert target.head("large")
    with pytest.raises(Fault, match="more than 3 bytes"):
        target.get("large")


def test_probe_accepts_and_leaves_nothing(target: Target) -> None:
    probe(target)
    assert list(target.list("")) == []
