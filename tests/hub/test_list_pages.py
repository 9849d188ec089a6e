"""The pages that list models: further pages without script, site/models.js, 404.html, previews, feed and sitemap."""

import dataclasses
import json
import posixpath
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

from pipeline.hub import website
from pipeline.hub.catalogue import PAGE_LENGTH
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.feed import MOST_ENTRIES
from pipeline.hub.folder import read_index
from pipeline.hub.index import Index
from pipeline.hub.list_pages import find_example
from pipeline.hub.models import group_models
from pipeline.hub.overview import Overview
from pipeline.hub.social import LONGEST, shorten
from tests.hub.test_website import Page, build, page
from tests.hubs import edit_index, read_document, write_document

ATOM = "{http://www.w3.org/2005/Atom}"


def make_index(hub: Path, count: int, **values: Any) -> Index:
    """Returns the index of a hub of many models of one module each, and other facts."""
    entry = read_index(hub).modules["sayakpaul/vit_s16_fe/1"]
    modules = []
    for number in range(count):
        facts = {"handle": f"sayakpaul/m{number:03}_fe/1", "title": f"M{number:03}"} | values
        modules.append(dataclasses.replace(entry, **facts))
    return Index({module.handle: module for module in modules}, {}, {})


def read_models(hub: Path) -> list[dict[str, object]]:
    """Returns the rows of site/models.js by the names of their fields, as listing.js reads them."""
    text = (hub / "site/models.js").read_text().removeprefix("self.hubModels = ").removesuffix(";\n")
    facts = json.loads(text)
    fields, tabled, values = facts["fields"], set(facts["tabled"]), facts["values"]
    rows = [dict(zip(fields, row, strict=True)) for row in facts["rows"]]
    return [{name: values[value] if name in tabled else value for name, value in row.items()} for row in rows]


def follow(hub: Path, start: str) -> list[str]:
    """Returns the pages of a list, from its first one on by the links to the next one."""
    text = (hub / start).read_text()
    numbered = re.findall(r'<li><a href="([^"]+)"><span class="unseen">Page </span>', text)
    paths = [start, *(posixpath.normpath(posixpath.join(posixpath.dirname(start), link)) for link in numbered)]
    for path, following in zip(paths[1:], [*paths[2:], None], strict=True):
        links = re.findall(r'<a href="([^"]+)" rel="next">', (hub / path).read_text())
        assert links == ([posixpath.basename(following)] if following else [])
    return paths


def test_of_many_models_each_is_on_one_page(published: Path, tmp_path: Path) -> None:
    count = 5 * PAGE_LENGTH + 7
    website.build(tmp_path, make_index(published, count))
    for start in ("index.html", "sayakpaul/sayakpaul.html"):
        shown = [Page(tmp_path / path) for path in follow(tmp_path, start)]
        names = [re.findall(r"feature extractor of (M\d+)", each.text) for each in shown]
        assert [name for own in names for name in own] == [f"M{number:03}" for number in range(count)]
        assert len(names[0]) == PAGE_LENGTH
        assert max(map(len, names)) <= 2 * PAGE_LENGTH
        assert min(map(len, names[1:-1])) >= PAGE_LENGTH // 2
        assert f", {names[1][0]} to {names[1][-1]}" in shown[1].text
    assert len(read_models(tmp_path)) == count
    website.build(tmp_path, make_index(published, PAGE_LENGTH))
    assert not list((tmp_path / "site/models").iterdir())  # no page of models that are not there any more


def test_a_new_model_changes_few_pages_of_a_list(published: Path, tmp_path: Path) -> None:
    whole = make_index(published, 1000)
    others = {handle: entry for handle, entry in whole.modules.items() if entry.title != "M500"}
    website.build(tmp_path, dataclasses.replace(whole, modules=others))
    before = {path: path.read_bytes() for path in (tmp_path / "site/models").iterdir()}
    website.build(tmp_path, whole)
    after = {path: path.read_bytes() for path in (tmp_path / "site/models").iterdir()}
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    assert 1 <= len(changed) <= 4 < len(before)


