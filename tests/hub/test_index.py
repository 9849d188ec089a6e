"""The index of a hub: its entries, what it lists first, and what it refuses."""

import dataclasses
import json
import re
import shutil
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.facts.formats import FormatName
from pipeline.facts.status import Status
from pipeline.hub.entries import ModuleEntry, PublishedFile, read_module
from pipeline.hub.folder import read_index
from pipeline.hub.index import parse_index
from pipeline.hub.new_entries import carry_over
from pipeline.hub.overview import Overview
from pipeline.hub.published_formats import PublishedFormat
from pipeline.hub.withdrawal import Deprecation, Yank
from pipeline.releasing.merging import merge_documents
from tests.hubs import edit_index, read_document


def test_an_accuracy_says_which_part_it_was_measured_on(published: Path) -> None:
    document, handle = read_document(published), "vit-publisher/vit_demo_classification/1"

    def where() -> str | None:
        measured = parse_index(published, document).modules[handle].measured
        return measured.where if measured else None

    assert where() == "on 1,000 images of the Fashion-MNIST test set"
    measured = document["modules"][handle]["measured"]
    measured |= {"outputs": 1000, "training_images": 3}
    assert where() == (
        "on 1,000 images of 10 of the 1,000 classes of the Fashion-MNIST test set, 3 of them perhaps trained on"
    )
    for key in ("classes", "outputs", "training_images"):
        del measured[key]  # as in an older index
    assert where() == "on 1,000 images of the Fashion-MNIST test set"


@pytest.mark.parametrize("part", [{"outputs": 1000}, {"training_images": 3}, {"training_images": None}])
def test_a_quoted_accuracy_is_listed_before_a_measured_one_on_a_part(
    published: Path, part: dict[str, int | None]
) -> None:
    document, handle = read_document(published), "vit-publisher/vit_demo_classification/1"
    entry = document["modules"][handle]

    def origins() -> list[str]:
        return [accuracy.origin for accuracy in parse_index(published, document).modules[handle].accuracies]

    assert origins() == ["measured"]
    entry["quoted"] = {"top1": 0.9, "source": "a paper"}
    assert origins() == ["measured", "quoted"]
    entry["measured"] |= part
    assert origins() == ["quoted", "measured"]
    del entry["quoted"]
    assert origins() == ["measured"]


def test_entries_of_other_versions_are_written_as_they_were_read(published: Path) -> None:
    """publish writes the entries of others again: of newer and of older versions of this program."""
    document, name = read_document(published), "vit-publisher/vit_demo_fe/1"
    document["modules"][name] |= {"flops": 1}
    del document["modules"][name]["license"]
    index = parse_index(published, document)
    other = dataclasses.replace(index.modules["sayakpaul/vit_s16_fe/1"], handle="sayakpaul/other_fe/1")
    added = index.with_modules({other.handle: other})
    assert added.modules.keys() - index.modules.keys() == {other.handle}
    assert added.document["modules"].pop(other.handle) == document["modules"]["sayakpaul/vit_s16_fe/1"]
    assert added.document == document


def test_an_entry_is_written_with_the_keys_that_it_is_read_from(published: Path) -> None:
    index = read_index(published)
    assert {name: entry.to_json() for name, entry in index.modules.items()} == index.document["modules"]
    assert {name: entry.to_json() for name, entry in index.collections.items()} == index.document["collections"]


@pytest.mark.parametrize(
    ("removed", "values", "reason"),
    [
        ("title", {}, r"KeyError: 'title'"),
        ("x", {"files": []}, "ValueError: it lists no files"),
        ("x", {"files": [{"path": "a"}]}, "KeyError: 'size'"),
        ("x", {"parameters": "many"}, "TypeError: parameters is 'many'"),
        ("x", {"measured": {"top1": 0.9}}, "KeyError: 'interval'"),
        ("x", {"quoted": 0.9}, "TypeError: quoted is 0.9"),
    ],
)
def test_a_malformed_entry_is_named(hub: Path, removed: str, values: dict[str, object], reason: str) -> None:
    edit_index(hub, removed, **values)
    with pytest.raises(Fault, match=rf"the entry sayakpaul/vit_s16_classification/1 is malformed \({reason}\)"):
        read_index(hub)


