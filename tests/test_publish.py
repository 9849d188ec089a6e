"""The hub: layout, index, immutable versions, and that only what was validated is published."""

import dataclasses
import json
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of
from pipeline.base.heads import Head
from pipeline.base.stored_names import plain_path
from pipeline.base.verification import Verification
from pipeline.facts.accuracy import Reported
from pipeline.facts.collection import Collection, Module, Publisher, Reference
from pipeline.facts.report import Plot, Report, load_report, with_recorded_arrays
from pipeline.hub.folder import hub_folder, read_index, write_index
from pipeline.hub.guides import find_guides
from pipeline.hub.withdrawal import Yank
from pipeline.package import package
from pipeline.publish import Outputs, check_measured, publish_collection, publish_member
from pipeline.saved_model.files import folder_digest
from tests.conftest import ROOT, Stage, protect, without_privileges
from tests.format_outputs import formats_of
from tests.hub.test_svg import PAYLOADS
from tests.hubs import read_document, write_document
from tests.reports import REPORT, not_measured, with_checks, write_report

COLLECTION = Collection(
    name="tiny",
    hub_url="http://localhost:8080",
    publisher=Publisher("tester", "Tester", "For tests."),
    summary="never trained",
    training="never trained",
    dataset_tag="other",
    dataset_name="Colours",
    license="apache-2.0",
    images_license="MIT",
    overview="",
    about="",
    references=(Reference("The paper", "https://arxiv.org/abs/2010.11929"),),
)
MODULE = Module(1, "Mini")


def write_member(folder: Path, content: bytes = b"graph") -> Path:
    """Writes what publish reads of a member: report, cards, tarballs."""
    report = dataclasses.replace(REPORT, plots=())
    for head in Head:
        (folder / head).mkdir(parents=True, exist_ok=True)
        (folder / head / "saved_model.pb").write_bytes(content + head.encode())
        package(folder / head, folder / f"{head}.tar.gz")
        (folder / f"{head}.md").write_text(f"# Module {head}\n")
        report = with_checks(report, head, content_sha256=folder_digest(folder / head))
    write_report(folder / "report.json", report)
    return folder


@pytest.fixture
def member(tmp_path: Path) -> Path:
    return write_member(tmp_path / "artifacts/mini")


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    return tmp_path / "hub"


def publish(folder: Path, hub: Path, module: Module = MODULE, name: str = "mini") -> dict:
    outputs = Outputs(name, module, COLLECTION, folder, load_report(folder / "report.json"), formats=formats_of(folder))
    publish_member(outputs, hub, folder / "published.json")
    receipt: dict = json.loads((folder / "published.json").read_text())
    return receipt


def overwrite(path: Path, content: bytes) -> None:
    """Puts another file in the place of one that nobody may write to, such as a tarball of a hub."""
    path.unlink()
    path.write_bytes(content)


def files(hub: Path) -> dict[str, bytes]:
    """Returns the content of each file, but for those of one folder: the website's memory, the mark."""
    own = (hub / "site/memory.json", hub / ".clean")
    paths = (path for path in sorted(hub.rglob("*")) if path.is_file() and path not in own)
    return {path.relative_to(hub).as_posix(): path.read_bytes() for path in paths}


