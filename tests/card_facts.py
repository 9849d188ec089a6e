"""The cards of a member as make card writes them, for tests that have its facts in hand."""

from collections.abc import Mapping
from typing import Any

from pipeline.cards import record
from pipeline.cards.record import CardFacts, Record
from pipeline.checkpoints.lock_file import NO_PIN, Pin
from pipeline.facts.collection import Collection, Module
from pipeline.facts.report import Report


def _facts(
    member: str, module: Module, collection: Collection, hub_url: str, report: Report, origin: Mapping, pin: Pin
) -> CardFacts:
    weights = report.checkpoint
    verified = pin.describe_verification(origin.get("sha256"), weights.sha256, weights.arrays_sha256)
    return CardFacts(member, module, collection, hub_url, origin["name"], verified)


def records(
    member: str,
    module: Module,
    collection: Collection,
    hub_url: str,
    report: Report,
    origin: Mapping,
    pin: Pin = NO_PIN,
) -> dict[Any, Record]:
    """Returns the record of each head; `origin` is the section `checkpoint`, as plain values."""
    return {
        str(head): found
        for head, found in record.records(
            _facts(member, module, collection, hub_url, report, origin, pin), report
        ).items()
    }


def cards(*facts: Any) -> dict[str, str]:
    """Returns the card of each head, from what records() takes."""
    return {head: record.render_tf_hub(found) for head, found in records(*facts).items()}
