"""The DAG, by running make on a tree whose every stage has really run.

The tree has two members: `mini`, a plain Vision Transformer, and `rati`, a hybrid. What a change rebuilds is read from
`make -n` where the stages take long, and from a real run where they are quick.
"""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.facts.report import CheckpointFacts, Report
from pipeline.stamps import STAGES
from tests.conftest import copy_project, make, run_make, serving_folder, write_collection, write_weights
from tests.reports import write_report

ALL = ("publish-all", "COLLECTION=tiny")
# The stages behind each, in the order of the design's arrows.
AFTER_CONVERT = {"convert", "validate", "card", "package", "publish"}


def planned(tree: Path, *arguments: str) -> set[tuple[str, str]]:
    """Returns the (stage, member or collection) that `make -n` would run."""
    done = make(tree, "-n", *(arguments or ALL))
    assert done.returncode == 0, done.stderr
    commands = re.findall(r"-m pipeline\.(\w+) (?:member |collection )?(\S+)", done.stdout)
    # package takes a SavedModel's folder, the others a YAML file.
    return {
        (stage, Path(path).parent.name if stage == "package" or "collection.yaml" in path else Path(path).stem)
        for stage, path in commands
        if stage in STAGES
    }


def stages_run(output: str) -> set[tuple[str, str]]:
    """Returns the (stage, member or collection) of the lines that make printed, one for each stage."""
    return set(re.findall(rf"^({'|'.join(STAGES)}) (?:collection )?(\S+)", output, re.MULTILINE))


def stages_of(member: str, stages: set[str]) -> set[tuple[str, str]]:
    return {(stage, member) for stage in stages}


COLLECTION_PAGE = {("collection", "tiny"), ("publish", "tiny")}


def snapshot(tree: Path) -> dict[Path, int]:
    """Returns the modification time of every file that a stage made."""
    return {
        path: path.stat().st_mtime_ns
        for path in (tree / "artifacts").rglob("*")
        if path.is_file() and path.name not in (".lock", "digests.json")  # bookkeeping
    }


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_unchanged_tree_is_a_no_op(tree: Path) -> None:
    before = snapshot(tree)
    assert make(tree, "-q", *ALL).returncode == 0
    for goal, what in (
        (ALL, "the collection tiny (mini rati) is"),
        (("publish", "MODEL=mini"), "mini is"),
    ):
        done = make(tree, *goal)
        assert done.returncode == 0
        message = f"nothing to do: {what} published in artifacts/hub already, unchanged since; make serve shows it\n"
        assert (done.stdout, done.stderr) == (message, "")
        for flag in ("-n", "-q"):
            assert "nothing to do" not in make(tree, flag, *goal).stdout
        assert make(tree, "-s", *goal).stdout == ""
    assert make(tree, "card", "MODEL=mini").stdout == ""
    assert snapshot(tree) == before


def test_touching_every_input_builds_nothing(tree: Path) -> None:
    for path in (
        *tree.glob("model_cards/**/*"),
        *tree.glob("pipeline/**/*"),
        *tree.glob("templates/*"),
        tree / "Makefile",
        tree / "setup.mk",
    ):
        path.touch()
    assert make(tree, "-q", *ALL).returncode == 0


def test_prose_rebuilds_card_and_publication_only(tree: Path) -> None:
    before = snapshot(tree)
    replace(tree / "model_cards/tiny/mini.yaml", "title: mini", "title: Minimal")
    done = make(tree, *ALL)
    assert done.returncode == 0, done.stderr
    assert stages_run(done.stdout) == stages_of("mini", {"card", "publish"}) | COLLECTION_PAGE
    assert "nothing to do" not in done.stdout
    assert "Minimal" in (tree / "artifacts/hub/tester/collections/tiny/1.md").read_text()
    changed = {path for path, time in snapshot(tree).items() if before[path] != time}
    assert not {path for path in changed if "rati" in str(path) or path.suffix in (".gz", ".pb", ".npz")}
    assert make(tree, "-q", *ALL).returncode == 0


