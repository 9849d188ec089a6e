"""The audit of a hub: a good hub passes, and each planted fault of the reference collection is named."""

import copy
import dataclasses
import gzip
import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.audit import audit, describe_reports
from pipeline.base import yaml_sections
from pipeline.base.heads import Head
from pipeline.base.verification import Verification
from pipeline.collection import page
from pipeline.facts.collection import Module, read_collection
from pipeline.facts.report import Report, load_report
from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.folder import write_index
from pipeline.hub.index import Index
from pipeline.hub.overview import Overview
from pipeline.hub.scan import scan_hub
from pipeline.hub.shards import shard_of_entry, shard_path
from pipeline.package import package
from pipeline.publish import Outputs, publish_collection, publish_member
from pipeline.saved_model.files import folder_digest
from pipeline.saved_model.graph import saved_model_class
from tests.card_facts import checked_files, records
from tests.conftest import ROOT, Stage, assert_refused
from tests.hubs import edit_index, read_document, store_again, write_document, write_plots
from tests.reports import QUOTED, REPORT, with_accuracy, with_checks, with_model, with_weights, write_report
from tests.test_publish import overwrite

DEMO = ROOT / "model_cards/demo"
CHANGED = "the hub changed while it was checked, so some of it was not; run check-hub again"
FLOAT = 1  # tensorflow.DataType


def write_saved_model(
    folder: Path, name: str, width: int, trainable: int = 104, prevented: bool = False, valued: bool = True
) -> None:
    """Writes a saved_model.pb with a signature and `trainable` variables.

    Args:
        folder: where to.
        name, width: of the output.
        trainable: how many variables.
        prevented: whether it has no gradients.
        valued: whether all attributes have a value.
    """
    model = saved_model_class()()
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    output = graph.signature_def["serving_default"].outputs[name]
    output.dtype = FLOAT
    for size in (-1, width):
        output.tensor_shape.dim.add().size = size
    graph.object_graph_def.nodes.add()
    for _ in range(trainable):
        graph.object_graph_def.nodes.add().variable.trainable = True
    for operation in ("XlaCallModule", "PreventGradient") if prevented else ():
        graph.graph_def.node.add(op=operation)
    if not valued:
        graph.graph_def.node.add(name="call", op="PartitionedCall").attr["config_proto"].Clear()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())


def publish(folder: Path, hub: Path, report: Report, **changes: Any) -> None:
    """Publishes vit_demo with SavedModels of a few bytes; `changes` are of the classifier's."""
    for head in Head:
        checks, name = report.modules[head], head.output
        assert checks.fine_tuning
        width, variables = checks.output_width, checks.fine_tuning.variables
        write_saved_model(
            folder / head, name, width, **({"trainable": variables} | (changes if name == "logits" else {}))
        )
        package(folder / head, folder / f"{head}.tar.gz")
        report = with_checks(report, head, content_sha256=folder_digest(folder / head))
    write_report(folder / "report.json", report)
    write_plots(folder, report)
    collection = read_collection(DEMO / "collection.yaml")
    module = yaml_sections.load(DEMO / "vit_demo.yaml", "module", Module)
    members_records = records("vit_demo", module, collection, "https://hub.example", report, {"name": "vit_demo"})
    for path, text in checked_files(members_records, folder).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    publish_member(Outputs("vit_demo", module, collection, folder, report), hub, folder / "published.json")
    (folder / "page.md").write_text(page(collection, DEMO, folder.parent))
    publish_collection(collection, folder / "page.md", hub, folder / "page.json")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good hub in `hub` and the members' outputs in `artifacts`; tests must not change it."""
    folder = tmp_path_factory.mktemp("good")
    publish(folder / "artifacts/vit_demo", folder / "hub", REPORT)
    return folder


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(good, tmp_path / "copy"))


def faults(folder: Path) -> list[str]:
    hub = folder / "hub"
    return [
        line.replace(str(hub) + "/", "")
        for problem in audit(hub, scan_hub(hub), folder / "artifacts").problems
        for line in problem.split("\n")
    ]