@pytest.mark.parametrize(
    ("index", "reason"),
    [
        ("[]", "expected an object 'modules' of objects"),
        ("{}", "expected an object 'modules' of objects"),
        ('{"modules": {}}', "expected an object 'collections' of objects"),
        ('{"modules": {"a/b/1": null}, "collections": {}}', "expected an object 'modules' of objects"),
        ('{"modules": {}, "collections": []}', "expected an object 'collections' of objects"),
    ],
)
def test_a_malformed_index_is_refused(hub: Path, index: str, reason: str) -> None:
    shutil.rmtree(hub / "index")  # as in a hub of an older version
    (hub / "index.json").write_text(index)
    with pytest.raises(Fault, match=rf"index\.json: {reason}; restore it, or remove it and publish every member again"):
        read_index(hub)


@pytest.mark.parametrize("name", ["../../escaped/1", "a/b", "a/b/0", "a/b/1/../../c", "a\n/b/1", "/a/b/1", "a/../1"])
@pytest.mark.parametrize("kind", ["modules", "collections"])
def test_a_name_that_is_not_a_handle_is_refused(hub: Path, kind: str, name: str) -> None:
    document = read_document(hub)
    document[kind][name] = {"title": "x", "task": "x", "files": []}
    with pytest.raises(Fault, match="is no handle, expected <publisher>/<module>/<version>; remove the entry"):
        parse_index(hub / "index.json", document)


# Status, withdrawal, aliases ------------------------------------------------------------------------------------------
DEMO = "vit-publisher/vit_demo_classification"
YANK = {"reason": "its labels were shuffled", "date": "2026-11-29"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, Status.RELEASED),
        ({"weights": None}, Status.DRAFT),
        ({"weights": "unverified"}, Status.DRAFT),
        ({"weights": "downloaded"}, Status.RELEASED),
        ({"measured": None}, Status.DRAFT),
        ({"status": "draft"}, Status.DRAFT),
    ],
)
def test_an_older_index_has_the_status_that_its_facts_come_to(
    published: Path, changes: dict[str, object], status: Status
) -> None:
    document = read_document(published)
    entry = document["modules"][f"{DEMO}/1"]
    for key in ("status", "revision"):
        del entry[key]
    del document["aliases"]
    entry |= changes
    module = parse_index(published, document).modules[f"{DEMO}/1"]
    assert (module.status, module.revision, module.yanked, module.deprecated) == (status, 1, None, None)


def test_latest_is_the_newest_released_version_that_is_not_yanked(published: Path) -> None:
    document = read_document(published)

    def listed() -> tuple[int | None, list[int]]:
        index = parse_index(published, document)
        newest = [entry.version for entry in Overview.of(index).newest if entry.handle.startswith(f"{DEMO}/")]
        return index.aliases.get(DEMO, {}).get("latest"), newest

    assert listed() == (2, [2])
    document["modules"][f"{DEMO}/2"]["status"] = "draft"
    assert listed() == (1, [1])
    document["modules"][f"{DEMO}/1"]["yanked"] = YANK
    assert listed() == (None, [2])
    document["modules"][f"{DEMO}/2"]["yanked"] = YANK
    assert listed() == (None, [])


