"""feed.xml, the releases of a hub as an Atom feed (RFC 4287), from the index alone."""

from collections.abc import Iterable

from pipeline.hub.listed import ListedModule
from pipeline.hub.models import kind_of

FEED = "feed.xml"
MOST_ENTRIES = 50


def list_releases(modules: Iterable[ListedModule]) -> tuple[ListedModule, ...]:
    """Returns the versions of the feed, the latest first.

    These are released, not yanked, and of a known day: an index of an older version of this program has no days.
    """
    released = [entry for entry in modules if entry.published and entry.is_released and not entry.is_yanked]
    by_handle = sorted(released, key=lambda entry: entry.handle)
    return tuple(sorted(by_handle, key=lambda entry: entry.published or "", reverse=True)[:MOST_ENTRIES])


def title_of(entry: ListedModule) -> str:
    """Returns the title of a version in the feed, such as "ViT-S16 classifier, version 2"."""
    return f"{entry.title} {kind_of(entry.task)}, version {entry.version}"


def summary_of(entry: ListedModule) -> str:
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
