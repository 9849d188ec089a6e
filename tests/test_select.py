"""The command select: its table, plot and files, with a made-up index of the pool's size."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from pipeline.pool.criteria import read_criteria
from pipeline.pool.index import Row
from pipeline.pool.members import members_by_checkpoint, read_members
from pipeline.pool.plot import FRAME
from pipeline.pool.selection import select_checkpoints
from pipeline.select import draw, table
from tests.conftest import ROOT, Stage, assert_refused, make
from tests.pool.rows import CRITERIA, ROW, write_index

VIT = ROOT / "model_cards/vit"


def test_the_table_shows_choices_and_members(pool_rows: tuple[Row, ...]) -> None:
    selection = select_checkpoints(pool_rows, read_criteria(VIT / "collection.yaml"))
    text = table(selection, members_by_checkpoint(read_members(VIT)))
    assert re.search(r"^R26\+S/32 +R26_S_32-\S+ +0\.80944 +1,814 +56 +vit_r26_s32_lightaug$", text, re.MULTILINE)
    assert re.search(r"^B/8 +B_8-\S+ +0\.85948 +- +6 +no$", text, re.MULTILINE)


def test_the_table_names_ties_and_all_members_of_a_checkpoint() -> None:
    selection = select_checkpoints([ROW, ROW._replace(adapt_filename="S_16--b")], CRITERIA)
    text = table(selection, members_by_checkpoint({"mine": "S_16--a", "yours": "S_16--a"}))
    assert re.search(r"^S/16 +S_16--a .* mine, yours$", text, re.MULTILINE)
    assert "S/16: 2 checkpoints tie at 0.8; the tie went to the faster, then by file name" in text


def test_the_plot_is_well_formed_and_labels_the_choices(pool_rows: tuple[Row, ...]) -> None:
    selection = select_checkpoints(pool_rows, read_criteria(VIT / "collection.yaml"))
    text = draw("vit", selection, synthetic=True)
    root = ElementTree.fromstring(text)
    svg = "{http://www.w3.org/2000/svg}"
    assert root.attrib["role"] == "img"
    assert {root[0].attrib["id"], root[1].attrib["id"]} == set(root.attrib["aria-labelledby"].split())
    assert root.findtext(f"{svg}title") == "Checkpoints for the collection vit (made-up index)"
    assert "S/16 0.80462 at 1,508 images per second" in (root.findtext(f"{svg}desc") or "")
    assert [label.text for label in root.findall(f"{svg}text[@class='label']")] == [
        "L/16", "B/16", "R50+L/32", "R26+S/32", "S/16", "B/32",
    ]  # fmt: skip
    assert "not shown, the index has no speed: B/8 (0.85948)" in text
    groups = selection.candidates
    assert len(root.findall(f"{svg}circle")) == sum(map(len, groups.values())) - len(groups["B/8"])
    for circle in root.findall(f"{svg}circle"):
        assert FRAME.left <= float(circle.attrib["cx"]) <= FRAME.right
        assert FRAME.top <= float(circle.attrib["cy"]) <= FRAME.bottom


def test_make_select_prints_the_table_and_leaves_three_files(pool_index: Path, tmp_path: Path) -> None:
    done = make(ROOT, "select", f"INDEX={pool_index}", "DIFF=1", f"ARTIFACTS={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The index is made up, and so are its accuracies.\n")
    assert "6 of 7 selected checkpoints are members; 2 differences\n  missing: B/8, " in done.stdout
    out = tmp_path / "selection/vit"
    assert {path.name for path in out.iterdir()} == {"selection.md", "selection.csv", "selection.svg"}
    page = (out / "selection.md").read_text()
    assert "| S/16 | `S_16-i21k-300ep-lr_0.001-aug_light1-" in page
    assert "- extra: vit_r26_s32_medaug, " in page
    heading, first, *_ = (out / "selection.csv").read_text().splitlines()
    assert heading == "name,checkpoint,adapt_final_test,infer_samples_per_sec,rows_passing,member"
    assert re.fullmatch(r"B/8,B_8-\S+,0\.85948,,6,", first)


def test_make_select_finds_the_index_among_the_checkpoints(pool_index: Path, tmp_path: Path) -> None:
    done = make(ROOT, "select", f"CHECKPOINTS={pool_index.parent}", f"ARTIFACTS={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The index is made up, and so are its accuracies.\n")
    assert "differences" not in done.stdout


def test_a_collection_without_criteria_or_an_index_without_rows_that_pass_is_refused(
    tmp_path: Path, stage: Stage
) -> None:
    shutil.copytree(VIT, tmp_path / "vit")
    path = write_index(tmp_path, ROW._replace(adapt_final_test=0.1))
    done = stage("select", tmp_path / "vit/collection.yaml", tmp_path / "out", "--index", path)
    assert_refused(
        done,
        "none of 1 rows meets the criteria of",
        "adapt_final_test at least 0.75",
    )
    done = stage("select", ROOT / "model_cards/demo/collection.yaml", tmp_path / "out", "--index", path)
    assert_refused(done, "demo/collection.yaml: the collection has no section `selection`")
    assert not (tmp_path / "out").exists()
