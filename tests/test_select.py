"""Choosing from the pool's index: a made-up one of the true size, with the rows and counts that upstream prints."""

import itertools
import math
import re
import shutil
import xml.etree.ElementTree as ElementTree
from collections import Counter
from pathlib import Path

import pytest

from benchmarks import synthetic_index
from pipeline.base.axes import BOTTOM, LEFT, RIGHT, TOP
from pipeline.base.fault import Fault
from pipeline.pool import index, plot
from pipeline.pool.index import Row
from pipeline.pool.selection import Remark, Selection, choose, criteria_of, differences, members_of, names_of, passing
from pipeline.select import picture, table
from tests.conftest import ROOT, Stage, assert_refused, make, serving_folder

VIT = ROOT / "model_cards/vit"
# The chosen, the best first, and which member has the checkpoint; B/8's is none.
BEST = {
    "B/8": None, "L/16": "vit_l16", "B/16": "vit_b16", "R50+L/32": "vit_r50_l32", "R26+S/32": "vit_r26_s32_lightaug",
    "S/16": "vit_s16", "B/32": "vit_b32",
}  # fmt: skip
B8 = "B_8-i21k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.01-res_224"
HEADING = ",".join(Row._fields)
ROW = Row(
    "S/16", "i21k", 300.0, 0.001, "light1", 0.03, 0.0, 0.0, 0.47, 0.47, 0.47, "imagenet2012", 0.03, 20_000, 224, 0.84,
    0.8, 22_050_000.0, 1508.35, "S_16", "S_16--a",
)  # fmt: skip
SELECTION = Selection("i21k", "adapt_final_test", "imagenet2012", 224, 0.75)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up index of the pool's size. Not to be changed."""
    path = tmp_path_factory.mktemp("pool") / "index.csv"
    synthetic_index.write(path)
    return path


@pytest.fixture(scope="session")
def rows(pool: Path) -> tuple[Row, ...]:
    return index.read(pool).rows


def of_the_seven() -> Selection:
    return criteria_of(VIT / "collection.yaml")


