"""The section Try it: which versions' pages have it, and what it needs is in the hub exactly then."""

import gzip
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.base.files import content_digest
from pipeline.hub import litert_js, website
from pipeline.hub.entries import PublishedFile
from pipeline.hub.folder import read_index
from pipeline.hub.overview import Overview
from pipeline.hub.shared_files import shared_paths
from pipeline.hub.trial import LARGEST, describe_trial, find_trial
from tests.hub.test_website import DOCUMENTATION, SITE, Page
from tests.hubs import edit_index
from tests.trials import add_trial

HANDLE = "vit-publisher/vit_demo_classification/2"
LABELS = ["Bag", "Zoë's <b>shirt</b>"]


def has_trial(hub: Path, handle: str = HANDLE) -> bool:
    return "the-trial" in Page(hub / f"{handle}.html").ids


@pytest.mark.parametrize("name", ["model.tflite", "model_int8.tflite"])
def test_a_version_with_a_litert_file_and_labels_can_be_tried(hub: Path, name: str) -> None:
    assert not has_trial(hub)
    page = add_trial(hub, HANDLE, b"bytes", LABELS, 28, name)
    assert has_trial(hub)
    shown = Page(page)
    assert "#the-trial" in shown.links
    assert f'data-model="2/{name}"' in page.read_text()
    assert "3.1 MB" in shown.text
    assert json.loads((hub / HANDLE / "try.json").read_text())["labels"] == LABELS
    assert not has_trial(hub, "vit-publisher/vit_demo_classification/1")
    assert not has_trial(hub, "vit-publisher/vit_demo_fe/2")


def test_the_smaller_file_is_loaded(hub: Path) -> None:
    add_trial(hub, HANDLE, b"float32", LABELS, 28, "model.tflite")
    page = add_trial(hub, HANDLE, b"int8", LABELS, 28, "model_int8.tflite")
    assert 'data-model="2/model_int8.tflite" data-size="4"' in page.read_text()


@pytest.mark.parametrize(("labels", "name"), [([], "model.tflite"), (LABELS, "model_float16.tflite")])
def test_without_labels_or_a_litert_file_nothing_can_be_tried(hub: Path, labels: list[str], name: str) -> None:
    add_trial(hub, HANDLE, b"bytes", labels, 28, name)
    assert describe_trial(hub / HANDLE, labels, 28, "softmax") is None
    assert not has_trial(hub)
    assert not (hub / litert_js.FOLDER).exists()


def test_an_entry_that_lists_only_facts_has_no_trial(hub: Path) -> None:
    entry = read_index(hub).modules[HANDLE]
    facts = PublishedFile(f"{HANDLE}/try.json", 2, "0" * 64)
    assert find_trial(replace(entry, files=(*entry.files, facts))) is None


def test_a_file_that_no_browser_can_hold_is_not_offered(hub: Path) -> None:
    add_trial(hub, HANDLE, b"int8", LABELS, 28)
    entry = read_index(hub).modules[HANDLE]
    name = f"{HANDLE}/model_int8.tflite"

    def sized(size: int) -> tuple[PublishedFile, ...]:
        return tuple(replace(file, size=size) if file.path == name else file for file in entry.files)

    assert find_trial(replace(entry, files=sized(LARGEST)))
    assert find_trial(replace(entry, files=sized(LARGEST + 1))) is None
    with (hub / name).open("wb") as stream:
        stream.truncate(LARGEST)
        assert describe_trial(hub / HANDLE, LABELS, 28, "softmax")
        stream.truncate(LARGEST + 1)
        assert describe_trial(hub / HANDLE, LABELS, 28, "softmax") is None


def test_examples_are_shown_with_their_titles(hub: Path) -> None:
    page = add_trial(hub, HANDLE, b"bytes", LABELS, 28, examples={"Bag": b"1", 'A "dress"': b"2"})
    section = page.read_text().partition('id="the-trial"')[2].partition("</section>")[0]
    assert re.findall(r'src="(.*?)"', section) == ["2/examples/0.png", "2/examples/1.png"]
    assert 'alt="A &#34;dress&#34;" loading="lazy"' in section


def test_only_hubs_with_something_to_try_have_the_runtime(hub: Path) -> None:
    site = hub / "site"
    assert {path.name for path in site.iterdir()} == SITE
    add_trial(hub, HANDLE, b"bytes", LABELS, 28)
    made = {
        "site/pages.json",
        "site/memory.json",
        "site/models.js",
        "site/compare.html",
        *DOCUMENTATION,
    }  # and not copied
    written = {path.relative_to(hub).as_posix() for path in site.rglob("*") if path.is_file()} - made
    assert written == set(shared_paths(Overview.of(read_index(hub))))
    assert {*litert_js.FILES, "site/try.js", "site/preprocessing.js", "site/drawing_pad.js"} < written
    script = hub / litert_js.FOLDER / "litert_wasm_compat_internal.js"
    script.write_bytes(b"damaged")
    assert website.build(hub, read_index(hub)) == 0
    assert script.stat().st_size > 200_000


def test_what_nothing_needs_any_more_is_removed(hub: Path, tmp_path: Path) -> None:
    site, kept = hub / "site", tmp_path / "kept"
    kept.mkdir()
    add_trial(hub, HANDLE, b"bytes", LABELS, 28)
    (site / "litert-1.0.0").mkdir()
    (site / "litert-1.0.0/worker.js").write_text("old")
    (site / "litert-0.9.0").symlink_to(kept)
    assert website.build(hub, read_index(hub)) == 0
    assert [path.name for path in site.glob("litert-*")] == [Path(litert_js.FOLDER).name]
    edit_index(hub, yanked={"reason": "its labels were shuffled", "date": "2026-11-29"})
    website.build(hub, read_index(hub))
    assert not has_trial(hub)
    assert {path.name for path in site.iterdir()} == SITE - {"memory.json"}
    assert kept.is_dir()


def test_the_runtime_is_what_its_makers_published() -> None:
    for name, digest in litert_js.DIGESTS.items():
        path = next(path for path in litert_js.FILES if path.endswith((name, f"{name}.gz")))
        content = litert_js.read_file(path)
        assert content_digest(gzip.decompress(content) if path.endswith(".gz") else content) == digest
    source = Path(website.SOURCES / "litert/README.md").read_text()
    assert all(digest in source for digest in litert_js.DIGESTS.values())
    assert litert_js.VERSION in source


def test_the_page_has_no_script_or_style_of_its_own(hub: Path) -> None:
    shown = Page(add_trial(hub, HANDLE, b"bytes", LABELS, 28))
    assert shown.tags.count("script") == 1
    assert not {name for name in shown.attributes if name == "style" or name.startswith("on")}