def edit_page(folder: Path, name: str, change: Callable[[str], str]) -> None:
    """Edits a page of the hub and its digest in the index, so that the text alone is wrong."""
    path = folder / "hub/vit-publisher" / name
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    store_again(folder / "hub")


def test_a_good_hub_has_no_faults(good: Path, stage: Stage) -> None:
    assert faults(good) == []
    done = stage("audit", good / "hub", "--artifacts", good / "artifacts")
    assert done.returncode == 0, done.stderr
    report = good / "artifacts/vit_demo/report.json"
    assert f"2 modules, 1 collection, nothing wrong; figures compared with {report}: " in done.stderr
    assert_refused(
        stage("audit", good / "artifacts"),
        f"HUB={good}/artifacts: there is no index.json",
        "name another folder with HUB=",
    )
    done = stage("audit", good / "hub", "--artifacts", good / "hub")
    assert done.returncode == 0, done.stderr
    assert (
        f"figures compared with no report; {good}/hub has no report of the published bytes of"
        " vit-publisher/vit_demo_classification/2, vit-publisher/vit_demo_fe/2 (ARTIFACTS= names another folder)"
    ) in done.stderr
    assert_refused(
        stage("audit", good / "hub", "--artifacts", good / "none"), f"ARTIFACTS={good}/none: no such folder; expected"
    )


def test_the_compared_reports_are_named_in_one_line(good: Path) -> None:
    entries = {name: ModuleEntry(name, "", "", ()) for name in [f"a/m{number}_fe/1" for number in range(9)]}
    file = PublishedFile("a/m", 1, "0" * 64)
    entries = {name: dataclasses.replace(entry, files=(file,)) for name, entry in entries.items()}
    overview = Overview.of(Index(entries, {}, {"modules": {}, "collections": {}}))
    reports = {name: Path(f"{name}.json") for name in list(entries)[:5]}
    assert describe_reports(overview, Path("artifacts"), reports) == (
        "figures compared with a/m0_fe/1.json, a/m1_fe/1.json, a/m2_fe/1.json and 2 more; artifacts has no report of"
        " the published bytes of a/m5_fe/1, a/m6_fe/1, a/m7_fe/1 and 1 more (ARTIFACTS= names another folder)"
    )
    assert describe_reports(overview, None, {}) == "figures compared with no report"
    scan = scan_hub(good / "hub")
    assert audit(good / "hub", scan, good / "artifacts").reports.keys() == scan.overview.modules.keys()
    assert audit(good / "hub", scan, None).reports == {}


def test_two_handles_with_one_digest(folder: Path) -> None:
    """The reference collection published a member's feature extractor also under another's handle."""
    hub = folder / "hub/vit-publisher"
    shutil.copytree(hub / "vit_demo_fe", hub / "vit_medaug_fe")
    card = hub / "vit_medaug_fe/2.md"
    card.write_text(card.read_text().replace("vit_demo_fe", "vit_medaug_fe"))
    index = read_document(folder / "hub")
    entry = copy.deepcopy(index["modules"]["vit-publisher/vit_demo_fe/2"])
    for file in entry["files"]:
        file["path"] = file["path"].replace("vit_demo_fe", "vit_medaug_fe")
    index["modules"]["vit-publisher/vit_medaug_fe/2"] = entry
    write_document(folder / "hub", index)
    store_again(folder / "hub")
    (fault,) = faults(folder)
    assert fault.startswith(
        "index.json: vit-publisher/vit_medaug_fe/2 and vit-publisher/vit_demo_fe/2 are the same bytes"
    )
    assert fault.endswith("; one of them has another's model, publish it again")