def test_a_template_rebuilds_every_card(tree: Path) -> None:
    replace(tree / "templates/body.md.jinja", "## Provenance", "## Origin")
    assert planned(tree) == {
        *stages_of("mini", {"card", "publish"}),
        *stages_of("rati", {"card", "publish"}),
        *COLLECTION_PAGE,
    }


@pytest.mark.parametrize(
    ("module", "stages"),
    [
        ("fetch", set()),  # a checkpoint is defined by its digest, code cannot change it
        ("convert", AFTER_CONVERT),
        ("saved_model/portable", AFTER_CONVERT),
        ("model/vit", AFTER_CONVERT),
        ("validate", {"validate", "card", "publish"}),
        ("images/image_set", {"validate", "card", "publish"}),
        ("card", {"card", "publish"}),
        ("package", {"package", "publish"}),
        ("publish", {"publish"}),
        ("hub/markdown", {"publish"}),
        ("stamps", set()),
    ],
)
def test_code_rebuilds_from_its_stage_on(tree: Path, module: str, stages: set[str]) -> None:
    with (tree / f"pipeline/{module}.py").open("a") as source:
        source.write("\nCHANGED = True\n")
    expected = stages_of("mini", stages) | stages_of("rati", stages)
    # The collection's page is made from the reports, and its publication by the same code.
    assert planned(tree) - COLLECTION_PAGE == expected


def test_comments_docstrings_and_layout_rebuild_nothing(tree: Path) -> None:
    with (tree / "pipeline/model/vit.py").open("a") as source:
        source.write("\n\n# A remark.\n")
    replace(tree / "pipeline/base/files.py", "Forces a file's content", "Forces the content of a file")
    assert make(tree, "-q", *ALL).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("name: mini\n", "name: mini2\n", {"fetch", *AFTER_CONVERT}),
        ("classes: 3", "classes: 4", AFTER_CONVERT),
        ("minimum_top1: 0.0", "minimum_top1: 0.5", {"validate", "card", "publish"}),
        ("version: 1", "version: 2", {"card", "publish"}),
    ],
)
def test_a_member_change_leaves_the_others_alone(tree: Path, old: str, new: str, stages: set[str]) -> None:
    replace(tree / "model_cards/tiny/mini.yaml", old, new)
    assert planned(tree) - COLLECTION_PAGE == stages_of("mini", stages)


def test_labels_count_as_part_of_the_model(tree: Path) -> None:
    replace(tree / "model_cards/tiny/labels.tsv", "Red", "Scarlet")
    assert planned(tree) - COLLECTION_PAGE == stages_of("mini", AFTER_CONVERT) | stages_of("rati", AFTER_CONVERT)


def test_a_new_member_joins_the_collections_page(tree: Path) -> None:
    text = (tree / "model_cards/tiny/mini.yaml").read_text()
    (tree / "model_cards/tiny/third.yaml").write_text(text)
    assert planned(tree) == stages_of("third", {"fetch", *AFTER_CONVERT}) | COLLECTION_PAGE


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("mini/checkpoint.json", {"fetch"}),
        ("mini/fe/saved_model.pb", {"convert"}),
        ("mini/fe.md", {"card"}),
        ("mini/classification.huggingface.md", {"card"}),
        ("mini/kaggle/model-metadata.json", {"card"}),
        ("mini/kaggle/fe/model-instance-metadata.json", {"card"}),
        ("mini/fe.tar.gz.sha256", {"package"}),
        ("mini/published.json", {"publish"}),
    ],
)
def test_any_deleted_output_is_made_again(tree: Path, name: str, stages: set[str]) -> None:
    (tree / "artifacts" / name).unlink()
    assert stages_of("mini", stages) <= planned(tree)


def test_files_that_left_the_hub_are_published_again(tree: Path) -> None:
    (tree / "artifacts/hub/tester/mini_fe/1.tar.gz").unlink()
    done = make(tree, *ALL)
    assert stages_run(done.stdout) == stages_of("mini", {"publish"})
    assert (tree / "artifacts/hub/tester/mini_fe/1.tar.gz").exists()
    assert make(tree, "-q", *ALL).returncode == 0