def test_the_script_has_the_facts_of_the_index(published: Path) -> None:
    models, index = read_models(published), read_index(published)
    entry = index.modules["vit-publisher/vit_demo_classification/2"]
    (row,) = [row for row in models if row["title"] == entry.title]
    assert entry.measured
    assert row["modules"] == ["vit_demo_classification/2", "vit_demo_fe/2"]
    assert (row["top1"], row["origin"], row["where"]) == (entry.measured.top1, "measured", entry.measured.where)
    assert (row["parameters"], row["licence"], row["speed"]) == (
        307_082,
        "apache-2.0",
        entry.measured.images_per_second,
    )


def test_the_script_is_ascii_whatever_the_titles_are(hub: Path) -> None:
    edit_index(hub, title="ü\u2028</script>\ud83d\ude00")
    build(hub)
    assert (hub / "site/models.js").read_bytes().isascii()
    assert read_models(hub)[0]["title"] == "ü\u2028</script>\U0001f600"


def test_an_empty_hub_says_so(tmp_path: Path) -> None:
    website.build(tmp_path, Index({}, {}, {}))
    shown = page(tmp_path, "index.html")
    assert "This hub has no models yet" in shown.text
    assert not {"table", "form", "figure"} & set(shown.tags)


def test_a_publisher_of_withdrawn_versions_alone_has_no_empty_table(hub: Path) -> None:
    edit_index(hub, yanked={"reason": "wrong", "date": "2026-11-29"})
    build(hub)
    shown = page(hub, "sayakpaul/sayakpaul.html")
    assert "has no models to list here" in shown.text
    assert "table" not in shown.tags


def test_the_example_is_released_and_a_classifier_if_possible(published: Path) -> None:
    models = group_models(Overview.of(read_index(published)).newest)
    example = find_example(models[::-1])  # the draft comes first
    assert example
    assert example.main.handle == "vit-publisher/vit_demo_classification/2"
    assert (
        'hub.load(\n    "http://localhost:8080/vit-publisher/vit_demo_classification/2.tar.gz"\n)'
        in page(published, "index.html").text
    )
    assert find_example([]) is None


@pytest.mark.parametrize(
    "withdrawn",
    [
        {"deprecated": {"successor": "vit-publisher/vit_demo_fe/2", "date": "2026-11-29"}},
        {"yanked": {"reason": "wrong labels", "date": "2026-11-29"}},
    ],
)
def test_a_withdrawn_model_is_no_example(hub: Path, withdrawn: dict[str, object]) -> None:
    document = read_document(hub)
    for version in (1, 2):
        document["modules"][f"vit-publisher/vit_demo_classification/{version}"] |= withdrawn
    write_document(hub, document)
    website.build(hub, read_index(hub), "https://a.example")
    start = (hub / "index.html").read_text()
    assert "hub.load(" in start
    assert "vit_demo_classification/2.tar.gz" not in start
    edit_index(hub, **withdrawn)
    website.build(hub, read_index(hub), "https://a.example")
    assert "hub.load(" not in (hub / "index.html").read_text()


@pytest.mark.parametrize(("url", "root"), [("https://a.example", "/"), ("https://a.example/the/hub", "/the/hub/")])
def test_links_of_the_page_for_wrong_addresses_begin_with_the_hubs_path(hub: Path, url: str, root: str) -> None:
    website.build(hub, read_index(hub), url)
    shown = page(hub, "404.html")
    own = [link for link in shown.links if not link.startswith("#")]
    assert own
    assert all(link.startswith(root) and (hub / link.removeprefix(root)).is_file() for link in own)
    assert f'data-root="{root}"' in (hub / "404.html").read_text()


