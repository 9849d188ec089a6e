"""The README.md of a module's repository on Hugging Face, and the rules of that host.

Nobody knows the repository's name before the module is mirrored there: the page has REPOSITORY in its place.
The keys are those of https://github.com/huggingface/hub-docs, modelcard.md.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from pipeline.base.heads import Head
from pipeline.cards.metadata import Kinds, refuse, wrong_keys
from pipeline.cards.record import Record
from pipeline.facts.report import Report

PIPELINE_TAGS = {Head.CLASSIFICATION: "image-classification", Head.FE: "image-feature-extraction"}
# TF-Hub's licences that Hugging Face has an id for; the same id each (hub-docs, docs/hub/repositories-licenses.md).
LICENSES = frozenset(
    {"apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-nc-4.0", "epl-2.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1"}
    | {"lgpl-3.0", "mit", "mpl-2.0"}
)
FRONT_MATTER: Kinds = {
    "license": str, "license_name": str, "library_name": str, "pipeline_tag": str, "tags": list, "datasets": list,
    "metrics": list, "model-index": list,
}  # fmt: skip
_REQUIRED = ("license", "library_name", "pipeline_tag", "tags")


@dataclass(frozen=True)
class _Result:
    """Accuracies with one source.

    Attributes:
        dataset: what the images are of.
        figures: each from 0 to 1, by its name.
        source, url: who measured or reported them, and where that stands.
    """

    dataset: str
    figures: dict[str, float]
    source: str
    url: str


# What for_repository() replaces in a page.
REPOSITORY = "${REPOSITORY}"


# The page -------------------------------------------------------------------------------------------------------------
def readme(record: Record) -> str:
    """Returns the README.md of a module's repository."""
    matter = _as_yaml(_front_matter(record))
    return record.render("huggingface.md.jinja", record.links_elsewhere(), front_matter=matter)


def for_repository(page: str, repository: str, tags: Iterable[str] = ()) -> str:
    """Returns the README.md of a repository, `<organisation>/<module>`, from a page of readme(), with further tags."""
    return _with_tags(page, list(tags)).replace(REPOSITORY, repository)


def _with_tags(page: str, tags: list[str]) -> str:
    match = re.match(r"---\n(.*?\n)---\n", page, re.DOTALL)
    if not tags or not match:
        return page
    matter = yaml.safe_load(match[1])
    matter["tags"] = list(dict.fromkeys([*matter["tags"], *tags]))
    return f"---\n{_as_yaml(matter)}---\n{page[match.end() :]}"


