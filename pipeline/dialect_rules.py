"""What Hugging Face and Kaggle demand of a card, as checks that need no network.

Hugging Face: the front matter as huggingface/hub-docs has it in modelcard.md, whose results huggingface_hub reads into
EvalResult (a result needs task.type, dataset.type, dataset.name, and a metric's type and value; a source's name needs
its url). Kaggle: the keys of Kaggle/kaggle-api, docs/models_metadata.md. Either host may demand more by the time one
publishes there.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from pipeline.base.fault import Fault, nearest
from pipeline.dialects import HUGGING_FACE_LICENSES, KAGGLE_LICENSES, PIPELINE_TAGS

Kinds = dict[str, type[str] | type[bool] | type[list]]

FRONT_MATTER: Kinds = {
    "license": str, "license_name": str, "library_name": str, "pipeline_tag": str, "tags": list, "datasets": list,
    "metrics": list, "model-index": list,
}  # fmt: skip
KAGGLE_MODEL: Kinds = {
    "ownerSlug": str, "title": str, "slug": str, "subtitle": str, "isPrivate": bool, "description": str,
    "publishTime": str, "provenanceSources": str,
}  # fmt: skip
KAGGLE_INSTANCE: Kinds = {
    "ownerSlug": str, "modelSlug": str, "instanceSlug": str, "framework": str, "overview": str, "usage": str,
    "licenseName": str, "fineTunable": bool, "trainingData": list, "modelInstanceType": str, "baseModelInstance": str,
    "externalBaseModelUrl": str,
}  # fmt: skip
KAGGLE_VARIABLES = {"VERSION_NUMBER", "VARIATION_SLUG", "FRAMEWORK", "PATH", "FILEPATH", "URL"}


def _typed(values: dict[str, Any], kinds: Kinds, required: set[str]) -> Iterator[str]:
    for key, value in values.items():
        if key not in kinds:
            yield f"unknown key {key!r}{nearest(key, kinds)}: expected {', '.join(kinds)}"
        elif not isinstance(value, kinds[key]):
            yield f"{key} must be a {kinds[key].__name__}, got {value!r}"
        elif value in ("", []):
            yield f"{key} is empty; leave it out where the fact is not known"
    for key in sorted(required - values.keys()):
        yield f"the key {key!r} is missing"


# Hugging Face ---------------------------------------------------------------------------------------------------------
def _entry(value: Any, where: str, *keys: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} must be a mapping, got {value!r}"
    else:
        yield from (f"{where} lacks {key!r}" for key in keys if value.get(key) in (None, ""))


def _result(result: Any, where: str, figures: set[float]) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f"{where} must be a mapping, got {result!r}"
        return
    yield from _entry(result.get("task"), f"{where}.task", "type")
    yield from _entry(result.get("dataset"), f"{where}.dataset", "type", "name")
    source = result.get("source")
    yield from _entry(source, f"{where}.source", "name", "url")
    if isinstance(source, dict) and not re.match(r"https?://", str(source.get("url"))):
        yield f"{where}.source.url must be an http or https address, got {source.get('url')!r}"
    for number, metric in enumerate(result.get("metrics") or [None]):
        at = f"{where}.metrics[{number}]"
        yield from _entry(metric, at, "type", "value")
        if isinstance(metric, dict):
            if metric.get("verified", False) is not False:
                yield f"{at}.verified must be false: Hugging Face alone verifies"
            if metric.get("value") not in figures:
                yield f"{at}.value is {metric.get('value')!r}, which the report does not have"


def _hugging_face(text: str, accuracy: dict[str, Any]) -> Iterator[str]:
    match = re.match(r"---\n(.*?\n)---\n\n# \S", text, re.DOTALL)
    if not match:
        yield "expected YAML between two lines '---', an empty line and a title"
        return
    try:
        matter = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        yield f"the front matter is no YAML ({' '.join(str(error).split())})"
        return
    if not isinstance(matter, dict):
        yield f"the front matter must be a mapping, got {matter!r}"
        return
    yield from _typed(matter, FRONT_MATTER, {"license", "library_name", "pipeline_tag", "tags"})
    if matter.get("license") not in HUGGING_FACE_LICENSES | {"other"}:
        yield f"license {matter.get('license')!r} is none of Hugging Face's; say other, and its name in license_name"
    if matter.get("license") == "other" and "license_name" not in matter:
        yield "license is other, but license_name is missing"
    if matter.get("pipeline_tag") not in PIPELINE_TAGS.values():
        yield f"pipeline_tag must be {' or '.join(PIPELINE_TAGS.values())}, got {matter.get('pipeline_tag')!r}"
    reported = accuracy.get("reported") or {}
    figures = {
        value for value in (accuracy.get("top1"), accuracy.get("top5"), reported.get("top1")) if value is not None
    }
    for number, model in enumerate(matter.get("model-index") or []):
        where = f"model-index[{number}]"
        yield from _entry(model, where, "name", "results")
        for index, result in enumerate(model.get("results") or [] if isinstance(model, dict) else []):
            yield from _result(result, f"{where}.results[{index}]", figures)


def check_hugging_face(text: str, report: dict[str, Any], where: str) -> None:
    """Refuses a README.md that Hugging Face would not take, or whose results are not the report's; raises Fault."""
    _refuse(where, _hugging_face(text, report["accuracy"]))


# Kaggle ---------------------------------------------------------------------------------------------------------------
def _kaggle(text: str, kinds: Kinds, required: set[str]) -> Iterator[str]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        yield f"not valid JSON ({error})"
        return
    yield from _typed(values, kinds, required)
    for key in ("ownerSlug", "slug", "modelSlug", "instanceSlug"):
        if key in values and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(values[key])):
            yield f"{key} must be lower-case letters and digits, joined by '-', got {values[key]!r}"
    if values.get("framework", "tensorFlow2") != "tensorFlow2":
        yield f"framework must be tensorFlow2, which a SavedModel is, got {values['framework']!r}"
    if "licenseName" in values and values["licenseName"] not in KAGGLE_LICENSES.values():
        yield f"licenseName {values['licenseName']!r} is none of Kaggle's"
    for name in sorted(set(re.findall(r"\$\{(\w+)\}", str(values.get("usage")))) - KAGGLE_VARIABLES):
        yield f"usage names ${{{name}}}, which Kaggle does not replace: it knows {', '.join(sorted(KAGGLE_VARIABLES))}"


def check_kaggle_model(text: str, where: str) -> None:
    """Refuses a model-metadata.json that Kaggle's client would not take; raises Fault.

    `ownerSlug` may be missing: who publishes there adds it.
    """
    _refuse(where, _kaggle(text, KAGGLE_MODEL, {"title", "slug", "isPrivate", "description"}))


def check_kaggle_instance(text: str, where: str) -> None:
    """Refuses a model-instance-metadata.json in the same way."""
    required = {"modelSlug", "instanceSlug", "framework", "fineTunable", "usage"}
    _refuse(where, _kaggle(text, KAGGLE_INSTANCE, required))


def _refuse(where: str, problems: Iterator[str]) -> None:
    if lines := [f"{where}: {problem}" for problem in problems]:
        raise Fault("\n".join(lines))
