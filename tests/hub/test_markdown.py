"""Markdown pages as HTML: what becomes of HTML, code, headings, pictures and links."""

import html
import re

from pipeline.hub import markdown


def test_html_in_markdown_is_shown_as_text() -> None:
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


def test_highlighting_python_keeps_its_text() -> None:
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


def test_headings_have_unique_ids() -> None:
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


def test_links_are_relative_to_their_page() -> None:
    pages = {"a/c/1.md"}
    text = "[x](../c/1.md#usage) [y](../d/1.md) [z](https://example.com/a/c/1.md) [w](../../../a/c/1.md)"
    body = markdown.render_page(f"## H\n\n{text}\n", "a/b/1.md", pages).body
    for link in ("../c/1.html#usage", "../d/1.md", "https://example.com/a/c/1.md", "../../../a/c/1.md"):
        assert f'href="{link}"' in body


def test_ids_of_many_equal_headings_are_counted_on() -> None:
    """To try every number again for each heading would take quadratic time."""
    ids = markdown._Ids()
    assert [ids.unique(name) for name in ("A", "a-1", "a", "A!", "The plots")] == [
        "a",
        "a-1",
        "a-2",
        "a-3",
        "the-plots-1",
    ]
    assert [ids.unique("b") for _ in range(20_000)][-1] == "b-19999"