def publish_copy(folder: Path, copied: str, version: int) -> None:
    """Publishes vit_demo_fe, with weights, also as another module or version, whose provenance.json alone differs."""
    hub = folder / "hub/vit-publisher"
    index = read_document(folder / "hub")
    name = "vit_demo_fe"
    for module, number in ((name, 2), (copied, version)):
        model = folder / f"{module}_{number}"
        write_saved_model(model, "features", 64, trainable=102)
        (model / "variables").mkdir()
        (model / "variables/variables.data-00000-of-00001").write_bytes(b"weights")
        (model / "assets.extra").mkdir()
        (model / "assets.extra/provenance.json").write_text(f"{module} {number}")
        (hub / module).mkdir(exist_ok=True)
        package(model, hub / module / f"{number}.tar.gz")
    entry = copy.deepcopy(index["modules"][f"vit-publisher/{name}/2"])
    entry["files"] = [{"path": f"vit-publisher/{copied}/{version}.tar.gz"}]
    index["modules"][f"vit-publisher/{copied}/{version}"] = entry
    index["aliases"][f"vit-publisher/{copied}"] = {"latest": version}
    text = (hub / name / "2.md").read_text().replace(f"{name}/2", f"{copied}/{version}")
    (hub / copied / f"{version}.md").write_text(text.replace("](2/", f"]({version}/"))
    (hub / copied / str(version)).mkdir()
    shutil.copytree(hub / name / "2/plots", hub / copied / str(version) / "plots")
    shutil.copy(hub / name / "2/report.json", hub / copied / str(version))
    write_document(folder / "hub", index)
    store_again(folder / "hub")


def test_the_same_weights_under_two_handles(folder: Path) -> None:
    """A member that fetched another's checkpoint differs from it in provenance.json alone."""
    publish_copy(folder, "vit_medaug_fe", 1)
    (fault,) = faults(folder)
    handles = "vit-publisher/vit_medaug_fe/1 and vit-publisher/vit_demo_fe/2"
    assert fault.startswith(f"index.json: {handles} have the same weights (sha256 9a129038")
    assert fault.endswith("; one of them has another's model, publish it again")


def test_two_versions_of_a_module_may_share_their_weights(folder: Path) -> None:
    """A checkpoint that is converted again is a new version of the same module."""
    publish_copy(folder, "vit_demo_fe", 3)
    assert faults(folder) == []


def test_unreadable_files_are_named(folder: Path) -> None:
    (folder / "hub/vit-publisher/vit-publisher.md").write_bytes(b"\xff\xfe")
    (folder / "artifacts/vit_demo/report.json").write_text("{")
    text = "\n".join(faults(folder))
    assert "vit-publisher/vit-publisher.md: not UTF-8 text ('utf-8' codec can't decode byte 0xff" in text
    assert text.count("vit_demo/report.json:1: not valid JSON (") == 1


def test_an_asset_path_to_another_module(folder: Path) -> None:
    edit_page(
        folder, "vit_demo_fe/2.md", lambda text: text.replace("vit_demo_fe/2.tar.gz -->", "vit_b_fe/1.tar.gz -->")
    )
    (fault,) = faults(folder)
    assert fault.startswith(
        "vit-publisher/vit_demo_fe/2.md:5: asset-path leads to 'https://hub.example/vit-publisher/vit_b"
    )
    assert "expected the tarball of vit-publisher/vit_demo_fe/2" in fault


def test_a_task_that_the_output_contradicts(folder: Path) -> None:
    tags = "task: image-feature-vector", "task: image-classification"
    edit_page(folder, "vit_demo_fe/2.md", lambda text: text.replace(*tags))
    shutil.rmtree(folder / "artifacts")  # the tarball is enough to tell
    assert faults(folder) == [
        "vit-publisher/vit_demo_fe/2.md:6: the task 'image-classification' does not fit an output of 64 features;"
        " expected 'image-feature-vector'"
    ]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"trainable": 0}, "0 trainable variables of which 0 have a gradient"),
        ({"prevented": True}, "104 trainable variables of which 0 have a gradient"),
    ],
)
def test_fine_tunable_without_variables_or_gradients(report: Report, tmp_path: Path, changes: dict, text: str) -> None:
    publish(tmp_path / "artifacts/vit_demo", tmp_path / "hub", report, **changes)
    assert faults(tmp_path) == [
        "vit-publisher/vit_demo_classification/2.md:9: fine-tunable is true, but the module has"
        f" {text}; correct the tag"
    ]


