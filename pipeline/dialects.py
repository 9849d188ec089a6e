"""The card in the dialects of TensorFlow Hub, Hugging Face and Kaggle, all rendered from one record and each checked.

- TensorFlow Hub: see pipeline.hub_rules.
- Hugging Face: README.md with YAML front matter, as huggingface/hub-docs describes it in modelcard.md. Its library is
  tf-keras, under which Hugging Face counts SavedModels (huggingface.js, packages/tasks/src/model-libraries.ts: the
  downloads of saved_model.pb).
- Kaggle: model-metadata.json for the member and model-instance-metadata.json for each of its two modules, its
  variations; keys, frameworks and licences as in Kaggle/kaggle-api, docs/models_metadata.md. That page has licenseName
  among a model's keys, too, but Kaggle's client reads it of variations only (kaggle_api_extended.py, model_create_new
  and model_instance_create): the model's card says it in words.

A fact that is not known is left out: the owner on Kaggle, the data set's id on Hugging Face, a time of publication.
"""

import json
import re
from typing import Any

import yaml

from pipeline.base.templates import render, sample

Record = dict[str, Any]  # what pipeline.card.records() returns for one head

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


def tf_hub(record: Record) -> str:
    """Returns the module's page for a hub; its links are relative to <publisher>/<module>/<version>.md."""
    version, other = record["module"].version, record["other_handle"].split("/", 1)[1]
    links = {"companion_link": f"../{other}.md", "index_link": "../../index.json", "plots_link": f"{version}/plots"}
    return render("module.md.jinja", **record, **links)


def _elsewhere(record: Record) -> dict[str, str]:
    """Returns the links of a page that does not lie in the hub."""
    hub = record["hub_url"]
    return {
        "companion_link": f"{hub}/{record['other_handle']}.md",
        "index_link": f"{hub}/index.json",
        "plots_link": f"{hub}/{record['handle']}/plots",
    }


# Hugging Face ---------------------------------------------------------------------------------------------------------
def _address(source: str) -> str | None:
    """Returns the http address of what a quoted figure's source names, or None where it names none."""
    found = re.search(r"\b(?:https?|gs)://[^\s,;)]+", source)
    return found[0].replace("gs://", "https://storage.googleapis.com/", 1) if found else None


def _result(record: Record, dataset: str, metrics: list[dict[str, Any]], source: dict[str, str]) -> dict[str, Any]:
    """Returns an entry of the results; the id on Hugging Face is that of the member's own data set alone."""
    collection, own = record["collection"], record["report"]["accuracy"]["expected_dataset"]
    known = collection.huggingface_dataset or collection.dataset_tag
    return {
        "task": {"type": PIPELINE_TAGS["classification"], "name": TASK_NAMES["classification"]},
        "dataset": {"type": known if dataset == own else "other", "name": dataset},
        "metrics": [{"type": "accuracy"} | metric | {"verified": False} for metric in metrics],
        "source": source,
    }


def _results(record: Record) -> list[dict[str, Any]]:
    """Returns the classifier's results, measured and quoted apart; Hugging Face verified neither."""
    accuracy, results = record["report"]["accuracy"], []
    if accuracy["verdict"] != "not measured":
        metrics = [
            {"name": f"top-{k} accuracy on {sample(accuracy)}", "value": accuracy[f"top{k}"]}
            for k in ((1, 5) if accuracy["outputs"] > 5 else (1,))
        ]
        measured = {"name": "measured by the publisher", "url": f"{record['hub_url']}/{record['handle']}.md"}
        results.append(_result(record, accuracy["dataset"], metrics, measured))
    reported = accuracy.get("reported")
    if reported and (url := _address(reported["source"])):  # Hugging Face wants an address of every source
        quoted = {"name": f"quoted: {reported['source']}", "url": url}
        metrics = [{"name": "top-1 accuracy", "value": reported["top1"]}]
        results.append(_result(record, accuracy["expected_dataset"], metrics, quoted))
    return results


def _front_matter(record: Record) -> dict[str, Any]:
    collection, head = record["collection"], record["head"]
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
        matter |= {"metrics": ["accuracy"], "model-index": [{"name": record["name"], "results": results}]}
    return matter


def hugging_face(record: Record) -> str:
    """Returns the README.md of a repository of one module on Hugging Face."""
    matter = yaml.safe_dump(_front_matter(record), sort_keys=False, allow_unicode=True, width=1000)
    return render("huggingface.md.jinja", front_matter=matter, **record, **_elsewhere(record))


# Kaggle ---------------------------------------------------------------------------------------------------------------
def _slug(name: str) -> str:
    return name.replace("_", "-")


def _json(values: dict[str, Any]) -> str:
    """Returns the JSON of what is known: keys without a value are left out."""
    return json.dumps({key: value for key, value in values.items() if value is not None}, indent=2) + "\n"


def kaggle_model(records: dict[str, Record]) -> str:
    """Returns model-metadata.json: the member, of which each module is a variation. It begins as private."""
    record = records["classification"]
    collection, checkpoint = record["collection"], record["report"]["checkpoint"]
    origin = f"{record['origin']['name']}.npz, SHA-256 {checkpoint['sha256']}, converted from JAX with jax2tf"
    return _json({
        "ownerSlug": collection.publisher.kaggle,
        "title": record["module"].title,
        "slug": _slug(record["member"]),
        "subtitle": f"Vision Transformer {record['report']['model']['variant']}, {collection.summary}",
        "isPrivate": True,
        "description": render("kaggle.md.jinja", **record, **_elsewhere(record), widths={
            head: one["found"]["output_width"] for head, one in records.items()
        }),
        "provenanceSources": origin,
    })  # fmt: skip


def kaggle_instance(record: Record) -> str:
    """Returns the model-instance-metadata.json of one module."""
    collection, found = record["collection"], record["found"]
    return _json({
        "ownerSlug": collection.publisher.kaggle,
        "modelSlug": _slug(record["member"]),
        "instanceSlug": {"classification": "classification", "fe": "feature-extractor"}[record["head"]],
        "framework": "tensorFlow2",
        "overview": record["description"],
        "usage": render("kaggle_usage.md.jinja", **record, **_elsewhere(record)),
        "licenseName": KAGGLE_LICENSES.get(collection.license),
        "fineTunable": found["fine_tuning"]["variables"] > 0 and not found["fine_tuning"]["without_gradient"],
        "trainingData": [collection.dataset_name],
    })  # fmt: skip
