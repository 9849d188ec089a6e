"""Renders cards, guides and other Markdown pages as HTML: title, first paragraph, body and headings.

CommonMark and tables, by markdown-it-py. HTML comments, which have TensorFlow Hub's metadata, are read and not shown;
other HTML is shown as text. markdown-it-py makes no links of javascript:, vbscript:, file: and data: addresses.
Pictures on other hosts become links, so that a page loads nothing from elsewhere.
"""

import functools
import keyword
import posixpath
import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.common.utils import escapeHtml
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

from pipeline.cards.page import NOTEBOOK_BADGE, is_elsewhere, parse_page, split_comments
from pipeline.hub.page_shape import RAW, mark_tables, shape, text_of

RESERVED = ("main", "the-trial", "the-plots", "the-formats", "the-changes", "the-files")  # ids in the templates
GUIDE_RESERVED = ("main",)  # those in the template of a guide
# The tokens of a snippet to highlight. A full lexer would take longer than the rest of the page.
_PYTHON = re.compile(
    r"(?P<comment>\#[^\n]*)"
    r"|(?P<string>(?<!\w)[bfruBFRU]{0,2}(?:\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'))"
    rf"|\b(?P<keyword>{'|'.join(keyword.kwlist)})\b"
    r"|\b(?P<number>\d[\w.]*)",
    re.DOTALL,
)


@dataclass(frozen=True)
class Heading:
    """A heading of the body: its level, 2 to 6, its text, and its id for links."""

    level: int
    text: str
    id: str


@dataclass(frozen=True)
class Document:
    """The parts of a page.

    Attributes:
        title: the text of the heading of level 1, "" without one.
        lede: the first paragraph, HTML without <p>; "" when something else comes first.
        lead: what comes before the section that the page is split at, HTML; "" where it is not split.
        body: the rest, HTML.
        headings: of the body, in order.
        metadata: the comments `<!-- name: value -->`; where a name is repeated, the first.
        images: the addresses of the body's images, as written.
        id: of the title, for links; "" where the template gives it none.
    """

    title: str
    lede: str
    lead: str
    body: str
    headings: tuple[Heading, ...]
    metadata: dict[str, str]
    images: frozenset[str]
    id: str = ""


