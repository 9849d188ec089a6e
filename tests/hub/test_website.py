"""The website: which pages it has, what they show, where their links lead, and when they are written again."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pipeline.base.fault import Fault
from pipeline.base.shard_names import shard_of, shard_path
from pipeline.base.templates import INSTALL
from pipeline.facts.collection import read_collection
from pipeline.hub import website
from pipeline.hub.folder import read_index
from pipeline.hub.guides import find_guides
from tests.conftest import ROOT
from tests.hubs import edit_index, read_document, write_document
from tests.reports import REPORT

# Without something to try.
SITE = {
    "style.css", "hub.js", "listing.js", "start.js", "compare.js", "compare.html", "icon.svg", "models.js",
    "pages.json", "memory.json", "docs",
}  # fmt: skip
DOCUMENTATION = {*find_guides().pages.values()}
PAGES = 16 + len(DOCUMENTATION)  # of the hub, with those that are no HTML
HOSTILE = '<img src=x onerror="window.hostile=1"><script>window.hostile=1</script>"\''


class Page(HTMLParser):
    """A parsed page: its links, ids, text and tags."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attributes:
            self.attributes.add(name)
            if name in ("href", "src"):
                self.links.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_data(self, data: str) -> None:
        self.text += data


def page(hub: Path, name: str) -> Page:
    return Page(hub / name)


def count_scripts(shown: Page) -> int:
    """Returns how many scripts of the hub a page names."""
    return len([link for link in shown.links if link.endswith(".js") and not urlsplit(link).scheme])


def build(hub: Path) -> int:
    return website.build(hub, read_index(hub))


def test_layout(published: Path) -> None:
    assert {path.relative_to(published).as_posix() for path in published.rglob("*.html")} == {
        "index.html",
        "404.html",
        "site/compare.html",
        "vit-publisher/vit-publisher.html",
        "vit-publisher/collections/demo/1.html",
        "vit-publisher/vit_demo_classification/1.html",
        "vit-publisher/vit_demo_classification/2.html",
        "vit-publisher/vit_demo_fe/1.html",
        "vit-publisher/vit_demo_fe/2.html",
        "sayakpaul/sayakpaul.html",
        "sayakpaul/collections/vit/1.html",
        "sayakpaul/vit_s16_classification/1.html",
        "sayakpaul/vit_s16_fe/1.html",
        *DOCUMENTATION,
    }
    assert {path.name for path in (published / "site").iterdir()} == SITE
    assert (published / "feed.xml").is_file()
    assert (published / "sitemap.xml").is_file()


def test_every_link_is_relative_and_leads_to_a_file_of_the_hub(published: Path) -> None:
    """So the pages work from any host, under any path, and from a disk; other sites' addresses stand in cards only.

    404.html is the exception, which hosts show at any address.
    """
    for path in sorted(published.rglob("*.html")):
        if path.name == "404.html":
            continue
        shown = Page(path)
        assert len(shown.ids) == len(set(shown.ids)), path
        for link in shown.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                continue
            assert not parts.scheme, (path, link)
            assert not link.startswith("/"), (path, link)
            target = path.parent / unquote(parts.path) if parts.path else path
            assert target.resolve().is_relative_to(published.resolve()), (path, link)
            assert target.is_file(), (path, link)
            if parts.fragment:
                assert parts.fragment in Page(target).ids, (path, link)


def test_pages_have_no_script_or_style_of_their_own(published: Path) -> None:
    """A server may forbid whatever is not in site/ (Content-Security-Policy)."""
    for path in published.rglob("*.html"):
        shown = Page(path)
        assert shown.tags.count("script") == count_scripts(shown)
        assert "style" not in shown.tags
        assert not {name for name in shown.attributes if name == "style" or name.startswith("on")}


