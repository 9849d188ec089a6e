"""Writes a made-up hub of any size: index.json and cards as publish writes them, without the models.

The card stage's code renders the cards, from reports with made-up figures. There are no tarballs, since the website
shows only their entries in the index.
"""

import random
from dataclasses import replace
from pathlib import Path

from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.cards.record import CardFacts, cards
from pipeline.facts.accuracy import Reported
from pipeline.facts.collection import Collection, Module, collection_of, handle
from pipeline.facts.report import Report
from pipeline.hub.entries import PublishedFile
from pipeline.hub.folder import write_index
from pipeline.hub.index import Index
from pipeline.hub.new_entries import module_entry
from pipeline.hub.publisher_page import render_publisher

ROOT = Path(__file__).parents[1]
# Millions of parameters.
_PARAMETERS = {"Ti/16": 5.7, "S/32": 22.9, "S/16": 22.1, "R26+S/32": 36.4, "B/32": 88.2, "B/16": 86.6, "L/16": 304.3}


def _report(base: Report, random_: random.Random, variant: str, measured: bool) -> Report:
    """Returns a report with made-up figures of the given variant."""
    size = int(_PARAMETERS[variant] * 1e6)
    top1 = min(0.9, 0.62 + 0.045 * _PARAMETERS[variant] ** 0.28 + random_.uniform(-0.04, 0.04))
    model = replace(base.model, variant=variant, image_size=random_.choice((224, 384)))
    modules = {}
    for head, checks in base.modules.items():
        weights = replace(checks.weights, parameters=size + random_.randrange(1000))
        modules[head] = replace(checks, weights=weights, bytes=4 * size)
    figures = base.accuracy.measured
    assert figures, "the base report must have a measured accuracy"
    figures = replace(figures, top1=top1, top1_interval=(top1 - 0.003, top1 + 0.003), images=50_000)
    accuracy = replace(base.accuracy, reported=Reported(top1, "a made-up table"), measured=figures)
    if not measured:
        accuracy = replace(accuracy, verdict=Verdict.NOT_MEASURED, reason="no images were given", measured=None)
    return replace(base, model=model, modules=modules, accuracy=accuracy)


def write(
    hub: Path, modules: int, base: Report, members: Path = ROOT / "model_cards/vit", has_cards: bool = True
) -> Collection:
    """Writes the hub.

    Args:
        hub: its folder, made when missing.
        modules: how many; two of each made-up member.
        base: a report as validate writes it, whose figures are replaced.
        members: a collection's folder, for the facts.
        has_cards: whether cards are rendered, which takes most of the time; lists of modules need none.

    Returns:
        The collection that the modules belong to.
    """
    random_ = random.Random(0)
    collection, hub_url = collection_of(members / "any.yaml", None)
    entries = {}
    for number in range(modules // len(Head)):
        variant = random_.choice(list(_PARAMETERS))
        member, module = f"vit_{number:04}", Module(1, f"ViT-{variant.replace('/', '')} {number}")
        report = _report(base, random_, variant, measured=random_.random() < 0.5)
        facts = CardFacts(member, module, collection, hub_url, member)
        for head, text in (cards(facts, report) if has_cards else dict.fromkeys(Head, "")).items():
            name = handle(collection, member, head, 1)
            if has_cards:
                (hub / name).parent.mkdir(parents=True, exist_ok=True)
                (hub / f"{name}.md").write_text(text, encoding="utf-8")
            digest = f"{random_.getrandbits(256):064x}"
            files = (
                PublishedFile(f"{name}.tar.gz", report.modules[head].bytes, digest),
                PublishedFile(f"{name}.md", len(text.encode()), digest),
            )
            entries[name] = module_entry(name, head, module, collection, report, files)
    publisher = collection.publisher
    about = render_publisher(publisher, entries.values(), ())
    (hub / publisher.id).mkdir(parents=True, exist_ok=True)
    (hub / publisher.id / f"{publisher.id}.md").write_text(about, encoding="utf-8")
    write_index(hub, Index({}, {}, {"modules": {}, "collections": {}}).with_modules(entries))
    return collection
