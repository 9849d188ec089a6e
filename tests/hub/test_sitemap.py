"""sitemap.xml: in one file while it may be, else in parts that it lists."""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from pipeline.hub import guides, sitemap, website
from pipeline.hub.folder import read_index
from pipeline.hub.overview import Overview
from pipeline.hub.sitemap_checks import find_sitemap_problems

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
    assert listed == [f"{URL}/sitemap-{number}.xml" for number in range(1, len(listed) + 1)]
    assert "<sitemapindex" in (hub / "sitemap.xml").read_text()
    parts = [addresses(hub / address.removeprefix(f"{URL}/")) for address in listed]
    assert [address for part in parts for address in part] == whole
    assert [len(part) for part in parts] == [10] * (len(whole) // 10) + [len(whole) % 10][: len(whole) % 10]
    assert set(website.list_paths(hub, read_index(hub))) > {f"sitemap-{len(listed)}.xml", "sitemap.xml"}
    monkeypatch.undo()
    website.build(hub, read_index(hub), URL)
    assert addresses(hub / "sitemap.xml") == whole
    assert [path.name for path in hub.glob("sitemap*")] == ["sitemap.xml"]


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
        "sitemap-1.xml", "sitemap-2.xml", "sitemap.xml",
    ]  # fmt: skip


def test_a_page_of_the_documentation_that_is_gone_is_listed_no_more(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    website.build_hub(hub)
    before = addresses(hub / "sitemap.xml")
    url = before[0].rstrip("/")
    (source, gone), *_ = guides.find_guides().pages.items()
    left = {path: page for path, page in guides.find_guides().pages.items() if path != source}
    fewer = guides.Guides(left, guides.find_guides().pictures)
    monkeypatch.setattr(guides, "find_guides", lambda: fewer)
    website.build_hub(hub)
    assert not (hub / gone).exists()
    assert addresses(hub / "sitemap.xml") == [address for address in before if address != f"{url}/{gone}"]


def problems(hub: Path) -> list[str]:
    return [problem.replace(f"{hub}/", "") for problem in find_sitemap_problems(hub, URL, Overview.of(read_index(hub)))]


def test_check_hub_finds_what_is_wrong_with_a_sitemap(hub: Path) -> None:
    website.build(hub, read_index(hub), URL)
    assert problems(hub) == []
    page = "vit-publisher/vit_demo_fe/2.html"
    (hub / page).rename(hub / "elsewhere.html")
    (problem,) = problems(hub)
    assert problem.startswith(f"sitemap.xml: it lists {URL}/{page}, which is no file of the hub; run python -m")
    (hub / "elsewhere.html").rename(hub / page)
    path = hub / "sitemap.xml"
    text = path.read_text()
    for wrong in ("https://b.example/hub/404.html", f"{URL}/../outside.html", f"{URL}/%2e%2e/outside.html"):
        (hub.parent / "outside.html").touch()
        path.write_text(text.replace(f"{URL}/{page}", wrong))
        assert [problem.split(",")[0] for problem in problems(hub)] == [f"sitemap.xml: it lists {wrong}"]
    path.write_bytes(b"\xff")
    assert [problem.partition(" (")[0] for problem in problems(hub)] == ["sitemap.xml: not UTF-8 text"]


def test_check_hub_reads_the_parts_of_a_sitemap(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sitemap, "MOST_ADDRESSES", 10)
    website.build(hub, read_index(hub), URL)
    assert problems(hub) == []
    page = "vit-publisher/vit_demo_fe/2.html"
    (part,) = [path for path in hub.glob("sitemap-*.xml") if f"{URL}/{page}" in addresses(path)]
    (hub / page).unlink()
    (hub / "sitemap-1.xml").unlink()
    found = [problem.split(":")[0] for problem in problems(hub)]
    assert found == ["sitemap.xml", part.name]
    (hub / "site/sitemaps").mkdir(exist_ok=True)
    (hub / part.name).rename(hub / "site/sitemaps/1.xml")
    (hub / "sitemap.xml").write_text((hub / "sitemap.xml").read_text().replace(part.name, "site/sitemaps/1.xml"))
    assert any(
        "site/sitemaps/1.xml, which search engines refuse for pages above its folder" in each for each in problems(hub)
    )
    monkeypatch.setattr("pipeline.hub.sitemap_checks.MOST_ADDRESSES", 9)
    assert any("-2.xml: 10 addresses, a sitemap may have 9" in problem for problem in problems(hub))


def test_check_hub_finds_pages_that_a_sitemap_lacks(hub: Path) -> None:
    website.build(hub, read_index(hub), URL)
    path = hub / "sitemap.xml"
    text, again = path.read_text(), f"run python -m pipeline.site {hub}"
    for place in ("vit-publisher/vit_demo_fe/2", "vit-publisher/collections/demo/1", "vit-publisher/vit-publisher"):
        path.write_text(text.replace(f"<url><loc>{URL}/{place}.html</loc></url>\n", ""))
        assert problems(hub) == [f"sitemap.xml: it lacks 1 page of the hub ({place}.html); {again}"]
    path.write_text(re.sub(r"<url>.*\n", "", text))
    (problem,) = problems(hub)
    assert problem.startswith(
        "sitemap.xml: it lacks 11 pages of the hub (index.html, sayakpaul/vit_s16_classification/1"
    )
    assert problem.endswith(f" and 8 more); {again}")
    guide = f"<url><loc>{URL}/site/docs/hub.html</loc></url>\n"
    path.write_text(text.replace(guide, ""))  # as of a version of this program without that page
    assert guide in text
    assert problems(hub) == []


def test_check_hub_finds_that_there_is_no_sitemap(hub: Path) -> None:
    website.build(hub, read_index(hub), URL)
    (hub / "sitemap.xml").unlink()
    text = f"missing, so search engines do not find the pages; run python -m pipeline.site {hub}"
    assert problems(hub) == [f"sitemap.xml: {text}"]
    assert list(find_sitemap_problems(hub, None, Overview.of(read_index(hub)))) == []  # no address, no sitemap
    website.build(hub, read_index(hub), URL)
    assert problems(hub) == []
