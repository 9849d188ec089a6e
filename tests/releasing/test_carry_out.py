"""What a release writes, in which order, and what is there after a kill, with two publishers, and on a full target."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.stored_names import plain_path
from pipeline.facts.formats import FormatName
from pipeline.hub.trial import find_trial
from pipeline.hub.withdrawing import Change, deprecate, undeprecate, unyank, yank
from pipeline.release import release
from pipeline.releasing.local_hub import LocalHub, read_local_hub
from pipeline.releasing.merging import merge_documents
from pipeline.releasing.target_state import Claim, claim_path, read_target_index
from pipeline.targets.interface import Target
from pipeline.targets.open import open_target
from pipeline.withdraw import change_version
from tests.conftest import ROOT
from tests.hubs import read_document
from tests.releasing.hubs import (
    FORMATS,
    PUBLIC,
    add_formats,
    card_path,
    correct_card,
    find_damage,
    find_lack,
    halves,
    move,
    set_document,
    take_apart,
)
from tests.releasing.watched import Watched
from tests.trials import add_trial

DEMO, CLASSIFIER = "vit-publisher/vit_demo_fe/1", "vit-publisher/vit_demo_classification/1"
LITERT = f"{CLASSIFIER}/model.tflite"
# The order of writes; a reader never finds a file that leads to one which is not there yet.
ORDER = ("claims/", "permanent", "card", "index/", "index/root.json", "page", "index.html")


def publish(hub: Path | LocalHub, target: Target) -> None:
    local = read_local_hub(hub) if isinstance(hub, Path) else hub
    release(local, target, None, local.folder.parent / f"receipts of {local.folder.name}")


def group_of(path: str) -> str:
    if path in ("index/root.json", "index.html"):
        return path
    if path.startswith(("claims/", "index/")):
        return path.partition("/")[0] + "/"
    if path == "hub.yaml":
        return "card"
    if path.endswith((".tar.gz", ".tflite", ".onnx", "/config.json")):
        return "permanent"
    return "page" if plain_path(path) == path else "card"


def test_the_order_of_writes(hub: Path, target: Target) -> None:
    writes: list[tuple[str, str]] = []
    publish(
        hub, Watched(target, lambda operation, path: None, lambda operation, path: writes.append((operation, path)))
    )
    written = [path for _, path in writes if not path.startswith(".probe/")]
    large = {path for operation, path in writes if operation == "put_large"}  # the others are read into memory
    assert large == {path for path in written if group_of(path) == "permanent"}
    groups = [group_of(path) for path in written]
    assert sorted(groups, key=ORDER.index) == groups
    assert set(groups) == set(ORDER)
    assert len(set(written)) == len(written)
    assert sorted(written) == [stored.path for stored in target.list("")]


def test_all_claims_are_checked_before_anything_is_written(hub: Path, target: Target) -> None:
    target.create(claim_path(DEMO), Claim("0" * 64, 1).render())
    with pytest.raises(Fault, match="claimed there for other bytes"):
        publish(hub, target)
    assert [stored.path for stored in target.list("")] == [claim_path(DEMO)]


@pytest.mark.parametrize("name", [DEMO, LITERT])
def test_a_claim_made_since_the_plan_stops_the_release(hub: Path, target: Target, name: str) -> None:
    def claim_first(operation: str, path: str) -> None:
        if (operation, path) == ("create", claim_path(name)):
            target.create(path, Claim("0" * 64, 1).render())

    with pytest.raises(Fault, match=f"another publisher claimed {name} a moment ago"):
        publish(hub, Watched(target, claim_first))
    assert not list(target.list("vit-publisher"))
    assert not list(target.list("index"))


@pytest.mark.parametrize("changed", [f"{DEMO}.tar.gz", LITERT])
def test_a_file_that_changed_since_it_was_hashed_is_not_listed(hub: Path, target: Target, changed: str) -> None:
    def edit(operation: str, path: str) -> None:
        if (operation, path) == ("put_large", changed):
            (hub / path).write_bytes(b"other bytes")

    with pytest.raises(Fault, match=r"it has changed since the hub was checked, so what was uploaded is not what"):
        publish(hub, Watched(target, edit))
    assert target.head("index/root.json") is None


def test_a_card_that_changed_since_it_was_hashed_is_not_written(hub: Path, target: Target) -> None:
    def edit_card(operation: str, path: str) -> None:
        if operation == "create":
            (hub / card_path(hub, DEMO)).write_text("other text")

    with pytest.raises(Fault, match=rf"{DEMO}\.[0-9a-f]{{16}}\.md: it has changed since the hub was checked; run"):
        publish(hub, Watched(target, edit_card))


def test_a_target_keeps_what_only_it_has(released_hub: Path, target: Target, tmp_path: Path) -> None:
    """Entries of other publishers, a withdrawal, an alias for a version that the hub does not have."""
    ours = take_apart(released_hub, tmp_path / "ours", "vit-publisher")
    theirs = take_apart(released_hub, tmp_path / "theirs", "sayakpaul", "vit-publisher")
    document = read_document(theirs)
    document["modules"][DEMO]["yanked"] = {"reason": "Its labels are wrong.", "date": "2026-11-01"}
    set_document(theirs, document)
    publish(theirs, target)
    publish(ours, target)
    index = read_target_index(target)
    assert set(index.modules) == set(read_document(released_hub)["modules"])
    assert index.document["modules"][DEMO]["yanked"]["reason"] == "Its labels are wrong."
    assert not list(find_damage(target))


def test_a_target_keeps_the_formats_of_others(hub: Path, target: Target, tmp_path: Path) -> None:
    """Two machines publish one version, each in formats of its own; the later one has no LiteRT files to try."""
    other = Path(shutil.copytree(hub, tmp_path / "other"))
    add_trial(hub, CLASSIFIER, FORMATS["litert"]["model.tflite"], ["a", "b"], 28, "model.tflite")
    move(hub, PUBLIC)
    document = read_document(other)
    entry = document["modules"][CLASSIFIER]
    entry["files"] = [file for file in entry["files"] if file["path"] != LITERT]
    del entry["formats"]["litert"]
    (other / LITERT).unlink()
    entry["formats"]["onnx"]["precision"] = "measured again"
    set_document(other, document)
    publish(hub, target)
    add_formats(other, CLASSIFIER, {"onnx-int8": {"onnx/model_quantized.onnx": b"int8", "config.json": b"{}\n"}})
    for machine in (other, other, hub):
        publish(machine, target)
        merged = read_target_index(target).modules[CLASSIFIER]
        assert [form.name for form in merged.formats] == ["litert", "onnx", "onnx-int8"]
        assert merged.format_files.keys() >= {LITERT, f"{CLASSIFIER}/onnx/model_quantized.onnx"}
        assert find_trial(merged)
        onnx = merged.format(FormatName.ONNX)
        assert onnx
        assert onnx.precision == ("float32" if machine is hub else "measured again")
        assert not list(find_damage(target))


@pytest.mark.parametrize("back", [unyank, undeprecate])
def test_a_withdrawal_that_was_taken_back_is_taken_back_at_the_target(hub: Path, target: Target, back: Change) -> None:
    """Its card there has no notice any more; another publisher's later withdrawal stays."""
    key = back.__name__.removeprefix("un") + ("ed" if back is unyank else "d")
    other = next(handle for handle in read_document(hub)["modules"] if handle != DEMO)
    withdraw = yank("wrong labels", "2026-11-01") if back is unyank else deprecate(other, "2026-11-01")
    change_version(hub, DEMO, withdraw)
    publish(hub, target)
    before = read_document(hub)
    assert key in read_target_index(target).document["modules"][DEMO]
    change_version(hub, DEMO, back)
    publish(hub, target)
    assert read_target_index(target).document["modules"][DEMO] == read_document(hub)["modules"][DEMO]
    before["modules"][DEMO][key]["date"] = "2026-11-02"
    merged = merge_documents(before, read_document(hub), "index.json")
    assert merged["modules"][DEMO][key] == before["modules"][DEMO][key]