def test_a_module_that_only_python_loads(report: Report, tmp_path: Path) -> None:
    publish(tmp_path / "artifacts/vit_demo", tmp_path / "hub", report, valued=False)
    (fault,) = faults(tmp_path)
    assert fault.startswith("vit-publisher/vit_demo_classification/2.md:")
    assert "loads in TensorFlow's Python loader only, not in TensorFlow Serving, Java, Go or C" in fault


def test_a_figure_that_differs_from_the_report(folder: Path) -> None:
    edit_page(folder, "vit_demo_classification/2.md", lambda text: text.replace("| 91.90 %", "| 92.90 %"))
    (fault,) = faults(folder)
    lines = (folder / "hub/vit-publisher/vit_demo_classification/2.md").read_text().split("\n")
    line = next(number for number, text in enumerate(lines, start=1) if "92.90 %" in text)
    assert fault.startswith(
        f"vit-publisher/vit_demo_classification/2.md:{line}: expected '| top-1 accuracy | 91.90 % ("
    )
    assert " by the report, got '| top-1 accuracy | 92.90 % (" in fault
    report = folder / "artifacts/vit_demo/report.json"
    assert fault.endswith(f"; compared with {report}, ARTIFACTS= names another folder of reports")


def test_a_report_of_other_bytes_is_not_used(folder: Path) -> None:
    edit_page(folder, "vit_demo_classification/2.md", lambda text: text.replace("| 91.90 %", "| 92.90 %"))
    path = folder / "artifacts/vit_demo/report.json"
    report = load_report(path)
    for head in Head:
        report = with_checks(report, head, content_sha256="0" * 64)
    write_report(path, report)
    assert faults(folder) == []


def test_files_that_only_their_owner_may_read(folder: Path) -> None:
    """As an earlier release wrote them under umask 077. A group may be that of the web server."""
    hub = folder / "hub"
    tarball = hub / "vit-publisher/vit_demo_fe/2.tar.gz"
    tarball.chmod(0o640)
    assert faults(folder) == []
    tarball.chmod(0o600)
    (hub / "site").chmod(0o700)
    (problem,) = faults(folder)
    assert ": only their owner may read 2 of its files and folders, " in problem
    assert f"run chmod -R a+rX {hub}" in problem


def test_pictures_that_a_browser_would_run(folder: Path) -> None:
    """Also those that the index does not list, and those that are packed."""
    plots = folder / "hub/vit-publisher/vit_demo_fe/2/plots"
    plots.mkdir(parents=True, exist_ok=True)
    (plots / "X.SVG").write_text('<svg xmlns="http://www.w3.org/2000/svg" onload="1"/>')
    (plots / "y.svgz").write_bytes(gzip.compress(b"<svg/>"))
    first, second = faults(folder)
    assert "plots/X.SVG: it has the attribute onload='1'; a browser may run it: publish its module" in first
    assert "plots/y.svgz: not UTF-8 text" in second


def test_a_hub_of_another_release_is_to_be_published_again(report: Report, tmp_path: Path) -> None:
    """Its report is of schema 1, and no section of its card has today's words; that is one problem."""
    folder, path = tmp_path, tmp_path / "artifacts/vit_demo/report.json"
    old = load_report(ROOT / "tests/data/report_schema_1.json")
    report = dataclasses.replace(
        report, modules=old.modules, features=old.features, accuracy=old.accuracy, ladder=old.ladder
    )
    report = with_model(report, operations=None)
    publish(path.parent, folder / "hub", report)
    earlier = json.loads((ROOT / "tests/data/report_schema_1.json").read_text())
    for head, checks in load_report(path).modules.items():
        earlier["modules"][head]["content_sha256"] = checks.content_sha256
    earlier["checkpoint"]["source"] = "https://hub.example/vit_demo.npz"
    index = read_document(folder / "hub")
    for entry in index["modules"].values():
        for key in ("weights", "status", "revision"):  # as that release wrote it
            del entry[key]
    del index["aliases"]
    write_document(folder / "hub", index)
    path.write_text(json.dumps(earlier))
    assert faults(folder) == []

    def in_other_words(text: str) -> str:
        for old in ("This module takes", "Figures are", "| input |", "Verified against", "The module runs"):
            text = text.replace(old, old.replace("module", "model").replace("| ", "| the ").replace("e", "E"))
        return text

    edit_page(folder, "vit_demo_classification/2.md", in_other_words)
    (fault,) = faults(folder)
    assert re.match(
        r"vit-publisher/vit_demo_classification/2\.md:\d+: written by another release: run make publish again"
        r" \(cards may be corrected in place\); expected 'This module",
        fault,
    )


