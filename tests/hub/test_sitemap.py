"""sitemap.xml: in one file while it may be, else in parts that it lists."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pipeline.hub import sitemap, website
from pipeline.hub.folder import read_index

URL = "https://a.example/hub"


def addresses(path: Path) -> list[str]:
    """Returns the addresses of a sitemap, or of a list of sitemaps."""
    root = ElementTree.fromstring(path.read_text())
    return [element.text or "" for element in root.iter() if element.tag.endswith("loc")]


def test_a_sitemap_beyond_the_limits_has_parts(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    website.build(hub, read_index(hub), URL)
    whole = addresses(hub / "sitemap.xml")
    monkeypatch.setattr(sitemap, "MOST_ADDRESSES", 10)
    website.build(hub, read_index(hub), URL)
    listed = addresses(hub / "sitemap.xml")
    assert listed == [f"{URL}/site/sitemaps/{number}.xml" for number in range(1, len(listed) + 1)]
    assert "<sitemapindex" in (hub / "sitemap.xml").read_text()
    parts = [addresses(hub / address.removeprefix(f"{URL}/")) for address in listed]
    assert [address for part in parts for address in part] == whole
    assert [len(part) for part in parts] == [10] * (len(whole) // 10) + [len(whole) % 10][: len(whole) % 10]
    assert set(website.list_paths(hub, read_index(hub))) > {f"site/sitemaps/{len(listed)}.xml", "sitemap.xml"}
    monkeypatch.undo()
    website.build(hub, read_index(hub), URL)
    assert addresses(hub / "sitemap.xml") == whole
    assert list((hub / "site/sitemaps").iterdir()) == []


def test_no_part_has_more_bytes_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MOST_BYTES", 2_000)
    paths = [f"a/m{number}'&/1.html" for number in range(100)]
    pages = list(sitemap.list_pages(URL, paths))
    around = website._Surroundings(False, URL)
    texts = [website._render(website._environment(), each, around) for each in pages]
    assert len(texts) == 5
    assert all(len(text.encode()) <= 2_000 for text in texts[:-1])
    assert sum(text.count("<url>") for text in texts) == 101


def test_a_file_that_is_full_is_no_reason_for_a_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MOST_ADDRESSES", 10)
    assert [page.path for page in sitemap.list_pages(URL, [f"{number}.html" for number in range(9)])] == ["sitemap.xml"]
    assert [page.path for page in sitemap.list_pages(URL, [f"{number}.html" for number in range(10)])] == [
        "site/sitemaps/1.xml", "site/sitemaps/2.xml", "sitemap.xml",
    ]  # fmt: skip