def written(folder: Path, *rows: Row, heading: str = HEADING) -> Path:
    """Writes an index of a few rows."""
    path = folder / "index.csv"
    path.write_text("\n".join([heading, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path


def test_the_made_up_index_has_the_pools_shape(rows: tuple[Row, ...]) -> None:
    assert len(rows) == synthetic_index.ROWS == 51_509
    assert len({row.filename for row in rows}) == synthetic_index.PRETRAINED == 759
    assert Counter(row.ds for row in rows) == {"i21k": 17_238, "i1k": 17_136, "i21k_30": 17_135}
    found = {row.adapt_filename: row.adapt_final_test for row in rows}
    assert {name: found[name] for name in synthetic_index.TRUE} == synthetic_index.TRUE


def test_as_many_rows_of_each_name_pass_as_upstream_prints(rows: tuple[Row, ...]) -> None:
    counts = {name: len(group) for name, group in passing(rows, of_the_seven()).items()}
    assert counts == {"R26+S/32": 56, "S/16": 54, "R50+L/32": 54, "B/16": 54, "B/32": 53, "L/16": 52, "B/8": 6}


def test_the_best_of_each_name_is_chosen(rows: tuple[Row, ...]) -> None:
    choices = choose(passing(rows, of_the_seven()), of_the_seven())
    checkpoints = members_of(VIT)
    expected = [(name, checkpoints[member] if member else B8) for name, member in BEST.items()]
    assert [(choice.name, choice.checkpoint) for choice in choices] == expected
    text = table(choices, names_of(checkpoints), of_the_seven())
    assert re.search(r"^R26\+S/32 +R26_S_32-\S+ +0\.80944 +1,814 +56 +vit_r26_s32_lightaug$", text, re.MULTILINE)
    assert re.search(r"^B/8 +B_8-\S+ +0\.85948 +- +6 +no$", text, re.MULTILINE)


def test_the_reference_collection_differs_in_two_members_and_it_is_said_why(rows: tuple[Row, ...]) -> None:
    groups = passing(rows, of_the_seven())
    missing, extra = differences(choose(groups, of_the_seven()), groups, rows, members_of(VIT), of_the_seven())
    assert (missing.kind, missing.of) == ("missing", "B/8")
    assert missing.sentence.endswith(
        "(0.85948): chosen, but not a member. Remark: it was published later; the reference collection, sayakpaul/vit/1"
        " of TensorFlow Hub, which this one follows, did not have it."
    )
    assert (extra.kind, extra.of) == ("extra", "vit_r26_s32_medaug")
    assert "its adapt_final_test 0.80462 is number " in extra.sentence
    assert "of the 56 of R26+S/32, whose best is 0.80944; it equals the best of S/16" in extra.sentence
    assert "Remark: the reference collection, sayakpaul/vit/1 of TensorFlow Hub, compared" in extra.sentence
    assert "\n" not in missing.sentence + extra.sentence


def test_a_score_that_equals_another_names_best_is_not_chosen() -> None:
    trap = ROW._replace(name="B/16", adapt_filename="B_16--b")
    best = trap._replace(adapt_final_test=0.81, adapt_filename="B_16--a")
    choices = choose(passing([ROW, trap, best], SELECTION), SELECTION)
    assert [(choice.name, choice.checkpoint) for choice in choices] == [("B/16", "B_16--a"), ("S/16", "S_16--a")]


def test_equals_are_told_apart_by_speed_then_by_file_name() -> None:
    unknown = ROW._replace(infer_samples_per_sec=math.nan, adapt_filename="S_16--0")
    slow = ROW._replace(infer_samples_per_sec=100.0, adapt_filename="S_16--1")
    fast, later = ROW._replace(adapt_filename="S_16--2"), ROW._replace(adapt_filename="S_16--3")
    for order in itertools.permutations([unknown, slow, fast, later]):
        (choice,) = choose(passing(order, SELECTION), SELECTION)
        assert (choice.checkpoint, choice.tied) == ("S_16--2", 4)
    assert "S/16: 4 rows have 0.8; the rule for equals chose this one" in table([choice], {}, SELECTION)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ds": "i1k"}, "ds is i1k, not i21k"),
        ({"adapt_ds": "cifar100"}, "adapt_ds is cifar100, not imagenet2012"),
        ({"adapt_resolution": 384}, "adapt_resolution is 384, not 224"),
        ({"adapt_final_test": 0.7499}, "adapt_final_test is 0.7499, below 0.75"),
        ({"adapt_final_test": math.nan}, "it has no adapt_final_test"),
    ],
)
def test_a_member_that_fails_a_criterion_is_extra_and_told_which(change: dict, reason: str) -> None:
    row, best = ROW._replace(**change), ROW._replace(adapt_filename="S_16--best")
    groups = passing([row, best], SELECTION)
    members = {"mine": "S_16--best", "other": row.adapt_filename}
    (extra,) = differences(choose(groups, SELECTION), groups, [row, best], members, SELECTION)
    assert extra.sentence == f"extra: other, S_16--a: a member, but not chosen: {reason}."


def test_a_member_that_equals_the_best_or_is_not_in_the_index_is_told_so() -> None:
    second = ROW._replace(adapt_filename="S_16--b")
    groups = passing([ROW, second], SELECTION)
    members = {"first": "S_16--a", "second": "S_16--b", "third": "elsewhere"}
    selection = Selection("i21k", "adapt_final_test", "imagenet2012", remarks=(Remark("third", "mine."),))
    tied, unknown = differences(choose(groups, selection), groups, [ROW, second], members, selection)
    assert tied.sentence.endswith(
        "its 0.8 equals the best of S/16, which the rule for equals gives to another checkpoint."
    )
    assert unknown.sentence.endswith("not chosen: the index does not have its checkpoint. Remark: mine.")


def test_members_that_share_a_checkpoint_are_all_named() -> None:
    best = ROW._replace(adapt_filename="S_16--best", adapt_final_test=0.9)
    members = {"mine": "S_16--best", "yours": "S_16--best", "first": "S_16--a", "second": "S_16--a"}
    groups = passing([ROW, best], SELECTION)
    choices = choose(groups, SELECTION)
    assert re.search(r"^S/16 +S_16--best .* mine, yours$", table(choices, names_of(members), SELECTION), re.MULTILINE)
    extra = differences(choices, groups, [ROW, best], members, SELECTION)
    assert [difference.of for difference in extra] == ["first", "second"]


def test_pre_trained_checkpoints_are_chosen_once_each() -> None:
    selection = Selection("i21k", "final_val")
    rows = [
        ROW._replace(adapt_filename="S_16--large", adapt_resolution=384, infer_samples_per_sec=1.0),
        ROW,
        ROW._replace(adapt_filename="S_16--b"),
        ROW._replace(filename="S_16x", adapt_filename="x", final_val=0.5),
    ]
    (choice,) = choose(passing(rows, selection), selection)
    assert (choice.checkpoint, choice.passing) == ("S_16x", 2)
    (choice,) = choose(passing(rows[:2], selection), selection)
    assert choice.rate == ROW.infer_samples_per_sec  # at the pixels it was trained with


def test_a_pre_trained_member_without_a_row_of_the_usual_pixels_is_told_so() -> None:
    """B/8 has no fine-tuning at 224 pixels here, S_16 one at each: the order of its rows does not matter."""
    selection = Selection("i21k", "final_val")
    rows = [
        ROW._replace(name="B/8", filename="B_8", adapt_filename="B_8--a", adapt_resolution=384),
        ROW._replace(adapt_filename="S_16--large", adapt_resolution=384),
        ROW,
        ROW._replace(filename="S_16x", adapt_filename="x", final_val=0.5),
    ]
    for order in (rows, rows[::-1]):
        groups = passing(order, selection)
        members = {"vit_b8": "B_8", "vit_s16": "S_16", "best": "S_16x"}
        large, second = differences(choose(groups, selection), groups, order, members, selection)
        assert large.sentence == (
            "extra: vit_b8, B_8: a member, but not chosen: the index has it fine-tuned at 384 pixels, not at 224."
        )
        assert "its final_val 0.47 is number 2 of the 2 of S/16" in second.sentence


@pytest.mark.parametrize(
    ("section", "message"),
    [
        (
            "{ds: i22k, best_by: final_val}",
            "selection.ds: unknown value 'i22k' (did you mean 'i21k'?): expected one of",
        ),
        ("{ds: i21k, best_by: speed}", "selection.best_by: unknown value 'speed': expected one of best_val, final_val"),
        ("{ds: i21k, best_by: adapt_final_test}", "selection.best_by: unknown value 'adapt_final_test'"),
        (
            "{ds: i21k, best_by: final_val, adapt_ds: imagenet}",
            "adapt_ds: unknown value 'imagenet' (did you mean 'imagen",
        ),
        (
            "{ds: i21k, best_by: final_val, adapt_resolution: 224}",
            "that of a fine-tuning: name its adapt_ds, or leave both",
        ),
        (
            "{ds: i21k, best_by: final_val, adapt_resolution: 256}",
            "adapt_resolution: unknown value 256: expected one of",
        ),
        (
            "{ds: i21k, best_by: final_val, minimum_accuracy: 75}",
            "selection.minimum_accuracy must lie in 0 to 1, got 75",
        ),
        ("{ds: i21k, best_by: final_val, minimum: 0.7}", "unknown key 'minimum' in collection.selection"),
    ],
)
def test_criteria_are_checked(tiny: Path, section: str, message: str) -> None:
    path = tiny / "collection.yaml"
    path.write_text(path.read_text() + f"selection: {section}\n")
    with pytest.raises(Fault) as raised:
        criteria_of(path)
    assert message in str(raised.value)
    assert "collection.yaml:" in str(raised.value)


def line(**change: object) -> str:
    return ",".join(map(str, ROW._replace(**change)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "index.csv: the index is empty; expected a heading and a row per checkpoint"),
        (HEADING + "\n", "index.csv: the index has no rows"),
        (
            HEADING.replace("adapt_ds", "adapt_dataset") + "\n",
            "index.csv:1: the index lacks the column 'adapt_ds' (did you mean 'adapt_dataset'?): expected name, ds, ",
        ),
        (f"{HEADING}\n{line()}\n{line()},7\n", "index.csv:3: expected 21 fields, as in the heading, got 22"),
        (f"{HEADING}\n{line(adapt_resolution='big')}\n", "index.csv:2: adapt_resolution must be a number, got 'big'"),
        (f"{HEADING}\n{line(adapt_resolution=22.4)}\n", "adapt_resolution must be a whole number, got '22.4'"),
        (f"{HEADING}\n{line(adapt_resolution='')}\n", "index.csv:2: adapt_resolution must be a number, got ''"),
        (f"{HEADING}\n{line(name='')}\n", "index.csv:2: name must be a name, got ''"),
        (f"{HEADING}\n{line(adapt_final_test=80.462)}\n", "adapt_final_test must be an accuracy from 0 to 1"),
        (f"{HEADING}\n{line(params='inf')}\n", "index.csv:2: params must be a finite number, got 'inf'"),
        (f"{HEADING}\n{line()}\n{line()}\n", "index.csv:3: S_16--a stands already on line 2"),
        (f'{HEADING}\n"S/16\n', "index.csv:2: not valid CSV: unexpected end of data"),
        (b"name\xff\n", "index.csv: not UTF-8 text (invalid start byte at byte 4)"),
    ],
)  # fmt: skip
def test_a_malformed_index_is_refused_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "index.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Fault) as raised:
        index.read(path)
    assert message in str(raised.value)


