"""Puts plain text into Markdown, so that it reads as it was written: nothing in it is markup, HTML or a formula."""

import re
from urllib.parse import quote

# Invisible characters that reorder the text around them, and control characters.
_CONTROLS = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufeff]")
_MARKUP = re.compile(
    r"(?P<kept>(?<=[^\W_])_+(?=[^\W_]))"  # within a word, "_" is no emphasis
    r"|(?P<citation>\[\d+(?:, ?\d+)*\](?![(\[:]))"
    r"|\$\{|&(?=#?\w+;)|[\\`*_\[\]<|~$]"
)
# What makes a heading, list, quotation or rule of a line that begins with it.
_START = re.compile(r"#+(?=\s|$)|[-+](?=\s|$)|>|=+$|-+$|(?P<number>\d+)(?=[.)](?:\s|$))")

_IN_TARGET = "".join(character for character in map(chr, range(0x21, 0x7F)) if character not in '()<>\\"')


def escape_markdown(text: str, keep_citations: bool = False) -> str:
    """Returns text as Markdown, in one line.

    It suits paragraphs, headings, cells of tables and texts of links; in CommonMark, in GitHub's Markdown, and where
    "$" begins a formula.

    Args:
        text: to be read as it is.
        keep_citations: whether "[2]" and "[3, 4]" cite the references of the page.
    """

    def escape(match: re.Match[str]) -> str:
        if match["kept"] or (match["citation"] and keep_citations):
            return match[0]
        return re.sub(r"([^\d\s,])", r"\\\1", match[0])

    text = _MARKUP.sub(escape, _one_line(text))
    start = _START.match(text)
    if start is None:
        return text
    return f"{start['number']}\\{text[start.end() :]}" if start["number"] else f"\\{text}"


def escape_clause(text: str) -> str:
    """Returns the end of a sentence as Markdown, without its full stop; it may cite the references of the page."""
    return escape_markdown(text.rstrip().removesuffix("."), keep_citations=True)


def _one_line(text: str) -> str:
    return " ".join(_CONTROLS.sub("", text).split())


def code_span(text: str) -> str:
    """Returns text as a code span, in one line."""
    text = _one_line(text)
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(map(len, re.findall("`+", text))))
    return f"{fence} {text} {fence}"


def code_fence(text: str) -> str:
    """Returns the line of backquotes that may stand above and below a text as a block of code."""
    return "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))


def link_target(address: str) -> str:
    """Returns an address for the parentheses of a Markdown link; what would end it is percent-encoded."""
    return quote(_one_line(address), safe=_IN_TARGET)
