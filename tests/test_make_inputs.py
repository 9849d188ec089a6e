"""What changes of checkpoints, lock files, images and YAML files rebuild, by running make on a published tree."""

import dataclasses
import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from pipeline.base.verification import Verification
from pipeline.facts.formats import Formats, formats_text
from pipeline.facts.report import CheckpointFacts, Report
from tests.conftest import copy_project, make, serving_folder, write_collection, write_weights
from tests.make_plans import AFTER_CONVERT, ALL, COLLECTION_PAGE, planned, replace, snapshot, stages_of, stages_run
from tests.reports import write_report


def test_another_checkpoint_in_the_users_folder_is_another_checkpoint(tree: Path, tmp_path: Path) -> None:
    everything = stages_of("mini", {"fetch", *AFTER_CONVERT})
    (tmp_path / "mine").mkdir()
    shutil.copy(tree / "model_cards/tiny/mini.npz", tmp_path / "mine/mini.npz")
    mine = ("publish", "MODEL=mini", f"CHECKPOINTS={tmp_path}/mine")
    assert planned(tree, *mine) == set()  # the same content in another place
    (tmp_path / "mine/mini.npz").write_bytes(b"other weights")
    assert planned(tree, *mine) == everything
    shutil.copy(tree / "model_cards/tiny/rati.npz", tree / "model_cards/tiny/mini.npz")
    assert planned(tree, "publish", "MODEL=mini") == everything


@pytest.mark.parametrize("pinned", [False, pytest.param(True, marks=pytest.mark.long)])
def test_another_file_at_a_file_address_is_another_checkpoint_unless_pinned(
    fresh: Path, tmp_path: Path, pinned: bool
) -> None:
    weights = write_weights(tmp_path / "weights.npz")
    pin = f"\n  sha256: {hashlib.sha256(weights.read_bytes()).hexdigest()}" if pinned else ""
    replace(fresh / "model_cards/tiny/mini.yaml", '["mini.npz"]', f"[file://{weights}]{pin}")
    fetch = ("fetch", "MODEL=mini")
    assert make(fresh, *fetch).returncode == 0
    assert make(fresh, "-q", *fetch).returncode == 0
    weights.write_bytes(b"other weights")
    assert make(fresh, "-q", *fetch).returncode == (0 if pinned else 1)


@pytest.mark.long
def test_a_lock_file_rebuilds_only_what_it_contradicts(tree: Path) -> None:
    record = json.loads((tree / "artifacts/mini/checkpoint.json").read_text())
    lock = tree / "model_cards/tiny/checkpoints.lock"
    lock.write_text(json.dumps({"mini": {"arrays": record["arrays_sha256"]}, "other": {"arrays": "0" * 64}}))
    # The weights stay; the pages say that they are recorded now.
    assert stages_run(make(tree, *ALL).stdout) == stages_of("mini", {"card", "publish"}) | COLLECTION_PAGE
    assert make(tree, "-q", *ALL).returncode == 0
    lock.write_text(json.dumps({"mini": {"arrays": "0" * 64}}))
    assert planned(tree, "publish", "MODEL=mini") == stages_of("mini", {"fetch", *AFTER_CONVERT})
    done = make(tree, "fetch", "MODEL=mini")
    assert done.returncode == 2
    assert "mini.npz: other weights than model_cards/tiny/checkpoints.lock has for mini" in done.stderr
    lock.unlink()
    assert make(tree, "fetch", "MODEL=mini").returncode == 0  # what was planned stays planned, and is done