def test_empty_fields_are_allowed_where_upstream_has_them(tmp_path: Path) -> None:
    row = ROW._replace(params="", infer_samples_per_sec="nan", best_val="NaN")  # type: ignore[arg-type]
    (read,) = index.read(written(tmp_path, row)).rows
    assert all(map(math.isnan, (read.params, read.infer_samples_per_sec, read.best_val)))
    assert read.adapt_final_test == 0.8
    assert read.adapt_resolution == 224


def test_columns_may_stand_in_another_order_and_others_beside(tmp_path: Path) -> None:
    fields = list(reversed(Row._fields))
    path = tmp_path / "index.csv"
    path.write_text(",".join([*fields, "more"]) + "\n" + ",".join([*map(str, reversed(ROW)), "x"]) + "\n")
    assert index.read(path, index.UPSTREAM) == index.Index((ROW,), index.UPSTREAM)


def test_upstreams_index_is_downloaded_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served, kept, cache = tmp_path / "vit_models/augreg", tmp_path / "kept/index.csv", tmp_path / "cache"
    served.mkdir(parents=True)
    written(served, ROW)
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "none")  # so that no other credentials are looked for
    with serving_folder(tmp_path) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        assert index.obtain(None, kept, cache) == index.Index((ROW,), index.UPSTREAM)
    written(served, ROW._replace(adapt_final_test=0.7))
    assert index.obtain(None, kept, cache) == index.Index((ROW,), index.UPSTREAM)
    with serving_folder(tmp_path) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        (row,) = index.obtain(index.UPSTREAM, kept, cache).rows  # named, it is asked for anew
    assert row.adapt_final_test == 0.7
    assert index.obtain(None, kept, cache).rows == (row,)