@pytest.mark.parametrize(
    ("page", "old", "new", "message"),
    [
        ("collections/demo/1.md", "28x28", "224x224", "names 224x224, but the input is of 28x28 pixels; correct it"),
        ("collections/demo/1.md", "trained on Fashion-MNIST [2]", "trained on CIFAR-10 [2]", "names CIFAR-10, but the"),
        ("vit_demo_fe/2.md", "is of no use", "has 86M parameters and is of no use", "names '86M parameters', but ther"),
        ("vit_demo_fe/2.md", "It demonstrates", "It is S/16, demonstrates", "names S/16, but the architecture is"),
    ],
)  # fmt: skip
def test_prose_that_contradicts_the_models(folder: Path, page: str, old: str, new: str, message: str) -> None:
    shutil.rmtree(folder / "artifacts")  # the index is enough to tell
    edit_page(folder, page, lambda text: text.replace(old, new))
    (fault,) = faults(folder)
    assert fault.startswith(f"vit-publisher/{page}:")
    assert message in fault


def test_a_title_of_another_model(folder: Path) -> None:
    text = json.dumps(read_document(folder / "hub"))
    write_document(folder / "hub", json.loads(text.replace('"title": "ViT-Mini4 on', '"title": "ViT-L16 on')))
    shutil.rmtree(folder / "artifacts")
    found = faults(folder)
    title = (
        "the title of vit-publisher/vit_demo_fe/2: 'ViT-L16 on Fashion-MNIST' names ViT-L16, but the architecture is"
    )
    assert any(line.startswith(f"index.json: {title} Mini/4; correct it") for line in found)


def set_weights(folder: Path, weights: str | None) -> None:
    """Has the index say how all weights were verified."""
    index = read_document(folder / "hub")
    for entry in index["modules"].values():
        entry["weights"] = weights
    write_document(folder / "hub", index)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ("unverified", "that are not verified; publish"),
        (None, "that are not known to be verified (an earlier release published them); publish"),
    ],
)
def test_a_quoted_figure_beside_weights_that_are_not_verified(
    report: Report, tmp_path: Path, weights: str | None, words: str
) -> None:
    """In the index, on the card and on the collection's page, without any report."""
    publish(tmp_path / "artifacts/vit_demo", tmp_path / "hub", with_accuracy(report, reported=QUOTED))
    assert faults(tmp_path) == []
    shutil.rmtree(tmp_path / "artifacts")
    set_weights(tmp_path, weights)
    found = faults(tmp_path)
    for place in ("vit_demo_classification/2.md", "vit_demo_fe/2.md", "collections/demo/1.md"):
        assert any(re.match(rf"vit-publisher/{place}:\d+: a quoted figure beside weights {re.escape(words)}", line)
                   for line in found), place  # fmt: skip
    assert sum("has a quoted accuracy, and its weights are not known to be the ones" in line for line in found) == 2
    assert sum("the weights are not verified, and the card does not say so" in line for line in found) == (
        0 if weights is None else 2
    )