@pytest.mark.long
def test_cards_follow_the_lock_file_and_a_second_make_does_nothing(tmp_path: Path, report: Report) -> None:
    """The outputs of convert and validate are stand-ins, since only later stages run."""
    tree = copy_project(tmp_path / "tree")
    write_collection(tree / "model_cards/tiny", {"mini": ("Mini/8", 16)})
    (tree / "upstream").mkdir()
    (tree / "model_cards/tiny/mini.npz").rename(tree / "upstream/mini.npz")
    lock, made = tree / "model_cards/tiny/checkpoints.lock", tree / "artifacts/mini"
    card = ("card", "MODEL=mini", f"CACHE={tmp_path}/cache")
    with serving_folder(tree / "upstream") as address:
        replace(tree / "model_cards/tiny/mini.yaml", '"mini.npz"', f'"{address}/mini.npz"')
        assert make(tree, "fetch", *card[1:]).returncode == 0
    assert lock.exists()
    record = json.loads((made / "checkpoint.json").read_text())
    assert record["verification"] == "downloaded"
    record["verification"] = "unverified"  # as of a copy that the user brought
    (made / "checkpoint.json").write_text(json.dumps(record))
    for head in ("classification", "fe"):
        (made / head).mkdir()
        (made / head / "saved_model.pb").touch()
    checkpoint = CheckpointFacts(**(record | {"bytes": 1, "verification": Verification.UNVERIFIED}))
    write_report(made / "report.json", dataclasses.replace(report, checkpoint=checkpoint))
    (made / "formats.json").write_text(formats_text(Formats("mini", {}, {}, {})))

    def makes_cards(statement: str) -> bool:
        done = make(tree, *card)
        assert done.returncode == 0, done.stderr
        assert all(statement in (made / f"{head}.md").read_text() for head in ("classification", "fe"))
        assert make(tree, "-q", *card).returncode == 0
        return stages_run(done.stdout) == {("card", "mini")}

    text = lock.read_text()
    assert makes_cards("are those of the first download from the member's addresses")
    lock.unlink()
    assert makes_cards("**The weights are not verified.**")
    lock.write_text(text)
    assert makes_cards("are those of the first download from the member's addresses")
    assert make(tree, "-q", *card, f"LOCK={lock}").returncode == 0


def test_other_evaluation_images_are_measured_again(tree: Path) -> None:
    (tree / "model_cards/tiny/images/red/0.png").unlink()
    expected = {"validate", "formats", "card", "publish"}
    assert planned(tree) - COLLECTION_PAGE == stages_of("mini", expected) | stages_of("rati", expected)


def test_other_images_in_any_layout_are_measured_again(tree: Path) -> None:
    """Below a folder `val`, where no image is a class folder's child."""
    images = tree / "model_cards/tiny/images"
    images.rename(tree / "val")
    images.mkdir()
    (tree / "val").rename(images / "val")
    validate = ("validate", "MODEL=mini")
    assert make(tree, "-q", *validate).returncode == 1
    (tree / "artifacts/mini/report.json").touch()
    assert make(tree, "-q", *validate).returncode == 0
    (images / "val/red/0.png").write_bytes((images / "val/red/1.png").read_bytes())
    assert make(tree, "-q", *validate).returncode == 1


@pytest.mark.long
def test_imagenet_is_for_members_without_images_and_its_figures_stay(tree: Path, tmp_path: Path) -> None:
    imagenet = (*ALL, f"IMAGENET={tmp_path}")
    assert make(tree, "-q", *imagenet).returncode == 0
    replace(tree / "model_cards/tiny/mini.yaml", "  images: images\n", "")
    replace(tree / "model_cards/tiny/rati.yaml", "  images: images\n", "")
    shutil.copytree(tree / "model_cards/tiny/images", tmp_path / "val")
    others = {"JAX_ENABLE_X64": "1", "JAX_PLATFORMS": "cuda", "TF_FUNCTION_JIT_COMPILE_DEFAULT": "1"}
    done = make(tree, "validate", "MODEL=mini", f"IMAGENET={tmp_path}/val", **others)
    assert done.returncode == 0, done.stderr
    assert f"validate: ignores {', '.join(others)} of the environment (docs/settings.md)\n" in done.stderr
    assert make(tree, "-q", "validate", "MODEL=mini").returncode == 0
    measured = json.loads((tree / "artifacts/mini/report.json").read_text())["accuracy"]["measured"]
    assert measured["images"] == 12
    assert planned(tree, "validate", "MODEL=mini", f"IMAGENET={tmp_path}/val", "SAMPLES=3") == {("validate", "mini")}