def test_an_index_of_ones_own_is_never_taken_for_upstreams(tmp_path: Path) -> None:
    served, kept, cache = tmp_path / "served", tmp_path / "kept/index.csv", tmp_path / "cache"
    served.mkdir()
    written(served, ROW)
    with serving_folder(served) as address:
        found = index.obtain(f"{address}/index.csv?secret#1", kept, cache)
        assert found == index.Index((ROW,), f"{address}/index.csv")
        (served / "broken.csv").write_text("name\n")
        with pytest.raises(Fault, match=rf"^{address}/broken\.csv:1: the index lacks the column 'ds'"):
            index.obtain(f"{address}/broken.csv", kept, cache)
        with pytest.raises(Fault, match=r"gone\.csv: HTTP 404 .*; say INDEX=<a copy of index.csv, a file or URL>"):
            index.obtain(f"{address}/gone.csv", kept, cache)
    found = index.obtain(str(served / "index.csv"), kept, cache)
    assert found == index.Index((ROW,), "index.csv, a copy of the pool's index as its owner says")
    with pytest.raises(Fault, match=r"nowhere\.csv: no such index; say INDEX="):
        index.obtain("nowhere.csv", kept, cache)
    assert not kept.exists()
    with pytest.raises(
        Fault, match=r"^gs://vit_models/augreg/index\.csv: OFFLINE=1, and the cache .* does not have it"
    ):
        index.obtain(None, kept, cache, offline=True)


