"""The answer to addresses that lead nowhere: a page for browsers, whose links work, and a sentence for programs."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest

from pipeline.hub import website
from pipeline.hub.index import Index
from pipeline.server.app import relink
from tests.server.harness import Running, write

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PAGE = b"""<!doctype html><html lang="en" data-root="/the/hub/"><link href="/the/hub/site/style.css">
<p><!-- reason --><a href="/the/hub/index.html">All</a> <a href="https://a.example/the/hub/">elsewhere</a>"""
SENTENCE = b"There is no such"


@pytest.fixture
def with_page(own: Running) -> Running:
    write(own.root / "404.html", PAGE)
    return own


@pytest.mark.parametrize("path", ["/nothing", "/alice/net/99", "/alice/net/99/plots/x.svg", "/a/b/c/d/e/f/g", "/site/"])
def test_links_work_at_any_depth(with_page: Running, path: str) -> None:
    answer = with_page.ask(path, **BROWSER)
    assert answer.status == 404
    assert answer["content-type"] == "text/html; charset=utf-8"
    assert SENTENCE in answer.body
    links = re.findall(rb'href="([^"]*)"', answer.body)
    for proxied in (with_page.address, "https://proxy/models"):
        own = [urljoin(proxied + path, link.decode()) for link in links]
        assert own == [f"{proxied}/site/style.css", f"{proxied}/index.html", "https://a.example/the/hub/"]
    assert with_page.ask("/site/style.css").status == 200


@pytest.mark.parametrize("accept", [None, "*/*", "text/plain", "application/gzip", "text/html;q=0.5,text/plain"])
def test_programs_get_a_sentence(with_page: Running, accept: str | None) -> None:
    answer = with_page.ask("/nothing", **({"Accept": accept} if accept else {}))
    assert answer.status == 404
    assert answer["content-type"] == "text/plain; charset=utf-8"
    assert answer["vary"] == "Accept"
    assert answer.body.startswith(SENTENCE)


def test_a_hub_without_the_page_answers_browsers_with_a_sentence(own: Running) -> None:
    assert own.ask("/nothing", **BROWSER).body.startswith(SENTENCE)


def test_an_address_of_very_many_folders_gets_a_sentence(with_page: Running) -> None:
    """Each link of the page would be as long as the way back."""
    answer = with_page.ask("/a" * 1000, **BROWSER)
    assert answer.status == 404
    assert answer.body.startswith(SENTENCE)


def test_head_has_no_body_and_other_refusals_stay_sentences(with_page: Running) -> None:
    assert with_page.ask("/nothing", method="HEAD", **BROWSER).body == b""
    wrong = with_page.ask("/alice/net/1?tf-hub-format=zip", **BROWSER)
    assert (wrong.status, wrong["content-type"]) == (400, "text/plain; charset=utf-8")


def test_a_page_that_names_no_root_is_left_alone() -> None:
    assert relink(b'<html><a href="/x">', "../") == b'<html><a href="/x">'
    root = b'<html data-root="/"><a href="/x"><img src="/y"><a href="//elsewhere/z">'
    assert relink(root, "../") == b'<html data-root="/"><a href="../x"><img src="../y"><a href="//elsewhere/z">'


def test_the_page_of_a_real_hub_has_what_the_server_replaces(tmp_path: Path) -> None:
    website.build(tmp_path, Index({}, {}, {}), "https://a.example/the/hub")
    page = (tmp_path / "404.html").read_bytes()
    assert b"<!-- reason -->" in page
    assert b'href="../../site/style.css"' in relink(page, "../../")
    assert b'"/the/hub/' not in relink(page, "../../").replace(b'data-root="/the/hub/"', b"")
