"""The audit of a hub: a good one passes, and each fault of the reference collection, planted, is found and named."""

import copy
import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.audit import Hub, audit, compared
from pipeline.base import yaml_sections
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.card import files_of
from pipeline.collection import page
from pipeline.facts.collection import Module, read_collection
from pipeline.facts.report import Report, load_report
from pipeline.hub.entries import ModuleEntry
from pipeline.hub.folder import read_index
from pipeline.hub.index import Index
from pipeline.package import package
from pipeline.publish import Outputs, publish_collection, publish_member
from pipeline.saved_model.files import folder_digest
from pipeline.saved_model.graph import saved_model_class
from tests.card_facts import records
from tests.conftest import ROOT, Stage, assert_refused
from tests.hubs import write_plots
from tests.reports import REPORT, with_checks, write_report

DEMO = ROOT / "model_cards/demo"
FLOAT = 1  # tensorflow.DataType


def write_saved_model(folder: Path, name: str, width: int, trainable: int = 104, prevented: bool = False) -> None:
    """Writes a saved_model.pb with a signature, `trainable` variables, and a computation without gradients if asked."""
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
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())


def publish(folder: Path, hub: Path, report: Report, **changes: Any) -> None:
    """Publishes vit_demo, small as the test needs it; `changes` are for the classifier's SavedModel."""
    own = report
    for head in Head:
        checks, name = report.modules[head], head.output
        assert checks.fine_tuning
        width, variables = checks.output_width, checks.fine_tuning.variables
        write_saved_model(
            folder / head, name, width, **({"trainable": variables} | (changes if name == "logits" else {}))
        )
        package(folder / head, folder / f"{head}.tar.gz")
        own = with_checks(own, head, content_sha256=folder_digest(folder / head))
    write_report(folder / "report.json", own)
    write_plots(folder, own)
    collection = read_collection(DEMO / "collection.yaml")
    module = yaml_sections.load(DEMO / "vit_demo.yaml", "module", Module)
    found = records("vit_demo", module, collection, "https://hub.example", own, {"name": "vit_demo"})
    for path, text in files_of(found, folder).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    publish_member(Outputs("vit_demo", module, collection, folder, own), hub, folder / "published.json")
    (folder / "page.md").write_text(page(collection, DEMO, folder.parent))
    publish_collection(collection, folder / "page.md", hub, folder / "page.json")


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a good hub in `hub` and the outputs it was made of in `artifacts`. Not to be changed."""
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
        for problem in audit(Hub(hub, read_index(hub), folder / "artifacts")).problems
        for line in problem.split("\n")
    ]


def edit_page(folder: Path, name: str, change: Callable[[str], str]) -> None:
    """Edits a page of the hub, and its entry in the index with it: the text alone is wrong."""
    path = folder / "hub/vit-publisher" / name
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    refresh(folder)


def refresh(folder: Path) -> None:
    """Writes the sizes and digests that the files have by now into the index."""
    path = folder / "hub/index.json"
    index = json.loads(path.read_text())
    for part in index.values():
        for entry in part.values():
            for file in entry["files"]:
                file |= {
                    "size": (folder / "hub" / file["path"]).stat().st_size,
                    "sha256": sha256_of(folder / "hub" / file["path"]),
                }
    path.write_text(json.dumps(index))


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
        f"figures compared with no report; {good}/hub has none of the same bytes as"
        " vit-publisher/vit_demo_classification/1, vit-publisher/vit_demo_fe/1 (ARTIFACTS= names another folder)"
    ) in done.stderr
    assert_refused(
        stage("audit", good / "hub", "--artifacts", good / "none"), f"ARTIFACTS={good}/none: no such folder; expected"
    )


def test_which_reports_were_compared_is_said_in_one_line(good: Path) -> None:
    hub = Hub(good / "hub", read_index(good / "hub"), good / "artifacts")
    names = [f"a/m{number}_fe/1" for number in range(9)]
    modules = {name: ModuleEntry(name, "", "", ()) for name in names}
    several = Hub(good, Index(modules, {}, {}), Path("artifacts"))
    assert compared(several, {name: Path(f"{name}.json") for name in names[:5]}) == (
        "figures compared with a/m0_fe/1.json, a/m1_fe/1.json, a/m2_fe/1.json and 2 more; artifacts has none of the"
        " same bytes as a/m5_fe/1, a/m6_fe/1, a/m7_fe/1 and 1 more (ARTIFACTS= names another folder)"
    )
    assert set(audit(hub).reports) == hub.index.modules.keys()


def test_two_handles_with_one_digest(folder: Path) -> None:
    """The reference collection published one member's feature extractor under another's handle, too."""
    hub = folder / "hub/vit-publisher"
    shutil.copytree(hub / "vit_demo_fe", hub / "vit_medaug_fe")
    card = hub / "vit_medaug_fe/1.md"
    card.write_text(card.read_text().replace("vit_demo_fe", "vit_medaug_fe"))
    index = json.loads((folder / "hub/index.json").read_text())
    entry = copy.deepcopy(index["modules"]["vit-publisher/vit_demo_fe/1"])
    for file in entry["files"]:
        file["path"] = file["path"].replace("vit_demo_fe", "vit_medaug_fe")
    index["modules"]["vit-publisher/vit_medaug_fe/1"] = entry
    (folder / "hub/index.json").write_text(json.dumps(index))
    refresh(folder)
    (fault,) = faults(folder)
    assert fault.startswith(
        "index.json: vit-publisher/vit_medaug_fe/1 and vit-publisher/vit_demo_fe/1 are the same bytes"
    )
    assert fault.endswith("; one of them has another's model, publish it again")


def test_the_same_weights_under_two_handles(folder: Path) -> None:
    """A member that fetched another's checkpoint differs from it in what it says of itself, and in nothing else."""
    hub = folder / "hub/vit-publisher"
    index = json.loads((folder / "hub/index.json").read_text())
    name, copied = "vit_demo_fe", "vit_medaug_fe"
    for module in (name, copied):
        model = folder / module
        write_saved_model(model, "features", 64, trainable=102)
        (model / "variables").mkdir()
        (model / "variables/variables.data-00000-of-00001").write_bytes(b"weights")
        (model / "assets.extra").mkdir()
        (model / "assets.extra/provenance.json").write_text(module)
        (hub / module).mkdir(exist_ok=True)
        package(model, hub / module / "1.tar.gz")
    entry = copy.deepcopy(index["modules"][f"vit-publisher/{name}/1"])
    entry["files"] = [{"path": f"vit-publisher/{copied}/1.tar.gz"}]
    index["modules"][f"vit-publisher/{copied}/1"] = entry
    (hub / copied / "1.md").write_text((hub / name / "1.md").read_text().replace(name, copied))
    shutil.copytree(hub / name / "1", hub / copied / "1")
    (folder / "hub/index.json").write_text(json.dumps(index))
    refresh(folder)
    (fault,) = faults(folder)
    handles = f"vit-publisher/{copied}/1 and vit-publisher/{name}/1"
    assert fault.startswith(f"index.json: {handles} have the same weights (sha256 9a129038")
    assert fault.endswith("; one of them has another's model, publish it again")