def test_a_hub_of_unverified_weights_that_quotes_nothing(report: Report, tmp_path: Path) -> None:
    report = with_weights(with_accuracy(report, reported=QUOTED), Verification.UNVERIFIED)
    publish(tmp_path / "artifacts/vit_demo", tmp_path / "hub", report)
    assert faults(tmp_path) == []
    for path in (tmp_path / "hub").rglob("*"):
        assert not path.is_file() or b"80.46" not in path.read_bytes(), path
    assert "weights not verified" in (tmp_path / "hub/index.html").read_text()
    edit_page(
        tmp_path, "collections/demo/1.md", lambda page: page.replace("They are ", "They reach 80.46 %. They are ", 1)
    )
    (fault,) = faults(tmp_path)
    assert re.match(r"vit-publisher/collections/demo/1\.md:\d+: '80\.46 %' is an accuracy that others report", fault)
    set_weights(tmp_path, "pinned")
    found = faults(tmp_path)
    assert any(":1: index.json calls the weights pinned, the report unverified; publish" in line for line in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("| 28 |", "| 224 |"),
        ("307,082", "307,083"),
        ("| 1.7 MB", "| 1.8 MB"),
        ("91.90 % on", "92.90 % on"),
        ("91.90 % on 1,000 images", "not measured"),
        ("| none |", "| 93.00 % |"),
        ("| 64 |", "| 65 |"),
    ],
)
def test_a_performance_table_that_differs_from_the_reports(folder: Path, old: str, new: str) -> None:
    edit_page(folder, "collections/demo/1.md", lambda text: text.replace(old, new))
    (fault,) = faults(folder)
    row = (
        "| [ViT-Mini4 on Fashion-MNIST](../../vit_demo_classification/2.md) | 28 | 307,082 | 0.0302 | 1.7 MB"
        " | 91.90 % on 1,000 images | none | 64 |"
    )
    assert fault.startswith("vit-publisher/collections/demo/1.md:")
    assert f": expected {row!r} by the report, got {row.replace(old, new)!r}; publish the page again" in fault


def test_a_performance_table_that_links_elsewhere(folder: Path) -> None:
    row = "| [ViT-Mini4 on Fashion-MNIST](../../vit_demo_classification/2.md)"
    edit_page(folder, "collections/demo/1.md", lambda text: text.replace(row, "| [A](../../../../a.md)"))
    (fault,) = faults(folder)
    assert fault.endswith("the link '../../../../a.md' leads out of the hub")


def test_counts_that_differ_from_the_list(folder: Path) -> None:
    old, new = "contains one Vision Transformer", "contains eight Vision Transformers"
    edit_page(folder, "collections/demo/1.md", lambda text: text.replace(old, new))
    (fault,) = faults(folder)
    assert fault.startswith("vit-publisher/collections/demo/1.md:")
    assert "'eight Vision Transformers', but the page lists one of them" in fault


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "../vit_demo_classification/2.md",
            "../vit_demo_classification/3.md",
            "is dead: there is no such file in the hub",
        ),
        ("../vit_demo_classification/2.md", "../../../../outside.md", "leads out of the hub"),
    ],
)
def test_links_that_lead_nowhere(folder: Path, old: str, new: str, message: str) -> None:
    edit_page(folder, "vit_demo_fe/2.md", lambda text: text.replace(old, new, 1))
    (folder / "outside.md").write_text("")
    (fault,) = faults(folder)
    assert fault.startswith("vit-publisher/vit_demo_fe/2.md:")
    assert f"{new}' {message}" in fault


def test_a_page_under_another_handle(folder: Path) -> None:
    edit_page(
        folder, "vit_demo_fe/2.md", lambda text: text.replace("# Module vit-publisher/vit_demo_fe/2", "# Module a/b/1")
    )
    assert (
        "vit-publisher/vit_demo_fe/2.md:1: the first line is '# Module a/b/1', but in this place it must be "
        in (faults(folder)[0])
    )


def test_a_page_that_breaks_a_rule(folder: Path) -> None:
    edit_page(folder, "vit-publisher.md", lambda text: text.replace("\nViT Publisher\n", ""))
    assert faults(folder)[0].startswith("vit-publisher/vit-publisher.md:3: there is no description")


