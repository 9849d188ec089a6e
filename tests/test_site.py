"""The hub's website: which pages there are, what they show, where their links lead, and when they are written again."""

import dataclasses
import html
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pipeline.base.fault import Fault
from pipeline.hub import markdown, website
from pipeline.hub.folder import read_index
from pipeline.hub.index import Document, parse_index
from pipeline.hub.start_page_plot import plot
from tests.conftest import Stage, assert_refused
from tests.hubs import write_hub

HOSTILE = '<img src=x onerror="window.hostile=1"><script>window.hostile=1</script>"\''


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub that is not to be changed."""
    return write_hub(tmp_path_factory.mktemp("site"))


@pytest.fixture
def hub(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "hub")


class Page(HTMLParser):
    """What a test asks of a page: its links, ids, text, and tags."""

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


def build(hub: Path) -> int:
    return website.build(hub, read_index(hub))


def read_document(hub: Path) -> Document:
    document: Document = json.loads((hub / "index.json").read_text())
    return document


def edit_index(hub: Path, *keys: str, **values: object) -> None:
    """Changes what index.json says of the modules; no value removes the keys."""
    document = read_document(hub)
    for entry in document["modules"].values():
        for key in keys:
            entry.pop(key, None)
        entry |= values
    (hub / "index.json").write_text(json.dumps(document))


def test_layout(made: Path) -> None:
    assert {path.relative_to(made).as_posix() for path in made.rglob("*.html")} == {
        "index.html",
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
    }
    assert {path.name for path in (made / "site").iterdir()} == {"style.css", "hub.js", "icon.svg", "pages.json"}


def test_every_link_is_relative_and_leads_to_a_file_of_the_hub(made: Path) -> None:
    """So the pages work from any host, under any path, and from a disk; other sites' addresses stand in cards only."""
    for path in made.rglob("*.html"):
        found = Page(path)
        assert len(found.ids) == len(set(found.ids)), path
        for link in found.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                continue
            assert not parts.scheme, (path, link)
            assert not link.startswith("/"), (path, link)
            target = path.parent / unquote(parts.path) if parts.path else path
            assert target.resolve().is_relative_to(made.resolve()), (path, link)
            assert target.is_file(), (path, link)
            if parts.fragment:
                assert parts.fragment in Page(target).ids, (path, link)


def test_pages_bring_no_script_or_style_of_their_own(made: Path) -> None:
    """A server may forbid whatever is not in site/ (Content-Security-Policy)."""
    for path in made.rglob("*.html"):
        found = Page(path)
        assert found.tags.count("script") == 1
        assert "style" not in found.tags
        assert not {name for name in found.attributes if name == "style" or name.startswith("on")}


def test_start_page_lists_the_newest_version_of_each_module(made: Path) -> None:
    found = page(made, "index.html")
    assert "vit-publisher/vit_demo_classification/2.html" in found.links
    assert "vit-publisher/vit_demo_classification/1.html" not in found.links
    assert found.text.count("91.90 %") >= 2
    assert found.text.count("80.46 %") >= 2
    for text in ("measured", "quoted", "4 modules by", "Sayak Paul", "ViT Publisher", "S/16", "22.1 M", "ImageNet-1k"):
        assert text in found.text


def test_an_accuracy_on_a_part_is_said_to_be_one(made: Path) -> None:
    document, handle = read_document(made), "vit-publisher/vit_demo_classification/1"

    def where() -> str | None:
        measured = parse_index(made, document).modules[handle].measured
        return measured.where if measured else None

    assert where() == "on 1,000 images of the Fashion-MNIST test set"
    measured = document["modules"][handle]["measured"]
    measured |= {"outputs": 1000, "training_images": 3}
    assert where() == (
        "on 1,000 images of 10 of the 1,000 classes of the Fashion-MNIST test set, 3 of them perhaps trained on"
    )
    for key in ("classes", "outputs", "training_images"):
        del measured[key]  # as in an older index
    assert where() == "on 1,000 images of the Fashion-MNIST test set"