def test_what_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "hub/vit-publisher/vit-publisher.md").write_bytes(b"\xff\xfe")
    (folder / "artifacts/vit_demo/report.json").write_text("{")
    said = "\n".join(faults(folder))
    assert "vit-publisher/vit-publisher.md: no UTF-8 text ('utf-8' codec can't decode byte 0xff" in said
    assert "vit_demo/report.json: not valid JSON (" in said


def test_an_asset_path_to_another_module(folder: Path) -> None:
    edit_page(
        folder, "vit_demo_fe/1.md", lambda text: text.replace("vit_demo_fe/1.tar.gz -->", "vit_b_fe/1.tar.gz -->")
    )
    (fault,) = faults(folder)
    assert fault.startswith(
        "vit-publisher/vit_demo_fe/1.md:5: asset-path leads to 'https://hub.example/vit-publisher/vit_b"
    )
    assert "expected the tarball of vit-publisher/vit_demo_fe/1" in fault


def test_a_task_that_the_output_contradicts(folder: Path) -> None:
    tags = "task: image-feature-vector", "task: image-classification"
    edit_page(folder, "vit_demo_fe/1.md", lambda text: text.replace(*tags))
    shutil.rmtree(folder / "artifacts")  # the tarball says so by itself
    assert faults(folder) == [
        "vit-publisher/vit_demo_fe/1.md:6: the task 'image-classification' does not fit an output of 64 features;"
        " expected 'image-feature-vector'"
    ]


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"trainable": 0}, "0 trainable variables of which 0 have a gradient"),
        ({"prevented": True}, "104 trainable variables of which 0 have a gradient"),
    ],
)
def test_fine_tunable_without_variables_or_gradients(report: Report, tmp_path: Path, changes: dict, found: str) -> None:
    publish(tmp_path / "artifacts/vit_demo", tmp_path / "hub", report, **changes)
    assert faults(tmp_path) == [
        "vit-publisher/vit_demo_classification/1.md:9: fine-tunable is true, but the module has"
        f" {found}; correct the tag"
    ]


def test_figures_that_the_report_does_not_have(folder: Path) -> None:
    edit_page(folder, "vit_demo_classification/1.md", lambda text: text.replace("| 91.90 %", "| 92.90 %"))
    (fault,) = faults(folder)
    assert ": 'top-1 accuracy' says 92.90, 95, 90.04, 93.44, the report 91.9" in fault
    report = folder / "artifacts/vit_demo/report.json"
    assert fault.endswith(f"; compared with {report}, ARTIFACTS= names another folder of reports")
    own = load_report(report)
    for head in Head:
        own = with_checks(own, head, content_sha256="0" * 64)  # of other bytes: it says nothing of these
    write_report(report, own)
    assert faults(folder) == []


