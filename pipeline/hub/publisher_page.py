"""The page of a publisher, which lists what the hub has of it."""

from collections.abc import Iterable

from pipeline.base.templates import render
from pipeline.facts.collection import Publisher
from pipeline.hub.entries import CollectionEntry, ModuleEntry


def render_publisher(
    publisher: Publisher, modules: Iterable[ModuleEntry], collections: Iterable[CollectionEntry]
) -> str:
    """Returns the page; of the modules and collections only the publisher's are listed."""
    return render(
        "publisher.md.jinja",
        publisher=publisher,
        modules=[entry for entry in modules if entry.publisher == publisher.id],
        collections=[entry for entry in collections if entry.publisher == publisher.id],
    )