def test_start_page_lists_the_newest_version_of_each_module(published: Path) -> None:
    shown = page(published, "index.html")
    assert "vit-publisher/vit_demo_classification/2.html" in shown.links
    assert "vit-publisher/vit_demo_classification/1.html" not in shown.links
    assert "vit-publisher/vit_demo_fe/2.html" in shown.links
    assert shown.text.count("91.90 %") == shown.text.count("80.46 %") == 1  # a row for each model
    for text in ("measured", "quoted", "2 models by", "Sayak Paul", "ViT Publisher", "S/16", "22.1 M", "ImageNet-1k"):
        assert text in shown.text


def test_module_page_shows_card_facts_files_versions_and_plots(published: Path) -> None:
    shown, measured = page(published, "vit-publisher/vit_demo_classification/1.html"), REPORT.accuracy.measured
    assert measured
    for file in read_index(published).modules["vit-publisher/vit_demo_classification/1"].files:
        assert file.sha256 in shown.text
        assert f"{file.size:,} bytes" in shown.text
    for text in (
        "307,082",
        "90.04 %",
        "1,000 images",
        f"{measured.images_per_second:,.0f} images/s",
        "apache-2.0",
        "hub.load(",
        "There is a newer version",
        "latest",
    ):
        assert text in shown.text
    assert "2.html" in shown.links
    assert shown.links.count("1/plots/reliability.svg") == 2  # the picture and the list of files
    assert "There is a newer version" not in page(published, "vit-publisher/vit_demo_classification/2.html").text


def test_pages_of_modules_and_collections_have_the_install_line(published: Path) -> None:
    assert page(published, "sayakpaul/collections/vit/1.html").text.count(INSTALL) == 1
    module = page(published, "vit-publisher/vit_demo_classification/1.html")
    assert module.text.count(INSTALL) == 1


def test_a_module_page_has_measured_and_quoted_accuracy(hub: Path) -> None:
    edit_index(hub, quoted={"top1": 0.9, "source": "a paper"})
    build(hub)
    text = page(hub, "vit-publisher/vit_demo_fe/1.html").text
    assert "of the classifier, measured91.90 %95 % interval 90.04 % to 93.44 %, on 1,000 images" in text
    assert "of the classifier, quoted90.00 %a paper" in text


def test_links_to_markdown_pages_lead_to_their_html(published: Path) -> None:
    links = page(published, "vit-publisher/vit_demo_fe/1.html").links
    assert "../vit_demo_classification/1.html" in links
    assert "../vit_demo_classification/1.md" not in links
    assert "../../vit_s16_fe/1.html" in page(published, "sayakpaul/collections/vit/1.html").links


def test_publishers_page_has_its_name_and_a_table_in_place_of_the_lists(published: Path) -> None:
    shown = page(published, "vit-publisher/vit-publisher.html")
    assert shown.tags.count("h1") == shown.tags.count("table") == 1
    assert read_collection(ROOT / "model_cards/demo/collection.yaml").publisher.about in shown.text
    assert "Collections" in shown.text
    assert "vit_s16" not in shown.text


def test_plots_that_the_card_does_not_show_come_after_it(hub: Path) -> None:
    name = "vit-publisher/vit_demo_fe/1"
    assert "the-plots" not in page(hub, f"{name}.html").ids  # the card shows all of them
    card = hub / f"{name}.md"
    card.write_text(re.sub(r"^!\[.*\n", "", card.read_text(), flags=re.MULTILINE) + "\n![x](1/plots/reliability.svg)\n")
    build(hub)
    shown = page(hub, f"{name}.html")
    assert "the-plots" in shown.ids
    for plot in REPORT.plots:
        caption = plot.title[0].upper() + plot.title[1:]
        assert (caption in shown.text) == (plot.file != "reliability.svg")
        assert shown.links.count(f"1/plots/{plot.file}") == 2  # the picture and the list of files