def test_another_hub_is_published_to_and_nothing_else_is_done(tree: Path, tmp_path: Path) -> None:
    done = make(tree, *ALL, f"HUB={tmp_path}/other hub")
    assert done.returncode == 0, done.stderr
    assert {stage for stage, _ in stages_run(done.stdout)} == {"publish"}
    index = json.loads((tmp_path / "other hub/index.json").read_text())
    assert len(index["modules"]) == 4


def test_another_public_address_changes_pages_only(tree: Path) -> None:
    assert {stage for stage, _ in planned(tree, *ALL, "HUB_URL=https://hub.example")} == {"card", "publish"}


def test_a_failing_gate_stops_there_and_keeps_everything(tree: Path) -> None:
    report = (tree / "artifacts/mini/report.json").read_text()
    before = snapshot(tree)
    replace(tree / "model_cards/tiny/mini.yaml", "minimum_top1: 0.0", "minimum_top1: 1.0")
    done = make(tree, "publish", "MODEL=mini")
    assert done.returncode == 2
    assert "is below the minimum 100.00 %" in done.stderr
    assert "Traceback" not in done.stderr
    assert stages_run(done.stdout) == {("validate", "mini")}
    assert (tree / "artifacts/mini/report.json").read_text() == report
    failed = json.loads((tree / "artifacts/mini/report.json.failed").read_text())
    assert failed["accuracy"]["verdict"] == "fail"
    # What was predicted stays for the next run, which then need not classify the images again.
    after = {path: time for path, time in snapshot(tree).items() if "report.json.shards" not in path.parts}
    changed = {path.name for path in after if after[path] != before.get(path)}
    assert changed == {"report.json.failed", "predictions.npz.failed", "mini.evaluation", "mini.checked"}
    # Which are wrong can be seen.
    assert "make contact-sheet MODEL=mini shows the wrong predictions" in done.stderr
    assert make(tree, "contact-sheet", "MODEL=mini").returncode == 0
    page = (tree / "artifacts/mini/mistakes.html").read_text()
    assert "<h1>mini: wrong predictions of the run that failed</h1>" in page
    # Once that is corrected, make resumes with the stage that failed.
    replace(tree / "model_cards/tiny/mini.yaml", "minimum_top1: 1.0", "minimum_top1: 0.0")
    assert planned(tree, "publish", "MODEL=mini") == stages_of("mini", {"validate", "card", "publish"})


@pytest.mark.parametrize(
    ("old", "new", "settings", "message"),
    [
        ("minimum_top1: 0.0", "minimum_top1: 90", (), "mini.yaml:11: evaluation.minimum_top1 must lie in 0 to 1"),
        ("  title: mini\n", "", (), "mini.yaml:16: module lacks the key 'title' (a string)"),
        ("  images: images\n", "", ("REQUIRE_ACCURACY=1",), "REQUIRE_ACCURACY asks for a measured accuracy, and there"),
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
    ("old", "new", "stage"), [("classes: 3", "classes: 4", "convert"), ("top1: 0.0", "top1: 0.1", "validate")]
)
def test_they_are_reported_whichever_stage_is_the_first(tree: Path, old: str, new: str, stage: str) -> None:
    replace(tree / "model_cards/tiny/mini.yaml", old, new)
    replace(tree / "model_cards/tiny/mini.yaml", "version: 1", "version: one")
    assert (stage, "mini") in planned(tree, "publish", "MODEL=mini")
    done = make(tree, "publish", "MODEL=mini")
    assert "check: model_cards/tiny/mini.yaml:17: module.version must be a whole number, got 'one'" in done.stderr
    assert stages_run(done.stdout) == set()


# Runs its arguments; whoever runs the tests in the background of a script has them, and all they start, ignore SIGINT.
INTERRUPTIBLE = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stage_interrupted_while_it_writes_keeps_the_outputs(tree: Path, number: signal.Signals) -> None:
    def outputs() -> dict[Path, int]:
        return {path: time for path, time in snapshot(tree).items() if "/." not in str(path.relative_to(tree))}

    before = outputs()
    replace(tree / "model_cards/tiny/labels.tsv", "Red", "Scarlet")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "make", f"PYTHON={sys.executable}", "publish", "MODEL=mini"],
        cwd=tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    # The folder that convert fills; make's own child is waited for, not the clock.
    while not list((tree / "artifacts/mini").glob(".fe.*.part/variables")):
        assert process.poll() is None
    os.killpg(process.pid, number)
    assert process.wait() != 0
    assert outputs() == before
    assert planned(tree, "publish", "MODEL=mini") == stages_of("mini", AFTER_CONVERT)
    done = make(tree, "convert", "MODEL=mini")
    assert done.returncode == 0, done.stderr
    assert not list((tree / "artifacts/mini").glob(".*"))
    assert "Scarlet" in (tree / "artifacts/mini/classification/assets.extra/labels.tsv").read_text()