def test_layout_index_and_receipt_agree(member: Path, hub: Path) -> None:
    receipt = publish(member, hub)
    names = [name for name in files(hub) if name != ".lock"]
    pages = {name for name in names if plain_path(name) != name}
    cards = {plain_path(name) for name in pages if name.endswith(".md")}
    assert cards == {"tester/mini_classification/1.md", "tester/mini_fe/1.md"}
    assert {plain_path(name) for name in pages} < set(names)
    assert set(names) - pages == {
        "index/1e.json",
        "index/8f.json",
        "hub.yaml",
        "index/root.json",
        "index.json",
        "tester/tester.md",
        "tester/mini_classification/1.tar.gz",
        "tester/mini_classification/1.md",
        "tester/mini_fe/1.tar.gz",
        "tester/mini_fe/1.md",
        "tester/mini_classification/1/report.json",
        "tester/mini_fe/1/report.json",
        *(f"tester/mini_classification/1/examples/{number}.png" for number in range(1, 11)),
        "index.html",
        "tester/tester.html",
        "tester/mini_classification/1.html",
        "tester/mini_fe/1.html",
        "site/style.css",
        "site/hub.js",
        "site/icon.svg",
        "site/pages.json",
        "site/listing.js",
        "site/start.js",
        "site/compare.js",
        "site/compare.html",
        "site/models.js",
        "404.html",
        "sitemap.xml",
        "feed.xml",
        *find_guides().pages.values(),
        *find_guides().pictures.values(),
    }
    index = json.loads((hub / "index.json").read_text())
    assert index["modules"] == receipt["published"]
    assert index["modules"]["tester/mini_fe/1"]["task"] == "image-feature-vector"
    for entry in index["modules"].values():
        for file in entry["files"]:
            assert (hub / file["path"]).stat().st_size == file["size"]
            assert sha256_of(hub / file["path"]) == file["sha256"]


def test_an_entry_has_the_reports_figures(member: Path, hub: Path) -> None:
    publish(member, hub)
    entry = json.loads((hub / "index.json").read_text())["modules"]["tester/mini_fe/1"]
    assert {name: entry[name] for name in ("variant", "image_size", "parameters", "bytes", "license", "dataset")} == {
        "variant": "Mini/4",
        "image_size": 28,
        "parameters": REPORT.modules[Head.FE].weights.parameters,
        "bytes": REPORT.modules[Head.FE].bytes,
        "license": "apache-2.0",
        "dataset": "Colours",
    }
    figures = REPORT.accuracy.measured
    assert figures
    assert entry["measured"] == {
        "top1": figures.top1,
        "interval": list(figures.top1_interval),
        "images": figures.images,
        "dataset": REPORT.accuracy.dataset,
        "classes": 10,
        "outputs": 10,
        "training_images": 0,
        "images_per_second": figures.images_per_second,
    }
    assert "quoted" not in entry


def test_an_entry_tells_quoted_from_measured(member: Path, hub: Path) -> None:
    reported = Reported(0.80462, "a table")
    write_report(member / "report.json", not_measured(load_report(member / "report.json"), reported=reported))
    publish(member, hub)
    entry = json.loads((hub / "index.json").read_text())["modules"]["tester/mini_classification/1"]
    assert entry["quoted"] == dataclasses.asdict(reported)
    assert "measured" not in entry


def test_the_report_that_is_published_says_of_the_weights_what_the_cards_do(member: Path, hub: Path) -> None:
    """A lock file may have come after the report, as it does when a checkpoint that was brought is downloaded later."""
    checkpoint = dataclasses.replace(REPORT.checkpoint, verification=Verification.UNVERIFIED)
    path = member / "report.json"
    write_report(path, dataclasses.replace(load_report(path), checkpoint=checkpoint))
    recorded = with_recorded_arrays(load_report(path), checkpoint.arrays_sha256)
    publish_member(Outputs("mini", MODULE, COLLECTION, member, recorded), hub, member / "published.json")
    for head in Head:
        published = load_report(hub / f"tester/mini_{head}/1/report.json")
        assert published == recorded != load_report(path)
        assert published.checkpoint.verification is Verification.DOWNLOADED