def test_an_index_of_an_older_version_is_shown(hub: Path) -> None:
    """Before the website, entries had title, task, collection and files."""
    edit_index(hub, "license", "dataset", "variant", "image_size", "parameters", "bytes", "measured", "quoted")
    build(hub)
    shown = page(hub, "index.html")
    assert "figure" not in shown.tags
    assert "unknown" in shown.text
    assert "ViT-S16" in shown.text
    assert "Parameters" not in page(hub, "sayakpaul/vit_s16_fe/1.html").text.split("Overview")[0]


def test_a_missing_card_is_named(hub: Path) -> None:
    (hub / "sayakpaul/vit_s16_fe/1.md").unlink()
    (hub / "sayakpaul/collections/vit/1.md").unlink()
    build(hub)
    assert "The card of this module is missing from the hub" in page(hub, "sayakpaul/vit_s16_fe/1.html").text
    assert "The page of this collection is missing from the hub" in page(hub, "sayakpaul/collections/vit/1.html").text


def test_a_card_that_is_not_text_is_named(hub: Path) -> None:
    (hub / "sayakpaul/vit_s16_fe/1.md").write_bytes(b"# caf\xe9\n")
    with pytest.raises(Fault, match=r"sayakpaul/vit_s16_fe/1\.md: not UTF-8 .* publish it again"):
        build(hub)


def test_a_publishers_list_of_modules_may_be_of_any_length(hub: Path) -> None:
    """10,000 modules make 1 MB of Markdown; no other part of a page is so long."""
    publisher = hub / "sayakpaul/sayakpaul.md"
    publisher.write_text(publisher.read_text() + "* [a](b/1.md), Model, task\n" * 40_000)
    build(hub)
    assert "Sayak Paul" in page(hub, "sayakpaul/sayakpaul.html").text
    publisher.write_text(publisher.read_text().replace("### Modules\n", "x" * 250_000 + "\n\n### Modules\n"))
    with pytest.raises(Fault, match=r"sayakpaul\.md: it has more than 250,000 bytes before its list of modules"):
        build(hub)


def test_a_collections_page_begins_with_its_figures(published: Path) -> None:
    text = (published / "sayakpaul/collections/vit/1.html").read_text()
    assert text.index("<table>") < text.index('<h2 id="overview">')
    card = (published / "sayakpaul/collections/vit/1.md").read_text()
    assert card.index("## Performance") < card.index("## Overview") < card.index("## References")


def test_a_collections_page_of_an_older_release_is_shown_as_it_is(hub: Path) -> None:
    card = hub / "sayakpaul/collections/vit/1.md"
    before, figures, rest = card.read_text().partition("## Performance\n")
    table, overview, prose = rest.partition("## Overview\n")
    card.write_text(before + overview + prose + "\n" + figures + table)
    build(hub)
    text = (hub / "sayakpaul/collections/vit/1.html").read_text()
    assert text.index('<h2 id="overview">') < text.index("<table>")
    assert text.count('<h2 id="performance">') == 1


def test_a_collections_page_has_plots_and_a_link_to_a_comparison(hub: Path) -> None:
    """Of a collection of two models, whose page lists the modules of both."""
    document = read_document(hub)
    for kind in ("classification", "fe"):
        entry = json.loads(json.dumps(document["modules"][f"sayakpaul/vit_s16_{kind}/1"]))
        document["modules"][f"sayakpaul/vit_b16_{kind}/1"] = entry | {"title": "ViT-B16", "parameters": 86_567_656}
    write_document(hub, document)
    card = hub / "sayakpaul/collections/vit/1.md"
    card.write_text(card.read_text() + "\n* [ViT-B16](../../vit_b16_classification/1.md)\n")
    build(hub)
    text = (hub / "sayakpaul/collections/vit/1.html").read_text()
    assert text.index("<table>") < text.index("<figure") < text.index('<h2 id="overview">')
    names = "sayakpaul/vit_b16_classification,sayakpaul/vit_s16_classification"
    assert f'href="../../../site/compare.html#models={names}"' in text
    assert '<p class="how">Plotted: the newest version of each model.</p>' in text
    document["modules"]["sayakpaul/vit_b16_classification/2"] = document["modules"][
        "sayakpaul/vit_b16_classification/1"
    ]
    write_document(hub, document)
    build(hub)
    text = (hub / "sayakpaul/collections/vit/1.html").read_text()
    assert "Plotted: the newest version of each model; the text of this page names older ones, too.</p>" in text