def test_dry_run_on_a_fresh_tree_lists_the_stages_and_builds_nothing(fresh: Path) -> None:
    assert planned(fresh) == stages_of("mini", {"fetch", *AFTER_CONVERT}) | COLLECTION_PAGE
    assert {path.name for path in (fresh / "artifacts").iterdir()} == {".stamps"}
    assert make(fresh, "-q", *ALL).returncode == 1


def test_dry_run_on_a_fresh_clone_lists_set_up_and_stages(fresh: Path) -> None:
    done = run_make(fresh, "-n", *ALL)
    assert done.returncode == 0, done.stderr
    assert "-m pip install" in done.stdout
    for stage in ("fetch", *AFTER_CONVERT, "collection"):
        assert f"-m pipeline.{stage} " in done.stdout
    assert not (fresh / ".venv").exists()


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


@pytest.mark.parametrize("pinned", [False, True])
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


def test_a_member_is_checked_once(fresh: Path) -> None:
    assert make(fresh, "-n", "publish", "MODEL=mini").stdout.count("-m pipeline.check ") == 1
    assert make(fresh, "fetch", "MODEL=mini").returncode == 0
    assert "-m pipeline.check " not in make(fresh, "-n", "publish", "MODEL=mini").stdout
    replace(fresh / "model_cards/tiny/mini.yaml", "title: mini", "title: Minimal")
    assert make(fresh, "-n", "publish", "MODEL=mini").stdout.count("-m pipeline.check ") == 1


def test_a_lock_file_rebuilds_only_what_it_contradicts(tree: Path) -> None:
    record = json.loads((tree / "artifacts/mini/checkpoint.json").read_text())
    lock = tree / "model_cards/tiny/checkpoints.lock"
    lock.write_text(json.dumps({"mini": {"arrays": record["arrays_sha256"]}, "other": {"arrays": "0" * 64}}))
    # The weights stay; the card says that they are recorded now.
    assert stages_run(make(tree, *ALL).stdout) == stages_of("mini", {"card", "publish"})
    assert make(tree, "-q", *ALL).returncode == 0
    lock.write_text(json.dumps({"mini": {"arrays": "0" * 64}}))
    assert planned(tree, "publish", "MODEL=mini") == stages_of("mini", {"fetch", *AFTER_CONVERT})
    done = make(tree, "fetch", "MODEL=mini")
    assert done.returncode == 2
    assert "mini.npz: other weights than model_cards/tiny/checkpoints.lock has for mini" in done.stderr
    lock.unlink()
    assert make(tree, "fetch", "MODEL=mini").returncode == 0  # what was planned stays planned, and is done


@pytest.mark.slow
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
    for head in ("classification", "fe"):
        (made / head).mkdir()
        (made / head / "saved_model.pb").touch()
    record = json.loads((made / "checkpoint.json").read_text())
    checkpoint = CheckpointFacts(**(record | {"bytes": 1}))
    write_report(made / "report.json", dataclasses.replace(report, checkpoint=checkpoint))

    def makes_cards(statement: str) -> bool:
        done = make(tree, *card)
        assert done.returncode == 0, done.stderr
        assert all(statement in (made / f"{head}.md").read_text() for head in ("classification", "fe"))
        assert make(tree, "-q", *card).returncode == 0
        return stages_run(done.stdout) == {("card", "mini")}

    text = lock.read_text()
    assert makes_cards("is the one recorded for this member at its first download")
    lock.unlink()
    assert makes_cards("no digest is pinned for this member")
    lock.write_text(text)
    assert makes_cards("is the one recorded for this member at its first download")
    assert make(tree, "-q", *card, f"LOCK={lock}").returncode == 0


