"""The index in shards: which shard has what, how a hub's is written and read, and what is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.dag.receipts import is_incomplete
from pipeline.hub import folder, parts, shards
from pipeline.hub.folder import Published, find_disagreements, inspect_index, look_up_published, read_index, write_index
from pipeline.hub.index import Index
from pipeline.hub.parts import read_parts
from pipeline.hub.shards import Document, Root, parse_root, parse_shard
from tests.hubs import read_document, write_document

DEMO = "vit-publisher/vit_demo_fe"


def files(hub: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (hub / "index").iterdir()}


def test_all_versions_of_a_module_and_its_aliases_are_in_one_shard() -> None:
    assert {shards.shard_of_entry(name) for name in (DEMO, f"{DEMO}/1", f"{DEMO}/23")} == {shards.shard_of(DEMO)}
    assert shards.shard_of(DEMO) == "fd"  # it may never change
    assert shards.shard_of_entry("a/collections/b/1") == shards.shard_of("a/collections/b/1")


def test_the_shards_of_an_index_make_it_up_again(published: Path) -> None:
    document = {**read_document(published), "aliases": {DEMO: {"latest": 2, "stable": 1}}}
    texts = shards.render_shards(document)
    parsed = [parse_shard(path, text.encode()) for path, text in texts.items()]
    assert shards.merge(parsed) == document
    part = parse_shard("index/fd.json", texts["index/fd.json"].encode())
    assert set(part["modules"]) == {f"{DEMO}/1", f"{DEMO}/2"}
    assert part["aliases"] == {DEMO: {"latest": 2, "stable": 1}}
    added = shards.add_entries(part, {"modules": {f"{DEMO}/3": {"title": "x"}}})
    assert set(added["modules"]) == {f"{DEMO}/1", f"{DEMO}/2", f"{DEMO}/3"}
    assert added["aliases"] == part["aliases"]


def test_publish_writes_shards_that_agree_with_index_json(published: Path) -> None:
    root = parse_root("root.json", (published / shards.ROOT).read_bytes())
    assert set(files(published)) == {"root.json", *(f"{shard}.json" for shard in root.shards)}
    merged = shards.merge(
        parse_shard(path, path.read_bytes()) for path in (published / "index").glob("[0-9a-f][0-9a-f].json")
    )
    assert merged == read_document(published)
    assert read_index(published).document == merged
    assert list(find_disagreements(published, read_index(published))) == []


def test_a_hub_of_an_older_version_is_read_from_index_json(hub: Path) -> None:
    whole = read_index(hub)
    shutil.rmtree(hub / "index")
    assert read_index(hub) == whole
    assert list(find_disagreements(hub, whole)) == []
    write_index(hub, whole, "https://hub.example.org")
    assert read_index(hub) == whole
    assert parse_root("x", (hub / shards.ROOT).read_bytes()).url == "https://hub.example.org"


def test_only_the_shards_of_what_is_published_are_written(hub: Path) -> None:
    before = {path: path.stat().st_ino for path in (hub / "index").iterdir()}
    index = read_index(hub)
    entry = index.modules[f"{DEMO}/1"].to_json() | {"title": "corrected"}
    document = shards.add_entries(index.document, {"modules": {f"{DEMO}/1": entry}})
    write_index(hub, Index({}, {}, document))
    changed = {path.name for path in before if path.stat().st_ino != before[path]}
    assert changed == {"fd.json"}


def test_a_large_hub_has_no_index_json(hub: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    index = read_index(hub)
    for module in (folder, __import__("pipeline.dag.receipts", fromlist=["x"])):
        monkeypatch.setattr(module, "EXPORTED", 3)
    (problem,) = find_disagreements(hub, index)
    assert "index.json: out of date, since a hub of more than 3 entries has none" in problem
    write_index(hub, index)
    assert not (hub / "index.json").exists()
    assert read_index(hub) == index
    assert look_up_published(hub) == Published("sayakpaul/vit_s16_classification/1", 4)
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps({"hub": str(hub), "published": {f"{DEMO}/1": {"files": []}}}))
    assert not is_incomplete(receipt)


def test_an_index_json_that_differs_and_a_shard_that_is_not_listed_are_named(hub: Path) -> None:
    """As a publisher leaves them that was killed between two of its writes."""
    index, export = read_index(hub), read_document(hub)
    entry = export["modules"].pop(f"{DEMO}/2")
    (hub / "index.json").write_text(json.dumps(export))
    (problem,) = find_disagreements(hub, index)
    assert f"index.json: {DEMO}/2 differs from index/fd.json, which counts; publish any member again" in problem
    (hub / "index/00.json").write_text(json.dumps({"modules": {}, "collections": {}}))
    assert any(
        "index/00.json: " in problem and "does not list it" in problem for problem in find_disagreements(hub, index)
    )
    write_index(hub, index)
    assert list(find_disagreements(hub, index)) == []
    assert read_document(hub)["modules"][f"{DEMO}/2"] == entry


def test_a_receipt_is_held_against_the_shard(hub: Path, tmp_path: Path) -> None:
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps({"hub": str(hub), "published": {f"{DEMO}/2": {"files": []}}}))
    assert not is_incomplete(receipt)
    document = read_document(hub)
    (hub / "index.json").rename(hub / "elsewhere")
    assert is_incomplete(receipt)
    (hub / "elsewhere").rename(hub / "index.json")
    del document["modules"][f"{DEMO}/2"]
    write_document(hub, document)
    assert is_incomplete(receipt)


def misplace(document: Document) -> Document:
    return {**document, "modules": {"someone/else/1": {}}}


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda _: "{", r"fd\.json:1: not valid JSON"),
        (lambda _: "[]", r"fd\.json: expected an object 'modules' of objects; restore it"),
        (lambda document: json.dumps(document | {"aliases": {"a": 1}}), r"fd\.json: expected an object 'aliases'"),
        (lambda document: json.dumps(document | {"more": {}}), r"fd\.json: 'more' is an unknown kind of entries"),
        (
            lambda document: json.dumps(misplace(document)),
            r"fd\.json: 'someone/else/1' belongs to index/b0\.json, so readers do not find it here",
        ),
        (None, r"fd\.json: missing, but .*root\.json lists it"),
    ],
)
def test_a_damaged_shard_is_one_sentence(hub: Path, damage: Callable[[Document], str] | None, reason: str) -> None:
    path = hub / "index/fd.json"
    if damage:
        path.write_text(damage(json.loads(path.read_text())))
    else:
        path.unlink()
    with pytest.raises(Fault, match=reason) as caught:
        read_index(hub)
    assert "\n" not in str(caught.value)
    with pytest.raises(Fault, match=reason):
        look_up_published(hub)
    index, faults = inspect_index(hub)  # the other shards are read
    assert [str(fault) for fault in faults] == [str(caught.value)]
    assert set(index.modules)
    assert not any(handle.startswith(f"{DEMO}/") for handle in index.modules)


@pytest.mark.parametrize(
    ("root", "reason"),
    [
        ("{", r"root\.json:1: not valid JSON"),
        ('{"schema": 2}', r"root\.json: schema 2, at most 1 is known here; use the newer program that wrote it"),
        ('{"schema": true, "shards": []}', r"root\.json: expected the keys 'schema' and 'shards'"),
        ('{"schema": 1, "shards": null}', r"root\.json: expected the keys"),
        ('{"schema": 1, "shards": "fd"}', r"root\.json: expected the keys"),
        ('{"schema": 1, "shards": ["../x"]}', r"root\.json: expected the keys"),
        ('{"schema": 1, "shards": [], "url": 1}', r"root\.json: expected the keys"),
    ],
)
def test_a_damaged_root_is_one_sentence(hub: Path, root: str, reason: str) -> None:
    (hub / shards.ROOT).write_text(root)
    with pytest.raises(Fault, match=reason):
        read_index(hub)
    assert inspect_index(hub)[0].modules == {}


def test_too_many_entries_are_refused(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "MOST_LISTED", 7)
    with pytest.raises(Fault, match=r"index: 8 entries, at most 7 can be read"):
        read_index(hub)
    monkeypatch.setattr(folder, "LARGEST_INDEX", 100)
    with pytest.raises(Fault, match=r"the shards have more than 100 bytes"):
        read_index(hub)


def test_a_module_for_which_there_is_no_room_is_refused_before_it_is_published(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = read_parts(hub, {})
    index.refuse_full("new/module/1", f"{DEMO}/1")
    monkeypatch.setattr(parts, "MOST_LISTED", 8)
    index.refuse_full(f"{DEMO}/1")  # a correction
    with pytest.raises(
        Fault, match=r"no room for new/module/1: its index has 8 entries in [\d,]+ bytes, and may have 8"
    ):
        index.refuse_full("new/module/1", f"{DEMO}/1")
    monkeypatch.undo()
    monkeypatch.setattr(parts, "LARGEST_INDEX", 30_000)
    with pytest.raises(Fault, match="30,000; publish to another HUB"):
        index.refuse_full("new/module/1", "new/module/2")


def test_a_root_is_read_as_it_was_written() -> None:
    for root in (Root(()), Root(("00", "ff"), "https://hub.example.org")):
        assert parse_root("root.json", root.render().encode()) == root