def test_hostile_texts_are_shown_as_text(hub: Path) -> None:
    """Titles and cards come from whoever publishes: none may bring script into the pages of others."""
    edit_index(hub, title=HOSTILE, dataset=HOSTILE, variant=HOSTILE, license=HOSTILE, task=HOSTILE)
    for path in (hub / "sayakpaul/vit_s16_fe/1.md", hub / "sayakpaul/collections/vit/1.md"):
        text = f"{HOSTILE} <!-- a --> [a](javascript:alert(1)) ![a](javascript:alert(1)) [b](<data:text/html,x>)"
        path.write_text(f"{path.read_text()}\n{text}\n\n{HOSTILE}\n\n```{HOSTILE}\n{HOSTILE}\n```\n\n## {HOSTILE}\n")
    publisher = hub / "sayakpaul/sayakpaul.md"
    publisher.write_text(publisher.read_text().replace("Sayak Paul", HOSTILE))
    build(hub)
    for path in hub.rglob("*.html"):
        shown = Page(path)
        assert shown.tags.count("script") == count_scripts(shown) <= 4, path
        assert not {name for name in shown.attributes if name.startswith("on")}, path
        assert not [link for link in shown.links if urlsplit(link).scheme not in ("", "http", "https")], path


def test_unchanged_pages_are_not_written_again(hub: Path) -> None:
    assert build(hub) == 0
    before = {path: path.stat().st_mtime_ns for path in hub.rglob("*") if path.is_file()}
    (hub / "sayakpaul/vit_s16_fe/1.md").touch()
    assert build(hub) == 0
    assert {path: path.stat().st_mtime_ns for path in hub.rglob("*") if path.is_file() and path.suffix != ".md"} == {
        path: time for path, time in before.items() if path.suffix != ".md"
    }


def test_an_edited_card_renders_only_its_page(hub: Path) -> None:
    card = hub / "sayakpaul/vit_s16_fe/1.md"
    card.write_text(card.read_text().replace("## Overview", "## What it is"))
    assert build(hub) == 1
    assert "What it is" in page(hub, "sayakpaul/vit_s16_fe/1.html").text


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [("dataset", "Other Data", "Other Data"), ("variant", "Q/9", "Q/9"), ("image_size", 999, ", 999 px"),
     ("family", "Q-Net", "Q-Net"),
     ("parameters", 77_000_000, "77.0 M"), ("quoted", {"top1": 0.123, "source": "x"}, "12.30 %")],
)  # fmt: skip
def test_an_edit_of_what_a_table_shows_renders_its_pages(hub: Path, key: str, value: object, text: str) -> None:
    edit_index(hub, "measured", **{key: value})
    build(hub)
    for name in ("index.html", "sayakpaul/sayakpaul.html", "vit-publisher/vit-publisher.html"):
        assert text in page(hub, name).text, name
    assert json.dumps(value) in (hub / "site/models.js").read_text() or key == "quoted"


def test_a_missing_page_is_written_again(hub: Path) -> None:
    (hub / "sayakpaul/sayakpaul.html").unlink()
    assert build(hub) == 1
    (hub / "site/style.css").write_text("old")
    (hub / "site/pages.json").write_text("no JSON")
    assert build(hub) == PAGES
    assert (hub / "site/style.css").read_text() != "old"


