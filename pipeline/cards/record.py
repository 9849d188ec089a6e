"""What is known of a module: the record that its pages in every dialect are rendered from."""

import json
from dataclasses import dataclass
from typing import Any

from pipeline.base.heads import Head
from pipeline.base.templates import TEMPLATES, render
from pipeline.facts.collection import Collection, Module, handle

Record = dict[str, Any]  # what records() returns for one head


@dataclass(frozen=True)
class CardFacts:
    """What the cards of a member say beside the figures of its report.

    Attributes:
        member: its name.
        module: its section `module`.
        collection: the collection it belongs to.
        hub_url: the public address of the hub, without a final slash.
        checkpoint_name: the checkpoint's file name upstream, without `.npz`.
        verified: what may be said of the weights' digest, a clause.
    """

    member: str
    module: Module
    collection: Collection
    hub_url: str
    checkpoint_name: str
    verified: str


def compatibility_of(found: dict[str, Any]) -> dict[str, Any] | None:
    """Returns what a card says of TensorFlow versions: a record of other modules that need the same as this one.

    templates/compatibility.json holds what `make check-full` measured. None without it, or when it is of modules that
    need another TensorFlow, calling convention or platform: nothing is claimed which was not measured on the like.

    Args:
        found: the module's part of the report.

    Returns:
        The date, the variants that were run, and the rows of a table: a TensorFlow version, and for each variant the
        largest difference of all its heads and ways to call it, divided by the largest output.
    """
    path = TEMPLATES / "compatibility.json"
    if not path.is_file():
        return None
    record = json.loads(path.read_text(encoding="utf-8"))
    models = list(record["models"].values())
    needs = found["needs"]
    like = (needs["tensorflow"], max(needs["calling_conventions"]), sorted(needs["platforms"]))
    keys = ("tensorflow", "calling_convention", "platforms")
    if any(tuple(model["needs"][key] for key in keys) != like for model in models):
        return None

    def largest(model: dict[str, Any], minor: str) -> float:
        replays = model["results"][minor].values()
        return max(float(difference) for replay in replays for difference in replay["differences"].values())

    return {
        "date": record["date"],
        "variants": [model["variant"] for model in models],
        "rows": [
            (version, [largest(model, minor) for model in models]) for minor, version in record["tensorflow"].items()
        ],
    }


def records(facts: CardFacts, report: dict[str, Any]) -> dict[Head, Record]:
    """Returns what is known of each head's module: the one record that every dialect is rendered from.

    Args:
        facts: what the cards say beside the figures.
        report: what validate wrote; `plots`, if there, lists plots with `file`, a name, and `title`.
    """
    handles = {head: handle(facts.collection, facts.member, head, facts.module.version) for head in Head}
    return {
        head: {
            "member": facts.member,
            "head": head,
            "task": head.task,
            "name": handles[head].split("/")[1],
            "description": f"Vision Transformer {report['model']['variant']} {head.noun}: {facts.collection.summary}.",
            "handle": handles[head],
            "other_handle": handles[head.other],
            "address": f"{facts.hub_url}/{handles[head]}.tar.gz",
            "hub_url": facts.hub_url,
            "module": facts.module,
            "collection": facts.collection,
            "report": report,
            "checkpoint_name": facts.checkpoint_name,
            "verified": facts.verified,
            "found": report["modules"][head],
            "compatibility": compatibility_of(report["modules"][head]),
        }
        for head in Head
    }


def cards(facts: CardFacts, report: dict[str, Any]) -> dict[Head, str]:
    """Returns TensorFlow Hub's page of each head, from what records() takes."""
    return {head: render_tf_hub(record) for head, record in records(facts, report).items()}


def render_tf_hub(record: Record) -> str:
    """Returns the module's page for a hub; its links are relative to <publisher>/<module>/<version>.md."""
    version, other = record["module"].version, record["other_handle"].split("/", 1)[1]
    links = {"companion_link": f"../{other}.md", "index_link": "../../index.json", "plots_link": f"{version}/plots"}
    return render("module.md.jinja", **record, **links)