@pytest.mark.parametrize("part", [{"outputs": 1000}, {"training_images": 3}, {"training_images": None}])
def test_a_quoted_accuracy_is_listed_before_a_measured_one_on_a_part(hub: Path, part: dict[str, int | None]) -> None:
    document, handle = read_document(hub), "vit-publisher/vit_demo_classification/1"
    entry = document["modules"][handle]

    def origins() -> list[str]:
        return [accuracy.origin for accuracy in parse_index(hub, document).modules[handle].accuracies]

    assert origins() == ["measured"]
    entry["quoted"] = {"top1": 0.9, "source": "a paper"}
    assert origins() == ["measured", "quoted"]
    entry["measured"] |= part
    assert origins() == ["quoted", "measured"]
    website.build(hub, parse_index(hub, document))
    text = page(hub, f"{handle}.html").text
    assert text.index("90.00 %a paper") < text.index("91.90 %, 95 % interval 90.04 % to 93.44 %on 1,000 images")
    del entry["quoted"]
    assert origins() == ["measured"]


def test_what_an_index_says_is_written_as_it_was_read(made: Path) -> None:
    """publish writes the entries of others again: of newer and of older versions of this program."""
    document, name = read_document(made), "vit-publisher/vit_demo_fe/1"
    document["modules"][name] |= {"flops": 1}
    del document["modules"][name]["license"]
    index = parse_index(made, document)
    other = dataclasses.replace(index.modules["sayakpaul/vit_s16_fe/1"], handle="sayakpaul/other_fe/1")
    added = index.with_modules({other.handle: other})
    assert added.modules.keys() - index.modules.keys() == {other.handle}
    assert added.document["modules"].pop(other.handle) == document["modules"]["sayakpaul/vit_s16_fe/1"]
    assert added.document == document


def test_every_entry_is_written_with_the_keys_that_it_is_read_from(made: Path) -> None:
    index = read_index(made)
    assert {name: entry.to_json() for name, entry in index.modules.items()} == index.document["modules"]
    assert {name: entry.to_json() for name, entry in index.collections.items()} == index.document["collections"]


def test_module_page_shows_card_facts_files_versions_and_plots(made: Path) -> None:
    found = page(made, "vit-publisher/vit_demo_classification/1.html")
    for file in read_index(made).modules["vit-publisher/vit_demo_classification/1"].files:
        assert file.sha256 in found.text
        assert f"{file.size:,} bytes" in found.text
    for text in (
        "307,082",
        "90.04 %",
        "1,000 images",
        "1,209 images/s",
        "apache-2.0",
        "hub.load(",
        "There is a newer version",
        "newest",
    ):
        assert text in found.text
    assert "2.html" in found.links
    assert found.links.count("1/plots/reliability.svg") == 2  # the picture and the list of files
    assert "There is a newer version" not in page(made, "vit-publisher/vit_demo_classification/2.html").text


def test_links_to_markdown_pages_lead_to_their_html(made: Path) -> None:
    links = page(made, "vit-publisher/vit_demo_fe/1.html").links
    assert "../vit_demo_classification/1.html" in links
    assert "../vit_demo_classification/1.md" not in links
    assert "../../vit_s16_fe/1.html" in page(made, "sayakpaul/collections/vit/1.html").links


def test_publishers_page_has_its_name_and_a_table_in_place_of_the_lists(made: Path) -> None:
    found = page(made, "vit-publisher/vit-publisher.html")
    assert found.tags.count("h1") == found.tags.count("table") == 1
    assert "The models that come with this pipeline" in found.text
    assert "Collections" in found.text
    assert "vit_s16" not in found.text


