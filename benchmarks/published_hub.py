"""Writes a made-up hub of any size as publish leaves it, with tarballs, so that every command can be run on it.

    python -m benchmarks.published_hub HUB MODULES

The tarballs hold SavedModels of a few hundred bytes, without weights; cards and reports are those of the demonstration
member with other names and made-up figures. Plots and pictures are left out. The files are not flushed to the disk one
by one, which is what takes publish most of its time.
"""

import random
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.synthetic_hub import ROOT
from pipeline.base.files import content_digest
from pipeline.base.heads import Head
from pipeline.base.stored_names import stored_path
from pipeline.cards.record import CardFacts, cards
from pipeline.facts.collection import Collection, Module, collection_of
from pipeline.facts.report import Report, load_report, report_text
from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.folder import write_index
from pipeline.hub.index import Index
from pipeline.hub.new_entries import module_entry
from pipeline.hub.publisher_page import render_publisher
from pipeline.hub.settings import HubSettings, write_settings
from pipeline.saved_model.files import folder_digest
from pipeline.saved_model.packing import pack
from tests.test_audit import write_saved_model

MEMBERS = ROOT / "model_cards/demo"
DAYS = 300  # over which the publications are spread


def member_report(base: Report, number: int) -> Report:
    """Returns a report with made-up figures, always the same of a number."""
    random_ = random.Random(number)
    figures = base.accuracy.measured
    assert figures, "the base report must have a measured accuracy"
    top1 = round(random_.uniform(0.80, 0.90), 4)
    figures = replace(figures, top1=top1, top1_interval=(top1 - 0.006, top1 + 0.006), examples=())
    return replace(base, accuracy=replace(base.accuracy, measured=figures), plots=())


def _store(hub: Path, path: str, content: bytes) -> PublishedFile:
    """Writes a page under its name with the digest, and its plain copy."""
    file = PublishedFile(stored_path(path, content_digest(content)), len(content), content_digest(content))
    (hub / path).parent.mkdir(parents=True, exist_ok=True)
    for name in (file.path, path):
        (hub / name).write_bytes(content)
    return file


def unknown_field(text: str) -> bytes:
    """Returns a field that no SavedModel has and all readers pass over; it makes each made-up model another one."""
    return b"\xa2\x7d" + bytes([len(text)]) + text.encode()


def _pack(hub: Path, work: Path, handle: str, head: Head, report: Report) -> tuple[PublishedFile, str]:
    """Writes the tarball of a module; returns what the index lists of it, and the digest of its content."""
    checks, folder, out = report.modules[head], work / head, hub / f"{handle}.tar.gz"
    assert checks.fine_tuning
    write_saved_model(folder, head.output, checks.output_width, checks.fine_tuning.variables)
    with (folder / "saved_model.pb").open("ab") as stream:
        stream.write(unknown_field(handle))
    out.parent.mkdir(parents=True, exist_ok=True)
    packed = pack(folder, out, handle)
    return PublishedFile(f"{handle}.tar.gz", out.stat().st_size, packed.sha256), folder_digest(folder)


def write_member(
    hub: Path, work: Path, base: Report, collection: Collection, url: str, number: int
) -> Iterator[ModuleEntry]:
    """Writes the files of one member; yields the entries of both modules."""
    member, module = f"vit_{number:05}", Module(1, f"Fashion-MNIST ViT {number}")
    facts, report = CardFacts(member, module, collection, url, member), member_report(base, number)
    handles = {head: facts.handle(head) for head in Head}
    tarballs = {}
    for head, handle in handles.items():
        tarballs[head], content = _pack(hub, work, handle, head, report)
        checks = replace(report.modules[head], content_sha256=content)
        report = replace(report, modules=report.modules | {head: checks})
    for head, card in cards(facts, report).items():
        handle = handles[head]
        page = _store(hub, f"{handle}.md", card.encode())
        files = (tarballs[head], page, _store(hub, f"{handle}/report.json", report_text(report).encode()))
        day = number % DAYS
        published = f"2026-{1 + day // 28:02}-{1 + day % 28:02}"
        yield replace(module_entry(handle, head, module, collection, report, files), published=published)


def write(hub: Path, modules: int, base: Report) -> Collection:
    """Writes the hub without its website.

    Args:
        hub: its folder, made when missing.
        modules: how many; two of each made-up member.
        base: a report as validate writes it.

    Returns:
        The collection that the modules belong to.
    """
    collection, url = collection_of(MEMBERS / "any.yaml", None)
    work = hub.with_name(f"{hub.name}.work")
    entries = {
        entry.handle: entry
        for number in range(modules // len(Head))
        for entry in write_member(hub, work, base, collection, url, number)
    }
    publisher = collection.publisher
    (hub / publisher.id / f"{publisher.id}.md").write_text(render_publisher(publisher, entries.values(), ()))
    write_settings(hub, HubSettings(url))
    write_index(hub, Index({}, {}, {"modules": {}, "collections": {}}).with_modules(entries), url)
    return collection


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    write(Path(sys.argv[1]), int(sys.argv[2]), load_report(ROOT / "tests/data/report.json"))


if __name__ == "__main__":
    main()
