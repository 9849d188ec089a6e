"""The pages that list models: the start page, what follows it for readers without script, and a publisher's.

A page has the first models alone, so that 10,000 modules open as fast as ten. The others are on further static pages,
and in site/models.js, from which templates/site/start.js answers searches, sorts and draws more rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

from pipeline.hub import catalogue, guides, sitemap
from pipeline.hub.catalogue import catalogue_text, page_name, split_pages
from pipeline.hub.feed import FEED, list_releases
from pipeline.hub.listed import ListedModule
from pipeline.hub.models import SAVED_MODEL, Model, group_models, spoken
from pipeline.hub.overview import Overview
from pipeline.hub.site_page import Page
from pipeline.hub.start_page_plot import list_plots

START, COMPARISON, NOT_FOUND = "index.html", "site/compare.html", "404.html"
_MOST_LINKS = 20  # of a kind on the page for addresses that lead nowhere


@dataclass(frozen=True)
class Filters:
    """What a list of models can be filtered by; those of one value are no choice, and not offered."""

    tasks: tuple[str, ...]
    architectures: tuple[str, ...]
    datasets: tuple[str, ...]
    formats: tuple[str, ...]
    licences: tuple[str, ...]
    publishers: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class ModelList:
    """A page of a list.

    Attributes:
        models: all models of the list.
        shown: those of this page.
        number: of this page, from 1.
        paths: of all its pages, in the hub.
        publisher: whose models alone they are, an id; None on the start page.
        names: the publishers' names for people, by id.
    """

    models: tuple[Model, ...]
    shown: Sequence[Model]
    number: int
    paths: tuple[str, ...]
    publisher: str | None
    names: Mapping[str, str]

    @cached_property
    def has_pictures(self) -> bool:
        """Whether rows have room for a picture: on the first page for one of any model, since its script shows all."""
        return any(model.picture for model in (self.models if self.number == 1 else self.shown))

    @property
    def span(self) -> str:
        """What a further page is called: by its models, since numbers change when models are added."""
        return f"{self.shown[0].title} to {self.shown[-1].title}" if len(self.shown) > 1 else self.shown[0].title

    @property
    def previous(self) -> str:
        """The path of the page before a further one."""
        return self.paths[self.number - 2]

    @property
    def next(self) -> str | None:
        """The path of the next page; None for the last one."""
        return self.paths[self.number] if self.number < len(self.paths) else None

    @cached_property
    def inputs(self) -> str:
        """All that the list shows of its models, and where its pages are."""
        name = None if self.publisher is None else self.names[self.publisher]
        return "\n".join([repr((name, self.paths)), *(model.text for model in self.models)])

    @property
    def script_data(self) -> str:
        """The path of the script with all models."""
        return catalogue.PATH

    @property
    def comparison(self) -> str:
        return COMPARISON

    @cached_property
    def filters(self) -> Filters:
        mains = [model.main for model in self.models]
        publishers = sorted({entry.publisher for entry in mains})
        return Filters(
            tasks=_options(map(spoken, {entry.task for model in self.models for entry in model.entries})),
            architectures=tuple(list_architectures(mains)),
            datasets=_options(entry.dataset for entry in mains),
            formats=_options(
                title for titles in {entry.format_titles for entry in mains} for title in (SAVED_MODEL, *titles)
            ),
            licences=_options(entry.license for entry in mains),
            publishers=tuple((publisher, self.names[publisher]) for publisher in publishers),
        )


def _options(values: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({value for value in values if value}))


def list_architectures(modules: Iterable[ListedModule]) -> list[str]:
    """Returns what lists are filtered by: the models, such as "Vision Transformer S/16", and families of several.

    A family comes before its models.
    """
    titles: dict[str, set[str]] = {}
    for entry in {(entry.family, entry.variant): entry for entry in modules}.values():
        if entry.variant:
            titles.setdefault(entry.family or "", set()).add(entry.title_of_model)
    architectures: list[str] = []
    for family in sorted(titles):
        architectures += [family] if family and len(titles[family]) > 1 else []
        architectures += sorted(titles[family])
    return architectures


@dataclass(frozen=True)
class Lists:
    """What the pages that list models are made of.

    Attributes:
        overview: of what the hub lists.
        names: the name for people of each publisher, by id.
        url: the hub's public address without a final slash; None where nobody knows it.
    """

    overview: Overview
    names: Mapping[str, str]
    url: str | None

    @cached_property
    def models(self) -> tuple[Model, ...]:
        return group_models(self.overview.newest)

    @cached_property
    def text(self) -> str:
        """All that rows show, which is the content of site/models.js."""
        return catalogue_text(self.models, self.names)

    def start_pages(self) -> Iterator[Page]:
        """Yields site/models.js, the further pages of the list, the comparison, 404.html, and the start page last."""
        text, names = self.text, dict(self.names)
        yield Page(catalogue.PATH, "models.js.jinja", text, lambda: {"text": text})
        first, *others = self._split(self.models, None)
        for page in others:
            yield _further_page(page, "All models", START)
        yield Page(COMPARISON, "compare.html.jinja", "", lambda: {"script_data": catalogue.PATH, "description": None})
        yield self._not_found_page()
        yield from self._addresses()
        collections = tuple(self.overview.collections.values())
        example = find_example(self.models)

        def facts() -> dict[str, Any]:
            return {
                "list": first,
                "names": names,
                "collections": collections,
                "plots": list_plots(self.models),
                "has_feed": bool(self.url and self.releases),
                "example": f"{self.url}/{example.main.handle}.tar.gz" if example and self.url else None,
                "description": describe_start(self.models, names),
            }

        shown = example.main.handle if example else None
        inputs = repr((text, names, list(self.overview.collections), bool(self.releases), shown))
        yield Page(START, "index.html.jinja", inputs, facts)

    @cached_property
    def releases(self) -> tuple[ListedModule, ...]:
        return list_releases(self.overview.modules.values())

    def _addresses(self) -> Iterator[Page]:
        """Yields the feed of releases and the sitemap, which need absolute addresses."""
        if self.url is None:
            return
        if self.releases:
            facts = {"url": self.url, "releases": self.releases, "names": self.names}
            inputs = repr((self.releases, sorted({self.names[entry.publisher] for entry in self.releases})))
            yield Page(FEED, "feed.xml.jinja", inputs, lambda: facts)
        paths = (*sitemap.list_paths(self.overview), *guides.find_guides().pages.values())
        yield from sitemap.list_pages(self.url, paths)

    def publisher_pages(self, publisher: str) -> tuple[ModelList, list[Page]]:
        """Returns the first page of a publisher's list, and the further ones to render."""
        models = tuple(model for model in self.models if model.main.publisher == publisher)
        first, *others = self._split(models, publisher)
        title = f"Models of {self.names[publisher]}"
        pages = [_further_page(page, title, page.paths[0]) for page in others]
        return first, pages

    def _split(self, models: tuple[Model, ...], publisher: str | None) -> list[ModelList]:
        slices = split_pages(models)
        first = START if publisher is None else f"{publisher}/{publisher}.html"
        folder = "site/models" if publisher is None else f"site/publishers/{publisher}"
        # The second page begins where the first one ends, so it has no name of its own.
        names = ["2", *(page_name(shown[0]) for shown in slices[2:])]
        paths = (first, *(f"{folder}/{name}.html" for name in names[: len(slices) - 1]))
        return [
            ModelList(models, shown, number, paths, publisher, self.names)
            for number, shown in enumerate(slices, start=1)
        ]

    def _not_found_page(self) -> Page:
        """Returns the page for addresses that lead nowhere.

        It is shown at addresses of any depth, so its links begin with the path of the hub's public address.
        """
        root = f"{urlsplit(self.url or '').path}/"
        publishers = tuple(self.names.items())[:_MOST_LINKS]
        collections = tuple(self.overview.collections.values())[:_MOST_LINKS]

        def facts() -> dict[str, Any]:
            return {"root": root, "publishers": publishers, "collections": collections, "description": None}

        inputs = repr((root, publishers, [collection.address for collection in collections]))
        return Page(NOT_FOUND, "404.html.jinja", inputs, facts)


def _further_page(page: ModelList, title: str, start: str) -> Page:
    place = repr((title, start, page.previous, page.next, page.has_pictures))
    inputs = "\n".join([place, *(model.text for model in page.shown)])
    facts = {"list": page, "title": title, "start": start, "description": None}
    return Page(page.paths[page.number - 1], "models.html.jinja", inputs, lambda: facts)


def find_example(models: Sequence[Model]) -> Model | None:
    """Returns the model that the start page shows how to load: a released classifier before others, the first one.

    Withdrawn ones are no example: None where there are no others.
    """
    usable = [model for model in models if not {"yanked", "deprecated"} & {*model.main.marks}]
    ranked = sorted(usable, key=lambda model: (not model.main.is_released, not model.main.is_classifier))
    return next(iter(ranked), None)


def describe_start(models: Sequence[Model], names: Mapping[str, str]) -> str:
    """Returns the description of the start page for search engines and previews of links."""
    count = f"{len(models):,} image model{'' if len(models) == 1 else 's'}"
    publishers = [*names.values()]
    by = ", ".join(publishers[:3]) + (" and others" if len(publishers) > 3 else "")
    of = f" by {by}" if by else ""
    return f"{count} for TensorFlow{of}, with figures, files and licence of each."
