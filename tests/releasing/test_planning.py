"""The plan of a release: what is new, changed, unchanged or refused, and when it does not hold any more."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.base.files import content_digest
from pipeline.base.stored_names import plain_path
from pipeline.hub.folder import read_index
from pipeline.hub.stored import remove_replaced
from pipeline.release import release
from pipeline.releasing.local_hub import read_local_hub
from pipeline.releasing.plan import Change, Plan, check_still_holds, load_plan, refuse_refusals
from pipeline.releasing.planning import make_plan
from pipeline.releasing.show import describe_plan
from pipeline.releasing.target_state import Claim, claim_path
from pipeline.targets.interface import Target
from tests.hubs import read_document, store_again
from tests.releasing.hubs import FORMATS, add_formats, card_path, correct_card, find_damage, move, rewrite, set_document

DEMO, CLASSIFIER = "vit-publisher/vit_demo_fe/1", "vit-publisher/vit_demo_classification/1"


def plan_of(hub: Path, target: Target) -> Plan:
    return make_plan(read_local_hub(hub), target)


def release_all(hub: Path, target: Target) -> None:
    release(read_local_hub(hub), target, None, hub.parent / "receipts")


def changes(plan: Plan) -> dict[str, Change]:
    return {plain_path(file.path): file.change for file in plan.files}


def refusal(plan: Plan, path: str) -> str:
    return next(file.reason for file in plan.refused if plain_path(file.path) == path)


def test_everything_is_new_to_an_empty_target(hub: Path, target: Target) -> None:
    plan = plan_of(hub, target)
    assert set(changes(plan).values()) == {Change.NEW}
    formats = {f"{CLASSIFIER}/{path}" for files in FORMATS.values() for path in files}
    assert set(plan.claims) == set(read_document(hub)["modules"]) | formats
    assert list(target.list("")) == []  # planning writes nothing


def test_a_second_release_has_nothing_to_do(hub: Path, target: Target) -> None:
    release_all(hub, target)
    before = list(target.list(""))
    plan = plan_of(hub, target)
    assert set(changes(plan).values()) == {Change.UNCHANGED}
    assert not plan.claims
    assert {part.change for part in plan.index} == {Change.UNCHANGED}
    release_all(hub, target)
    assert list(target.list("")) == before


def test_a_file_that_modules_share_is_planned_once_and_found_again(hub: Path, target: Target) -> None:
    """The lock file of the packages that they were made with."""
    content = b"numpy==1.0\n"
    path = f"locks/{content_digest(content)}.lock"
    (hub / "locks").mkdir()
    (hub / path).write_bytes(content)
    document = read_document(hub)
    for entry in document["modules"].values():
        entry["files"].append({"path": path, "size": len(content), "sha256": content_digest(content)})
    set_document(hub, document)
    plan = plan_of(hub, target)
    assert [file.path for file in plan.files].count(path) == 1
    release_all(hub, target)
    assert changes(plan_of(hub, target))[path] == Change.UNCHANGED


def test_a_corrected_card_is_new(hub: Path, target: Target) -> None:
    release_all(hub, target)
    correct_card(hub, DEMO, "It is small.")
    plan = plan_of(hub, target)
    assert {path for path, change in changes(plan).items() if change is Change.NEW} == {f"{DEMO}.md"}
    release_all(hub, target)
    assert changes(plan_of(hub, target))[f"{DEMO}.md"] is Change.UNCHANGED


def test_what_an_interrupted_release_left_is_compared(hub: Path, target: Target) -> None:
    path = card_path(hub, DEMO)
    target.create(path, b"x" * (hub / path).stat().st_size)
    assert changes(plan_of(hub, target))[f"{DEMO}.md"] is Change.CHANGED
    release_all(hub, target)
    assert changes(plan_of(hub, target))[f"{DEMO}.md"] is Change.UNCHANGED


@pytest.mark.parametrize("listed", [True, False])
def test_other_bytes_under_a_version_are_refused(hub: Path, target: Target, listed: bool) -> None:
    if listed:
        release_all(hub, target)
        rewrite(hub, f"{DEMO}.tar.gz", "other bytes")
    else:
        target.create(claim_path(DEMO), Claim("0" * 64, 1).render())
    plan = plan_of(hub, target)
    assert "raise module.version" in refusal(plan, f"{DEMO}.tar.gz")
    with pytest.raises(Fault, match=r"nothing was released.*\n.*sha256 [0-9a-f]{64} there, [0-9a-f]{64} here"):
        refuse_refusals(plan)
    before = list(target.list(""))
    with pytest.raises(Fault, match="nothing was released"):
        release_all(hub, target)
    assert list(target.list("")) == before


# Formats --------------------------------------------------------------------------------------------------------------
def test_a_format_that_a_released_version_gets_is_new_and_nothing_else(hub: Path, target: Target) -> None:
    release_all(hub, target)
    before = {stored.path: stored for stored in target.list("")}
    add_formats(hub, CLASSIFIER, {"litert-int8": {"model_int8.tflite": b"int8"}})
    correct_card(hub, CLASSIFIER, "Now in int8, too.")
    plan = plan_of(hub, target)
    new = {path for path, change in changes(plan).items() if change is not Change.UNCHANGED}
    assert new == {f"{CLASSIFIER}/model_int8.tflite", f"{CLASSIFIER}.md"}
    assert plan.claims == (f"{CLASSIFIER}/model_int8.tflite",)
    assert len([part for part in plan.index if part.change is Change.CHANGED]) == 1
    release_all(hub, target)
    after = {stored.path: stored for stored in target.list("")}
    assert {before[path].tag == after[path].tag for path in before if path.endswith((".tar.gz", ".tflite"))} == {True}
    assert set(changes(plan_of(hub, target)).values()) == {Change.UNCHANGED}
    assert not list(find_damage(target))


@pytest.mark.parametrize("listed", [True, False])
def test_other_bytes_of_a_format_are_refused(hub: Path, target: Target, listed: bool) -> None:
    if listed:
        release_all(hub, target)
    else:
        target.create(claim_path(f"{CLASSIFIER}/model.tflite"), Claim("0" * 64, 1).render())
    add_formats(hub, CLASSIFIER, {"litert": {"model.tflite": b"other bytes"}})
    plan = plan_of(hub, target)
    reason = "its model.tflite is " + ("published there with" if listed else "claimed there for")
    assert refusal(plan, f"{CLASSIFIER}.md").startswith(f"{reason} other bytes: sha256 ")
    assert {file.path for file in plan.refused} == {
        file["path"] for file in read_document(hub)["modules"][CLASSIFIER]["files"]
    }
    before = list(target.list(""))
    with pytest.raises(Fault, match=f"{reason} .* raise module.version"):
        release_all(hub, target)
    assert list(target.list("")) == before


def test_a_format_that_an_interrupted_release_left_is_sent_again_unless_it_is_claimed(
    hub: Path, target: Target
) -> None:
    path, content = f"{CLASSIFIER}/model.tflite", FORMATS["litert"]["model.tflite"]
    target.create(path, b"x" * len(content))
    assert changes(plan_of(hub, target))[path] is Change.NEW
    target.create(claim_path(path), Claim(content_digest(content), len(content)).render())
    assert changes(plan_of(hub, target))[path] is Change.UNCHANGED
    target.swap(path, b"less", content_digest(b"x" * len(content)))
    assert changes(plan_of(hub, target))[path] is Change.NEW
    release_all(hub, target)
    assert not list(find_damage(target))


def test_a_page_of_an_older_hub_may_change_though_its_name_has_no_digest(hub: Path, target: Target) -> None:
    for text in ("", "\nIt is small.\n"):
        (hub / f"{CLASSIFIER}.md").write_text((hub / f"{CLASSIFIER}.md").read_text() + text)
        store_again(hub)
        document = read_document(hub)
        for file in document["modules"][CLASSIFIER]["files"]:
            file["path"] = plain_path(file["path"])
        set_document(hub, document)
        remove_replaced(hub, read_index(hub).entries.values())
        changed = {path for path, change in changes(plan_of(hub, target)).items() if change is Change.CHANGED}
        assert changed == ({f"{CLASSIFIER}.md"} if text else set())
        release_all(hub, target)


def test_an_older_card_is_refused(hub: Path, target: Target) -> None:
    original = (hub / f"{DEMO}.md").read_text()
    correct_card(hub, DEMO, "It is small.")
    release_all(hub, target)
    rewrite(hub, f"{DEMO}.md", original, revised=False)
    document = read_document(hub)
    document["modules"][DEMO]["revision"] = 1
    set_document(hub, document)
    assert "its card there is revision 2, and 1 here" in refusal(plan_of(hub, target), f"{DEMO}.md")


def test_a_draft_is_refused(hub: Path, target: Target) -> None:
    document = read_document(hub)
    document["modules"][DEMO]["status"] = "draft"
    set_document(hub, document)
    plan = plan_of(hub, target)
    assert {file.path for file in plan.refused} == {file["path"] for file in document["modules"][DEMO]["files"]}


def test_a_card_that_names_localhost_is_refused(hub: Path, target: Target) -> None:
    correct_card(hub, DEMO, "See http://127.0.0.1:8080/there.")
    assert "its card names http://127.0.0.1:8080/there" in refusal(plan_of(hub, target), f"{DEMO}.md")
    plan = plan_of(hub, target)
    with pytest.raises(Fault) as raised:
        refuse_refusals(plan)
    assert len(str(raised.value).splitlines()) == 2  # one reason for all of its files
    assert re.search(r"1\.tar\.gz and \d+ files more: its card names", str(raised.value))
    assert "(HUB_URL=https://<host> MOVE=1)" in str(raised.value)
    assert [line.endswith(": as above") for line in describe_plan(plan) if "  refused " in line] == [False, *[True] * 9]
    move(hub, "http://localhost:8080")
    assert not plan_of(hub, target).refused  # nor is the hub for others


def test_another_hubs_target_is_refused(hub: Path, target: Target) -> None:
    release_all(hub, target)
    move(hub, "https://other.example.org")
    with pytest.raises(Fault, match=r"it is the hub of https://hub\.example\.org, and this hub is for https://other"):
        plan_of(hub, target)


def test_a_damaged_hub_is_refused(hub: Path) -> None:
    (hub / f"{DEMO}.tar.gz").write_bytes(b"damaged")
    (hub / "vit-publisher/extra.md").write_text("# Extra\n")
    (hub / CLASSIFIER / "model_int8.tflite").write_text("of a publish that was killed")
    with pytest.raises(Fault) as caught:
        read_local_hub(hub)
    assert str(caught.value).startswith(f"{hub}: nothing was released, since the hub is damaged")
    assert f"{hub}/{DEMO}.tar.gz: 7 bytes, index.json says" in str(caught.value)
    assert "extra.md: a page that index.json does not list" in str(caught.value)
    assert f"model_int8.tflite: a file of a format, but index.json names it for no format of {CLASSIFIER}" in (
        str(caught.value)
    )


def test_a_damaged_target_is_refused(hub: Path, target: Target) -> None:
    release_all(hub, target)
    part = next(stored for stored in target.list("index/") if "root" not in stored.path)
    target.swap(part.path, b"[]", part.tag)
    with pytest.raises(Fault, match=f"{part.path}: expected an object"):
        plan_of(hub, target)


# The file -------------------------------------------------------------------------------------------------------------
def test_a_plan_is_read_as_it_was_written(hub: Path, target: Target, tmp_path: Path) -> None:
    plan = plan_of(hub, target)
    plan.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("schema", 2, "a plan of schema 2, expected 1"),
        ("target", 3, "target: input should be a valid string"),
        ("more", 1, "more is an unknown key"),
        ("files", [{"path": "a"}], "files.0.size is missing"),
    ],
)
def test_a_damaged_plan_is_refused(
    hub: Path, target: Target, tmp_path: Path, key: str, value: object, message: str
) -> None:
    path = tmp_path / "plan.json"
    plan_of(hub, target).save(path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(Fault, match=f"PLAN={path}: .*{message}.*; make it again with make release-plan"):
        load_plan(path)


def test_no_plan_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="no such file; make it again"):
        load_plan(tmp_path / "plan.json")
    (tmp_path / "plan.json").write_text("{")
    with pytest.raises(Fault, match="not valid JSON"):
        load_plan(tmp_path / "plan.json")


def test_a_plan_is_shown_per_file(hub: Path, target: Target) -> None:
    lines = list(describe_plan(plan_of(hub, target)))
    assert lines[0] == f"release of {hub} to {target.address}, the hub of https://hub.example.org"
    tarball = next(file for file in read_document(hub)["modules"][DEMO]["files"] if file["path"] == f"{DEMO}.tar.gz")
    assert f"  new        {tarball['size']:>8} B  {tarball['sha256'][:16]}  {DEMO}.tar.gz" in lines
    assert lines[-1].startswith(f"{1 + sum(len(entry.files) for entry in read_index(hub).entries.values())} new (")
    assert lines[-1].endswith("; 5 claims to make, then the pages")


# What may change between plan and release -----------------------------------------------------------------------------
def test_a_plan_that_was_begun_still_holds(hub: Path, target: Target) -> None:
    plan = plan_of(hub, target)
    release_all(hub, target)
    check_still_holds(plan, plan_of(hub, target))


def test_a_plan_does_not_hold_for_a_target_that_moved_on(hub: Path, target: Target) -> None:
    release_all(hub, target)
    plan = plan_of(hub, target)
    correct_card(hub, DEMO, "Another publisher wrote this.")
    release_all(hub, target)
    there = plan_of(hub, target)
    moved = dataclasses.replace(there, hub_sha256=plan.hub_sha256, files=plan.files)
    with pytest.raises(Fault, match=r"it has changed since the plan was made .*index/..\.json; nothing was written"):
        check_still_holds(plan, moved)
    with pytest.raises(Fault, match=f"{hub}: it has changed since the plan was made"):
        check_still_holds(plan, there)


def test_a_plan_is_for_one_target(hub: Path, target: Target) -> None:
    plan = plan_of(hub, target)
    with pytest.raises(Fault, match=r"the plan is for TO s3://bucket, and this release for "):
        check_still_holds(dataclasses.replace(plan, target="s3://bucket"), plan)
