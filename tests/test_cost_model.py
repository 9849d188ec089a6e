"""cost_model: what members cost together, from what one of each variant was measured to take."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import synthetic_index
from benchmarks.cost_model import Kind, cost_of, count_kinds, find_cost, table
from benchmarks.stage_costs import MemberCost, StageCost, read_costs
from pipeline.base.fault import Fault
from pipeline.pool.index import read

SMALL = MemberCost(
    variant="S/16",
    image_size=224,
    date="2026-11-30",
    checkpoint_bytes=100,
    module_bytes=220,
    published_bytes=200,
    image_core_seconds=0.1,
    stages={"convert": StageCost(5.0, 8.0, 1.0), "validate": StageCost(20.0, 28.0, 1.7)},
)
STAGES = {"convert": StageCost(9.0, 36.0, 2.3), "validate": StageCost(40.0, 64.0, 2.0)}
LARGE = replace(SMALL, variant="L/16", checkpoint_bytes=1200, stages=STAGES)


def test_members_cost_what_one_was_measured_to_take() -> None:
    total = cost_of([SMALL, LARGE], [(Kind("S/16", 224, "cifar100"), 100), (Kind("L/16", 224, "cifar100"), 10)], 1000)
    assert total.members == 110
    assert total.core_hours == pytest.approx((100 * 36 + 10 * 100) / 3600)
    assert total.image_core_hours == 0
    assert (total.downloaded, total.converted, total.published) == (22_000, 24_200, 22_000)
    assert total.gigabytes == 2.3


def test_only_checkpoints_of_imagenet_classify_its_images() -> None:
    total = cost_of([SMALL], [(Kind("S/16", 224, "imagenet2012"), 2), (Kind("S/16", 224, "kitti"), 5)], 50_000)
    assert total.image_core_hours == pytest.approx(2 * 50_000 * 0.1 / 3600)


def test_larger_images_cost_their_share_of_pixels_more() -> None:
    small = cost_of([SMALL], [(Kind("S/16", 224, "imagenet2012"), 1)], 100)
    large = cost_of([SMALL], [(Kind("S/16", 448, "imagenet2012"), 1)], 100)
    assert large.core_hours == pytest.approx((8 + 4 * 28) / 3600)
    assert large.image_core_hours == pytest.approx(4 * small.image_core_hours)
    measured = replace(SMALL, image_size=448, stages=STAGES)
    assert find_cost([SMALL, measured], Kind("S/16", 448, "")) == (measured, 1.0)


def test_a_variant_that_was_not_measured_is_refused() -> None:
    with pytest.raises(Fault, match=r"^no measured cost of B/8: publish a member of it with FORMATS=xla, and run"):
        find_cost([SMALL, LARGE], Kind("B/8", 224, "kitti"))


def test_the_table_has_a_row_for_each_variant_and_their_sum() -> None:
    kinds = Counter({Kind("L/16", 224, "kitti"): 10, Kind("S/16", 224, "kitti"): 1000})
    assert [line.split(" |")[0:2] for line in table([SMALL, LARGE], kinds, 100).splitlines()[2:]] == [
        ["| S/16", " 1,000"],
        ["| L/16", " 10"],
        ["| all", " 1,010"],
    ]


def test_every_variant_of_the_pool_was_measured(tmp_path: Path) -> None:
    path = tmp_path / "index.csv"
    synthetic_index.write(path)
    kinds = count_kinds(read(path))
    assert {kind.variant for kind in kinds} <= {cost.variant for cost in read_costs()}
