"""site/models.js: what the pages that list models know of each, for templates/site/start.js and compare.js.

It is a script that sets a variable, not JSON: browsers load no other file of a folder into a page that was opened from
a disk. FIELDS names the values of a row; those in TABLED are numbers of entries in `values`, since they repeat.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.hub.models import FIELDS, Model

PATH = "site/models.js"
PAGE_LENGTH = 50  # models on a page without script, and rows that start.js draws at once
_SHORTEST, _LONGEST = PAGE_LENGTH // 2, 2 * PAGE_LENGTH  # models on a further page
TABLED = (
    "publisher", "kinds", "tasks", "variant", "family", "architecture", "dataset", "origin", "where", "licence",
    "marks", "weights", "formats", "tensorflow", "collection", "names",
)  # fmt: skip
_TABLED = [place for place, name in enumerate(FIELDS) if name in TABLED]  # their places in a row


def catalogue_text(models: Iterable[Model], publishers: Mapping[str, str]) -> str:
    """Returns the content of site/models.js.

    Args:
        models: in the order of the lists.
        publishers: the names for people, by id.
    """
    places: dict[Any, int] = {}
    rows = [list(model.row) for model in models]
    for row in rows:
        for field in _TABLED:
            row[field] = places.setdefault(row[field], len(places))
    facts = {"fields": FIELDS, "tabled": TABLED, "publishers": dict(publishers), "values": [*places], "rows": rows}
    text = json.dumps(facts, separators=(",", ":"))  # of ASCII characters alone, so that no line end is among them
    return f"self.hubModels = {text};\n"


def split_pages(models: Sequence[Model]) -> list[Sequence[Model]]:
    """Returns the models of each page; one page without models where there are none.

    The first page has PAGE_LENGTH models. Which model begins a further one depends on its name, so that a new model
    changes the page that it comes to, and not all that follow; these have PAGE_LENGTH models on average.
    """
    pages: list[Sequence[Model]] = [models[:PAGE_LENGTH]]
    start = PAGE_LENGTH
    for place in range(PAGE_LENGTH + 1, len(models)):
        length = place - start
        if length >= _LONGEST or (length >= _SHORTEST and _begins_page(models[place])):
            pages.append(models[start:place])
            start = place
    return [*pages, models[start:]] if start < len(models) else pages


def page_name(model: Model) -> str:
    """Returns what a page of a list is called after the model that it begins with."""
    return hashlib.sha256(model.id.encode()).hexdigest()[:12]


def _begins_page(model: Model) -> bool:
    return zlib.crc32(model.id.encode()) % (PAGE_LENGTH - _SHORTEST) == 0
