"""changes and notes: what really changed between two states of a hub."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.verification import Verification
from pipeline.facts.formats import FormatName
from pipeline.facts.status import Status
from pipeline.hub import shards
from pipeline.hub.changes import compare_indexes, describe_version, list_history
from pipeline.hub.entries import CollectionEntry, Measured, ModuleEntry, PublishedFile
from pipeline.hub.index import Index, parse_index
from pipeline.hub.published_formats import PublishedFormat
from pipeline.hub.withdrawal import Deprecation, Yank
from pipeline.notes import render_notes
from tests.conftest import Stage, assert_refused

FE = "ann/vit_fe"


def entry(version: int = 1, digit: str = "a", **changes: object) -> ModuleEntry:
    """Returns a released version of a module; `digit` makes up its tarball's digest."""
    handle = f"{FE}/{version}"
    tarball = PublishedFile(f"{handle}.tar.gz", 1000 + version, digit * 64)
    card = PublishedFile(f"{handle}.md", 10, "e" * 64)
    made = ModuleEntry(
        handle,
        "ViT",
        "image-feature-vector",
        (tarball, card),
        variant="S/16",
        image_size=224,
        parameters=22_000_000,
        unpacked=88_000_000,
        weights=Verification.PINNED,
        tensorflow="2.14",
        measured=Measured(0.8, (0.79, 0.81), 10_000, "ImageNet", 1000, 1000, images_per_second=30.0),
        status=Status.RELEASED,
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def index_of(*entries: ModuleEntry, collections: tuple[CollectionEntry, ...] = ()) -> Index:
    index = parse_index(Path("index.json"), shards.empty_document()).with_modules({one.handle: one for one in entries})
    for collection in collections:
        index = index.with_collection(collection)
    return index


def notes(before: Index, after: Index) -> str:
    return render_notes(compare_indexes(before, after))


def test_what_differs_on_every_run_is_no_change() -> None:
    measured = entry().measured
    assert measured
    faster = entry(measured=replace(measured, images_per_second=99.0))
    assert compare_indexes(index_of(entry()), index_of(faster)).is_empty
    assert notes(index_of(entry()), index_of(faster)) == "Nothing has changed.\n"


def test_an_older_index_that_does_not_say_is_no_change() -> None:
    assert compare_indexes(index_of(entry(tensorflow=None, unpacked=None)), index_of(entry())).is_empty


def test_a_new_module_is_announced_with_its_facts() -> None:
    text = notes(index_of(), index_of(entry()))
    assert text == (
        "## New modules\n\n"
        "- `ann/vit_fe/1`: ViT, image feature vector, top-1 accuracy 80.00% (measured on 10,000 images of ImageNet,"
        " 95 % interval 79.00% to 81.00%), 22,000,000 parameters, tarball of 1,001 bytes with SHA-256"
        f" {'a' * 64}, TensorFlow 2.14 or newer\n"
    )


def test_a_new_version_is_compared_with_the_one_before() -> None:
    measured = entry().measured
    assert measured
    better = replace(measured, top1=0.82, interval=(0.81, 0.83))
    new = entry(2, "b", measured=better, tensorflow="2.16", unpacked=90_000_000)
    text = notes(index_of(entry()), index_of(entry(), new))
    assert "## New versions\n\n- `ann/vit_fe/2`: ViT, " in text
    assert "; against version 1:\n" in text
    assert (
        "  - top-1 accuracy: 82.00% (measured on 10,000 images of ImageNet, 95 % interval 81.00% to 83.00%), was 80"
        in text
    )
    assert "  - unpacked size: 90,000,000 bytes, was 88,000,000\n" in text
    assert "  - oldest TensorFlow: 2.16, was 2.14\n" in text
    assert f"  - tarball: 1,002 bytes, was 1,001, SHA-256 {'b' * 64}\n" in text
    assert "## Aliases\n\n- `latest` of ann/vit_fe is version 2, was 1\n" in text


@pytest.mark.parametrize(
    ("changes", "clause"),
    [
        ({"yanked": Yank("wrong labels", "2026-11-29")}, "yanked: wrong labels"),
        ({"deprecated": Deprecation("ann/vit_fe/2", "2026-11-29")}, "deprecated, use ann/vit_fe/2"),
        ({"revision": 2}, "card: revision 2, was 1"),
        ({"status": Status.DRAFT}, "status: draft, was released"),
        ({"title": "ViT-S"}, "title: ViT-S, was ViT"),
        ({"license": "mit"}, ""),
    ],
)
def test_a_published_version_changes_in_status_and_card(changes: dict[str, Any], clause: str) -> None:
    text = notes(index_of(entry()), index_of(entry(**changes)))
    expected = f"## Changed\n\n- `ann/vit_fe/1`\n  - {clause}\n" if clause else "Nothing has changed.\n"
    assert text.startswith(expected)


def with_formats(version: int, **precisions: str) -> ModuleEntry:
    made = [PublishedFormat(FormatName(name.replace("_", "-")), (f"{FE}/{version}/{name}",), precision, "LiteRT")
            for name, precision in precisions.items()]  # fmt: skip
    return entry(version, formats=tuple(made))


def test_a_version_that_got_formats_says_so() -> None:
    some = with_formats(1, plain="float32", litert="float32")
    more = with_formats(1, plain="float32", litert="float32", litert_int8="int8")
    assert notes(index_of(entry()), index_of(some)).endswith("  - now also as plain TensorFlow and LiteRT\n")
    assert notes(index_of(some), index_of(more)) == "## Changed\n\n- `ann/vit_fe/1`\n  - now also as LiteRT (int8)\n"
    faster = replace(more, formats=tuple(replace(one, images_per_second=9.0) for one in more.formats))
    assert notes(index_of(more), index_of(faster)) == "Nothing has changed.\n"


def test_a_new_version_says_which_formats_it_has_and_which_it_lacks() -> None:
    older, newer = with_formats(1, litert="float32", onnx="float32"), with_formats(2, onnx="float32", onnx_int8="int8")
    text = notes(index_of(older), index_of(older, newer))
    assert "TensorFlow 2.14 or newer, also as ONNX and ONNX (int8); against version 1:\n" in text
    assert "  - now also as ONNX (int8)\n  - lacks LiteRT\n" in text


def test_other_bytes_of_a_version_are_shown() -> None:
    assert f"  - tarball: other bytes, SHA-256 {'b' * 64}\n" in notes(index_of(entry()), index_of(entry(1, "b")))


def test_a_lost_version_is_a_warning() -> None:
    assert "## Removed, which breaks whoever uses them\n\n- `ann/vit_fe/1`\n" in notes(index_of(entry()), index_of())


def test_collections_are_new_or_changed() -> None:
    first, second = (
        CollectionEntry("ann/collections/vit/1", (PublishedFile("ann/collections/vit/1.md", 9, digit * 64),))
        for digit in "ab"
    )
    old, new = index_of(entry(), collections=(first,)), index_of(entry(), collections=(second,))
    assert notes(index_of(entry()), old) == "## Collections\n\n- new: ann/collections/vit/1\n"
    assert notes(old, new) == "## Collections\n\n- changed: ann/collections/vit/1\n"


def test_a_modules_history_is_that_of_its_versions() -> None:
    index = index_of(entry(), entry(2, "b"), entry(4, "b", variant="B/16"))
    assert [(version, len(clauses)) for version, clauses in list_history(index, entry())] == [(4, 1), (2, 1)]
    assert list_history(index_of(entry()), entry()) == ()


def write_index(path: Path, index: Index) -> Path:
    path.write_text(shards.render_document(index.document))
    return path


def test_the_command_reads_files_and_hubs(tmp_path: Path, stage: Stage) -> None:
    old, new = write_index(tmp_path / "old.json", index_of(entry())), tmp_path / "hub"
    new.mkdir()
    write_index(new / "index.json", index_of(entry(), entry(2, "b")))
    done = stage("notes", old, new)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("## New versions\n\n- `ann/vit_fe/2`: ViT")
    assert stage("notes", new, new).stdout == "Nothing has changed.\n"


def test_what_is_no_index_is_refused(tmp_path: Path, stage: Stage) -> None:
    index = write_index(tmp_path / "index.json", index_of(entry()))
    (tmp_path / "list.json").write_text(json.dumps([]))
    for name, message in (
        (tmp_path / "none.json", "no such file or folder; expected a hub's folder or an index.json"),
        ("https://hub.example.org", "expected a hub's folder or an index.json; download that first"),
        (tmp_path / "list.json", "expected an object 'modules' of objects"),
    ):
        assert_refused(stage("notes", index, name), message)


def test_another_family_of_equal_variants_is_a_change() -> None:
    vit, mixer = entry(family="Vision Transformer"), entry(2, "b", family="MLP-Mixer")
    assert "architecture: MLP-Mixer S/16, was Vision Transformer S/16" in describe_version(vit, mixer)
    assert not [clause for clause in describe_version(entry(), mixer) if "architecture" in clause]  # an older index
