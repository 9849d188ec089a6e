"""Plain text in Markdown reads as it was written, wherever it stands."""

import pytest
from markdown_it import MarkdownIt

from pipeline.base.plain_text import code_fence, code_span, escape_clause, escape_markdown, link_target

MARKDOWN = MarkdownIt("commonmark").enable("table")
PLACES = (
    "{}", "before {} after", "# A title {}, then", "* [{}](address)", "[{}](address)",
    "| {} | b |\n|---|---|\n| c | {} |",
)  # fmt: skip
TEXTS = (
    "Fashion-MNIST", "do_0.1_x", "[2] and [3, 4]", "one [a](javascript:x)", "![a](b)", "[a]: b", "[1]: b", "[1](b)",
    "[[2]]", "a *b* **c**", "__init__", "_x_", "a_", "<b>bold</b>", "photographs <set A>", "a < b > c", "<!-- a -->",
    "<script>", "x | y", "|", "`code`", "``", "$x$ $$y$$", "${PATH}", "~~gone~~", "&lt; AT&T &#35;", "\\", "a\\", "\\*",
    "1. first", "2) second", "- a", "+ a", "# a", "###", "===", "---", "> a", "شمس 🌞 ☀️ 👩‍🔬", "naïve", "a\n# b\n\n- c",
    "a\u2028b", "http://a.b/c_d",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("text", TEXTS)
def test_text_reads_as_it_was_written(text: str, place: str) -> None:
    tokens = MARKDOWN.parse(place.replace("{}", escape_markdown(text)))
    inline = [token for token in tokens if token.type == "inline"]
    written = " ".join(text.split())
    is_alone = "](" in place or "|" in place
    expected = written if is_alone else place.removeprefix("# ").replace("{}", written)
    children = inline[0].children or []
    assert "".join(child.content for child in children) == expected
    assert {child.type for child in children} <= {"text", "text_special", "link_open", "link_close"}
    assert sum(child.type == "link_open" for child in children) == place.count("](")
    if "|" in place:
        assert len(inline) == 4
        assert "".join(child.content for child in inline[3].children or []) == written


def test_ordinary_text_is_left_alone() -> None:
    for text in ("ViT-R26-S32 (light augmentation)", "column adapt_final_test of gs://vit_models/augreg/index.csv"):
        assert escape_markdown(text) == text
    text = "on ImageNet-1k [2] by the authors of [3, 4]"
    assert escape_markdown(text, keep_citations=True) == text
    assert escape_clause(f"{text}.\n") == text
    assert escape_markdown("[1](a) [2]: b [3]", keep_citations=True) == r"\[1\](a) \[2\]: b [3]"


def test_characters_that_reorder_the_page_are_left_out() -> None:
    assert escape_markdown("\u202ecba\u202c \u2067x\u2069\x07") == "cba x"
    joined = "\N{ARABIC LETTER MEEM}\u200c\N{ARABIC LETTER YEH}"  # Persian needs its joiners, as emoji do
    assert escape_markdown(joined) == joined


def test_code_and_links_end_where_they_should() -> None:
    assert code_span("a.npz") == "`a.npz`"
    assert code_span("a`b``c") == "``` a`b``c ```"
    assert code_fence("@misc{a}") == "```"
    assert code_fence("a ``` b ````") == "`````"
    assert link_target("https://a.b/c?d=1&e=%20#f") == "https://a.b/c?d=1&e=%20#f"
    assert link_target("https://a.b/c(d) <e>") == "https://a.b/c%28d%29%20%3Ce%3E"