def test_an_alias_stays_when_a_version_is_published(published: Path) -> None:
    index = read_index(published).with_alias(DEMO, "stable", 1)
    third = dataclasses.replace(index.modules[f"{DEMO}/2"], handle=f"{DEMO}/3")
    written = index.with_modules({third.handle: third}).document
    assert written["aliases"][DEMO] == {"latest": 3, "stable": 1}
    assert parse_index(published, written).aliases[DEMO] == {"latest": 3, "stable": 1}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": "final"}, "ValueError: 'final' is not a valid Status"),
        ({"revision": 0}, "ValueError: revision is 0, expected 1 or more"),
        ({"yanked": {"date": "2026-11-29"}}, "KeyError: 'reason'"),
        ({"yanked": {"reason": " ", "date": "2026-11-29"}}, "ValueError: reason is ' ', expected a line"),
        ({"yanked": YANK | {"reason": "a\nb"}}, "expected a line of 1 to 500 characters"),
        ({"yanked": YANK | {"date": "2026-13-01"}}, "ValueError: month must be in"),
        ({"yanked": YANK | {"date": "20261129"}}, "expected YYYY-MM-DD"),
        ({"unyanked": "2026-11"}, "ValueError: unyanked is '2026-11', expected YYYY-MM-DD"),
        ({"deprecated": {"successor": "../x/1", "date": "2026-11-29"}}, "expected <publisher>/<module>/<version>"),
    ],
)
def test_a_malformed_withdrawal_is_refused(hub: Path, values: dict[str, object], reason: str) -> None:
    edit_index(hub, **values)
    with pytest.raises(Fault, match=rf"the entry sayakpaul/vit_s16_classification/1 is malformed .*{reason}"):
        read_index(hub)


@pytest.mark.parametrize(
    ("aliases", "reason"),
    [
        ({DEMO: {"stable": 7}}, rf"there is no {DEMO}/7"),
        ({DEMO: {"Stable!": 1}}, "'Stable!' is no alias"),
        ({DEMO: {"stable": "1"}}, "stable is '1'"),
        ({"../x": {"stable": 1}}, r"there is no \.\./x/1"),
    ],
)
def test_malformed_aliases_are_refused(hub: Path, aliases: dict[str, dict[str, object]], reason: str) -> None:
    document = read_document(hub) | {"aliases": aliases}
    with pytest.raises(Fault, match=f"the aliases of .* are malformed .*{reason}"):
        parse_index(hub / "index.json", document)


def test_aliases_that_are_no_object_are_refused(hub: Path) -> None:
    shutil.rmtree(hub / "index")  # as in a hub of an older version
    (hub / "index.json").write_text(json.dumps(read_document(hub) | {"aliases": []}))
    with pytest.raises(Fault, match="expected an object 'aliases' of objects"):
        read_index(hub)


def test_a_version_that_is_published_again_keeps_its_withdrawal(published: Path) -> None:
    """A card with other words is a new revision, the same words are not."""
    entry = read_index(published).modules[f"{DEMO}/1"]
    withdrawn = dataclasses.replace(
        entry, yanked=Yank(**YANK), deprecated=Deprecation(f"{DEMO}/2", "2026-11-29"), revision=3
    )
    withdrawn = dataclasses.replace(withdrawn, unyanked="2026-11-01", undeprecated="2026-11-02")
    assert read_module(withdrawn.handle, withdrawn.to_json()) == withdrawn
    assert carry_over(None, entry) == entry
    assert carry_over(withdrawn, entry) == withdrawn
    assert entry.card
    card = dataclasses.replace(entry.card, sha256="0" * 64)
    edited = dataclasses.replace(entry, files=(entry.tarball, card))
    assert carry_over(withdrawn, edited) == dataclasses.replace(withdrawn, files=edited.files, revision=4)