def test_a_hub_of_an_older_version_gets_shards(released_hub: Path, target: Target, tmp_path: Path) -> None:
    """It has index.json alone, whose entries must not be lost."""
    theirs = take_apart(released_hub, tmp_path / "theirs", "sayakpaul")
    publish(theirs, target)
    for stored in [*target.list("index/")]:
        target.delete(stored.path)
    ours = take_apart(released_hub, tmp_path / "ours", "vit-publisher")
    publish(ours, target)
    assert set(read_target_index(target).modules) == set(read_document(released_hub)["modules"])
    assert not [*find_damage(target), *find_lack(target, ours, theirs)]


def test_a_full_target_is_named_and_keeps_its_hub(hub: Path, target: Target) -> None:
    publish(hub, target)
    correct_card(hub, DEMO, "It is small.")

    def fill(operation: str, path: str) -> None:
        if operation == "swap" and path.endswith("root.json"):
            raise AssertionError("the root does not change")
        if operation == "swap" and path.startswith("index/"):
            raise Fault(f"{target.address}: cannot use {path}: the disk is full")

    with pytest.raises(Fault, match="the disk is full"):
        publish(hub, Watched(target, fill))
    assert not list(find_damage(target))  # the new card has a name of its own
    publish(hub, target)
    assert not [*find_damage(target), *find_lack(target, hub)]