def test_plots_are_published_beside_each_card_and_follow_the_report(member: Path, hub: Path) -> None:
    plots = tuple(Plot(f"{name}.svg", f"the {name}") for name in ("blocks", "accuracy"))
    report = dataclasses.replace(load_report(member / "report.json"), plots=plots)
    write_report(member / "report.json", report)
    with pytest.raises(Fault, match=r"plots/blocks\.svg: no such file, but report\.json names it"):
        publish(member, hub)
    (member / "plots").mkdir()
    for name in ("accuracy", "blocks", "not-named"):
        (member / f"plots/{name}.svg").write_text(
            f'<svg xmlns="http://www.w3.org/2000/svg"><title>{name}</title></svg>'
        )
    publish(member, hub)
    files = json.loads((hub / "index.json").read_text())["modules"]["tester/mini_fe/1"]["files"][2:4]
    assert [(plain_path(file["path"]), file["title"]) for file in files] == [
        ("tester/mini_fe/1/plots/blocks.svg", "the blocks"),
        ("tester/mini_fe/1/plots/accuracy.svg", "the accuracy"),
    ]
    for path in (files[0]["path"], "tester/mini_fe/1/plots/blocks.svg"):
        assert (hub / path).read_bytes() == (member / "plots/blocks.svg").read_bytes()
    write_report(member / "report.json", dataclasses.replace(report, plots=plots[:1]))
    publish(member, hub)
    assert {plain_path(path.name) for path in (hub / "tester/mini_fe/1/plots").iterdir()} == {"blocks.svg"}


def test_a_plot_that_a_browser_would_run_is_refused(member: Path, hub: Path) -> None:
    report = dataclasses.replace(load_report(member / "report.json"), plots=(Plot("a.svg", "a"),))
    write_report(member / "report.json", report)
    (member / "plots").mkdir()
    (member / "plots/a.svg").write_text(PAYLOADS[0][0])
    message = (
        r"plots/a\.svg: it has the element 'script'; a browser may run it: delete report\.json and run make validate"
    )
    with pytest.raises(Fault, match=message):
        publish(member, hub)
    assert not hub.exists()


def test_publishers_page_lists_what_is_published(member: Path, hub: Path, tmp_path: Path) -> None:
    publish(member, hub)
    page = tmp_path / "page.md"
    page.write_text("# Collection tester/tiny/1\n")
    publish_collection(COLLECTION, page, hub, tmp_path / "receipt.json")
    text = (hub / "tester/tester.md").read_text()
    assert text.startswith("# Publisher tester\n")
    for link in ("mini_classification/1.md", "mini_fe/1.md", "collections/tiny/1.md"):
        assert f"]({link})" in text
        assert (hub / "tester" / link).exists()


def test_publishing_into_a_signed_hub_says_to_sign_it(hub: Path, tmp_path: Path, stage: Stage) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Collection vit-publisher/demo/1\n")
    words = ["collection", ROOT / "model_cards/demo/collection.yaml", page, hub, tmp_path / "receipt.json"]
    assert "make sign" not in stage("publish", *words).stdout
    (hub / "metadata").mkdir()
    (hub / "metadata/timestamp.json").write_text("{}")
    done = stage("publish", *words)
    assert (
        f"{hub} is signed: who verifies its signatures refuses what was published now until you run make" in done.stdout
    )


def test_the_same_bytes_again_change_nothing(member: Path, hub: Path) -> None:
    publish(member, hub)
    before = {path: path.stat().st_mtime_ns for path in hub.rglob("*.tar.gz")}
    content = files(hub)
    publish(member, hub)
    assert files(hub) == content
    assert {path: path.stat().st_mtime_ns for path in hub.rglob("*.tar.gz")} == before


def test_other_bytes_of_a_published_version_are_refused(member: Path, hub: Path) -> None:
    publish(member, hub)
    before = files(hub)
    write_member(member, b"another graph")
    with pytest.raises(Fault, match=r"already published with other bytes.*raise module\.version"):
        publish(member, hub)
    assert files(hub) == before
    publish(member, hub, Module(2, "Mini"))
    assert files(hub).items() >= {name: before[name] for name in before if name.endswith(".tar.gz")}.items()
    assert (hub / "tester/mini_fe/2.tar.gz").exists()


def test_a_damaged_file_in_the_hub_is_told_from_another_version(member: Path, hub: Path) -> None:
    publish(member, hub)
    tarball = hub / "tester/mini_fe/1.tar.gz"
    overwrite(tarball, tarball.read_bytes() + b"\0")
    with pytest.raises(Fault, match=r"damaged in the hub.*delete the file there and run the same command again"):
        publish(member, hub)
    tarball.unlink()
    publish(member, hub)


