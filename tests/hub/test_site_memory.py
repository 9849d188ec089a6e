"""What the website remembers: publications and edits touch what they change, and whatever is doubtful is compared."""

import errno
import fcntl
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from pipeline.base import siblings
from pipeline.base.fault import Fault
from pipeline.base.files import write_memory
from pipeline.hub import website
from pipeline.hub.folder import locked, read_index, write_index
from pipeline.hub.index import Index
from pipeline.hub.pages import Site, module_page
from pipeline.hub.parts import read_parts, write_parts
from pipeline.hub.shards import shard_of_entry, shard_path
from pipeline.hub.site_memory import FILE, SeenPage
from pipeline.hub.site_page import Page
from tests.hub.test_website import build, page
from tests.hubs import read_document, write_document
from tests.test_publish import publish, write_member

DEMO = "vit-publisher/vit_demo_fe/2"


def times(hub: Path) -> dict[str, int]:
    """Returns when each file of a hub was written, but for the memory."""
    paths = (path for path in hub.rglob("*") if path.is_file() and path.name not in (".lock", ".clean", "memory.json"))
    return {path.relative_to(hub).as_posix(): path.stat().st_mtime_ns for path in paths}


def settle(hub: Path) -> None:
    """Makes all cards old enough to be remembered, and brings the website up to date."""
    for path in hub.rglob("*.md"):
        os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**10))
    website.build_hub(hub)


def test_publishing_a_member_leaves_the_others_alone(tmp_path: Path) -> None:
    hub, names = tmp_path / "hub", [f"m{number}" for number in range(3)]
    for name in names:
        publish(write_member(tmp_path / name, name.encode()), hub, name=name)
    before = times(hub)
    publish(write_member(tmp_path / "new", b"new"), hub, name="new")
    after = times(hub)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    own = {path for path in changed if path.startswith(("tester/new_classification/", "tester/new_fe/"))}
    shards = {shard_path(shard_of_entry(f"tester/new_{head}/1")) for head in ("classification", "fe")}
    assert changed - own - shards <= {
        "index.html", "index.json", "index/root.json", "feed.xml", "sitemap.xml", "tester/tester.md",
        "tester/tester.html", "site/models.js", "site/pages.json",
    }  # fmt: skip
    assert shards <= changed
    before = times(hub)
    publish(tmp_path / "new", hub, name="new")  # again
    assert times(hub) == before


def test_an_edit_of_a_card_renders_its_page_alone(hub: Path) -> None:
    settle(hub)
    assert website.build_hub(hub) == 0
    card = hub / f"{DEMO}.md"
    card.write_text(card.read_text() + "\nEdited.\n")
    assert website.build_hub(hub) == 1
    assert "Edited." in page(hub, f"{DEMO}.html").text
    assert website.build_hub(hub) == 0


