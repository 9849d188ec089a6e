"""Checks the sitemap of a hub's website: missing pages, addresses that lead nowhere, files beyond the limits."""

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from pipeline.base.fault import Fault, list_names, show_name
from pipeline.base.text import read_generated
from pipeline.hub.overview import Overview
from pipeline.hub.sitemap import MOST_ADDRESSES, MOST_BYTES, SITEMAP, list_paths

_START = "index.html"  # whose address is the hub's
_ADDRESS = re.compile(r"<loc>([^<]*)</loc>")


def find_sitemap_problems(folder: Path, url: str | None, overview: Overview) -> Iterator[str]:
    """Yields what is wrong with sitemap.xml and its parts, a sentence each.

    Missing pages are named where nothing else is wrong, since the same command renews it all. Those of the
    documentation may be missing: they differ from version to version of this program.

    Args:
        folder: of the hub.
        url: the hub's public address, without a final slash; None where nobody knows it, so that there is no sitemap.
        overview: of what the hub lists.
    """
    if url is None:
        return
    path = folder / SITEMAP
    if not path.is_file():
        yield f"{path}: missing, so search engines do not find the pages; {_again(folder)}"
        return
    places: set[str] = set()
    problems = list(_check_files(folder, url, places))
    yield from problems
    missing = [page for page in (_START, *list_paths(overview)) if page not in places]
    if missing and not problems:
        count = f"{len(missing):,} page{'' if len(missing) == 1 else 's'}"
        yield f"{path}: it lacks {count} of the hub ({list_names(missing, 3)}); {_again(folder)}"


def _check_files(folder: Path, url: str, places: set[str]) -> Iterator[str]:
    """Yields what is wrong with each file of the sitemap; adds the paths that they list to `places`."""
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
            place = unquote(address.removeprefix(f"{url}/")) or _START
            places.add(place)
            if not address.startswith(f"{url}/") or not _is_file(folder, place):
                yield f"{path}: it lists {show_name(address)}, which is no file of the hub; {_again(folder)}"
            elif number == 0 and "<sitemapindex" in text:
                parts.append(place)
                if "/" in place:
                    reason = "which search engines refuse for pages above its folder"
                    yield f"{path}: it lists {show_name(address)}, {reason}; {_again(folder)}"


def _is_file(folder: Path, place: str) -> bool:
    """Whether a file of that path is in the hub, and not outside it."""
    return ".." not in place.split("/") and os.path.isfile(f"{folder}/{place}")  # noqa: PTH113 (of 50,000 addresses)


def _again(folder: Path) -> str:
    return f"run python -m pipeline.site {folder}"
