"""A module's pages for Hugging Face and Kaggle, and the rules of those hosts."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from pipeline.base.fault import Fault, nearest
from pipeline.base.heads import Head
from pipeline.cards.record import Record
from pipeline.facts.report import Accuracy

PIPELINE_TAGS = {"classification": "image-classification", "fe": "image-feature-extraction"}
TASK_NAMES = {"classification": "Image classification", "fe": "Image feature extraction"}
# TF-Hub's licences that Hugging Face has an id for; the same id each (hub-docs, docs/hub/repositories-licenses.md).
HUGGING_FACE_LICENSES = frozenset(
    {"apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-nc-4.0", "epl-2.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1"}
    | {"lgpl-3.0", "mit", "mpl-2.0"}
)
# TF-Hub's licences that Kaggle has a name for.
KAGGLE_LICENSES = {
    "apache-2.0": "Apache 2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-nc-4.0": "Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)",
    "gpl-2.0": "GPL 2",
    "gpl-3.0": "GPL 3",
    "lgpl-3.0": "GNU Lesser General Public License 3.0",
    "mit": "MIT",
}


# Hugging Face ---------------------------------------------------------------------------------------------------------
def _address(source: str) -> str | None:
    """Returns the http address of what a quoted figure's source names, or None where it names none."""
    found = re.search(r"\b(?:https?|gs)://[^\s,;)]+", source)
    return found[0].replace("gs://", "https://storage.googleapis.com/", 1) if found else None


def _result(record: Record, dataset: str, metrics: list[dict[str, Any]], source: dict[str, str]) -> dict[str, Any]:
    """Returns an entry of the results; the id on Hugging Face is that of the member's own data set alone."""
    collection, own = record.facts.collection, record.report.accuracy.expected_dataset
    known = collection.huggingface_dataset or collection.dataset_tag
    return {
        "task": {"type": PIPELINE_TAGS["classification"], "name": TASK_NAMES["classification"]},
        "dataset": {"type": known if dataset == own else "other", "name": dataset},
        "metrics": [{"type": "accuracy"} | metric | {"verified": False} for metric in metrics],
        "source": source,
    }


def _results(record: Record) -> list[dict[str, Any]]:
    """Returns the classifier's results, measured and quoted apart; Hugging Face verified neither."""
    accuracy, results = record.report.accuracy, []
    if (measured := accuracy.measured) is not None:
        metrics = [{"name": f"top-1 accuracy on {accuracy.sample}", "value": measured.top1}]
        if measured.outputs > 5:
            metrics.append({"name": f"top-5 accuracy on {accuracy.sample}", "value": measured.top5})
        source = {"name": "measured by the publisher", "url": f"{record.facts.hub_url}/{record.handle}.md"}
        results.append(_result(record, accuracy.dataset, metrics, source))
    reported = accuracy.reported
    if reported and (url := _address(reported.source)):  # Hugging Face wants an address of every source
        source = {"name": f"quoted: {reported.source}", "url": url}
        metrics = [{"name": "top-1 accuracy", "value": reported.top1}]
        results.append(_result(record, accuracy.expected_dataset, metrics, source))
    return results


def _front_matter(record: Record) -> dict[str, Any]:
    collection, head = record.facts.collection, record.head
    known = collection.license in HUGGING_FACE_LICENSES
    licensed = {"license": collection.license} if known else {"license": "other", "license_name": collection.license}
    matter: dict[str, Any] = licensed | {
        "library_name": "tf-keras",
        "pipeline_tag": PIPELINE_TAGS[head],
        "tags": ["tensorflow", "saved-model", "tensorflow-hub", "vision-transformer", "jax2tf"],
    }
    if collection.huggingface_dataset:
        matter["datasets"] = [collection.huggingface_dataset]
    if head == "classification" and (results := _results(record)):
        matter |= {"metrics": ["accuracy"], "model-index": [{"name": record.name, "results": results}]}
    return matter


def hugging_face(record: Record) -> str:
    """Returns the README.md of a repository of one module on Hugging Face."""
    matter = yaml.safe_dump(_front_matter(record), sort_keys=False, allow_unicode=True, width=1000)
    return record.render("huggingface.md.jinja", record.links_elsewhere(), front_matter=matter)


# Kaggle ---------------------------------------------------------------------------------------------------------------
def _slug(name: str) -> str:
    return name.replace("_", "-")


def _json(values: dict[str, Any]) -> str:
    """Returns the JSON of what is known: keys without a value are left out."""
    return json.dumps({key: value for key, value in values.items() if value is not None}, indent=2) + "\n"


def kaggle_model(records: Mapping[Head, Record]) -> str:
    """Returns model-metadata.json: the member, of which each module is a variation. It begins as private."""
    record = records[Head.CLASSIFICATION]
    facts, collection, report = record.facts, record.facts.collection, record.report
    origin = f"{facts.checkpoint_name}.npz, SHA-256 {report.checkpoint.sha256}, converted from JAX with jax2tf"
    return _json({
        "ownerSlug": collection.publisher.kaggle,
        "title": facts.module.title,
        "slug": _slug(facts.member),
        "subtitle": f"Vision Transformer {report.model.variant}, {collection.summary}",
        "isPrivate": True,
        "description": record.render("kaggle.md.jinja", record.links_elsewhere()),
        "provenanceSources": origin,
    })  # fmt: skip


def kaggle_instance(record: Record) -> str:
    """Returns the model-instance-metadata.json of one module."""
    collection = record.facts.collection
    return _json({
        "ownerSlug": collection.publisher.kaggle,
        "modelSlug": _slug(record.facts.member),
        "instanceSlug": {"classification": "classification", "fe": "feature-extractor"}[record.head],
        "framework": "tensorFlow2",
        "overview": record.description,
        "usage": record.render("kaggle_usage.md.jinja", record.links_elsewhere()),
        "licenseName": KAGGLE_LICENSES.get(collection.license),
        "fineTunable": record.is_fine_tunable,
        "trainingData": [collection.dataset_name],
    })  # fmt: skip


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


def _check_result(result: Any, where: str, figures: set[float | None]) -> Iterator[str]:
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


def _hugging_face(text: str, accuracy: Accuracy) -> Iterator[str]:
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
    measured, reported = accuracy.measured, accuracy.reported
    figures = {measured.top1, measured.top5} if measured else set()
    figures |= {reported.top1} if reported else set()
    for number, model in enumerate(matter.get("model-index") or []):
        where = f"model-index[{number}]"
        yield from _entry(model, where, "name", "results")
        for index, result in enumerate(model.get("results") or [] if isinstance(model, dict) else []):
            yield from _check_result(result, f"{where}.results[{index}]", figures)


def check_hugging_face(text: str, accuracy: Accuracy, where: str) -> None:
    """Refuses a README.md that Hugging Face would not take, or whose results are not the report's; raises Fault."""
    _refuse(where, _hugging_face(text, accuracy))


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
