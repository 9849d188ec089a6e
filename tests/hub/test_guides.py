"""The project's documentation on a hub's website: its pages, links, anchors and pictures, and what check-hub finds."""

import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pipeline.hub import guides, markdown, website
from pipeline.hub.folder import read_index
from pipeline.hub.guide_checks import find_guide_problems
from pipeline.hub.guides import FOLDER, INDEX, Guides, find_guides
from pipeline.hub.overview import Overview
from tests.conftest import ROOT
from tests.hub.test_website import Page, build

GUIDE = f"{FOLDER}/formats.html"


def problems(hub: Path) -> list[str]:
    return [problem.replace(f"{hub}/", "") for problem in find_guide_problems(hub, Overview.of(read_index(hub)))]


def render(text: str, guide: str = "docs/a.md") -> markdown.Document:
    found = Guides({"docs/a.md": f"{FOLDER}/a.html", "docs/index.md": INDEX}, {"docs/p.png": f"{FOLDER}/p.png"})
    return markdown.render_guide(f"# Title\n\nFirst.\n\n{text}\n", lambda link: found.resolve(guide, link))


def test_every_page_of_the_documentation_is_rendered(published: Path) -> None:
    pages = find_guides().pages
    assert {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")} == pages.keys() - {
        "benchmarks/README.md", "CHANGELOG.md",
    }  # fmt: skip
    assert len({*pages.values()}) == len(pages)
    for source, path in pages.items():
        title = (ROOT / source).read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").replace("`", "")
        shown = Page(published / path)
        assert shown.tags.count("h1") == 1
        assert title in shown.text
        assert "docs/index.html" in shown.links or "index.html" in shown.links, path


def test_every_link_of_the_documentation_leads_to_a_page_or_a_heading(published: Path) -> None:
    """Every link to a guide in the Markdown is one on the website, too, and none is dead."""
    shown = {path: Page(published / path) for path in find_guides().pages.values()}
    for source, path in find_guides().pages.items():
        for link in shown[path].links:
            parts = urlsplit(link)
            if parts.scheme:
                assert parts.scheme in ("http", "https"), link
                continue
            target = (published / path).parent.joinpath(unquote(parts.path)).resolve() if parts.path else None
            assert target is None or target.is_file(), (path, link)
            if parts.fragment:
                name = target.relative_to(published.resolve()).as_posix() if target else path
                assert unquote(parts.fragment) in shown[name].ids, (path, link)
        text = re.sub(r"^```.*?^```", "", (ROOT / source).read_text(encoding="utf-8"), flags=re.M | re.S)
        folder = (ROOT / source).parent
        there = [link for link in re.findall(r"\]\(([^()\s]+\.md)[#)]", text) if folder.joinpath(link).is_file()]
        pages = Counter(unquote(urlsplit(link).path) for link in shown[path].links)
        for link, count in Counter(there).items():
            target_path = find_guides().find(source, link)
            assert target_path
            assert pages[target_path.removeprefix(f"{FOLDER}/")] >= count, (path, link)


def test_pages_do_not_show_comments_and_pass_no_html_through() -> None:
    text = "<!-- not run: needs a GPU -->\n```sh\nx\n```\n\n<b>bold</b> <!-- inline --> text\n\n<script>x</script>\n"
    body = render(text).body
    assert "<!--" not in body
    assert "&lt;!--" not in body
    assert "not run" not in body
    assert "&lt;b&gt;bold&lt;/b&gt;" in body
    assert "<script" not in body
    for path in (ROOT / "docs").glob("*.md"):
        assert "<!-- not run" not in render(path.read_text(encoding="utf-8")).body


def test_headings_have_the_ids_that_github_gives_them() -> None:
    document = render(
        "## A `b.c`, d/e\n\n## What is it?\n\n### Title\n\n## a & b\n\n## The files\n\n## --x_y\n\n## Title\n"
    )
    assert document.id == "title"
    assert [heading.id for heading in document.headings] == [
        "a-bc-de", "what-is-it", "title-1", "a--b", "the-files", "--x_y", "title-2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "guide", "expected"),
    [
        ("[x](a.md#b)", "docs/index.md", '<a href="a.html#b">x</a>'),
        ("[x](#b)", "docs/a.md", '<a href="#b">x</a>'),
        ("[x](docs/a.md)", "CHANGELOG.md", '<a href="a.html">x</a>'),
        ("[x](../docs/a.md)", "benchmarks/README.md", '<a href="a.html">x</a>'),
        ("[x](../README.md#how-it-works)", "docs/a.md", '<a href="index.html">x</a>'),
        ("[x](https://a.example/b.md)", "docs/a.md", '<a href="https://a.example/b.md">x</a>'),
        ("[x **y**](../pipeline/b.py) z", "docs/a.md", "<p>x <strong>y</strong> (<code>pipeline/b.py</code>) z</p>"),
        ("[`pipeline/b.py`](../pipeline/b.py#L3)", "docs/a.md", "<p><code>pipeline/b.py</code></p>"),
        ("[b.py](../pipeline/b.py)", "docs/a.md", "<p>b.py</p>"),
        ("[x](gone.md)", "docs/a.md", "<p>x (<code>gone.md</code>)</p>"),
        ("[x](../../outside.md)", "docs/a.md", "<p>x (<code>outside.md</code>)</p>"),
        ("![y](p.png)", "docs/a.md", '<img src="p.png" alt="y" />'),
        ("![y](q.png)", "docs/a.md", "<p>y</p>"),
    ],
)  # fmt: skip
def test_links_lead_to_pages_of_the_website_or_stay_as_text(text: str, guide: str, expected: str) -> None:
    assert expected in render(f"## H\n\n{text}", guide).body


def test_sections_are_not_folded_and_tables_can_be_scrolled() -> None:
    body = render("## Verification\n\nx\n\ny\n\n## Usage\n\n### A\n\n### B\n\n| a | b |\n|---|---|\n| 1 | 2 |\n").body
    assert "<details" not in body
    assert 'class="tabs"' not in body
    assert '<div class="scroll" tabindex="0" role="group" aria-label="Table: B"><table>' in body


def test_a_diagram_is_shown_as_text() -> None:
    body = render("## H\n\n```mermaid\nflowchart LR\n a --> b\n```\n").body
    assert 'aria-label="Diagram, as text in Mermaid\'s language"' in body
    assert "a --&gt; b" in body


def test_contents_are_listed_from_four_sections_on(published: Path) -> None:
    for path in find_guides().pages.values():
        text = (published / path).read_text(encoding="utf-8")
        contents = text.partition('<nav class="contents"')[2].partition("</nav>")[0]
        sections = re.findall(r'<h2 id="(.*?)"', text)
        assert re.findall(r'href="#(.*?)"', contents) == (sections if len(sections) > 3 else []), path


def test_pictures_of_the_documentation_are_in_the_hub(published: Path) -> None:
    for source, path in find_guides().pictures.items():
        assert (published / path).read_bytes() == (ROOT / source).read_bytes()
    assert "module-page.png" in Page(published / FOLDER / "hub.html").links


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[Path]:
    """A copy of the documentation, which a test may change."""
    folder = tmp_path / "sources"
    shutil.copytree(ROOT / "docs", folder / "docs")
    for name in ("benchmarks/README.md", "CHANGELOG.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(guides, "data_path", folder.joinpath)
        find_guides.cache_clear()
        yield folder
    find_guides.cache_clear()


def test_a_changed_guide_renders_its_page_alone(hub: Path, copied: Path) -> None:
    assert build(hub) == 0
    (copied / "docs/formats.md").write_text("# Formats\n\nNew.\n\nText.\n")
    assert build(hub) == 1
    assert "New." in Page(hub / GUIDE).text
    (copied / "docs/module-page.png").write_bytes(b"another")
    assert build(hub) == 1  # docs/hub.md shows it
    (copied / "docs/start-page.png").unlink()
    (copied / "docs/formats.md").unlink()
    find_guides.cache_clear()
    build(hub)
    assert not (hub / GUIDE).exists()
    assert not (hub / FOLDER / "start-page.png").exists()
    assert (hub / FOLDER / "module-page.png").exists()
    assert problems(hub) == []  # another version's pages


UNREADABLE = "<![foo[x]]>"


def stops_the_parser(markup: str) -> bool:
    """Whether Python's parser of HTML gives up on markup, as that of 3.11.7 does and newer ones do not."""
    try:
        HTMLParser().feed(markup)
    except AssertionError:
        return True
    return False


def _append(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\n")


@pytest.mark.parametrize(
    ("path", "change", "expected"),
    [
        (GUIDE, Path.unlink, f"{GUIDE}: missing, expected a page of the documentation; run python -m pipeline.site "),
        (GUIDE, _append, f"{GUIDE}: edited, not as it was rendered; delete it, and run python -m pipeline.site "),
        (GUIDE, lambda path: path.write_bytes(b"\xe9"), f"{GUIDE}: not UTF-8 text"),
        (f"{FOLDER}/module-page.png", Path.unlink,
         f"{FOLDER}/hub.html: it links to module-page.png, and there is no such file; run python -m pipeline.site "),
        (f"{FOLDER}/module-page.png", _append, "module-page.png: edited, not the picture of the documentation"),
        ("site/style.css", Path.unlink, "it links to ../style.css, and there is no such file"),
    ],
)  # fmt: skip
def test_check_hub_finds_what_is_wrong_with_the_documentation(
    hub: Path, path: str, change: Callable[[Path], object], expected: str
) -> None:
    assert problems(hub) == []
    change(hub / path)
    (problem,) = problems(hub)
    assert expected in problem
    if change is Path.unlink or (change is _append and path == GUIDE):  # and the sentence says what helps
        (hub / path).unlink(missing_ok=True)
        build(hub)
        assert problems(hub) == []


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ('<a href="%00">', "links to %00, which is no address"),
        ('<a href="http://[">', "links to http://[, which is no address"),
        (f'<a href="{"x" * 300}">', "x, which is no address"),
        ('<a href="../../../../etc/passwd">', "links to ../../../../etc/passwd, and there is no such file"),
        pytest.param(
            UNREADABLE,
            "it is not HTML as it was rendered",
            marks=pytest.mark.skipif(not stops_the_parser(UNREADABLE), reason="this Python's parser reads it"),
        ),
    ],
)
def test_hostile_markup_in_a_page_of_another_version_is_named(hub: Path, markup: str, expected: str) -> None:
    (hub / FOLDER / "other.html").write_text(f"<p>{markup}")
    (problem,) = problems(hub)
    assert expected in problem


def test_check_hub_finds_dead_links_in_pages_of_another_version(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = hub / GUIDE
    page.write_text(page.read_text().replace('href="litert.html"', 'href="nowhere.html"').replace("#main", "#nothing"))
    monkeypatch.setattr(website, "renderer_digest", lambda: "another")
    assert sorted(problems(hub)) == [
        f"{GUIDE}: it links to #nothing, and that page has no such heading",
        f"{GUIDE}: it links to nowhere.html, and there is no such file; run python -m pipeline.site {hub}",
    ]


def test_a_hub_of_an_older_version_has_no_documentation_to_check(hub: Path) -> None:
    shutil.rmtree(hub / FOLDER)
    (hub / "site/pages.json").unlink()
    assert problems(hub) == []