def test_settings_are_for_the_selected_members(tree: Path) -> None:
    planned(tree, "validate", "MODEL=rati", "SAMPLES=3")  # a dry run writes stamps too
    assert make(tree, "-q", "publish", "MODEL=mini").returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "settings", "message"),
    [
        ("minimum_top1: 0.0", "minimum_top1: 90", (), "mini.yaml:11: evaluation.minimum_top1 must lie in 0 to 1"),
        pytest.param(
            "  title: mini\n",
            "",
            (),
            "mini.yaml:16: module lacks the key 'title' (a string)",
            marks=pytest.mark.long,
        ),
        ("  images: images\n", "", ("REQUIRE_ACCURACY=1",), "REQUIRE_ACCURACY requires a measured accuracy, and there"),
    ],
)
def test_faults_of_later_stages_are_reported_before_the_first(
    tree: Path, old: str, new: str, settings: tuple[str, ...], message: str
) -> None:
    replace(tree / "model_cards/tiny/mini.yaml", "name: mini\n", "name: mini2\n")
    replace(tree / "model_cards/tiny/mini.yaml", old, new)
    assert ("fetch", "mini") in planned(tree, "publish", "MODEL=mini")
    done = make(tree, "publish", "MODEL=mini", *settings)
    assert done.returncode == 2
    assert message in done.stderr
    assert stages_run(done.stdout) == set()


@pytest.mark.parametrize(
    ("old", "new", "stage"),
    [
        pytest.param("classes: 3", "classes: 4", "convert", marks=pytest.mark.long),
        ("top1: 0.0", "top1: 0.1", "validate"),
    ],
)
def test_they_are_reported_whichever_stage_is_the_first(tree: Path, old: str, new: str, stage: str) -> None:
    replace(tree / "model_cards/tiny/mini.yaml", old, new)
    replace(tree / "model_cards/tiny/mini.yaml", "version: 1", "version: one")
    assert (stage, "mini") in planned(tree, "publish", "MODEL=mini")
    done = make(tree, "publish", "MODEL=mini")
    assert "check: model_cards/tiny/mini.yaml:17: module.version must be a whole number, got 'one'" in done.stderr
    assert stages_run(done.stdout) == set()


def checks(output: str) -> list[str]:
    """Returns the members that make checks, in order."""
    return re.findall(r"-m pipeline\.check model_cards/tiny/(\w+)\.yaml", output)


def test_a_member_is_checked_once_before_its_first_long_stage(tree: Path) -> None:
    assert checks(make(tree, "-n", *ALL).stdout) == []
    for member, stage in (("mini", "checkpoint.json"), ("rati", "fe/saved_model.pb")):
        (tree / "artifacts" / member / stage).unlink()
        plan = make(tree, "-n", "-j4", *ALL).stdout
        assert checks(plan).count(member) == 1
        assert plan.index(f"check model_cards/tiny/{member}.yaml") < plan.index(f"model_cards/tiny/{member}.yaml 'art")
    assert sorted(checks(plan)) == ["mini", "rati"]


def test_no_member_is_checked_where_no_long_stage_runs(tree: Path) -> None:
    replace(tree / "model_cards/tiny/mini.yaml", "title: mini", "title: Minimal")
    plan = make(tree, "-n", "publish", "MODEL=mini").stdout
    assert "-m pipeline.card " in plan
    assert checks(plan) == []


