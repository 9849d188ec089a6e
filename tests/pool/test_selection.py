"""Selecting the best checkpoint of each variant, from a made-up index with the rows and counts that upstream prints."""

import itertools
import math
from collections import Counter

from benchmarks import synthetic_index
from pipeline.pool.criteria import Criteria, read_criteria
from pipeline.pool.index import Row
from pipeline.pool.members import read_members
from pipeline.pool.selection import select_checkpoints
from tests.conftest import ROOT
from tests.pool.rows import CRITERIA, ROW

VIT = ROOT / "model_cards/vit"
# The selected variants, the best first, and the member that has the checkpoint; none has B/8's.
BEST = {
    "B/8": None, "L/16": "vit_l16", "B/16": "vit_b16", "R50+L/32": "vit_r50_l32", "R26+S/32": "vit_r26_s32_lightaug",
    "S/16": "vit_s16", "B/32": "vit_b32",
}  # fmt: skip
B8 = "B_8-i21k-300ep-lr_0.001-aug_medium2-wd_0.1-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.01-res_224"


def test_the_made_up_index_has_the_pools_shape(pool_rows: tuple[Row, ...]) -> None:
    assert len(pool_rows) == synthetic_index.ROWS == 51_509
    assert len({row.filename for row in pool_rows}) == synthetic_index.PRETRAINED == 759
    assert Counter(row.ds for row in pool_rows) == {"i21k": 17_238, "i1k": 17_136, "i21k_30": 17_135}
    accuracies = {row.adapt_filename: row.adapt_final_test for row in pool_rows}
    assert {name: accuracies[name] for name in synthetic_index.TRUE} == synthetic_index.TRUE


def test_each_variant_has_as_many_candidates_as_upstream_prints(pool_rows: tuple[Row, ...]) -> None:
    selection = select_checkpoints(pool_rows, read_criteria(VIT / "collection.yaml"))
    counts = {variant: len(group) for variant, group in selection.candidates.items()}
    assert counts == {"R26+S/32": 56, "S/16": 54, "R50+L/32": 54, "B/16": 54, "B/32": 53, "L/16": 52, "B/8": 6}


def test_the_best_of_each_variant_is_selected(pool_rows: tuple[Row, ...]) -> None:
    selection = select_checkpoints(pool_rows, read_criteria(VIT / "collection.yaml"))
    members = read_members(VIT)
    expected = [(variant, members[member] if member else B8) for variant, member in BEST.items()]
    assert [(choice.variant, choice.checkpoint) for choice in selection.choices] == expected


def test_a_score_that_equals_another_variants_best_is_not_selected() -> None:
    equal = ROW._replace(name="B/16", adapt_filename="B_16--b")
    best = equal._replace(adapt_final_test=0.81, adapt_filename="B_16--a")
    choices = select_checkpoints([ROW, equal, best], CRITERIA).choices
    assert [(choice.variant, choice.checkpoint) for choice in choices] == [("B/16", "B_16--a"), ("S/16", "S_16--a")]


def test_ties_go_to_the_faster_then_to_the_first_file_name() -> None:
    unknown = ROW._replace(infer_samples_per_sec=math.nan, adapt_filename="S_16--0")
    slow = ROW._replace(infer_samples_per_sec=100.0, adapt_filename="S_16--1")
    fast, later = ROW._replace(adapt_filename="S_16--2"), ROW._replace(adapt_filename="S_16--3")
    for order in itertools.permutations([unknown, slow, fast, later]):
        (choice,) = select_checkpoints(order, CRITERIA).choices
        assert (choice.checkpoint, choice.tied) == ("S_16--2", 4)


def test_each_pre_trained_checkpoint_is_one_candidate() -> None:
    criteria = Criteria("i21k", "final_val")
    rows = [
        ROW._replace(adapt_filename="S_16--large", adapt_resolution=384, infer_samples_per_sec=1.0),
        ROW,
        ROW._replace(adapt_filename="S_16--b"),
        ROW._replace(filename="S_16x", adapt_filename="x", final_val=0.5),
    ]
    (choice,) = select_checkpoints(rows, criteria).choices
    assert (choice.checkpoint, choice.candidates) == ("S_16x", 2)
    (choice,) = select_checkpoints(rows[:2], criteria).choices
    assert choice.rate == ROW.infer_samples_per_sec  # at the resolution of the pre-training
