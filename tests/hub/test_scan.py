"""The index read piece by piece: nothing is left out, and one damaged shard hides no other."""

import shutil
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.hub import integrity
from pipeline.hub.folder import inspect_index, read_index
from pipeline.hub.index import Index
from pipeline.hub.overview import Overview
from pipeline.hub.scan import find_changes, iterate_modules, scan_hub
from pipeline.hub.shards import shard_of_entry, shard_path
from tests.hubs import edit_index, read_document, write_document

DEMO = "vit-publisher/vit_demo_fe"


def pieces_of(hub: Path) -> list[Index]:
    """Returns the pieces of an index that does not change meanwhile."""
    pieces = list(iterate_modules(scan_hub(hub)))
    assert not [piece for piece in pieces if isinstance(piece, Path)]
    return [piece for piece in pieces if isinstance(piece, Index)]


def test_the_pieces_make_up_the_index(published: Path) -> None:
    index, pieces = read_index(published), pieces_of(published)
    names = [{handle.rpartition("/")[0] for handle in piece.modules} for piece in pieces]
    assert all(len(found) <= 1 for found in names)  # one module at a time, with all versions
    assert {handle: entry for piece in pieces for handle, entry in piece.modules.items()} == index.modules
    assert {address: entry for piece in pieces for address, entry in piece.collections.items()} == index.collections
    aliases = {name: entry for piece in pieces for name, entry in piece.document["aliases"].items()}
    assert aliases == index.document["aliases"]
    assert {name: found for piece in pieces for name, found in piece.aliases.items()} == index.aliases
    scan = scan_hub(published)
    assert scan.faults == ()
    assert (scan.overview.modules, scan.overview.collections) == (
        Overview.of(index).modules,
        Overview.of(index).collections,
    )


def test_what_can_be_read_of_a_damaged_index(hub: Path) -> None:
    (hub / shard_path(shard_of_entry(f"{DEMO}/1"))).write_text("{")
    index, faults = inspect_index(hub)
    scan = scan_hub(hub)
    assert list(map(str, scan.faults)) == list(map(str, faults))
    assert scan.overview.modules.keys() == index.modules.keys() != set()
    assert not [piece for piece in pieces_of(hub) if f"{DEMO}/1" in piece.modules]
    (hub / "index/root.json").write_text("{")
    scan = scan_hub(hub)
    assert "root.json:1: not valid JSON" in str(scan.faults[0])
    assert (dict(scan.overview.modules), list(iterate_modules(scan))) == ({}, [])


def test_what_is_no_hub_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no such folder; expected a hub"):
        scan_hub(tmp_path / "none")
    with pytest.raises(Fault, match=r"there is no index\.json, so this is not a hub"):
        scan_hub(tmp_path)
    (tmp_path / "index.json").write_text('{"modules": {}, "collections": {}}')
    with pytest.raises(Fault, match="no modules are published there"):
        scan_hub(tmp_path)


def test_unlisted_pages_are_found_wherever_they_lie(hub: Path) -> None:
    places = [f"{DEMO}/1/notes.md", f"{DEMO}/9.md", "vit-publisher/other/1.md", "top.md", "vit-publisher/notes.md"]
    for place in places:
        (hub / place).parent.mkdir(parents=True, exist_ok=True)
        (hub / place).write_text("x")
    found = [place for piece in pieces_of(hub) for place, _ in integrity.unlisted_pages_of(hub, piece)]
    found += [place for place, _ in integrity.unlisted_pages_elsewhere(hub, scan_hub(hub).overview)]
    assert sorted(found) == sorted(places)
    texts = set(integrity.unlisted_pages(hub, read_index(hub)))
    assert len(texts) == len(places)
    assert all(f"{hub / place}: a page that index.json does not list" in " ".join(texts) for place in places)


def test_equal_tarballs_are_found_across_shards(hub: Path) -> None:
    edit_index(hub, files=[{"path": "a/b/1.tar.gz", "size": 1, "sha256": "0" * 64}])
    texts = list(integrity.equal_listed_tarballs(hub, scan_hub(hub).overview))
    assert texts == list(integrity.equal_tarballs(hub, read_index(hub)))
    assert len(texts) == 3


@pytest.mark.parametrize("content", [None, "{", '{"collections": {}, "modules": {}}'])
def test_a_shard_that_changes_between_the_readings_is_not_used(hub: Path, content: str | None) -> None:
    shard = hub / shard_path(shard_of_entry(f"{DEMO}/1"))
    scan = scan_hub(hub)
    assert list(find_changes(hub, scan)) == []
    before = pieces_of(hub)
    if content is None:
        shard.unlink()
    else:
        shard.write_text(content)
    pieces = list(iterate_modules(scan))
    assert [piece for piece in pieces if isinstance(piece, Path)] == [shard] == list(find_changes(hub, scan))
    handles = [handle for piece in pieces if isinstance(piece, Index) for handle in piece.modules]
    assert handles == [handle for piece in before for handle in piece.modules if not handle.startswith(DEMO)] != []


def test_a_shard_that_is_new_is_a_change_of_the_root(hub: Path) -> None:
    scan, root = scan_hub(hub), hub / "index/root.json"
    for content in ("{", root.read_text() + "\n"):
        root.write_text(content)
        assert list(find_changes(hub, scan)) == [root]
    root.unlink()
    assert list(find_changes(hub, scan)) == [root]


def test_a_hub_without_shards_that_gets_some_has_changed(hub: Path) -> None:
    shutil.rmtree(hub / "index")
    scan = scan_hub(hub)
    assert list(find_changes(hub, scan)) == []
    write_document(hub, read_document(hub))
    assert list(find_changes(hub, scan)) == [hub / "index/root.json"]