def test_plots_that_the_card_does_not_show_follow_it(hub: Path) -> None:
    name = "vit-publisher/vit_demo_fe/1"
    assert "the-plots" not in page(hub, f"{name}.html").ids  # the card shows all of them
    card = hub / f"{name}.md"
    card.write_text(re.sub(r"^!\[.*\n", "", card.read_text(), flags=re.MULTILINE) + "\n![x](1/plots/reliability.svg)\n")
    build(hub)
    found = page(hub, f"{name}.html")
    assert "the-plots" in found.ids
    for title in ("Top-1 accuracy", "Largest difference from the JAX model"):
        assert title in found.text
    assert "Reliability of the probabilities" not in found.text
    for name in ("accuracy", "blocks", "reliability"):
        assert found.links.count(f"1/plots/{name}.svg") == 2  # the picture and the list of files


def test_an_index_of_an_older_version_says_less_and_is_shown(hub: Path) -> None:
    """Before the website, entries had title, task, collection and files."""
    edit_index(hub, "license", "dataset", "variant", "image_size", "parameters", "bytes", "measured", "quoted")
    build(hub)
    found = page(hub, "index.html")
    assert "figure" not in found.tags
    assert "unknown" in found.text
    assert "ViT-S16" in found.text
    assert "Parameters" not in page(hub, "sayakpaul/vit_s16_fe/1.html").text.split("Overview")[0]


def test_a_card_that_is_missing_is_said(hub: Path) -> None:
    (hub / "sayakpaul/vit_s16_fe/1.md").unlink()
    (hub / "sayakpaul/collections/vit/1.md").unlink()
    build(hub)
    assert "The card of this module is missing from the hub" in page(hub, "sayakpaul/vit_s16_fe/1.html").text
    assert "The page of this collection is missing from the hub" in page(hub, "sayakpaul/collections/vit/1.html").text


@pytest.mark.parametrize(
    ("removed", "values", "reason"),
    [
        ("title", {}, r"KeyError: 'title'"),
        ("x", {"files": []}, "ValueError: it lists no files"),
        ("x", {"files": [{"path": "a"}]}, "KeyError: 'size'"),
        ("x", {"parameters": "many"}, "TypeError: parameters is 'many'"),
        ("x", {"measured": {"top1": 0.9}}, "KeyError: 'interval'"),
        ("x", {"quoted": 0.9}, "TypeError: quoted is 0.9"),
    ],
)
def test_a_malformed_entry_is_named(hub: Path, removed: str, values: dict[str, object], reason: str) -> None:
    edit_index(hub, removed, **values)
    with pytest.raises(Fault, match=rf"the entry sayakpaul/vit_s16_classification/1 is malformed \({reason}\)"):
        build(hub)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("[]", "expected an object 'modules' of objects"),
        ("{}", "expected an object 'modules' of objects"),
        ('{"modules": {}}', "expected an object 'collections' of objects"),
        ('{"modules": {"a/b/1": null}, "collections": {}}', "expected an object 'modules' of objects"),
        ('{"modules": {}, "collections": []}', "expected an object 'collections' of objects"),
    ],
)
def test_what_is_no_index_is_refused(hub: Path, index: str, reason: str) -> None:
    (hub / "index.json").write_text(index)
    with pytest.raises(Fault, match=rf"index\.json: {reason}; restore it, or remove it and publish every member again"):
        build(hub)


def test_a_card_that_is_no_text_is_named(hub: Path) -> None:
    (hub / "sayakpaul/vit_s16_fe/1.md").write_bytes(b"# caf\xe9\n")
    with pytest.raises(Fault, match=r"sayakpaul/vit_s16_fe/1\.md: not UTF-8 .* publish it again"):
        build(hub)


@pytest.mark.parametrize("name", ["../../escaped/1", "a/b", "a/b/0", "a/b/1/../../c", "a\n/b/1", "/a/b/1", "a/../1"])
@pytest.mark.parametrize("kind", ["modules", "collections"])
def test_a_name_that_is_no_handle_is_refused(hub: Path, kind: str, name: str) -> None:
    document = read_document(hub)
    document[kind][name] = {"title": "x", "task": "x", "files": []}
    with pytest.raises(Fault, match="is no handle, expected <publisher>/<module>/<version>; remove the entry"):
        parse_index(hub / "index.json", document)