@pytest.mark.parametrize(
    ("old", "new", "known"),
    [
        ("| 28 |", "| 224 |", "28"),
        ("307,082", "307,083", "307082"),
        ("| 1.6 MB", "| 1.7 MB", "1.63314"),
        ("91.90 % on", "92.90 % on", "91.9, 1000"),
        ("91.90 % on 1,000 images", "not measured", "91.9, 1000"),
        ("| none |", "| 93.00 % |", "nothing"),
        ("| 64 |", "| 65 |", "64"),
    ],
)
def test_a_table_of_performance_that_the_reports_do_not_have(folder: Path, old: str, new: str, known: str) -> None:
    edit_page(folder, "collections/demo/1.md", lambda text: text.replace(old, new))
    (fault,) = faults(folder)
    assert fault.startswith("vit-publisher/collections/demo/1.md:")
    assert f"(../../vit_demo_classification/1.md), the report says {known}; write the page again" in fault


def test_a_table_of_performance_that_links_elsewhere(folder: Path) -> None:
    row = "| [ViT-Mini4 on Fashion-MNIST](../../vit_demo_classification/1.md)"
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
            "../vit_demo_classification/1.md",
            "../vit_demo_classification/2.md",
            "is dead: there is no such file in the hub",
        ),
        ("../vit_demo_classification/1.md", "../../../../outside.md", "leads out of the hub"),
    ],
)
def test_links_that_lead_nowhere(folder: Path, old: str, new: str, message: str) -> None:
    edit_page(folder, "vit_demo_fe/1.md", lambda text: text.replace(old, new, 1))
    (folder / "outside.md").write_text("")
    (fault,) = faults(folder)
    assert fault.startswith("vit-publisher/vit_demo_fe/1.md:")
    assert f"{new}' {message}" in fault


def test_a_page_under_another_handle(folder: Path) -> None:
    edit_page(
        folder, "vit_demo_fe/1.md", lambda text: text.replace("# Module vit-publisher/vit_demo_fe/1", "# Module a/b/1")
    )
    assert (
        "vit-publisher/vit_demo_fe/1.md:1: the first line is '# Module a/b/1', but in this place it must be "
        in (faults(folder)[0])
    )


def test_a_page_that_breaks_a_rule(folder: Path) -> None:
    edit_page(folder, "vit-publisher.md", lambda text: text.replace("\nViT Publisher\n", ""))
    assert faults(folder)[0].startswith("vit-publisher/vit-publisher.md:3: there is no description")


def test_files_that_are_not_what_the_index_says(folder: Path) -> None:
    hub = folder / "hub/vit-publisher"
    tarball = hub / "vit_demo_fe/1.tar.gz"
    content = tarball.read_bytes()
    tarball.write_bytes(content + b"\0")
    assert any(
        fault.startswith("vit-publisher/vit_demo_fe/1.tar.gz: ") and "bytes, index" in fault for fault in faults(folder)
    )
    tarball.write_bytes(content[:-1] + b"\1")
    assert any(fault.startswith("vit-publisher/vit_demo_fe/1.tar.gz: sha256 ") for fault in faults(folder))
    tarball.unlink()
    assert faults(folder) == [
        "vit-publisher/vit_demo_fe/1.tar.gz: missing, but index.json lists it for vit-publisher/vit_demo_fe/1;"
        " publish it again"
    ]


def test_pages_that_are_missing_or_unknown(folder: Path) -> None:
    hub = folder / "hub/vit-publisher"
    (hub / "vit-publisher.md").rename(hub / "other.md")
    assert faults(folder) == [
        "vit-publisher/other.md: a page that index.json does not know; publish what it is of, or remove it",
        "vit-publisher/vit-publisher.md: missing, expected the page that begins '# Publisher vit-publisher'; publish it"
        " again",
    ]


def test_a_tarball_that_tf_hub_would_not_take(folder: Path) -> None:
    shutil.rmtree(folder / "artifacts")
    write_saved_model(folder / "model", "features", 64)
    (folder / "model/notes.txt").write_text("")
    with tarfile.open(folder / "hub/vit-publisher/vit_demo_fe/1.tar.gz", "w:gz") as archive:
        archive.add(folder / "model", ".")
    refresh(folder)
    (fault, *_) = faults(folder)
    assert fault.startswith(
        "vit-publisher/vit_demo_fe/1.md:5: the tarball that asset-path leads to is none for TF-Hub: "
    )
    assert any("notes.txt; remove them" in fault for fault in faults(folder))


def test_a_tarball_that_is_no_saved_model_is_named(folder: Path) -> None:
    (folder / "hub/vit-publisher/vit_demo_fe/1.tar.gz").write_bytes(b"nothing")
    refresh(folder)
    assert any("vit_demo_fe/1.tar.gz" in fault for fault in faults(folder))
