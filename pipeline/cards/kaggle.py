"""The metadata of a member and its modules for Kaggle, and the rules of Kaggle's client.

The keys are those of https://github.com/Kaggle/kaggle-api, docs/models_metadata.md. A member is a model on Kaggle, and
each of its modules an instance, or variation.
"""

import json
import re
from collections.abc import Iterator, Mapping

from pipeline.base.heads import Head
from pipeline.cards.metadata import Kinds, refuse, wrong_keys
from pipeline.cards.record import Record

# TF-Hub's licences that Kaggle has a name for.
LICENSES = {
    "apache-2.0": "Apache 2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-nc-4.0": "Attribution-NonCommercial 4.0 International (CC BY-NC 4.0)",
    "gpl-2.0": "GPL 2",
    "gpl-3.0": "GPL 3",
    "lgpl-3.0": "GNU Lesser General Public License 3.0",
    "mit": "MIT",
}
MODEL: Kinds = {
    "ownerSlug": str, "title": str, "slug": str, "subtitle": str, "isPrivate": bool, "description": str,
    "publishTime": str, "provenanceSources": str,
}  # fmt: skip
INSTANCE: Kinds = {
    "ownerSlug": str, "modelSlug": str, "instanceSlug": str, "framework": str, "overview": str, "usage": str,
    "licenseName": str, "fineTunable": bool, "trainingData": list, "modelInstanceType": str, "baseModelInstance": str,
    "externalBaseModelUrl": str,
}  # fmt: skip
# What Kaggle replaces in `usage`.
VARIABLES = {"VERSION_NUMBER", "VARIATION_SLUG", "FRAMEWORK", "PATH", "FILEPATH", "URL"}
# Whose model it is, which nobody knows before it is mirrored: for_owner() replaces it.
OWNER = "${OWNER}"
FRAMEWORK = "tensorFlow2"
_INSTANCE_SLUGS = {Head.CLASSIFICATION: "classification", Head.FE: "feature-extractor"}


# The files ------------------------------------------------------------------------------------------------------------
def model_metadata(record: Record) -> str:
    """Returns model-metadata.json of a member, which begins as private, from its classifier's record."""
    facts, collection, report = record.facts, record.facts.collection, record.report
    return _json({
        "ownerSlug": collection.publisher.kaggle,
        "title": " ".join(facts.module.title.split()),
        "slug": _slug(facts.member),
        "subtitle": f"{report.model.title}, "
            + (collection.summary if report.is_verified else "weights not verified"),
        "isPrivate": True,
        "description": record.render("kaggle.md.jinja", record.links_elsewhere()),
        "provenanceSources":
            f"{facts.checkpoint_name}.npz, SHA-256 {report.checkpoint.sha256}, converted from JAX with jax2tf"
            + ("" if report.is_verified else "; not verified to be the original weights"),
    })  # fmt: skip


def instance_metadata(record: Record) -> str:
    """Returns model-instance-metadata.json of a module."""
    collection, model, instance = record.facts.collection, _slug(record.facts.member), _INSTANCE_SLUGS[record.head]
    address = f"{OWNER}/{model}/{FRAMEWORK}/{instance}/${{VERSION_NUMBER}}"
    return _json({
        "ownerSlug": collection.publisher.kaggle,
        "modelSlug": model,
        "instanceSlug": instance,
        "framework": FRAMEWORK,
        "overview": record.description,
        "usage": record.render("kaggle_usage.md.jinja", record.links_elsewhere(), address=address),
        "licenseName": LICENSES.get(collection.license),
        "fineTunable": record.is_fine_tunable,
        "trainingData": [collection.dataset_name] if record.report.is_verified else None,
    })  # fmt: skip


def for_owner(text: str, owner: str) -> str:
    """Returns a text of a module's metadata for an owner on Kaggle."""
    return text.replace(OWNER, owner)


def _slug(name: str) -> str:
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-")


def _json(values: Mapping[str, object]) -> str:
    """Returns values as JSON; keys without a value are left out."""
    return json.dumps({key: value for key, value in values.items() if value is not None}, indent=2) + "\n"


# The rules ------------------------------------------------------------------------------------------------------------
def check_model(text: str, where: str) -> None:
    """Refuses a model-metadata.json that Kaggle's client would refuse.

    `ownerSlug` may be missing: whoever publishes there adds it.

    Raises:
        Fault: lists the problems, each after `where`.
    """
    refuse(where, _problems(text, MODEL, {"title", "slug", "isPrivate", "description"}))


def check_instance(text: str, where: str) -> None:
    """Refuses a model-instance-metadata.json in the same way."""
    required = {"modelSlug", "instanceSlug", "framework", "fineTunable", "usage"}
    refuse(where, _problems(text, INSTANCE, required))


def _problems(text: str, kinds: Kinds, required: set[str]) -> Iterator[str]:
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        yield f"not valid JSON ({error})"
        return
    yield from wrong_keys(values, kinds, required)
    for key in ("ownerSlug", "slug", "modelSlug", "instanceSlug"):
        if key in values and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", str(values[key])):
            yield f"{key} must be lower-case letters and digits, joined by '-', got {values[key]!r}"
    if values.get("framework", FRAMEWORK) != FRAMEWORK:
        yield f"framework must be {FRAMEWORK}, as the module is a SavedModel, got {values['framework']!r}"
    if "licenseName" in values and values["licenseName"] not in LICENSES.values():
        yield f"licenseName {values['licenseName']!r} is not one of Kaggle's"
    for name in sorted(set(re.findall(r"\$\{(\w+)\}", str(values.get("usage")))) - VARIABLES - {OWNER[2:-1]}):
        yield f"usage names ${{{name}}}, which Kaggle does not replace; expected {', '.join(sorted(VARIABLES))}"