def _html(self: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    """Drops comments, and shows other HTML as text."""
    return escapeHtml(split_comments(tokens[index].content)[1])


def _highlight(code: str) -> str:
    """Returns Python code as HTML, with a span for each token to highlight."""
    parts: list[str] = []
    end = 0
    for match in _PYTHON.finditer(code):
        parts += [
            escapeHtml(code[end : match.start()]),
            f'<span class="{match.lastgroup}">{escapeHtml(match[0])}</span>',
        ]
        end = match.end()
    return "".join([*parts, escapeHtml(code[end:])])


def _fence(self: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    """Renders a block of code that the keyboard can scroll; hub.js adds a copy button."""
    token = tokens[index]
    language = token.info.split()[0] if token.info.split() else "text"
    code = _highlight(token.content) if language == "python" else escapeHtml(token.content)
    label = "Diagram, as text in Mermaid's language" if language == "mermaid" else escapeHtml(f"Code, {language}")
    return f'<div class="code"><pre tabindex="0" role="group" aria-label="{label}"><code>{code}</code></pre></div>\n'


def _image(self: RendererHTML, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
    """Renders an image that scrolls on a phone, so that the text of a plot can be read; one of a gallery is small."""
    if tokens[index].meta.get("gallery"):
        tokens[index].attrSet("loading", "lazy")
        return self.image(tokens, index, options, env)
    image = self.image(tokens, index, options, env)
    return f'<span class="scroll" tabindex="0" role="group" aria-label="Picture">{image}</span>'


def _table_open(self: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    label = escapeHtml(str(tokens[index].meta.get("label", "")) or "Table")
    kind = f' class="{name}"' if (name := tokens[index].meta.get("class")) else ""
    return f'<div class="scroll" tabindex="0" role="group" aria-label="{label}"><table{kind}>\n'


def _raw(self: object, tokens: Sequence[Token], index: int, *_: object) -> str:
    """Renders HTML that the shape of the page adds, never a page's own."""
    return tokens[index].content


def _table_close(*_: object) -> str:
    return "</table></div>\n"


@functools.cache
def _parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    for rule in ("html_block", "html_inline"):
        parser.add_render_rule(rule, _html)
    for rule in ("fence", "code_block"):
        parser.add_render_rule(rule, _fence)
    parser.add_render_rule("image", _image)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    parser.add_render_rule(RAW, _raw)
    return parser


def _without(tokens: Sequence[Token], titles: Collection[str]) -> list[Token]:
    """Returns the tokens without the sections of these titles, each up to the next heading of its level."""
    kept, hidden = [], 0
    for index, token in enumerate(tokens):
        if token.type == "heading_open" and (not hidden or int(token.tag[1]) <= hidden):
            hidden = int(token.tag[1]) if text_of(tokens[index + 1]) in titles else 0
        if not hidden:
            kept.append(token)
    return kept


def _take(tokens: list[Token], kind: str, tag: str) -> Token | None:
    """Removes the first block, if it is of this kind, and returns its inline token."""
    if not tokens or tokens[0].type != kind or tokens[0].tag != tag:
        return None
    _, inline, _ = tokens[:3]
    del tokens[:3]
    return inline


def _slug(text: str) -> str:
    """Returns a heading as the id of a section of a card."""
    return re.sub(r"\W+", "-", text.lower()).strip("-")


def _github_slug(text: str) -> str:
    """Returns a heading as the id that GitHub gives it."""
    return re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-")


class _Ids:
    """Gives out ids made of a text, each once: "usage", "usage-1", ..."""

    def __init__(self, slug_of: Callable[[str], str] = _slug, reserved: Collection[str] = RESERVED) -> None:
        self._slug_of, self._used = slug_of, {*reserved}
        self._numbers: dict[str, int] = {}

    def unique(self, text: str) -> str:
        name = slug = self._slug_of(text) or "section"
        while name in self._used:
            self._numbers[slug] = self._numbers.get(slug, 0) + 1
            name = f"{slug}-{self._numbers[slug]}"
        self._used.add(name)
        return name


def _anchor(tokens: Sequence[Token], ids: _Ids) -> list[Heading]:
    """Gives each heading a unique id, and each table the name of the heading above it; returns the headings."""
    headings: list[Heading] = []
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            text = text_of(tokens[index + 1])
            name = ids.unique(text)
            token.attrSet("id", name)
            headings.append(Heading(int(token.tag[1]), text, name))
        elif token.type == "table_open" and headings:
            token.meta["label"] = f"Table: {headings[-1].text}"
        if token.type == "th_open" and not tokens[index + 1].content:
            token.tag = tokens[index + 2].tag = "td"  # an empty corner of a table is not a heading
        if token.type in ("th_open", "td_open") and (style := token.attrs.pop("style", None)):
            token.attrSet("class", str(style).removeprefix("text-align:"))  # a strict policy allows no style attributes
    return headings


def _picture_link(image: Token) -> list[Token]:
    """Returns a link to a picture, with its description and host as the text."""
    address = str(image.attrs["src"])
    name = image.content or "Picture"
    text = Token("text", "", 0, content=f"{name} (at {urlsplit(address).netloc or address})")
    return [Token("link_open", "a", 1, attrs={"href": address}), text, Token("link_close", "a", -1)]


def _link_external_pictures(tokens: Sequence[Token]) -> None:
    """Replaces pictures on other hosts by links, and within a link by their text."""
    for block in tokens:
        kept: list[Token] = []
        is_in_link = False
        for child in block.children or ():
            if child.type == "image" and is_elsewhere(str(child.attrs["src"])):
                opening, text, closing = _picture_link(child)
                kept += [text] if is_in_link else [opening, text, closing]
                continue
            is_in_link = {"link_open": True, "link_close": False}.get(child.type, is_in_link)
            kept.append(child)
        if block.children:
            block.children = kept


def _relink(tokens: Sequence[Token], folder: str, pages: Collection[str]) -> list[str]:
    """Points links to Markdown pages at their HTML pages, if they have one; returns the addresses of the images."""
    images = []
    for token in (child for block in tokens for child in block.children or ()):
        if token.type == "image":
            images.append(unquote(str(token.attrs["src"])))
        elif token.type == "link_open":
            address = str(token.attrs["href"])
            parts = urlsplit(address)
            target = posixpath.normpath(posixpath.join(folder, unquote(parts.path)))
            if not parts.scheme and not parts.netloc and target in pages:
                token.attrSet("href", parts._replace(path=parts.path.removesuffix(".md") + ".html").geturl())
    return images


def _redirect(tokens: Sequence[Token], resolve: Callable[[str], str | None]) -> None:
    """Points links and pictures of a guide at the website; what has no address there stays as text."""
    for block in tokens:
        kept: list[Token] = []
        dropped = ""  # the address of the link that is dropped
        start = 0  # of its text
        for child in block.children or ():
            if child.type == "image":
                address = resolve(str(child.attrs["src"]))
                child.attrSet("src", address or "")
                kept.append(child if address else Token("text", "", 0, content=child.content))
            elif child.type == "link_open" and (address := resolve(str(child.attrs["href"]))) is None:
                dropped, start = unquote(str(child.attrs["href"])), len(kept)
            elif child.type == "link_close" and dropped:
                kept += _name_file(dropped, "".join(each.content for each in kept[start:]))
                dropped = ""
            else:
                if child.type == "link_open":
                    child.attrSet("href", str(address))
                kept.append(child)
        if block.children:
            block.children = kept


def _name_file(address: str, text: str) -> list[Token]:
    """Returns what follows the text of a link that leads to a file of the project alone: the file's path."""
    path = posixpath.normpath(urlsplit(address).path)
    while path.startswith("../"):
        path = path.removeprefix("../")
    if path in text or posixpath.basename(path) == text:
        return []
    return [
        Token("text", "", 0, content=" ("),
        Token("code_inline", "code", 0, content=path),
        Token("text", "", 0, content=")"),
    ]


def publisher_name(text: str) -> str:
    """Returns the publisher's name from its page, where TF-Hub has the description; "" without one."""
    tokens = _parser().parse(parse_page(text).description)
    return "".join(text_of(token) for token in tokens if token.type == "inline")


def render_page(
    text: str, path: str, pages: Collection[str], without: Collection[str] = (), split: str = ""
) -> Document:
    """Renders a Markdown page.

    Args:
        text: the page.
        path: its path in the hub, such as sayakpaul/vit_s16_fe/1.md, which its links are relative to.
        pages: the Markdown pages of the hub that have an HTML page of the same name.
        without: headings of sections to leave out.
        split: the heading of level 2 before which the page is split; "" for none.
    """
    parser = _parser()
    # tfhub.dev brought the picture of the badge with it; here its description is the link's text.
    tokens = parser.parse(text.replace(f"\n{NOTEBOOK_BADGE}(", "\n[Open Colab notebook](", 1))
    metadata = _metadata(tokens)
    tokens = _without(tokens, without)
    heading = _take(tokens, "heading_open", "h1")
    if heading and text_of(heading).startswith("Publisher "):
        _take(tokens, "paragraph_open", "p")  # the name, see publisher_name()
        _take(tokens, "heading_open", "h2")  # "About", which the page is
    _link_external_pictures(tokens)
    images = _relink(tokens, posixpath.dirname(path), pages)
    lede = _take(tokens, "paragraph_open", "p")
    headings = _anchor(tokens, _Ids())
    at = _find_section(tokens, split)
    lead, tokens = shape(tokens[:at]), shape(tokens[at:])
    return Document(
        title=text_of(heading) if heading else "",
        lede=str(parser.renderer.render([lede], parser.options, {})) if lede else "",
        lead=str(parser.renderer.render(lead, parser.options, {})),
        body=str(parser.renderer.render(tokens, parser.options, {})),
        headings=tuple(headings),
        metadata=metadata,
        images=frozenset(images),
    )


def render_guide(text: str, resolve: Callable[[str], str | None]) -> Document:
    """Renders a page of the documentation, with the ids that GitHub gives its headings.

    Args:
        text: the page.
        resolve: returns where a link or a picture leads on the website; None where it has no address there.
    """
    parser = _parser()
    tokens = parser.parse(text)
    heading, ids = _take(tokens, "heading_open", "h1"), _Ids(_github_slug, GUIDE_RESERVED)
    title = text_of(heading) if heading else ""
    _link_external_pictures(tokens)
    _redirect(tokens, resolve)
    lede = _take(tokens, "paragraph_open", "p")
    name = ids.unique(title)
    headings = _anchor(tokens, ids)
    mark_tables(tokens)
    return Document(
        title=title,
        lede=str(parser.renderer.render([lede], parser.options, {})) if lede else "",
        lead="",
        body=str(parser.renderer.render(tokens, parser.options, {})),
        headings=tuple(headings),
        metadata={},
        images=frozenset(),
        id=name,
    )


def _find_section(tokens: Sequence[Token], heading: str) -> int:
    """Returns the index of a heading of level 2; 0 without one."""
    for index, token in enumerate(tokens):
        is_heading = token.type == "heading_open" and token.tag == "h2" and not token.level
        if is_heading and text_of(tokens[index + 1]) == heading:
            return index
    return 0


def _metadata(tokens: Sequence[Token]) -> dict[str, str]:
    metadata: dict[str, str] = {}
    for token in tokens:
        for comment in split_comments(token.content)[0] if token.type == "html_block" else ():
            name, colon, value = comment.partition(":")
            if colon:
                metadata.setdefault(name.strip(), value.strip())
    return metadata