def test_other_evaluation_images_are_measured_again(tree: Path) -> None:
    (tree / "model_cards/tiny/images/red/0.png").unlink()
    expected = {"validate", "card", "publish"}
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
    assert make(tree, "artifacts/.stamps/mini.checked").returncode == 0
    assert make(tree, "-q", *validate).returncode == 0
    (images / "val/red/0.png").write_bytes((images / "val/red/1.png").read_bytes())
    assert make(tree, "-q", *validate).returncode == 1


def test_imagenet_is_for_members_without_images_and_its_figures_stay(tree: Path, tmp_path: Path) -> None:
    imagenet = (*ALL, f"IMAGENET={tmp_path}")
    assert make(tree, "-q", *imagenet).returncode == 0
    replace(tree / "model_cards/tiny/mini.yaml", "  images: images\n", "")
    replace(tree / "model_cards/tiny/rati.yaml", "  images: images\n", "")
    shutil.copytree(tree / "model_cards/tiny/images", tmp_path / "val")
    done = make(tree, "validate", "MODEL=mini", f"IMAGENET={tmp_path}/val")
    assert done.returncode == 0, done.stderr
    assert make(tree, "-q", "validate", "MODEL=mini").returncode == 0
    measured = json.loads((tree / "artifacts/mini/report.json").read_text())["accuracy"]["measured"]
    assert measured["images"] == 12
    assert planned(tree, "validate", "MODEL=mini", f"IMAGENET={tmp_path}/val", "SAMPLES=3") == {("validate", "mini")}


def test_settings_are_for_the_selected_members(tree: Path) -> None:
    planned(tree, "validate", "MODEL=rati", "SAMPLES=3")  # a dry run writes stamps too
    assert make(tree, "-q", "publish", "MODEL=mini").returncode == 0


def test_an_incomplete_hub_is_completed(tree: Path) -> None:
    for name in ("index.json", "tester/tester.md", "index.html", "tester/mini_fe/1.html", "tester/tester.html"):
        (tree / "artifacts/hub" / name).unlink()
        assert make(tree, *ALL).returncode == 0
        assert (tree / "artifacts/hub" / name).exists()
    index = json.loads((tree / "artifacts/hub/index.json").read_text())
    assert (len(index["modules"]), len(index["collections"])) == (4, 1)
    assert make(tree, "-q", *ALL).returncode == 0


def test_the_websites_templates_publish_again_and_nothing_else(tree: Path) -> None:
    with (tree / "templates/site/style.css").open("a") as sheet:
        sheet.write("/* changed */\n")
    assert planned(tree) == {("publish", name) for name in ("mini", "rati", "tiny")}


def test_the_repair_of_a_file_that_was_not_valid_rebuilds_cards_only(tree: Path) -> None:
    path = tree / "model_cards/tiny/mini.yaml"
    text = path.read_text()
    path.write_text(text + "module: [\n")
    done = make(tree, "publish", "MODEL=mini")
    assert done.returncode == 2
    assert f"check: model_cards/tiny/mini.yaml:{len(text.splitlines()) + 2}: not valid YAML: " in done.stderr
    assert stages_run(done.stdout) == set()
    path.write_text(text)
    assert planned(tree, "publish", "MODEL=mini") == stages_of("mini", {"card", "publish"})


def test_a_fault_in_one_member_leaves_the_others_working(tree: Path) -> None:
    replace(tree / "model_cards/tiny/rati.yaml", "version: 1", "version: 2026-11-22")
    assert make(tree, "publish", "MODEL=mini").returncode == 0
    done = make(tree, "publish", "MODEL=rati")
    assert "rati.yaml:17: module.version must be a whole number, got datetime.date(2026, 11, 22) (date)" in done.stderr
    assert "Traceback" not in done.stderr