def test_hostile_texts_stay_texts(hub: Path) -> None:
    """Titles and cards come from whoever publishes: none may bring script into the pages of others."""
    edit_index(hub, title=HOSTILE, dataset=HOSTILE, variant=HOSTILE, license=HOSTILE, task=HOSTILE)
    for path in (hub / "sayakpaul/vit_s16_fe/1.md", hub / "sayakpaul/collections/vit/1.md"):
        text = f"{HOSTILE} <!-- a --> [a](javascript:alert(1)) ![a](javascript:alert(1)) [b](<data:text/html,x>)"
        path.write_text(f"{path.read_text()}\n{text}\n\n{HOSTILE}\n\n```{HOSTILE}\n{HOSTILE}\n```\n\n## {HOSTILE}\n")
    publisher = hub / "sayakpaul/sayakpaul.md"
    publisher.write_text(publisher.read_text().replace("Sayak Paul", HOSTILE))
    build(hub)
    for path in hub.rglob("*.html"):
        found = Page(path)
        assert found.tags.count("script") == 1, path
        assert not {name for name in found.attributes if name.startswith("on")}, path
        assert not [link for link in found.links if urlsplit(link).scheme not in ("", "http", "https")], path


def test_what_has_not_changed_is_not_written_again(hub: Path) -> None:
    assert build(hub) == 0
    before = {path: path.stat().st_mtime_ns for path in hub.rglob("*") if path.is_file()}
    (hub / "sayakpaul/vit_s16_fe/1.md").touch()
    assert build(hub) == 0
    assert {path: path.stat().st_mtime_ns for path in hub.rglob("*") if path.is_file() and path.suffix != ".md"} == {
        path: time for path, time in before.items() if path.suffix != ".md"
    }


def test_an_edited_card_renders_its_page_alone(hub: Path) -> None:
    card = hub / "sayakpaul/vit_s16_fe/1.md"
    card.write_text(card.read_text().replace("## Overview", "## What it is"))
    assert build(hub) == 1
    assert "What it is" in page(hub, "sayakpaul/vit_s16_fe/1.html").text


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [("dataset", "Other Data", "Other Data"), ("variant", "Q/9", "Q/9"), ("image_size", 999, ", 999 px"),
     ("parameters", 77_000_000, "77.0 M"), ("quoted", {"top1": 0.123, "source": "x"}, "12.30 %")],
)  # fmt: skip
def test_what_a_table_of_modules_shows_renders_its_pages(hub: Path, key: str, value: object, text: str) -> None:
    edit_index(hub, "measured", **{key: value})
    build(hub)
    for name in ("index.html", "sayakpaul/sayakpaul.html", "vit-publisher/vit-publisher.html"):
        assert text in page(hub, name).text, name


def test_a_page_that_is_missing_is_written_again(hub: Path) -> None:
    (hub / "sayakpaul/sayakpaul.html").unlink()
    assert build(hub) == 1
    (hub / "site/style.css").write_text("old")
    (hub / "site/pages.json").write_text("no JSON")
    assert build(hub) == 11
    assert (hub / "site/style.css").read_text() != "old"


def test_what_an_interrupted_run_wrote_is_not_taken_for_what_was_there(hub: Path) -> None:
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