def test_the_plot_is_well_formed_and_names_the_chosen(rows: tuple[Row, ...]) -> None:
    groups = passing(rows, of_the_seven())
    text = picture("vit", groups, choose(groups, of_the_seven()), of_the_seven(), synthetic=True)
    root = ElementTree.fromstring(text)
    svg = "{http://www.w3.org/2000/svg}"
    assert root.attrib["role"] == "img"
    assert {root[0].attrib["id"], root[1].attrib["id"]} == set(root.attrib["aria-labelledby"].split())
    assert root.findtext(f"{svg}title") == "Checkpoints for the collection vit (made-up index)"
    assert "S/16 0.80462 at 1,508 images per second" in (root.findtext(f"{svg}desc") or "")
    assert [label.text for label in root.findall(f"{svg}text[@class='label']")] == [
        "L/16", "B/16", "R50+L/32", "R26+S/32", "S/16", "B/32",
    ]  # fmt: skip
    assert "not shown, since the index has no speed of it: B/8 (0.85948)" in text
    assert len(root.findall(f"{svg}circle")) == sum(map(len, groups.values())) - len(groups["B/8"])
    for circle in root.findall(f"{svg}circle"):
        assert LEFT <= float(circle.attrib["cx"]) <= RIGHT
        assert TOP <= float(circle.attrib["cy"]) <= BOTTOM


def test_a_plot_of_nothing_is_well_formed() -> None:
    assert ElementTree.fromstring(plot.scatter("a & b", "<none>", "score", [], [])) is not None


def test_make_select_prints_the_table_and_leaves_three_files(pool: Path, tmp_path: Path) -> None:
    done = make(ROOT, "select", f"INDEX={pool}", "DIFF=1", f"ARTIFACTS={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The index is made up; so are its accuracies.\n")
    assert "6 of 7 chosen checkpoints are members; 2 differences\n  missing: B/8, " in done.stdout
    out = tmp_path / "selection/vit"
    assert {path.name for path in out.iterdir()} == {"selection.md", "selection.csv", "selection.svg"}
    page = (out / "selection.md").read_text()
    assert "| S/16 | `S_16-i21k-300ep-lr_0.001-aug_light1-" in page
    assert "- extra: vit_r26_s32_medaug, " in page
    heading, first, *_ = (out / "selection.csv").read_text().splitlines()
    assert heading == "name,checkpoint,adapt_final_test,infer_samples_per_sec,rows_passing,member"
    assert re.fullmatch(r"B/8,B_8-\S+,0\.85948,,6,", first)


def test_make_select_finds_the_index_among_the_checkpoints(pool: Path, tmp_path: Path) -> None:
    done = make(ROOT, "select", f"CHECKPOINTS={pool.parent}", f"ARTIFACTS={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The index is made up; so are its accuracies.\n")
    assert "differences" not in done.stdout


def test_a_collection_without_criteria_or_an_index_without_rows_that_pass_is_refused(
    tmp_path: Path, stage: Stage
) -> None:
    shutil.copytree(VIT, tmp_path / "vit")
    path = written(tmp_path, ROW._replace(adapt_final_test=0.1))
    done = stage("select", tmp_path / "vit/collection.yaml", tmp_path / "out", "--index", path)
    assert_refused(
        done,
        "none of 1 rows meets the criteria of",
        "adapt_final_test at least 0.75",
    )
    done = stage("select", ROOT / "model_cards/demo/collection.yaml", tmp_path / "out", "--index", path)
    assert_refused(done, "demo/collection.yaml: the collection has no section `selection`")
    assert not (tmp_path / "out").exists()
