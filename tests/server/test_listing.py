"""What the server says of versions that were withdrawn, and where a handle without a version leads."""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest

from pipeline.base.shard_names import ROOT, shard_of, shard_path
from pipeline.server.listing import display_string
from tests.server.harness import Running

NET = "alice/net"
YANKED = {"reason": 'labels were 50 % "wrong", é', "date": "2026-11-29"}
DEPRECATED = {"successor": "alice/other/1", "date": "2026-11-01"}
SINCE = "@1795910400"  # 2026-11-29


def edit(hub: Path, entries: dict[int, dict[str, Any]], latest: int | None = None) -> None:
    """Adds to the entries of versions of alice/net in a shard; index.json stays behind."""
    index = json.loads((hub / "index.json").read_text())
    for version, values in entries.items():
        index["modules"].setdefault(f"{NET}/{version}", {"files": []}).update(values)
    index["aliases"] = {NET: {"latest": latest}} if latest else {}
    for path, content in ((shard_path(shard_of(NET)), index), (ROOT, {"schema": 1, "shards": [shard_of(NET)]})):
        (hub / path).parent.mkdir(exist_ok=True)
        (hub / path).write_text(json.dumps(content))


@pytest.mark.parametrize(
    "target",
    [
        "/alice/net/1", "/alice/net/1?tf-hub-format=compressed", "/alice/net/1.tar.gz", "/alice/net/1.md",
        "/alice/net/1.html", "/alice/net/1/plots/accuracy.svg",
    ],
)  # fmt: skip
def test_every_file_of_a_yanked_version_warns(own: Running, target: str) -> None:
    edit(own.root, {1: {"yanked": YANKED}}, latest=10)
    answer = own.ask(target)
    assert answer.status == 200
    assert answer["deprecation"] == SINCE
    assert answer["yanked"] == '%"labels were 50 %25 %22wrong%22, %c3%a9"'
    link, relation = str(answer["link"]).split("; ")
    assert relation == 'rel="latest-version"'
    assert urljoin(own.address + target, link.strip("<>")) == own.address + "/alice/net/10"
    again = own.ask(target, If_None_Match=str(answer["etag"]))
    assert (again.status, again["deprecation"]) == (304, SINCE)


def test_a_deprecated_version_names_its_successor(own: Running) -> None:
    edit(own.root, {2: {"deprecated": DEPRECATED}}, latest=10)
    answer = own.ask("/alice/net/2")
    assert answer["link"] == (
        '<../../alice/other/1>; rel="successor-version", <../../alice/net/10>; rel="latest-version"'
    )
    assert answer["yanked"] is None
    for other in ("/alice/net/1", "/alice/net/10", "/alice/old/1", "/alice/collections/nets/1", "/index.html"):
        assert own.ask(other)["deprecation"] is None


def test_a_handle_without_a_version_leads_to_the_latest(own: Running) -> None:
    """As the index calls it: newer versions may be drafts."""
    assert str(own.ask("/alice/net")["location"]).endswith("alice/net/10")
    edit(own.root, {}, latest=2)
    assert str(own.ask("/alice/net?a=b")["location"]).endswith("alice/net/2?a=b")
    edit(own.root, {}, latest=77)  # its tarball is not there yet
    assert str(own.ask("/alice/net")["location"]).endswith("alice/net/10")


def test_a_yanked_version_is_passed_over_and_stays(own: Running) -> None:
    edit(own.root, {10: {"yanked": YANKED}})
    assert str(own.ask("/alice/net")["location"]).endswith("alice/net/9")
    assert own.ask("/alice/net/10").status == 200
    edit(own.root, {version: {"yanked": YANKED} for version in (1, 2, 9, 10)})
    answer = own.ask("/alice/net")
    assert answer.status == 404
    assert b"Every version of this module is yanked; name the version to get one." in answer.body
    assert own.ask("/alice/net/9").status == 200


@pytest.mark.parametrize(
    "values",
    [
        {"yanked": {"reason": "x"}},
        {"yanked": {"reason": "x", "date": "soon"}},
        {"yanked": "x"},
        {"deprecated": {"successor": "a/b/1>\r\nSet-Cookie: x=1", "date": "2026-11-01"}},
        {"deprecated": {"successor": 7, "date": "2026-11-01"}},
    ],
)
def test_a_damaged_index_warns_of_nothing_and_serves_all(own: Running, values: dict[str, Any]) -> None:
    edit(own.root, {1: values}, latest=10)
    answer = own.ask("/alice/net/1")
    assert (answer.status, answer["deprecation"], answer["set-cookie"]) == (200, None, None)


def test_a_hub_without_shards_is_read_from_index_json(own: Running) -> None:
    index = json.loads((own.root / "index.json").read_text())
    index["modules"][f"{NET}/1"]["yanked"] = YANKED
    (own.root / "index.json").write_text(json.dumps(index))
    assert own.ask("/alice/net/1")["deprecation"] == SINCE


def test_a_display_string_has_no_control_characters() -> None:
    assert display_string('a\r\n"%~') == '%"a%0d%0a%22%25~"'
