"""Hubs for the tests of the website, published from real cards and reports, with tarballs of a few bytes."""

import dataclasses
import json
import shutil
from pathlib import Path

from pipeline.base import yaml_sections
from pipeline.base.files import sha256_of, write_text
from pipeline.base.heads import Head
from pipeline.base.stored_names import plain_path, stored_path
from pipeline.cards.collection_page import list_member, render_collection
from pipeline.cards.member_files import member_files
from pipeline.facts.accuracy import Reported
from pipeline.facts.collection import Module, collection_of
from pipeline.facts.report import Report
from pipeline.hub.folder import write_index
from pipeline.hub.index import Index
from pipeline.hub.shards import Document
from pipeline.model.facts import describe_model
from pipeline.model.section import Model
from pipeline.package import package
from pipeline.publish import Outputs, publish_collection, publish_member
from pipeline.saved_model.files import folder_digest
from tests.card_facts import records
from tests.conftest import ROOT
from tests.format_outputs import formats_of
from tests.reports import REPORT, not_measured, with_checks, with_model, write_report

QUOTED = Reported(0.80462, "column adapt_final_test of an index")
PLOT = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 40 24" width="760" height="456">'
    '<style>path { stroke: #666 }</style><path d="M4 20L36 4"/></svg>\n'
)


def read_document(hub: Path) -> Document:
    """Returns the content of index.json."""
    document: Document = json.loads((hub / "index.json").read_text())
    return document


def write_document(hub: Path, document: Document) -> None:
    """Writes an index as publish does: its shards, the root and index.json."""
    shutil.rmtree(hub / "index", ignore_errors=True)
    write_index(hub, Index({}, {}, document))


def store_again(hub: Path) -> None:
    """Writes the files' present sizes and digests into the index, after plain copies of pages were edited."""
    document = read_document(hub)
    for entry in (*document["modules"].values(), *document["collections"].values()):
        for file in entry["files"]:
            page = hub / plain_path(file["path"])
            if page != hub / file["path"]:
                (hub / file["path"]).unlink(missing_ok=True)  # entries that a test has copied may share it
                file["path"] = stored_path(plain_path(file["path"]), sha256_of(page))
                shutil.copy(page, hub / file["path"])
            file |= {"size": page.stat().st_size, "sha256": sha256_of(page)}
    write_document(hub, document)


def edit_index(hub: Path, *removed: str, **values: object) -> None:
    """Removes keys of every module's entry in the index, and sets others."""
    document = read_document(hub)
    for entry in document["modules"].values():
        for key in removed:
            entry.pop(key, None)
        entry |= values
    write_document(hub, document)


def publish(hub: Path, folder: Path, member: Path, module: Module, report: Report) -> None:
    """Publishes both modules of a member, and its collection's page.

    Args:
        hub: the hub's folder.
        folder: a new folder for the outputs of the earlier stages.
        member: its YAML file.
        module: its section `module`.
        report: the report of validate.
    """
    collection, hub_url = collection_of(member, None)
    for head in Head:
        (folder / head).mkdir(parents=True)
        (folder / head / "saved_model.pb").write_text(f"{member.stem} {head} {module.version}")
        package(folder / head, folder / f"{head}.tar.gz")
        report = with_checks(report, head, content_sha256=folder_digest(folder / head))
    for file in member_files(records(member.stem, module, collection, hub_url, report, {"name": member.stem}), folder):
        write_text(file.path, file.text)
    write_plots(folder, report)
    write_report(folder / "report.json", report)
    outputs = Outputs(member.stem, module, collection, folder, report, formats=formats_of(folder))
    publish_member(outputs, hub, folder / "published.json")
    page = render_collection(collection, [list_member(collection, member.stem, module, report)])
    (folder / "page.md").write_text(page)
    publish_collection(collection, folder / "page.md", hub, folder / "collection.json")


def write_plots(folder: Path, report: Report) -> None:
    """Writes a small picture for each plot that the report lists."""
    (folder / "plots").mkdir()
    for plot in report.plots:
        (folder / "plots" / plot.file).write_text(PLOT)


def first_version(member: Path) -> Module:
    """Returns the section `module` of a member, with the version 1 whatever the published one is."""
    return dataclasses.replace(yaml_sections.load(member, "module", Module), version=1)


def write_hub(folder: Path) -> Path:
    """Publishes vit_demo in two versions, with measured accuracy, and vit_s16, with a quoted one; returns the hub."""
    demo, small = ROOT / "model_cards/demo/vit_demo.yaml", ROOT / "model_cards/vit/vit_s16.yaml"
    hub, module = folder / "hub", first_version(demo)
    publish(hub, folder / "demo1", demo, module, REPORT)
    publish(hub, folder / "demo2", demo, dataclasses.replace(module, version=2), REPORT)
    report = with_model(REPORT, **describe_model(Model("S/16", 224, 1000)), operations=9_202_000_000)
    report = not_measured(report, "no images were given", QUOTED)
    for head, checks in report.modules.items():
        report = with_checks(report, head, weights=dataclasses.replace(checks.weights, parameters=22_050_664))
    publish(hub, folder / "small", small, first_version(small), report)
    return hub
