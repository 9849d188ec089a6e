"""The DAG, by running make on a tree whose every stage has really run.

The tree has two members: `mini`, a plain Vision Transformer, and `rati`, a hybrid. What a change rebuilds is read from
`make -n` where the stages take long, and from a real run where they are quick.
"""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make, run_make
from tests.make_plans import AFTER_CONVERT, ALL, COLLECTION_PAGE, planned, replace, snapshot, stages_of, stages_run

PAGES = ("index.json", "tester/tester.md", "index.html", "tester/mini_fe/1.html", "tester/tester.html")


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
    changed = {path for path, time in snapshot(tree).items() if before.get(path) != time}
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
        pytest.param("convert", AFTER_CONVERT, marks=pytest.mark.long),
        pytest.param("saved_model/portable", AFTER_CONVERT, marks=pytest.mark.long),
        ("model/vit", AFTER_CONVERT),
        pytest.param("validate", {"validate", "card", "publish"}, marks=pytest.mark.long),
        ("images/image_set", {"validate", "formats", "card", "publish"}),
        ("litert/metadata", {"formats", "card", "publish"}),
        pytest.param("card", {"card", "publish"}, marks=pytest.mark.long),
        pytest.param("package", {"package", "publish"}, marks=pytest.mark.long),
        pytest.param("publish", {"publish"}, marks=pytest.mark.long),
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
    with (tree / "pipeline/model/vit/network.py").open("a") as source:
        source.write("\n\n# A remark.\n")
    replace(tree / "pipeline/base/files.py", "Flushes a file's content", "Flushes the content of a file")
    assert make(tree, "-q", *ALL).returncode == 0


@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("name: mini\n", "name: mini2\n", {"fetch", *AFTER_CONVERT}),
        pytest.param("classes: 3", "classes: 4", AFTER_CONVERT, marks=pytest.mark.long),
        pytest.param(  # as test_a_failing_gate_stops_there_and_keeps_everything
            "minimum_top1: 0.0",
            "minimum_top1: 0.5",
            {"validate", "formats", "card", "publish"},
            marks=pytest.mark.long,
        ),
        ("version: 1", "version: 2", {"formats", "card", "publish"}),  # its files name their handle
        pytest.param(  # as test_prose_rebuilds_card_and_publication_only
            "title: mini", "title: Mini", {"card", "publish"}, marks=pytest.mark.long
        ),
        ("module:\n", "formats: [xla, onnx]\nmodule:\n", {"formats", "card", "publish"}),
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
        pytest.param("mini/fe/saved_model.pb", {"convert"}, marks=pytest.mark.long),
        pytest.param("mini/build.json", {"convert"}, marks=pytest.mark.long),
        ("mini/formats.json", {"formats"}),
        pytest.param("mini/fe.md", {"card"}, marks=pytest.mark.long),
        pytest.param("mini/classification.huggingface.md", {"card"}, marks=pytest.mark.long),
        pytest.param("mini/kaggle/model-metadata.json", {"card"}, marks=pytest.mark.long),
        pytest.param("mini/kaggle/fe/model-instance-metadata.json", {"card"}, marks=pytest.mark.long),
        ("mini/fe.tar.gz.sha256", {"package"}),
        pytest.param("mini/published.json", {"publish"}, marks=pytest.mark.long),
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
    moved = ("HUB_URL=https://hub.example", "MOVE=1")
    assert {stage for stage, _ in planned(tree, *ALL, *moved)} == {"card", "publish"}


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
    assert changed == {"report.json.failed", "predictions.npz.failed", "mini.evaluation"}
    # Which are wrong can be seen.
    assert "make contact-sheet MODEL=mini shows the wrong predictions" in done.stderr
    assert make(tree, "contact-sheet", "MODEL=mini").returncode == 0
    page = (tree / "artifacts/mini/mistakes.html").read_text()
    assert "<h1>mini: wrong predictions of the run that failed</h1>" in page
    # Once that is corrected, make resumes with the stage that failed.
    replace(tree / "model_cards/tiny/mini.yaml", "minimum_top1: 1.0", "minimum_top1: 0.0")
    assert planned(tree, "publish", "MODEL=mini") == stages_of("mini", {"validate", "formats", "card", "publish"})


# Runs its arguments; whoever runs the tests in the background of a script has them, and all they start, ignore SIGINT.
INTERRUPTIBLE = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def interrupt(tree: Path, number: signal.Signals) -> None:
    """Sends a signal to make and its stages while convert writes."""
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, "make", f"PYTHON={sys.executable}", "publish", "MODEL=mini"],
        cwd=tree, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    earlier = set((tree / "artifacts/mini").glob(".fe.*.part"))
    # The folder that convert fills; make's own child is waited for, not the clock.
    while not [path for path in (tree / "artifacts/mini").glob(".fe.*.part/variables") if path.parent not in earlier]:
        assert process.poll() is None
    os.killpg(process.pid, number)
    assert process.wait() != 0


# In `make test` fetch and publish are killed (fetch/test_cache.py, test_publish_interrupted.py), and a gate fails here.
@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_stage_interrupted_while_it_writes_keeps_the_outputs(tree: Path, number: signal.Signals) -> None:
    def outputs() -> dict[Path, int]:
        return {path: time for path, time in snapshot(tree).items() if "/." not in str(path.relative_to(tree))}

    before = outputs()
    replace(tree / "model_cards/tiny/labels.tsv", "Red", "Scarlet")
    interrupt(tree, number)
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
        assert re.search(rf"-m pipeline\.(member_)?{stage} ", done.stdout)
    assert not (fresh / ".venv").exists()


@pytest.mark.parametrize(
    "names", [pytest.param(PAGES, id="all"), *(pytest.param((name,), marks=pytest.mark.long) for name in PAGES)]
)
def test_an_incomplete_hub_is_completed(tree: Path, names: tuple[str, ...]) -> None:
    for name in names:
        (tree / "artifacts/hub" / name).unlink()
    assert make(tree, *ALL).returncode == 0
    for name in PAGES:
        assert (tree / "artifacts/hub" / name).exists()
    index = json.loads((tree / "artifacts/hub/index.json").read_text())
    assert (len(index["modules"]), len(index["collections"])) == (4, 1)
    assert make(tree, "-q", *ALL).returncode == 0


@pytest.mark.parametrize("path", ["templates/site/style.css", "docs/formats.md"])
def test_the_websites_templates_and_guides_publish_again_and_nothing_else(tree: Path, path: str) -> None:
    with (tree / path).open("a") as stream:
        stream.write("/* changed */\n")
    assert planned(tree) == {("publish", name) for name in ("mini", "rati", "tiny")}
