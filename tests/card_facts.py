"""The records and cards of members, as make card makes them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.base.heads import Head
from pipeline.cards import record
from pipeline.cards.member_files import member_files
from pipeline.cards.record import CardFacts, Record
from pipeline.facts.collection import Collection, Module, read_collection
from pipeline.facts.formats import Formats
from pipeline.facts.report import Report
from tests.reports import ROOT

VIT = read_collection(ROOT / "model_cards/vit/collection.yaml")


def records(
    member: str,
    module: Module,
    collection: Collection,
    hub_url: str,
    report: Report,
    origin: Mapping[str, Any],
    formats: Formats | None = None,
) -> dict[Head, Record]:
    """Returns the record of each module; `origin` is the section `checkpoint`, as plain values."""
    return record.records(CardFacts(member, module, collection, hub_url, origin["name"]), report, formats)


def cards(*facts: Any) -> dict[Head, str]:
    """Returns the card of each module, from what records() takes."""
    return {head: record.render_tf_hub(card) for head, card in records(*facts).items()}


def checked_files(members_records: Mapping[Head, Record], out: Path = Path("out")) -> dict[Path, str]:
    """Returns the text of every file of the stage card, each checked."""
    files = list(member_files(members_records, out))
    for file in files:
        file.check()
    return {file.path: file.text for file in files}


def demo_records(report: Report, formats: Formats | None = None) -> dict[Head, Record]:
    """Returns the demo's records with a report, and with its formats."""
    collection, module = read_collection(ROOT / "model_cards/demo/collection.yaml"), Module(1, "Demo")
    return records("vit_demo", module, collection, "https://hub.example", report, {"name": "vit_demo"}, formats)


def demo_cards(report: Report, formats: Formats | None = None) -> dict[Head, str]:
    """Returns the demo's cards with a report, and with its formats."""
    return {head: record.render_tf_hub(card) for head, card in demo_records(report, formats).items()}


def seed_records(report: Report, collection: Collection = VIT, note: str | None = None) -> dict[Head, Record]:
    """Returns the records of vit_s16 with a report, and with a note of its member."""
    return records("vit_s16", Module(1, "ViT-S16", note), collection, "https://hub.example", report, {"name": "S_16"})