def _as_yaml(matter: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(matter, sort_keys=False, allow_unicode=True, width=1000)
    return text


def _front_matter(record: Record) -> dict[str, Any]:
    collection = record.facts.collection
    has_id = collection.license in LICENSES
    licensed = {"license": collection.license} if has_id else {"license": "other", "license_name": collection.license}
    matter: dict[str, Any] = licensed | {
        "library_name": "tf-keras",
        "pipeline_tag": PIPELINE_TAGS[record.head],
        "tags": ["tensorflow", "saved-model", "tensorflow-hub", _tag(record.report.model.family), "jax2tf"],
    }
    if collection.huggingface_dataset and record.report.is_verified:
        matter["datasets"] = [collection.huggingface_dataset]
    if record.head is Head.CLASSIFICATION and (results := _results(record)):
        entries = [_result_entry(record, result) for result in results]
        matter |= {"metrics": ["accuracy"], "model-index": [{"name": record.name, "results": entries}]}
    return matter


def _tag(family: str) -> str:
    """Returns a family of networks as a tag, such as "vision-transformer"."""
    return re.sub("[^a-z0-9]+", "-", family.lower()).strip("-")


def _results(record: Record) -> list[_Result]:
    """Returns the classifier's results, measured and quoted apart."""
    accuracy, results = record.report.accuracy, []
    if (measured := accuracy.measured) is not None:
        figures = {f"top-1 accuracy on {accuracy.sample}": measured.top1}
        if measured.top5 is not None and measured.outputs > 5:
            figures[f"top-5 accuracy on {accuracy.sample}"] = measured.top5
        page = f"{record.facts.hub_url}/{record.handle}.md"
        results.append(_Result(accuracy.dataset, figures, "measured by the publisher", page))
    reported = record.report.quoted
    if reported and (url := _address(reported.source)):  # Hugging Face requires an address of every source
        figures = {"top-1 accuracy": reported.top1}
        results.append(_Result(accuracy.expected_dataset, figures, f"quoted: {reported.source}", url))
    return results


def _result_entry(record: Record, result: _Result) -> dict[str, Any]:
    """Returns a result as the front matter has it; Hugging Face has not verified it.

    Only the member's own data set has an id on Hugging Face.
    """
    collection, own = record.facts.collection, record.report.accuracy.expected_dataset
    own_id = collection.huggingface_dataset or collection.dataset_tag
    return {
        "task": {"type": PIPELINE_TAGS[Head.CLASSIFICATION], "name": "Image classification"},
        "dataset": {"type": own_id if result.dataset == own else "other", "name": result.dataset},
        "metrics": [
            {"type": "accuracy", "name": name, "value": value, "verified": False}
            for name, value in result.figures.items()
        ],
        "source": {"name": result.source, "url": result.url},
    }


def _address(source: str) -> str | None:
    """Returns the first address in the source of a quoted figure, as http; None where there is none."""
    match = re.search(r"\b(?:https?|gs)://[^\s,;)]+", source)
    return match[0].replace("gs://", "https://storage.googleapis.com/", 1) if match else None


# The rules ------------------------------------------------------------------------------------------------------------
def check_readme(text: str, report: Report, where: str) -> None:
    """Refuses a README.md that Hugging Face would refuse, or whose results are not the report's.

    Raises:
        Fault: lists the problems, each after `where`.
    """
    refuse(where, _problems(text, report))


def _problems(text: str, report: Report) -> Iterator[str]:
    match = re.match(r"---\n(.*?\n)---\n\n# \S", text, re.DOTALL)
    if not match:
        yield "expected YAML between two lines '---', an empty line and a title"
        return
    try:
        matter = yaml.safe_load(match[1])
    except yaml.YAMLError as error:
        yield f"the front matter is not YAML ({' '.join(str(error).split())})"
        return
    if not isinstance(matter, dict):
        yield f"the front matter must be a mapping, got {matter!r}"
        return
    yield from wrong_keys(matter, FRONT_MATTER, _REQUIRED)
    yield from _wrong_values(matter)
    if f'snapshot_download("{REPOSITORY}"' not in text:
        yield f'no snippet loads the module with snapshot_download("{REPOSITORY}", revision=...)'
    yield from _wrong_results(matter, report)


def _wrong_values(matter: Mapping[str, object]) -> Iterator[str]:
    if matter.get("license") not in LICENSES | {"other"}:
        yield f"license {matter.get('license')!r} is not one of Hugging Face's; use other, and its name as license_name"
    if matter.get("license") == "other" and "license_name" not in matter:
        yield "license is other, but license_name is missing"
    if matter.get("pipeline_tag") not in PIPELINE_TAGS.values():
        yield f"pipeline_tag must be {' or '.join(PIPELINE_TAGS.values())}, got {matter.get('pipeline_tag')!r}"


def _wrong_results(matter: dict[str, Any], report: Report) -> Iterator[str]:
    measured, quoted = report.accuracy.measured, report.quoted
    figures = {measured.top1, measured.top5} if measured else set()
    figures |= {quoted.top1} if quoted else set()
    for number, model in enumerate(matter.get("model-index") or []):
        where = f"model-index[{number}]"
        yield from _missing_keys(model, where, "name", "results")
        for index, result in enumerate(model.get("results") or [] if isinstance(model, dict) else []):
            yield from _wrong_result(result, f"{where}.results[{index}]", figures)


def _wrong_result(result: Any, where: str, figures: set[float | None]) -> Iterator[str]:
    if not isinstance(result, dict):
        yield f"{where} must be a mapping, got {result!r}"
        return
    yield from _missing_keys(result.get("task"), f"{where}.task", "type")
    yield from _missing_keys(result.get("dataset"), f"{where}.dataset", "type", "name")
    source = result.get("source")
    yield from _missing_keys(source, f"{where}.source", "name", "url")
    if isinstance(source, dict) and not re.match(r"https?://", str(source.get("url"))):
        yield f"{where}.source.url must be an http or https address, got {source.get('url')!r}"
    for number, metric in enumerate(result.get("metrics") or [None]):
        yield from _wrong_metric(metric, f"{where}.metrics[{number}]", figures)


def _wrong_metric(metric: Any, where: str, figures: set[float | None]) -> Iterator[str]:
    yield from _missing_keys(metric, where, "type", "value")
    if isinstance(metric, dict):
        if metric.get("verified", False) is not False:
            yield f"{where}.verified must be false: Hugging Face alone verifies"
        if metric.get("value") not in figures:
            yield f"{where}.value is {metric.get('value')!r}, which is not in the report"


def _missing_keys(value: Any, where: str, *keys: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{where} must be a mapping, got {value!r}"
    else:
        yield from (f"{where} has no {key!r}" for key in keys if value.get(key) in (None, ""))
