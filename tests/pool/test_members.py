"""Comparing a collection's members with what its criteria select: every difference has its reason."""

import math

import pytest

from pipeline.pool.criteria import Criteria, Remark, read_criteria
from pipeline.pool.index import Row
from pipeline.pool.members import compare_members, read_members
from pipeline.pool.selection import select_checkpoints
from tests.conftest import ROOT
from tests.pool.rows import CRITERIA, ROW

VIT = ROOT / "model_cards/vit"


def test_the_reference_collection_differs_in_two_members(pool_rows: tuple[Row, ...]) -> None:
    selection = select_checkpoints(pool_rows, read_criteria(VIT / "collection.yaml"))
    missing, extra = compare_members(selection, pool_rows, read_members(VIT))
    assert (missing.kind, missing.of) == ("missing", "B/8")
    assert missing.sentence.endswith(
        "(0.85948): selected, but not a member. Remark: it was published after the reference collection,"
        " sayakpaul/vit/1 of TensorFlow Hub, which this collection follows."
    )
    assert (extra.kind, extra.of) == ("extra", "vit_r26_s32_medaug")
    assert "its adapt_final_test 0.80462 ranks " in extra.sentence
    assert "of 56 among R26+S/32, whose best is 0.80944; it equals the best of S/16" in extra.sentence
    assert "Remark: the reference collection, sayakpaul/vit/1 of TensorFlow Hub, compared" in extra.sentence
    assert "\n" not in missing.sentence + extra.sentence


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
def test_a_member_that_fails_a_criterion_is_extra(change: dict, reason: str) -> None:
    rows = [ROW._replace(**change), ROW._replace(adapt_filename="S_16--best")]
    members = {"mine": "S_16--best", "other": ROW.adapt_filename}
    (extra,) = compare_members(select_checkpoints(rows, CRITERIA), rows, members)
    assert extra.sentence == f"extra: other, S_16--a: a member, but not selected: {reason}."


def test_a_member_that_ties_with_the_best_or_is_not_in_the_index_is_extra() -> None:
    rows = [ROW, ROW._replace(adapt_filename="S_16--b")]
    members = {"first": "S_16--a", "second": "S_16--b", "third": "elsewhere"}
    criteria = Criteria("i21k", "adapt_final_test", "imagenet2012", remarks=(Remark("third", "mine."),))
    tied, unknown = compare_members(select_checkpoints(rows, criteria), rows, members)
    assert tied.sentence.endswith("its 0.8 equals the best of S/16, and the tie goes to another checkpoint.")
    assert unknown.sentence.endswith("not selected: its checkpoint is not in the index. Remark: mine.")


def test_members_that_share_a_checkpoint_are_all_extra() -> None:
    rows = [ROW, ROW._replace(adapt_filename="S_16--best", adapt_final_test=0.9)]
    members = {"mine": "S_16--best", "yours": "S_16--best", "first": "S_16--a", "second": "S_16--a"}
    extra = compare_members(select_checkpoints(rows, CRITERIA), rows, members)
    assert [difference.of for difference in extra] == ["first", "second"]


def test_the_reason_of_a_pre_trained_member_does_not_depend_on_the_order_of_its_rows() -> None:
    """B/8 has no fine-tuning at 224 pixels here, S_16 one at each resolution."""
    rows = [
        ROW._replace(name="B/8", filename="B_8", adapt_filename="B_8--a", adapt_resolution=384),
        ROW._replace(adapt_filename="S_16--large", adapt_resolution=384),
        ROW,
        ROW._replace(filename="S_16x", adapt_filename="x", final_val=0.5),
    ]
    members = {"vit_b8": "B_8", "vit_s16": "S_16", "best": "S_16x"}
    for order in (rows, rows[::-1]):
        selection = select_checkpoints(order, Criteria("i21k", "final_val"))
        large, second = compare_members(selection, order, members)
        assert large.sentence == (
            "extra: vit_b8, B_8: a member, but not selected: the index has it fine-tuned at 384 pixels, not at 224."
        )
        assert "its final_val 0.47 ranks 2 of 2 among S/16" in second.sentence
