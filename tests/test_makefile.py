"""The DAG, by running make on a tree whose every stage has really run.

Two members: `mini`, a plain Vision Transformer, and `rati`, a hybrid. What a change would rebuild is asked of `make -n`
where the stages take long, and seen where they are quick.
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, copy_project, make, write_collection

ALL = ("publish-all", "COLLECTION=tiny")
# The stages behind each, in the order of the design's arrows.
AFTER_CONVERT = {"convert", "validate", "card", "package", "publish"}


def planned(tree: Path, *arguments: str) -> set[tuple[str, str]]:
    """Returns the (stage, member or collection) that `make -n` would run."""
    done = make(tree, "-n", *(arguments or ALL))
    assert done.returncode == 0, done.stderr
    return commands(done.stdout)


def commands(output: str) -> set[tuple[str, str]]:
    found = re.findall(r"-m pipeline\.(\w+) (?:member |collection )?(\S+)", output)
    stages = {(stage, path) for stage, path in found if stage != "stamps"}
    # package takes the SavedModel's folder, the others a YAML file.
    return {(stage, Path(path).parent.name if stage == "package" else Path(path).stem) for stage, path in stages}


def stages_of(member: str, stages: set[str]) -> set[tuple[str, str]]:
    return {(stage, member) for stage in stages}


COLLECTION_PAGE = {("collection", "collection"), ("publish", "collection")}


def snapshot(tree: Path) -> dict[Path, int]:
    """Returns the modification time of every file that a stage made."""
    return {
        path: path.stat().st_mtime_ns
        for path in (tree / "artifacts").rglob("*")
        if path.is_file() and path.name != ".lock"
    }


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_an_unchanged_tree_is_a_no_op(tree: Path) -> None:
    before = snapshot(tree)
    assert make(tree, "-q", *ALL).returncode == 0
    done = make(tree, *ALL)
    assert done.returncode == 0
    assert done.stdout == ""
    assert snapshot(tree) == before


def test_touching_every_input_builds_nothing(tree: Path) -> None:
    for path in (
        *tree.glob("model_cards/**/*"),
        *tree.glob("pipeline/*"),
        *tree.glob("templates/*"),
        tree / "Makefile",
    ):
        path.touch()
    assert make(tree, "-q", *ALL).returncode == 0


def test_prose_rebuilds_card_and_publication_only(tree: Path) -> None:
    before = snapshot(tree)
    replace(tree / "model_cards/tiny/mini.yaml", "title: mini", "title: Minimal")
    done = make(tree, *ALL)
    assert done.returncode == 0, done.stderr
    assert commands(done.stdout) == stages_of("mini", {"card", "publish"}) | COLLECTION_PAGE
    assert "Minimal" in (tree / "artifacts/hub/tester/collections/tiny/1.md").read_text()
    changed = {path for path, time in snapshot(tree).items() if before[path] != time}
    assert not {path for path in changed if "rati" in str(path) or path.suffix in (".gz", ".pb", ".npz")}
    assert make(tree, "-q", *ALL).returncode == 0


def test_a_template_rebuilds_every_card(tree: Path) -> None:
    replace(tree / "templates/module.md.jinja", "## Overview", "## About this module")
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
        ("stablehlo", AFTER_CONVERT),
        ("vit", AFTER_CONVERT),
        ("validate", {"validate", "card", "publish"}),
        ("imagenet", {"validate", "card", "publish"}),
        ("card", {"card", "publish"}),
        ("package", {"package", "publish"}),
        ("publish", {"publish"}),
        ("stamps", set()),
    ],
)
def test_code_rebuilds_from_its_stage_on(tree: Path, module: str, stages: set[str]) -> None:
    with (tree / f"pipeline/{module}.py").open("a") as source:
        source.write("\nCHANGED = True\n")
    expected = stages_of("mini", stages) | stages_of("rati", stages)
    # The collection's page is made from the reports, and its publication by the same code.
    assert planned(tree) - COLLECTION_PAGE == expected


def test_comments_and_layout_rebuild_nothing(tree: Path) -> None:
    with (tree / "pipeline/vit.py").open("a") as source:
        source.write("\n\n# A remark.\n")
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
        ("mini/fe/saved_model.pb", {"convert"}),
        ("mini/fe.md", {"card"}),
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
    assert commands(done.stdout) == stages_of("mini", {"publish"})
    assert (tree / "artifacts/hub/tester/mini_fe/1.tar.gz").exists()
    assert make(tree, "-q", *ALL).returncode == 0


def test_another_hub_is_published_to_and_nothing_else_is_done(tree: Path, tmp_path: Path) -> None:
    done = make(tree, *ALL, f"HUB={tmp_path}/other hub")
    assert done.returncode == 0, done.stderr
    assert {stage for stage, _ in commands(done.stdout)} == {"publish"}
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
    assert "is below the gate evaluation.minimum_top1 1.0" in done.stderr
    assert "Traceback" not in done.stderr
    assert commands(done.stdout) == {("validate", "mini")}
    assert (tree / "artifacts/mini/report.json").read_text() == report
    failed = json.loads((tree / "artifacts/mini/report.json.failed").read_text())
    assert failed["accuracy"]["verdict"] == "fail"
    after = snapshot(tree)
    assert {path.name for path in after if after[path] != before.get(path)} == {"report.json.failed", "mini.evaluation"}
    # Mended, make resumes with the stage that failed.
    replace(tree / "model_cards/tiny/mini.yaml", "minimum_top1: 1.0", "minimum_top1: 0.0")
    assert planned(tree, "publish", "MODEL=mini") == stages_of("mini", {"validate", "card", "publish"})


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_stage_keeps_the_outputs(tree: Path, number: signal.Signals) -> None:
    before = {path: time for path, time in snapshot(tree).items() if ".stamps" not in path.parts}
    replace(tree / "model_cards/tiny/labels.tsv", "Red", "Scarlet")
    process = subprocess.Popen(
        ["make", f"PYTHON={sys.executable}", "publish", "MODEL=mini"],
        cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if "pipeline.convert" in line:
            break
    os.killpg(process.pid, number)
    process.communicate()
    assert process.returncode != 0
    after = {path: time for path, time in snapshot(tree).items() if ".stamps" not in path.parts}
    assert after == before
    assert planned(tree, "publish", "MODEL=mini") == stages_of("mini", AFTER_CONVERT)


def test_dry_run_on_a_fresh_tree_lists_the_stages_and_builds_nothing(tmp_path: Path) -> None:
    tree = copy_project(tmp_path / "tree")
    write_collection(tree / "model_cards/tiny", {"mini": ("Mini/8", 16)})
    assert planned(tree) == stages_of("mini", {"fetch", *AFTER_CONVERT}) | COLLECTION_PAGE
    assert {path.name for path in (tree / "artifacts").iterdir()} == {".stamps"}
    assert make(tree, "-q", *ALL).returncode == 1


def test_dry_run_without_an_interpreter_still_lists_the_stages(tmp_path: Path) -> None:
    tree = copy_project(tmp_path / "tree")
    write_collection(tree / "model_cards/tiny", {"mini": ("Mini/8", 16)})
    done = make(tree, "-n", "PYTHON=/nonexistent/python", *ALL)
    assert done.returncode == 0, done.stderr
    assert commands(done.stdout) == stages_of("mini", {"fetch", *AFTER_CONVERT}) | COLLECTION_PAGE


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("publish", "MODEL=vit_s17"),
            "unknown member MODEL=vit_s17; the members are: vit_b16 vit_b32 vit_demo vit_l16",
        ),
        (("publish",), "say which member: make publish MODEL=<member>, one of vit_b16"),
        (("publish-all", "COLLECTION=vti"), "unknown COLLECTION=vti; the collections are: demo vit"),
        (("validate", "MODEL=vit_s16", "ARTIFACTS=a b"), "the path must be one word"),
    ],
)
def test_wrong_names_fail_at_once(arguments: tuple[str, ...], message: str) -> None:
    done = make(ROOT, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert not done.stdout


def test_help_names_every_public_target() -> None:
    done = make(ROOT, "help")
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony
    for target in set(phony[1].split()) - {"FORCE", "help"}:
        assert re.search(rf"^  {target} ", done.stdout, re.MULTILINE), target