# Kills ----------------------------------------------------------------------------------------------------------------
def kill_at(request: int | str, hub: Path, address: str, artifacts: Path) -> bool:
    """Releases in a process that kills itself before a request; returns whether there was one.

    Args:
        request: its number, or its operation and path.
        hub, address: what is released where.
        artifacts: the folder of receipts.
    """
    command = [sys.executable, "-m", "tests.releasing.watched", hub, address, artifacts, request]
    done = subprocess.run([*map(str, command)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, -9), done.stderr
    return done.returncode == -9


def test_a_killed_release_leaves_a_whole_hub(hub: Path, target: Target, tmp_path: Path) -> None:
    """At one moment; tests of stores stop releases at others, and benchmarks kill at all."""
    assert kill_at(30, hub, target.address, tmp_path)
    assert not list(find_damage(target))
    publish(hub, target)
    assert not [*find_damage(target), *find_lack(target, hub)]


def test_a_killed_correction_leaves_a_whole_hub(hub: Path, target: Target, tmp_path: Path) -> None:
    publish(hub, target)
    for handle in read_document(hub)["modules"]:
        correct_card(hub, handle, "It is small.")
    assert kill_at(20, hub, target.address, tmp_path)
    assert not list(find_damage(target))
    publish(hub, target)
    assert not [*find_damage(target), *find_lack(target, hub)]


def test_a_version_that_gets_a_format_is_whole_after_a_kill(hub: Path, target: Target, tmp_path: Path) -> None:
    """Before its file is there, and before the index lists it."""
    publish(hub, target)
    add_formats(hub, CLASSIFIER, {"litert-int8": {"model_int8.tflite": b"int8"}})
    for request in (f"put_large {CLASSIFIER}/model_int8.tflite", "swap index/"):
        assert kill_at(request, hub, target.address, tmp_path)
        assert not list(find_damage(target))
        assert len(read_target_index(target).modules[CLASSIFIER].formats) == 2
    publish(hub, target)
    assert not [*find_damage(target), *find_lack(target, hub)]


# Two publishers -------------------------------------------------------------------------------------------------------
def test_two_publishers_lose_nothing(released_hub: Path, target: Target, tmp_path: Path) -> None:
    hubs = [read_local_hub(half) for half in halves(released_hub, tmp_path / "halves")]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(publish, hub, open_target(target.address)) for hub in hubs]:
            done.result()
    assert not [*find_damage(target), *find_lack(target, *(hub.folder for hub in hubs))]