def test_pages_of_an_interrupted_run_are_written_again(hub: Path) -> None:
    """A card is edited, its page written, the run ends early, the edit is taken back."""
    card = hub / "sayakpaul/vit_s16_classification/1.md"
    before, blocked = card.read_text(), hub / "vit-publisher/vit_demo_fe/2.html"
    card.write_text(before.replace("## Overview", "## Mistaken"))
    blocked.unlink()
    blocked.mkdir()
    with pytest.raises(IsADirectoryError):
        build(hub)
    assert "Mistaken" in page(hub, "sayakpaul/vit_s16_classification/1.html").text
    card.write_text(before)
    blocked.rmdir()
    assert build(hub) == 2
    assert "Mistaken" not in page(hub, "sayakpaul/vit_s16_classification/1.html").text


def test_a_change_of_the_templates_renders_all_pages(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(website, "renderer_digest", lambda: "another")
    assert build(hub) == PAGES


def test_no_page_of_a_large_hub_links_to_index_json(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "sayakpaul/vit_s16_fe/1.html"
    assert "../../index.json" in page(hub, name).links
    monkeypatch.setattr(website, "EXPORTED", 3)
    assert build(hub) == PAGES
    links = [link for link in page(hub, name).links if not link.startswith("https:")]
    assert [link for link in links if "index" in link] == [
        "../../index.html", "../../site/docs/index.html",
        f"../../{shard_path(shard_of('sayakpaul/vit_s16_fe'))}", "../../index/root.json",
    ]  # fmt: skip
    assert all((hub / name).parent.joinpath(link).is_file() for link in links if "index" in link)


def test_pages_of_removed_entries_are_removed(hub: Path) -> None:
    index = read_index(hub)
    kept = {name: entry for name, entry in index.modules.items() if entry.name != "vit_demo_fe"}
    website.build(hub, dataclasses.replace(index, modules=kept))
    assert not list((hub / "vit-publisher/vit_demo_fe").glob("*.html"))
    assert "../vit_demo_fe/1.md" in page(hub, "vit-publisher/vit_demo_classification/1.html").links


def test_a_manifest_that_names_other_files_removes_none(hub: Path) -> None:
    outside = hub.parent / "outside.html"
    outside.write_text("mine")
    record = json.loads((hub / "site/pages.json").read_text())
    (hub / "site/pages.json").write_text(json.dumps(record | {"../outside.html": "x", "index.json": "x"}))
    build(hub)
    assert outside.exists()
    assert (hub / "index.json").exists()


@pytest.mark.parametrize("name", ["index.html", "vit-publisher/vit-publisher.html"])
def test_rows_of_a_table_have_unique_names(published: Path, name: str) -> None:
    rows = re.findall(r'<span class="parts">(.*?)</span><span class="handle">', (published / name).read_text())
    names = [re.sub("<.*?>", "", link) for row in rows for link in re.findall("<a .*?</a>", row)]
    assert "feature extractor of ViT-Mini4 on Fashion-MNIST" in names
    assert len(set(names)) == len(names)


def test_a_modules_page_names_its_version(published: Path) -> None:
    for version in (1, 2):
        text = (published / f"vit-publisher/vit_demo_fe/{version}.html").read_text()
        assert f'<p class="kind">Image feature vector, version {version}</p>' in text


def test_the_start_page_filters_by_family_and_variant(hub: Path) -> None:
    start = (hub / "index.html").read_text()
    options = "<option>Vision Transformer</option><option>Vision Transformer Mini/4</option>"
    assert options + "<option>Vision Transformer S/16</option></select>" in start
    edit_index(hub, "family", "architecture")  # as an older release wrote it
    build(hub)
    start = (hub / "index.html").read_text()
    assert "<option>Mini/4</option><option>S/16</option></select>" in start


def test_a_collection_may_have_several_families(hub: Path) -> None:
    document = read_document(hub)
    for handle, entry in document["modules"].items():
        if "vit_s16" in handle:
            entry |= {"family": "MLP-Mixer", "architecture": "mixer"}
    write_document(hub, document)
    build(hub)
    start = (hub / "index.html").read_text()
    assert "<option>MLP-Mixer S/16</option><option>Vision Transformer Mini/4</option></select>" in start
    assert '<span class="how block">MLP-Mixer</span>' in start