def test_a_page_may_be_corrected(member: Path, hub: Path) -> None:
    publish(member, hub)
    (member / "fe.md").write_text("# Module fe, corrected\n")
    publish(member, hub)
    assert "corrected" in (hub / "tester/mini_fe/1.md").read_text()


def test_a_model_that_was_not_validated_is_refused(member: Path, hub: Path) -> None:
    (member / "fe/saved_model.pb").write_bytes(b"changed after validation")
    package(member / "fe", member / "fe.tar.gz")
    with pytest.raises(Fault, match=r"fe\.tar\.gz: not the model that was validated"):
        publish(member, hub)
    assert not list(hub.rglob("*.tar.gz"))
    assert not (member / "published.json").exists()


def test_heads_that_were_swapped_are_refused(member: Path, hub: Path) -> None:
    """The reference collection published one member's feature extractor under another's handle."""
    (member / "fe.tar.gz").write_bytes((member / "classification.tar.gz").read_bytes())
    with pytest.raises(Fault, match=r"fe\.tar\.gz: not the model"):
        publish(member, hub)


def test_two_members_with_the_same_bytes_are_refused(member: Path, hub: Path, tmp_path: Path) -> None:
    publish(member, hub)
    other = write_member(tmp_path / "artifacts/medium")
    with pytest.raises(Fault, match=r"the same bytes are already published as tester/mini_classification/1"):
        publish(other, hub, name="medium")
    assert not (hub / "tester/medium_classification").exists()


def test_the_bytes_of_a_yanked_version_are_refused_under_the_next_one(member: Path, hub: Path) -> None:
    """Whoever raises the version and forgets the weights would publish what was withdrawn."""
    publish(member, hub)
    for head in Head:
        index, name = read_index(hub), f"tester/mini_{head}/1"
        yanked = dataclasses.replace(index.modules[name], yanked=Yank("wrong labels", "2026-11-30"))
        write_index(hub, index.with_modules({name: yanked}))
    second = dataclasses.replace(MODULE, version=2)
    message = (
        r"published as tester/mini_classification/1, which is yanked \(wrong labels\), .* correct the model .*unyank"
    )
    with pytest.raises(Fault, match=message):
        publish(member, hub, second)
    assert not (hub / "tester/mini_classification/2.tar.gz").exists()
    publish(member, hub)  # words of the yanked version's own pages may change
    publish(write_member(member, b"repaired"), hub, second)


def test_a_new_version_may_have_the_bytes_of_one_yanked_module(member: Path, hub: Path) -> None:
    """A wrong label file is the classifier's fault alone, and both versions are yanked."""
    publish(member, hub)
    index, name = read_index(hub), "tester/mini_fe/1"
    yanked = dataclasses.replace(index.modules[name], yanked=Yank("wrong labels", "2026-11-30"))
    write_index(hub, index.with_modules({name: yanked}))
    publish(member, hub, dataclasses.replace(MODULE, version=2))
    assert (hub / "tester/mini_fe/2.tar.gz").exists()


def test_missing_parts_are_named(member: Path, hub: Path) -> None:
    (member / "fe.tar.gz").unlink()
    with pytest.raises(Fault, match=r"fe\.tar\.gz: no such file; run make package first"):
        publish(member, hub)
    (member / "report.json").unlink()
    with pytest.raises(Fault, match=r"report\.json: no report; run make validate first"):
        publish(member, hub)


def test_a_missing_card_is_named_before_anything_is_copied(member: Path, hub: Path) -> None:
    (member / "fe.md").unlink()
    with pytest.raises(Fault, match=r"fe\.md: no such file; run make card first"):
        publish(member, hub)
    assert not hub.exists()


def test_another_publisher_may_publish_the_same_bytes(member: Path, hub: Path) -> None:
    publish(member, hub)
    other = dataclasses.replace(COLLECTION, publisher=Publisher("mirror", "Mirror", "Copies."))
    outputs = Outputs("mini", MODULE, other, member, load_report(member / "report.json"))
    publish_member(outputs, hub, member / "published.json")
    assert (hub / "mirror/mini_fe/1.tar.gz").exists()


