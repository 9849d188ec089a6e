"""site/models.js: what the pages that list models know of each, for templates/site/start.js and compare.js.

It is a script that sets a variable, not JSON: browsers load no other file of a folder into a page that was opened from
a disk. FIELDS names the values of a row; those in TABLED are numbers of entries in `values`, since they repeat.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.hub.entries import Measured
from pipeline.hub.models import Model, kind_of, spoken
from pipeline.hub.search_words import list_names

PATH = "site/models.js"
PAGE_LENGTH = 50  # models on a page without script, and rows that start.js draws at once
FIELDS = (
    "title", "publisher", "stem", "kinds", "tasks", "modules", "variant", "family", "architecture", "imageSize",
    "dataset", "parameters", "download", "unpacked", "top1", "origin", "where", "interval", "speed", "licence", "marks",
    "isUnverified", "weights", "formats", "tensorflow", "collection", "picture", "names",
)  # fmt: skip
TABLED = (
    "publisher", "kinds", "tasks", "variant", "family", "architecture", "dataset", "origin", "where", "licence",
    "marks", "weights", "formats", "tensorflow", "collection", "names",
)  # fmt: skip
SAVED_MODEL = "SavedModel"


def model_row(model: Model) -> dict[str, Any]:
    """Returns the values of a model by FIELDS; paths are relative to the hub's folder."""
    main, accuracy = model.main, model.accuracy
    measured = accuracy if isinstance(accuracy, Measured) else None
    return {
        "title": model.title,
        "publisher": main.publisher,
        "stem": model.stem,
        "kinds": [kind_of(entry.task) for entry in model.entries],
        "tasks": [spoken(entry.task) for entry in model.entries],
        "modules": [f"{entry.name}/{entry.version}" for entry in model.entries],
        "variant": main.variant,
        "family": main.family,
        "architecture": main.title_of_model,
        "imageSize": main.image_size,
        "dataset": main.dataset,
        "parameters": main.parameters,
        "download": main.tarball.size,
        "unpacked": main.unpacked,
        "top1": accuracy.top1 if accuracy else None,
        "origin": accuracy.origin if accuracy else None,
        "where": accuracy.where if accuracy else None,
        "interval": list(measured.interval) if measured else None,
        "speed": main.measured.images_per_second if main.measured else None,
        "licence": main.license,
        "marks": list(model.marks),
        "isUnverified": model.is_unverified,
        "weights": ("verified" if main.weights.is_verified else "not verified") if main.weights else None,
        "formats": list_formats(model),
        "tensorflow": main.tensorflow,
        "collection": main.collection,
        "picture": model.picture.page if model.picture else None,
        "names": " . ".join(list_names(main.architecture, main.variant, main.image_size)),
    }


def list_formats(model: Model) -> list[str]:
    """Returns the formats of a model's main module, the SavedModel first."""
    return [SAVED_MODEL, *dict.fromkeys(published.title for published in model.main.formats)]


def catalogue_text(models: Iterable[Model], publishers: Mapping[str, str]) -> str:
    """Returns the content of site/models.js.

    Args:
        models: in the order of the lists.
        publishers: the names for people, by id.
    """
    values: list[Any] = []
    places: dict[str, int] = {}
    rows = [_pack(model_row(model), values, places) for model in models]
    facts = {"fields": FIELDS, "tabled": TABLED, "publishers": dict(publishers), "values": values, "rows": rows}
    text = json.dumps(facts, separators=(",", ":"))  # of ASCII characters alone, so that no line end is among them
    return f"self.hubModels = {text};\n"


def _pack(row: Mapping[str, Any], values: list[Any], places: dict[str, int]) -> list[Any]:
    return [_place(row[field], values, places) if field in TABLED else row[field] for field in FIELDS]


def _place(value: Any, values: list[Any], places: dict[str, int]) -> int:
    """Returns the number of a value in `values`, where it is added when it is new."""
    key = json.dumps(value)
    if key not in places:
        places[key] = len(values)
        values.append(value)
    return places[key]


def split_pages(models: Sequence[Model]) -> list[Sequence[Model]]:
    """Returns the models of each page; one page without models where there are none."""
    return [models[start : start + PAGE_LENGTH] for start in range(0, len(models), PAGE_LENGTH)] or [()]
