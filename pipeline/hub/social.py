"""What search engines and previews of links show of a page: its description and its absolute address."""

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

LONGEST = 200  # characters of a description; search engines show about 160
_TAG = re.compile(r"<[^>]*>")
_START = "index.html"


@dataclass(frozen=True)
class Preview:
    """The description of a page, and its address; None where the page has no description or the hub no address."""

    description: str | None
    url: str | None


def describe(path: str, facts: Mapping[str, Any], url: str | None) -> Preview:
    """Returns what previews of a page show.

    Args:
        path: of the page in the hub.
        facts: of its template: a `description`, or the `card` whose first paragraph it is.
        url: the hub's public address without a final slash; None where nobody knows it.
    """
    description = facts.get("description")
    if description is None and facts.get("card"):
        description = shorten(text_of(facts["card"].lede)) or None
    address = None
    if url is not None:
        address = f"{url}/{'' if path == _START else quote(path)}"
    return Preview(description, address)


def text_of(markup: str) -> str:
    """Returns the text of HTML that pipeline.hub.markdown rendered, where a "<" of a text is escaped."""
    return " ".join(html.unescape(_TAG.sub("", markup)).split())


def shorten(text: str) -> str:
    """Returns a text of at most LONGEST characters, cut after a word."""
    if len(text) <= LONGEST:
        return text
    return text[: LONGEST - 1].rpartition(" ")[0].rstrip(",;:") + "…"
