"""Checks the sitemap of a hub's website: addresses that lead nowhere, and files beyond the limits of the protocol."""

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from pipeline.base.fault import Fault, show_name
from pipeline.base.text import read_generated
from pipeline.hub.sitemap import MOST_ADDRESSES, MOST_BYTES, SITEMAP

_ADDRESS = re.compile(r"<loc>([^<]*)</loc>")


def find_sitemap_problems(folder: Path, url: str | None) -> Iterator[str]:
    """Yields what is wrong with sitemap.xml and its parts, a sentence each.

    Args:
        folder: of the hub.
        url: the hub's public address, without a final slash; None where nobody knows it, so that there is no sitemap.
    """
    if url is None or not (folder / SITEMAP).is_file():
        return
    text, parts = "", [SITEMAP]
    for number, name in enumerate(parts):  # which grows by what the first one lists
        path = folder / name
        try:
            text = read_generated(path, _again(folder), MOST_BYTES)
        except Fault as fault:
            yield str(fault)
            continue
        addresses = [html.unescape(address) for address in _ADDRESS.findall(text)]
        if len(addresses) > MOST_ADDRESSES:
            yield f"{path}: {len(addresses):,} addresses, a sitemap may have {MOST_ADDRESSES:,}; {_again(folder)}"
        for address in addresses:
            place = unquote(address.removeprefix(f"{url}/")) or "index.html"
            if not address.startswith(f"{url}/") or not _is_file(folder, place):
                yield f"{path}: it lists {show_name(address)}, which is no file of the hub; {_again(folder)}"
            elif number == 0 and "<sitemapindex" in text:
                parts.append(place)


def _is_file(folder: Path, place: str) -> bool:
    """Whether a file of that path is in the hub, and not outside it."""
    return ".." not in place.split("/") and os.path.isfile(f"{folder}/{place}")  # noqa: PTH113 (of 50,000 addresses)


def _again(folder: Path) -> str:
    return f"run python -m pipeline.site {folder}"
