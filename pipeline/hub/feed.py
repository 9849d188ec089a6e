"""feed.xml, the releases of a hub as an Atom feed (RFC 4287), and sitemap.xml: from the index alone."""

from collections.abc import Iterable, Sequence
from urllib.parse import quote

from pipeline.hub.entries import ModuleEntry
from pipeline.hub.index import Index
from pipeline.hub.models import kind_of

FEED, SITEMAP = "feed.xml", "sitemap.xml"
MOST_ENTRIES = 50
MOST_ADDRESSES = 50_000  # of a sitemap (https://www.sitemaps.org/protocol.html)


def list_releases(index: Index) -> tuple[ModuleEntry, ...]:
    """Returns the versions of the feed, the latest first.

    These are released, not yanked, and of a known day: an index of an older version of this program has no days.
    """
    released = [entry for entry in index.modules.values() if entry.published and entry.is_released and not entry.yanked]
    by_handle = sorted(released, key=lambda entry: entry.handle)
    return tuple(sorted(by_handle, key=lambda entry: entry.published or "", reverse=True)[:MOST_ENTRIES])


def title_of(entry: ModuleEntry) -> str:
    """Returns the title of a version in the feed, such as "ViT-S16 classifier, version 2"."""
    return f"{entry.title} {kind_of(entry.task)}, version {entry.version}"


def summary_of(entry: ModuleEntry) -> str:
    """Returns the facts of a version in one sentence."""
    accuracy = entry.accuracy
    facts = [
        entry.title_of_model,
        f"data set {entry.dataset}" if entry.dataset else "",
        f"{entry.parameters:,} parameters" if entry.parameters else "",
        f"top-1 {100 * accuracy.top1:.2f} % ({accuracy.origin})" if accuracy else "",
        f"licence {entry.license}" if entry.license else "",
    ]
    return "; ".join(filter(None, facts)) or entry.handle


def list_addresses(url: str, paths: Iterable[str], start: str) -> Sequence[str]:
    """Returns the absolute addresses of pages, sorted, the start page first.

    Args:
        url: the hub's public address, without a final slash.
        paths: of the pages in the hub.
        start: the path of the start page, whose address is the hub's.
    """
    pages = sorted(path for path in paths if path != start)
    return [f"{url}/", *(f"{url}/{quote(path)}" for path in pages)][:MOST_ADDRESSES]