def test_files_that_are_not_what_the_index_says(folder: Path) -> None:
    hub = folder / "hub/vit-publisher"
    tarball = hub / "vit_demo_fe/2.tar.gz"
    content = tarball.read_bytes()
    overwrite(tarball, content + b"\0")
    assert any(
        fault.startswith("vit-publisher/vit_demo_fe/2.tar.gz: ") and "bytes, index" in fault for fault in faults(folder)
    )
    overwrite(tarball, content[:-1] + b"\1")
    assert any(fault.startswith("vit-publisher/vit_demo_fe/2.tar.gz: sha256 ") for fault in faults(folder))
    tarball.unlink()
    assert faults(folder) == [
        "vit-publisher/vit_demo_fe/2.tar.gz: missing, but index.json lists it for vit-publisher/vit_demo_fe/2;"
        " publish it again"
    ]


def test_a_damaged_index_does_not_end_the_audit(folder: Path) -> None:
    """Its fault comes first; pages and tarballs are checked by their places."""
    hub = folder / "hub"
    edit_page(folder, "vit_demo_fe/2.md", lambda text: text.replace("vit_demo_fe/2.tar.gz -->", "other/1.tar.gz -->"))
    (hub / "dead").symlink_to("nowhere")
    document = json.loads((hub / "index.json").read_text())
    for content, first in (
        ("{", "index.json:1: not valid JSON (Expecting property name enclosed in double quotes); restore it, or"),
        (json.dumps(document | {"modules": {"vit-publisher/vit_demo_fe/2": {}}}), "index.json: the entry vit-"),
    ):
        shutil.rmtree(hub / "index", ignore_errors=True)  # as in a hub of an older version
        (hub / "index.json").write_text(content)
        found = [problem.replace(f"{hub}/", "") for problem in audit(hub, scan_hub(hub), None).problems]
        assert found[0].startswith(first)
        assert "dead: a link that leads to nothing; remove it" in found
        assert any("vit_demo_fe/2.md:5: asset-path leads to" in problem for problem in found)


def test_a_hub_that_changes_while_it_is_checked_is_to_be_checked_again(folder: Path) -> None:
    hub, name = folder / "hub", "vit-publisher/vit_demo_fe"
    scan, document = scan_hub(hub), read_document(hub)
    document["modules"][f"{name}/9"] = document["modules"][f"{name}/2"]  # as publish writes it, after the files
    for file in ("md", "tar.gz"):
        shutil.copy(hub / f"{name}/2.{file}", hub / f"{name}/9.{file}")
    write_index(hub, Index({}, {}, document))
    assert (
        audit(hub, scan, folder / "artifacts").problems[0] == f"{hub}: {CHANGED} ({shard_path(shard_of_entry(name))})"
    )