def test_other_templates_render_all_pages(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(website, "renderer_digest", lambda: "another")
    assert build(hub) == 11


def test_pages_of_what_the_index_no_longer_lists_are_removed(hub: Path) -> None:
    index = read_index(hub)
    kept = {name: entry for name, entry in index.modules.items() if entry.name != "vit_demo_fe"}
    website.build(hub, dataclasses.replace(index, modules=kept))
    assert not list((hub / "vit-publisher/vit_demo_fe").glob("*.html"))
    assert "../vit_demo_fe/1.md" in page(hub, "vit-publisher/vit_demo_classification/1.html").links


def test_a_record_that_names_other_files_removes_none(hub: Path) -> None:
    outside = hub.parent / "outside.html"
    outside.write_text("mine")
    record = json.loads((hub / "site/pages.json").read_text())
    (hub / "site/pages.json").write_text(json.dumps(record | {"../outside.html": "x", "index.json": "x"}))
    build(hub)
    assert outside.exists()
    assert (hub / "index.json").exists()


def test_the_command_says_what_it_wrote(hub: Path, stage: Stage) -> None:
    (hub / "index.html").unlink()
    done = stage("site", hub)
    assert done.returncode == 0, done.stderr
    assert ", 1 pages written: " in done.stderr
    assert_refused(stage("site", hub / "site"), "there is no index.json, so this is not a hub; run make publish first")


def test_markdown_becomes_html_without_html_of_its_own() -> None:
    text = "# Module a/b/1\n\nOne `b` <b>c</b>.\n\n<!-- task: x -->\n<!-- task: y --> tail\n\n<div>\n"
    text += "\n| | b |\n|--:|:-:|\n| 1 | 2 |\n"
    document = markdown.render_page(text, "a/b/1.md", ())
    assert document.title == "Module a/b/1"
    assert document.lede == "One <code>b</code> &lt;b&gt;c&lt;/b&gt;."
    assert document.metadata == {"task": "x"}
    assert "&lt;div&gt;" in document.body
    assert "<!--" not in document.body
    assert "&lt;!--" not in document.body
    assert "<td></td>\n<th" in document.body.replace(' class="right"', "")
    assert '<td class="right">1</td>\n<td class="center">2</td>' in document.body


def test_python_is_coloured_and_stays_the_same_text() -> None:
    code = "x = f'a\\'b' if y1 else 1.5e3  # if \"c\" < d\ndef f(s='''\n'''):\n    return None\n"
    body = markdown.render_page(f"```python\n{code}```\n", "a/b/1.md", ()).body
    spans = re.findall(r'<span class="(\w+)">(.*?)</span>', body, re.DOTALL)
    assert [(kind, html.unescape(text)) for kind, text in spans] == [
        ("string", "f'a\\'b'"),
        ("keyword", "if"),
        ("keyword", "else"),
        ("number", "1.5e3"),
        ("comment", '# if "c" < d'),
        ("keyword", "def"),
        ("string", "'''\n'''"),
        ("keyword", "return"),
        ("keyword", "None"),
    ]
    assert html.unescape(re.sub("<.*?>", "", body)).strip() == code.strip()
    assert "<span" not in markdown.render_page("```sh\nif x\n```\n", "a/b/1.md", ()).body


def test_headings_have_ids_of_their_own() -> None:
    document = markdown.render_page("# T\n\nx\n\n## A b!\n\n### A b\n\n## `A` b\n\n## ?\n\n## Main\n", "a/b/1.md", ())
    assert [heading.id for heading in document.headings] == ["a-b", "a-b-1", "a-b-2", "section", "main-1"]
    assert [heading.text for heading in document.headings] == ["A b!", "A b", "A b", "?", "Main"]


def test_sections_can_be_left_out() -> None:
    text = "# T\n\n## Out\n\n### Deep\n\nx\n\n## In\n\ny\n\n### Out\n\nz\n"
    document = markdown.render_page(text, "a/b/1.md", (), without={"Out"})
    assert [heading.text for heading in document.headings] == ["In"]
    assert "<p>y</p>" in document.body
    assert "x" not in document.body.replace("<", "")


def test_pictures_of_other_hosts_become_links() -> None:
    text = """\
![far](http://far.example/x.png "t") ![near](p/q.svg) ![here](data:image/png;base64,aa)

[![in a link](//far.example/x.png) too](http://far.example/) ![](HTTPS://far.example/y) ![all](///far.example/x.png)

| ![r][r] |
|---|

[r]: https://far.example/z
"""
    document = markdown.render_page(f"# T\n\n{text}\n", "a/b/1.md", ())
    body = document.lede + document.body
    assert re.findall('<img src="(.*?)"', body) == ["p/q.svg", "data:image/png;base64,aa"]
    assert document.images == {"p/q.svg", "data:image/png;base64,aa"}
    for link in (
        '<a href="http://far.example/x.png">far (at far.example)</a>',
        '<a href="http://far.example/">in a link (at far.example) too</a>',
        '<a href="HTTPS://far.example/y">Picture (at far.example)</a>',
        '<a href="///far.example/x.png">all (at ///far.example/x.png)</a>',
        '<th><a href="https://far.example/z">r (at far.example)</a></th>',
    ):
        assert link in body


def test_links_follow_the_page_they_stand_on() -> None:
    pages = {"a/c/1.md"}
    text = "[x](../c/1.md#usage) [y](../d/1.md) [z](https://example.com/a/c/1.md) [w](../../../a/c/1.md)"
    body = markdown.render_page(f"## H\n\n{text}\n", "a/b/1.md", pages).body
    for link in ("../c/1.html#usage", "../d/1.md", "https://example.com/a/c/1.md", "../../../a/c/1.md"):
        assert f'href="{link}"' in body


def test_the_plot_holds_what_is_known(made: Path) -> None:
    rows = read_index(made).newest
    drawn = plot(rows)
    assert drawn is not None
    assert [rows[dot.row].task for dot in drawn.dots] == ["image-classification"] * 2
    assert {dot.origin for dot in drawn.dots} == {"measured", "quoted"}
    assert [name for _, name in drawn.legend] == ["Fashion-MNIST", "ImageNet-1k"]
    by_size = sorted(drawn.dots, key=lambda dot: dot.x)
    assert [rows[dot.row].parameters for dot in by_size] == sorted(rows[dot.row].parameters or 0 for dot in by_size)
    assert by_size[0].y < by_size[1].y  # 91.9 % stands above 80.5 %
    assert [text for _, text in drawn.x_ticks] == ["500 k", "1 M", "2 M", "5 M", "10 M", "20 M"]
    assert plot([]) is None


@pytest.mark.parametrize(
    "sizes", [[22_050_664], [304_326_632], [10**6], [1], [303_000_000, 307_000_000], [86_567_656] * 2]
)
def test_models_of_one_size_have_a_scale(made: Path, sizes: list[int]) -> None:
    (row,) = [entry for entry in read_index(made).newest if entry.name == "vit_s16_classification"]
    drawn = plot([dataclasses.replace(row, parameters=size) for size in sizes])
    assert drawn is not None
    assert len(drawn.x_ticks) >= 2
    assert len(drawn.y_ticks) >= 2
    places = [place for place, _ in drawn.x_ticks]
    assert all(drawn.left <= place <= drawn.right for place in (*places, *(dot.x for dot in drawn.dots)))
    assert min(places) < max(dot.x for dot in drawn.dots)
    assert max(places) > min(dot.x for dot in drawn.dots)


@pytest.mark.parametrize("name", ["index.html", "vit-publisher/vit-publisher.html"])
def test_no_two_rows_of_a_list_have_the_same_name(made: Path, name: str) -> None:
    rows = re.findall(r'<th scope="row"><a [^>]*>(.*?)</a>', (made / name).read_text())
    names = [re.sub("<.*?>", "", row) for row in rows]
    assert "ViT-Mini4 on Fashion-MNIST feature extractor, version 2" in names
    assert len(set(names)) == len(names)


def test_a_modules_page_says_which_version_it_is_of(made: Path) -> None:
    for version in (1, 2):
        text = (made / f"vit-publisher/vit_demo_fe/{version}.html").read_text()
        assert f'<p class="kind">Image feature vector, version {version}</p>' in text