def test_the_date_of_the_first_publication_stays(published: Path) -> None:
    entry = read_index(published).modules[f"{DEMO}/1"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", entry.published or "")
    first = dataclasses.replace(entry, published="2026-01-02")
    assert carry_over(first, entry) == first
    theirs, ours = ({"modules": {f"{DEMO}/1": each.to_json()}, "collections": {}} for each in (first, entry))
    assert merge_documents(theirs, ours, "index/00.json")["modules"][f"{DEMO}/1"]["published"] == "2026-01-02"
    older = dataclasses.replace(entry, published=None)
    assert carry_over(older, entry).published is None  # of a version that an older program published: nobody knows
    with pytest.raises(ValueError, match="month"):
        read_module(entry.handle, entry.to_json() | {"published": "2026-13-01"})


# Formats --------------------------------------------------------------------------------------------------------------
LITERT = {
    "files": [f"{DEMO}/1/model_int8.tflite"],
    "precision": "int8",
    "runtime": "LiteRT",
    "images": 1000,
    "of": "the Fashion-MNIST test set",
    "cosine": 1.0000001,
    "same_class": 1.0,
    "top1": 0.919,
    "images_per_second": 900.1,
}
ONNX = {
    "files": [f"{DEMO}/1/onnx/model.onnx", f"{DEMO}/1/config.json"],
    "precision": "float32",
    "runtime": "ONNX Runtime",
}


def test_formats_are_read_as_they_are_written(published: Path) -> None:
    written = read_document(published)["modules"][f"{DEMO}/1"] | {"formats": {"onnx": ONNX, "litert-int8": LITERT}}
    entry = read_module(f"{DEMO}/1", written)
    assert entry.to_json() == written
    assert [published.name for published in entry.formats] == ["litert-int8", "onnx"]
    assert (entry.formats[1].file, entry.formats[1].max_rel) == (f"{DEMO}/1/onnx/model.onnx", None)


@pytest.mark.parametrize(
    ("formats", "reason"),
    [
        ([], r"TypeError: formats is \[\]"),
        ({"xla": LITERT}, "ValueError: formats has xla, which is the module itself"),
        ({"litert": "a file"}, "TypeError: litert is 'a file'"),
        ({"litert": {"precision": "int8"}}, "KeyError: 'files'"),
        ({"litert": LITERT | {"files": []}}, "ValueError: the format litert has no files"),
        ({"litert": LITERT | {"files": ["a/b/1/model.tflite"]}}, "is 'a/b/1/model.tflite', expected one below"),
        ({"litert": LITERT | {"files": [7]}}, "a file of the format litert is 7, expected one below"),
        ({"litert": LITERT | {"precision": ""}}, "precision is '', expected a line"),
        ({"litert": LITERT | {"runtime": "a\nb"}}, "expected a line of 1 to 200 characters"),
        ({"litert": LITERT | {"max_rel": -1}}, "max_rel is -1.0, expected 0 or more"),
        ({"litert": LITERT | {"images_per_second": "fast"}}, "images_per_second is 'fast'"),
        ({"litert": LITERT | {"same_class": 1.2}}, "same_class is 1.2, expected 0 to 1"),
        ({"litert": LITERT | {"cosine": 2}}, "cosine is 2.0, expected -1 to 1"),
        ({"litert": LITERT | {"images": -1}}, "images is -1"),
    ],
)
def test_malformed_formats_are_refused(published: Path, formats: object, reason: str) -> None:
    document = read_document(published)
    for handle, entry in document["modules"].items():
        text = json.dumps(formats).replace(f"{DEMO}/1", handle)
        entry["formats"] = json.loads(text)
    with pytest.raises(Fault, match=rf"the entry sayakpaul/vit_s16_classification/1 is malformed .*{reason}"):
        parse_index(published, document)


def test_formats_of_newer_programs_are_ignored(published: Path) -> None:
    written = read_document(published)["modules"][f"{DEMO}/1"] | {"formats": {"onnx": ONNX, "hologram": LITERT}}
    assert [each.name for each in read_module(f"{DEMO}/1", written).formats] == ["onnx"]


def with_formats(entry: ModuleEntry, *names: str) -> ModuleEntry:
    """Returns an entry with formats of one file each, and what "Try it" shows."""
    formats = tuple(PublishedFormat(FormatName(name), (f"{entry.handle}/{name}",), "int8", "x") for name in names)
    paths = (*(published.file for published in formats), f"{entry.handle}/try.{'0' * 16}.json")
    files = tuple(PublishedFile(path, 1, "0" * 64) for path in paths)
    return dataclasses.replace(entry, files=(*entry.files, *files), formats=formats)


def test_formats_that_are_not_published_again_stay_listed(published: Path) -> None:
    entry = read_index(published).modules[f"{DEMO}/1"]
    assert carry_over(with_formats(entry, "litert", "onnx"), entry) == with_formats(entry, "litert", "onnx")
    both = carry_over(with_formats(entry, "litert", "onnx"), with_formats(entry, "litert-int8", "onnx"))
    assert [published.name for published in both.formats] == ["litert", "litert-int8", "onnx"]
    assert sorted(file.page.removeprefix(f"{DEMO}/1/") for file in both.files[len(entry.files) :]) == [
        "litert", "litert-int8", "onnx", "try.json",
    ]  # fmt: skip
