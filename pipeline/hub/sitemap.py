"""sitemap.xml, the addresses of all pages for search engines (https://www.sitemaps.org/protocol.html).

A sitemap has at most 50,000 addresses and 50 MB. Beyond that sitemap.xml lists the parts, sitemap-<number>.xml. They
lie beside it: a sitemap may list only what is in its folder and below.
"""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from urllib.parse import quote

from pipeline.hub.overview import Overview
from pipeline.hub.site_page import Page

SITEMAP = "sitemap.xml"
MOST_ADDRESSES = 50_000
MOST_BYTES = 50_000_000  # the protocol allows 52,428,800
_LINE = "<url><loc></loc></url>\n"
_BESIDE = 200  # bytes, more than those of the first and the last lines


def list_paths(overview: Overview) -> Iterator[str]:
    """Yields the paths of the pages of modules, collections and publishers, which search engines should know."""
    publishers = (f"{publisher}/{publisher}" for publisher in overview.publishers)
    for name in (*overview.modules, *overview.collections, *publishers):
        yield f"{name}.html"


def list_pages(url: str, paths: Iterable[str]) -> Iterator[Page]:
    """Yields the sitemap of a website, its parts first.

    Args:
        url: the hub's public address, without a final slash.
        paths: of the pages in the hub, but for the start page, whose address is the hub's.
    """
    addresses = [f"{url}/", *(f"{url}/{quote(path)}" for path in sorted(paths))]
    parts = list(_split(addresses))
    if len(parts) == 1:
        yield _page(SITEMAP, "sitemap.xml.jinja", addresses)
        return
    names = [f"sitemap-{number}.xml" for number in range(1, len(parts) + 1)]
    for name, part in zip(names, parts, strict=True):
        yield _page(name, "sitemap.xml.jinja", part)
    yield _page(SITEMAP, "sitemap_index.xml.jinja", [f"{url}/{name}" for name in names])


def _page(path: str, template: str, addresses: Sequence[str]) -> Page:
    return Page(path, template, "\n".join(addresses), lambda: {"addresses": addresses})


def _split(addresses: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yields the addresses of each file: as many as it may have."""
    start, size = 0, _BESIDE
    for place, address in enumerate(addresses):
        length = len(_LINE) + len(escape(address).encode())
        if place > start and (place - start == MOST_ADDRESSES or size + length > MOST_BYTES):
            yield addresses[start:place]
            start, size = place, _BESIDE
        size += length
    yield addresses[start:]