def test_damage_that_comes_while_a_hub_is_checked_is_reported(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large hub has no index.json, with which its shards would be compared once more."""
    monkeypatch.setattr("pipeline.hub.folder.EXPORTED", 1)
    hub, name = folder / "hub", "vit-publisher/vit_demo_fe"
    shard = shard_path(shard_of_entry(name))
    (hub / "index.json").unlink()
    before = audit(hub, scan_hub(hub), None).problems  # a page of the documentation links to index.json
    scan = scan_hub(hub)
    (hub / shard).write_text("{")
    assert audit(hub, scan, None).problems == (f"{hub}: {CHANGED} ({shard})", *before)


def test_faults_come_in_the_order_of_the_checks_whatever_shard_has_the_module(folder: Path) -> None:
    hub = folder / "hub"
    for head in Head:
        card = hub / f"vit-publisher/vit_demo_{head}/2.md"
        card.write_text(card.read_text() + "\nSee [that](nowhere.md).\n")
        (hub / f"vit-publisher/vit_demo_{head}/2.tar.gz").chmod(0o600)
        (hub / f"vit-publisher/vit_demo_{head}/notes.md").write_text("x")
    (hub / "notes.md").write_text("x")
    found = [re.sub(r"(:\d+)?: .*", "", fault) for fault in faults(folder) if not fault.startswith(" ")]
    names = [f"vit-publisher/vit_demo_{head}" for head in ("classification", "fe")]
    assert found == [
        *(f"{name}/2.md" for name in names),  # differ from the pages that the index lists
        str(hub),  # tarballs that only their owner may read
        "notes.md",
        *(f"{name}/notes.md" for name in names),
        *(f"{name}/2.md" for name in names),  # dead links
    ]


def test_pages_that_are_missing_or_unknown(folder: Path) -> None:
    hub = folder / "hub/vit-publisher"
    (hub / "vit-publisher.md").rename(hub / "other.md")
    assert faults(folder) == [
        "vit-publisher/other.md: a page that index.json does not list; publish its module or collection, or remove it",
        "vit-publisher/vit-publisher.md: missing, expected the page that begins '# Publisher vit-publisher'; publish it"
        " again",
    ]


def test_a_tarball_that_publish_would_not_take(folder: Path) -> None:
    shutil.rmtree(folder / "artifacts")
    write_saved_model(folder / "model", "features", 64)
    (folder / "model/notes.txt").write_text("")
    with tarfile.open(folder / "hub/vit-publisher/vit_demo_fe/2.tar.gz", "w:gz") as archive:
        archive.add(folder / "model", ".")
    store_again(folder / "hub")
    (fault, *_) = faults(folder)
    assert fault.startswith(
        "vit-publisher/vit_demo_fe/2.md:5: the tarball that asset-path leads to breaks a rule for published files: "
    )
    assert any("notes.txt; publish a copy without them" in fault for fault in faults(folder))


def test_a_tarball_that_is_no_saved_model_is_named(folder: Path) -> None:
    overwrite(folder / "hub/vit-publisher/vit_demo_fe/2.tar.gz", b"nothing")
    store_again(folder / "hub")
    assert any("vit_demo_fe/2.tar.gz" in fault for fault in faults(folder))


def test_a_draft_that_is_listed_as_released(folder: Path) -> None:
    """Random weights were once published under a real person's handle, and check-hub said nothing."""
    edit_index(folder / "hub", weights="unverified")
    found = "\n".join(faults(folder))
    assert (
        found.count("/2 is listed as released, but it is a draft: the weights are not verified; publish it again") == 2
    )
    assert found.count("the version is a draft (the weights are not verified), and the card does not say so") == 2


def test_a_released_version_that_is_listed_as_a_draft(folder: Path) -> None:
    edit_index(folder / "hub", status="draft")
    text = "/2 is listed as a draft, but its facts are those of a released version; publish it again (make publish)"
    assert sum(text in fault for fault in faults(folder)) == 2


def test_a_yanked_version_whose_card_does_not_say_so(folder: Path) -> None:
    edit_index(folder / "hub", yanked={"reason": "wrong labels", "date": "2026-11-29"})
    found = "\n".join(faults(folder))
    assert found.count("/2 is yanked, and its card has not the section that says so; publish it again") == 2


def test_a_card_that_is_yanked_without_its_entry(folder: Path) -> None:
    edit_page(folder, "vit_demo_fe/2.md", lambda text: text.replace("## Overview", "## Yanked\n\nNo.\n\n## Overview"))
    (fault,) = faults(folder)
    assert "a section 'Yanked', but index.json does not call vit-publisher/vit_demo_fe/2 yanked" in fault


def test_a_successor_that_is_not_there(folder: Path) -> None:
    edit_index(folder / "hub", deprecated={"successor": "vit-publisher/gone_fe/1", "date": "2026-11-29"})
    found = "\n".join(faults(folder))
    assert found.count("is deprecated for vit-publisher/gone_fe/1, which is not in the hub; name another one") == 2


def test_an_alias_that_leads_elsewhere(folder: Path) -> None:
    document = read_document(folder / "hub")
    document["aliases"]["vit-publisher/vit_demo_fe"]["latest"] = 7
    write_document(folder / "hub", document)
    (fault,) = faults(folder)
    assert "the alias latest of vit-publisher/vit_demo_fe is 7, expected 2" in fault