def test_an_edit_that_keeps_size_and_time_is_seen(hub: Path) -> None:
    settle(hub)
    card = hub / f"{DEMO}.md"
    status, text = card.stat(), card.read_text()
    card.write_text(text.replace("Overview", "Overvoew"))
    os.utime(card, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert card.stat().st_size == status.st_size
    assert website.build_hub(hub) == 1


def test_a_page_that_is_gone_is_written_again(hub: Path) -> None:
    settle(hub)
    for path in (f"{DEMO}.html", "vit-publisher/collections/demo/1.html", "site/models.js", "index.html"):
        (hub / path).unlink()
        assert website.build_hub(hub) == 1, path
        assert (hub / path).is_file()


def test_pages_that_others_have_rendered_are_compared(hub: Path) -> None:
    """An earlier version of this program knows pages.json and not the memory."""
    settle(hub)
    manifest = hub / "site/pages.json"
    pages = json.loads(manifest.read_text())
    manifest.write_text(json.dumps(pages | {f"{DEMO}.html": "0" * 64}))
    assert website.build_hub(hub) == 1
    build(hub)  # of an index that may be another than the hub's
    assert not (hub / FILE).exists()


@pytest.mark.parametrize("content", [b"", b"no JSON", b'{"sha256":"0","memory":{}}\n', b"\xff\xfe"])
def test_damaged_memory_counts_as_missing(hub: Path, content: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    settle(hub)
    whole = (hub / FILE).read_bytes()
    (hub / FILE).write_bytes(content)
    assert website.build_hub(hub) == 0
    assert f"{hub / FILE}: it has another digest than it says; it counts as missing" in capsys.readouterr().err
    assert (hub / FILE).read_bytes() == whole


def test_a_new_entry_compares_no_other_module_of_its_shard(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shard has the versions of several modules, and of a module all of them, whose pages list each other."""
    monkeypatch.setattr("pipeline.hub.site_memory._YOUNG", 0)
    settle(hub)
    compared: list[str] = []

    def note(site: Site, handle: str) -> tuple[Page, SeenPage]:
        compared.append(handle)
        return module_page(site, handle)

    monkeypatch.setattr("pipeline.hub.website.module_page", note)
    document, names = read_document(hub), (f"vit-publisher/other_{number}_fe/1" for number in range(9999))
    other = next(name for name in names if shard_of_entry(name) == shard_of_entry(DEMO))
    document["modules"][other] = document["modules"][DEMO] | {"title": "Another"}
    write_index(hub, Index({}, {}, document))
    website.build_hub(hub)
    assert {*compared} == {other}
    compared.clear()
    document["modules"][DEMO] |= {"title": "Renamed"}
    write_index(hub, Index({}, {}, document))
    website.build_hub(hub)
    assert {*compared} - {other} == {DEMO, DEMO.replace("/2", "/1")}  # the page of the other is not there
    assert "Renamed" in page(hub, f"{DEMO}.html").text


def test_an_edit_leaves_the_memory_of_a_build_from_scratch(hub: Path) -> None:
    settle(hub)
    before = (hub / FILE).read_bytes()
    card = hub / f"{DEMO}.md"
    card.write_text(card.read_text() + "\nEdited, see [the other](1.md).\n")
    settle(hub)
    edited = (hub / FILE).read_bytes()
    assert len(set(edited.splitlines()) - set(before.splitlines())) == 3  # the digests, and the shard of the card
    (hub / FILE).unlink()
    website.build_hub(hub)
    assert (hub / FILE).read_bytes() == edited


def test_a_link_is_made_when_its_page_comes(hub: Path) -> None:
    document = read_document(hub)
    other = "vit-publisher/vit_demo_fe/1"
    entry = document["modules"].pop(other)
    write_document(hub, document)
    card = hub / f"{DEMO}.md"
    card.write_text(card.read_text() + "\nSee [the other](1.md).\n")
    website.build_hub(hub)
    settle(hub)
    assert "1.html" not in page(hub, f"{DEMO}.html").links
    parts = read_parts(hub, website.recall(hub).parts)
    changed = parts.merge(other)
    assert DEMO in changed.modules  # versions of a module share a shard
    document["modules"][other] = entry
    write_document(hub, document)
    website.build_hub(hub)
    assert "1.html" in page(hub, f"{DEMO}.html").links


def test_shards_that_did_not_change_are_not_parsed(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settle(hub)
    parts = read_parts(hub, website.recall(hub).parts)
    monkeypatch.setattr("pipeline.hub.parts.parse_index", None)
    assert [*parts.overview.modules] == [*read_index(hub).modules]


def test_a_damaged_shard_is_refused_whatever_is_remembered(hub: Path) -> None:
    settle(hub)
    shard = hub / shard_path(shard_of_entry(DEMO))
    text = shard.read_text()
    shard.write_text(text.replace('"title"', '"tilte"'))
    with pytest.raises(Fault, match=r"the entry .* is malformed \(KeyError: 'title'\)"):
        website.build_hub(hub)
    shard.unlink()
    with pytest.raises(Fault, match=rf"{shard.name}: missing, but .*root\.json lists it"):
        website.build_hub(hub)


def test_a_hub_without_shards_gets_all_of_them(hub: Path) -> None:
    before = {path.name: path.read_bytes() for path in (hub / "index").iterdir()}
    for path in (hub / "index").iterdir():
        path.unlink()
    parts = read_parts(hub, {})
    write_parts(parts, parts.merge(DEMO), "http://localhost:8080")
    assert {path.name: path.read_bytes() for path in (hub / "index").iterdir()} == before


def leave(hub: Path) -> Path:
    """Writes what a process that was killed in the hub would leave in a folder of it."""
    (hub / "tester").mkdir(exist_ok=True)
    left = hub / f"tester/.a.{siblings.host()}.4194305.part"  # no process has this number
    left.write_text("half")
    return left


def make_clean(hub: Path) -> None:
    with locked(hub) as lock:
        lock.sweep()
    assert (hub / ".clean").is_file()


def test_what_a_killed_process_left_is_looked_for_after_a_kill_alone(tmp_path: Path) -> None:
    make_clean(tmp_path)
    left = leave(tmp_path)
    with locked(tmp_path) as lock:
        assert not (tmp_path / ".clean").exists()  # as a kill would leave it
        assert (lock.sweep(), left.exists()) == (0, True)
    assert (tmp_path / ".clean").is_file()
    (tmp_path / ".clean").unlink()
    with locked(tmp_path):
        pass  # without a look at what was left
    assert not (tmp_path / ".clean").exists()
    with locked(tmp_path) as lock:
        assert (lock.sweep(), left.exists()) == (1, False)
    assert (tmp_path / ".clean").is_file()


def test_the_kill_of_a_user_who_may_not_write_the_lock_file_is_seen(tmp_path: Path) -> None:
    make_clean(tmp_path)
    (tmp_path / ".lock").chmod(0o444)  # as another user's
    child = os.fork()
    if not child:
        with locked(tmp_path):
            leave(tmp_path)
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    with locked(tmp_path) as lock:
        assert lock.sweep() == 1


def test_the_mark_of_a_clean_hub_does_not_count_in_a_copy(tmp_path: Path) -> None:
    """A copy may have files that somebody was writing, and the mark of the moment before."""
    make_clean(tmp_path / "hub")
    shutil.copytree(tmp_path / "hub", tmp_path / "copy")
    left = leave(tmp_path / "copy")
    with locked(tmp_path / "copy") as lock:
        assert (lock.sweep(), left.exists()) == (1, False)


def test_no_mark_counts_where_there_are_no_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make_clean(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    for _ in range(2):
        left = leave(tmp_path)
        with locked(tmp_path) as lock:
            assert (lock.sweep(), left.exists()) == (1, False)
        assert not (tmp_path / ".clean").exists()
    assert "this file system has no locks" in capsys.readouterr().err


def test_pages_that_others_write_during_a_build_are_compared(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By processes that do not hold the lock, such as those of an older version of this program."""
    settle(hub)
    (hub / "index.html").unlink()

    def write_and_lose(path: Path, text: str) -> None:
        write_memory(path, text)
        if path == hub / website.MANIFEST:
            path.write_text(text.replace('"site/compare.html": "', '"site/compare.html": "0'))

    monkeypatch.setattr(website, "write_memory", write_and_lose)
    assert website.build_hub(hub) == 1
    monkeypatch.undo()
    assert website.build_hub(hub) == 1  # the page of the changed digest
    assert website.build_hub(hub) == 0