def test_require_accuracy_needs_images_where_a_long_stage_runs_and_only_there(tree: Path, tmp_path: Path) -> None:
    """The report stands in for one that was measured on IMAGENET."""
    replace(tree / "model_cards/tiny/mini.yaml", "  images: images\n", "")
    card, images = ("-j4", "card", "MODEL=mini", "REQUIRE_ACCURACY=1"), f"IMAGENET={tmp_path}"
    assert planned(tree, *card, images) == stages_of("mini", {"validate", "formats", "card"})  # writes the stamps
    for name in ("report.json", "formats.json"):
        (tree / "artifacts/mini" / name).touch()
    # What IMAGENET measured stays, without IMAGENET.
    for goal in ("card", "publish"):
        done = make(tree, "-j4", goal, "MODEL=mini", "REQUIRE_ACCURACY=1")
        assert done.returncode == 0, done.stderr
        assert stages_run(done.stdout) == {(goal, "mini")}
    (tree / "artifacts/mini/fe/saved_model.pb").unlink()
    done = make(tree, *card)
    assert done.returncode == 2
    assert "REQUIRE_ACCURACY requires a measured accuracy, and there are no images" in done.stderr
    assert stages_run(done.stdout) == set()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        pytest.param(
            ("evaluate", "MODULE=/nonexistent", "LABELS=model_cards/tiny/labels.tsv"),
            "evaluate: /nonexistent: ",
            marks=pytest.mark.long,  # it imports TensorFlow
        ),
        (("select", "INDEX=/nonexistent"), "select: /nonexistent: no such"),
        pytest.param(
            ("add", "CHECKPOINT=a.npz", "INDEX=/nonexistent"),
            "add: /nonexistent: no such",
            marks=pytest.mark.long,
        ),
        (("contact-sheet", "MODEL=mini"), "contact-sheet: artifacts/mini/report.json: no report"),
    ],
)
def test_commands_beside_the_stages_check_their_settings_and_change_no_stamp(
    fresh: Path, tmp_path: Path, command: tuple[str, ...], message: str
) -> None:
    replace(fresh / "model_cards/tiny/mini.yaml", "  images: images\n", "")
    planned(fresh, "publish", "MODEL=mini")  # writes the stamps
    before = snapshot(fresh)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/mini.npz").write_bytes(b"other weights")
    settings = (f"CHECKPOINTS={tmp_path}/mine", "IMAGENET=model_cards/tiny/images")
    done = make(fresh, *command, "COLLECTION=tiny", *settings, "SAMPLES=5", "HUB=elsewhere")
    assert message in done.stderr
    assert snapshot(fresh) == before
    done = make(fresh, *command, "COLLECTION=tiny", *settings, "SAMPLES=five")
    assert "SAMPLES=five: expected a whole number from 1" in done.stderr
    assert "nonexistent" not in done.stdout + done.stderr


def test_a_file_that_is_not_valid_stops_every_stage_and_its_repair_rebuilds_nothing(tree: Path) -> None:
    """Also a stage that is done, and whose section nobody has changed."""
    path = tree / "model_cards/tiny/mini.yaml"
    text = path.read_text()
    path.write_text(text + "module: [\n")
    for goal in ("fetch", "publish"):
        done = make(tree, goal, "MODEL=mini")
        assert done.returncode == 2
        assert f"stamps: model_cards/tiny/mini.yaml:{len(text.splitlines()) + 2}: not valid YAML: " in done.stderr
        assert not stages_run(done.stdout)
    path.write_text(text)
    assert not planned(tree, "publish", "MODEL=mini")


def test_a_fault_in_one_member_leaves_the_others_working(tree: Path) -> None:
    replace(tree / "model_cards/tiny/rati.yaml", "version: 1", "version: 2026-11-22")
    assert make(tree, "publish", "MODEL=mini").returncode == 0
    done = make(tree, "publish", "MODEL=rati")
    assert "rati.yaml:17: YAML reads 2026-11-22 as a date; put it into quotes" in done.stderr
    assert "Traceback" not in done.stderr