def test_previews_have_a_description_and_an_absolute_address(hub: Path) -> None:
    website.build(hub, read_index(hub), "https://a.example/hub")
    start = (hub / "index.html").read_text()
    assert '<meta property="og:url" content="https://a.example/hub/">' in start
    assert '<meta name="description" content="2 image models for TensorFlow by ' in start
    module = (hub / "vit-publisher/vit_demo_fe/2.html").read_text()
    assert '<meta property="og:url" content="https://a.example/hub/vit-publisher/vit_demo_fe/2.html">' in module
    assert '<meta property="og:title" content="ViT-Mini4 on Fashion-MNIST, ' in module
    assert '<meta name="description" content="' in module
    assert "canonical" not in (hub / "404.html").read_text()


def test_without_a_known_address_previews_have_none(published: Path, tmp_path: Path) -> None:
    website.build(tmp_path, make_index(published, 1))
    start = (tmp_path / "index.html").read_text()
    assert "og:description" in start
    assert "og:url" not in start
    assert not (tmp_path / "sitemap.xml").exists()
    assert not (tmp_path / "feed.xml").exists()


def test_descriptions_are_cut_after_a_word() -> None:
    assert shorten("short") == "short"
    text = shorten("word, " * 100)
    assert len(text) <= LONGEST
    assert text.endswith("word…")


def feed_of(hub: Path) -> ElementTree.Element:
    return ElementTree.fromstring((hub / "feed.xml").read_text())


def texts(feed: ElementTree.Element, name: str) -> list[str]:
    """Returns the texts of all elements of a name."""
    return [element.text or "" for element in feed.iter(f"{ATOM}{name}")]


def test_the_feed_lists_releases_the_latest_first(hub: Path) -> None:
    index = read_index(hub)
    dates = {"vit-publisher/vit_demo_fe/1": "2026-01-02", "vit-publisher/vit_demo_fe/2": "2026-03-04"}
    for name, date in dates.items():
        index.modules[name] = dataclasses.replace(index.modules[name], published=date)
    for name in ("vit-publisher/vit_demo_classification/1", "vit-publisher/vit_demo_classification/2"):
        index.modules[name] = dataclasses.replace(index.modules[name], published=None)  # as an older index has it
    website.build(hub, index)
    feed = feed_of(hub)
    assert feed.findtext(f"{ATOM}updated") == "2026-03-04T00:00:00Z"
    entries = [
        (entry.findtext(f"{ATOM}title"), entry.findtext(f"{ATOM}published")) for entry in feed.iter(f"{ATOM}entry")
    ]
    assert entries == [  # and no draft
        ("ViT-Mini4 on Fashion-MNIST feature extractor, version 2", "2026-03-04T00:00:00Z"),
        ("ViT-Mini4 on Fashion-MNIST feature extractor, version 1", "2026-01-02T00:00:00Z"),
    ]
    before = (hub / "feed.xml").read_bytes()
    (hub / "feed.xml").unlink()
    assert website.build(hub, index) == 1
    assert (hub / "feed.xml").read_bytes() == before  # of the index alone


def test_the_feed_has_an_end_and_is_xml_whatever_the_titles_are(published: Path, tmp_path: Path) -> None:
    released = read_index(published).modules["vit-publisher/vit_demo_fe/2"]
    assert isinstance(released, ModuleEntry)
    index = make_index(
        published, MOST_ENTRIES + 5, title="<b>&\0\x1b]]>", status=released.status, published="2026-01-01"
    )
    website.build(tmp_path, index, "https://a.example")
    titles_ = [entry.findtext(f"{ATOM}title") for entry in feed_of(tmp_path).iter(f"{ATOM}entry")]
    assert titles_ == ["<b>&\ufffd\ufffd]]> feature extractor, version 1"] * MOST_ENTRIES


def test_the_sitemap_lists_every_page(published: Path) -> None:
    text = (published / "sitemap.xml").read_text()
    addresses = [element.text or "" for element in ElementTree.fromstring(text).iter() if element.tag.endswith("loc")]
    root = "http://localhost:8080/"
    assert addresses[0] == root
    pages = {path.relative_to(published).as_posix() for path in published.rglob("*.html")}
    assert {address.removeprefix(root) for address in addresses[1:]} == pages - {
        "index.html", "404.html", "site/compare.html",
    }  # fmt: skip