def test_a_broken_index_is_refused(member: Path, hub: Path) -> None:
    hub.mkdir()
    (hub / "index.json").write_text("{")
    with pytest.raises(Fault, match=r"index\.json:1: not valid JSON"):
        publish(member, hub)


def test_a_name_that_cannot_be_part_of_a_handle_is_refused_before_anything_is_copied(member: Path, hub: Path) -> None:
    with pytest.raises(Fault, match=r"\.mini: cannot be part of a handle, expected a letter or digit"):
        publish(member, hub, name=".mini")
    assert not list(hub.rglob("*.tar.gz"))


def test_a_malformed_index_is_refused_before_anything_is_copied(member: Path, hub: Path) -> None:
    publish(member, hub)
    index = read_document(hub)
    del index["modules"]["tester/mini_fe/1"]["files"][0]["size"]
    write_document(hub, index)
    with pytest.raises(Fault, match=r"index/1e\.json: the entry tester/mini_fe/1 is malformed \(KeyError: 'size'\)"):
        publish(member, hub, Module(2, "Mini"))
    assert not list(hub.rglob("2.tar.gz"))


def test_members_published_at_once_are_all_in_the_index(tmp_path: Path, hub: Path) -> None:
    names = [f"m{number}" for number in range(8)]
    folders = [write_member(tmp_path / name, name.encode()) for name in names]
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        pool.starmap(publish, [(folder, hub, MODULE, name) for folder, name in zip(folders, names, strict=True)])
    index = json.loads((hub / "index.json").read_text())
    assert set(index["modules"]) == {f"tester/{name}_{head}/1" for name in names for head in Head}


@pytest.mark.parametrize(
    ("umask", "file", "folder"), [(0o077, 0o644, 0o755), (0o027, 0o644, 0o755), (0o002, 0o664, 0o775)]
)
def test_everybody_may_read_what_is_published(member: Path, hub: Path, umask: int, file: int, folder: int) -> None:
    """A web server runs as another user. A group that shares the hub may go on writing there."""
    before = os.umask(umask)
    try:
        publish(member, hub)
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    modes = {path: path.stat().st_mode & 0o777 for path in (hub, *hub.rglob("*"))}
    expected = {path: folder if path.is_dir() else file for path in modes}
    expected |= dict.fromkeys(hub.rglob("*.tar.gz"), 0o444)  # two names of one file each, that never changes
    assert modes == expected
    assert (member / "published.json").stat().st_mode & 0o777 == 0o666 & ~umask  # it is not part of the hub


def test_a_hub_that_cannot_be_written_is_left_as_it_is(member: Path, hub: Path) -> None:
    """Though the folder of the publisher could be."""
    publish(member, hub)
    before = files(hub)
    protect(hub)
    (hub / "tester").chmod(0o755)
    code = "import sys; from pathlib import Path; from tests.test_publish import MODULE, publish, write_member\n"
    code += "publish(write_member(Path(sys.argv[1]), b'other'), Path(sys.argv[2]), name='other')"
    command = without_privileges(sys.executable, "-c", code, member.with_name("other"), hub)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert f"Fault: HUB={hub}: this user may not write there; make it writable, or name another" in done.stderr
    assert files(hub) == before


def test_only_folders_can_be_published_to(tmp_path: Path) -> None:
    assert hub_folder(f"file://{tmp_path}/a%20b") == tmp_path / "a b"
    with pytest.raises(Fault, match=r"HUB=s3://bucket: cannot publish to s3:"):
        hub_folder("s3://bucket")


def test_an_unknown_accuracy_is_refused_with_require_accuracy(report: Report) -> None:
    check_measured("vit_demo", report)
    unknown = not_measured(report, "no validation images")
    with pytest.raises(Fault) as caught:
        check_measured("vit_s16", unknown)
    assert str(caught.value).startswith("vit_s16: its accuracy was not measured (no validation images)")
