"""Computes what publishing the whole AugReg pool takes, from measured figures: core-hours, downloads and storage.

    python -m benchmarks.cost_model [INDEX.csv] [--images N]

INDEX.csv is the pool's index; without it the made-up one of benchmarks.synthetic_index, which has its numbers of rows.
--images is how many evaluation images each checkpoint of ImageNet classifies (default: 50,000). What one member of each
variant takes was measured by benchmarks.stage_costs (stage_costs.json), as XLA modules alone, without other formats. An
image size that was not measured is estimated: the core-hours of validate and of images grow as the pixels do. (That is
too much for compilation and too little for attention, which grows with their square; memory is not estimated.) There
are no GPU-hours: none was ever measured.
"""

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import synthetic_index
from benchmarks.stage_costs import MemberCost, read_costs
from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.pool.index import Index, read

IMAGENET = "imagenet2012"
IMAGES = 50_000  # of ImageNet's validation set


@dataclass(frozen=True)
class Kind:
    """Members that cost the same."""

    variant: str
    image_size: int
    data: str


@dataclass(frozen=True)
class Total:
    """What members cost together.

    Attributes:
        members: how many.
        core_hours: of all stages, without images.
        image_core_hours: of classifying the evaluation images.
        downloaded, converted, published: bytes of checkpoints, SavedModels and tarballs.
        gigabytes: of the largest process.
    """

    members: int
    core_hours: float
    image_core_hours: float
    downloaded: int
    converted: int
    published: int
    gigabytes: float


def count_kinds(index: Index) -> Counter[Kind]:
    """Returns how many checkpoints of each kind an index has."""
    return Counter(Kind(row.name, row.adapt_resolution, row.adapt_ds) for row in index.rows)


def find_cost(costs: Sequence[MemberCost], kind: Kind) -> tuple[MemberCost, float]:
    """Returns the measured cost of a variant, and how many times as many pixels the images of `kind` have.

    Raises:
        Fault: when the variant was not measured.
    """
    same = [cost for cost in costs if cost.variant == kind.variant]
    if not same:
        raise Fault(
            f"no measured cost of {kind.variant}: publish a member of it with FORMATS=xla, and run"
            " python -m benchmarks.stage_costs ARTIFACTS"
        )
    nearest = min(same, key=lambda cost: abs(cost.image_size - kind.image_size))
    return nearest, (kind.image_size / nearest.image_size) ** 2


def cost_of(costs: Sequence[MemberCost], kinds: Iterable[tuple[Kind, int]], images: int) -> Total:
    """Returns what members of several kinds cost together.

    Args:
        costs: the measured ones.
        kinds: how many members there are of each.
        images: how many evaluation images a member of ImageNet classifies.
    """
    members, core_seconds, image_seconds, downloaded, converted, published, gigabytes = 0, 0.0, 0.0, 0, 0, 0, 0.0
    for kind, count in kinds:
        cost, pixels = find_cost(costs, kind)
        members += count
        seconds = {name: stage.core_seconds for name, stage in cost.stages.items()}
        core_seconds += count * (sum(seconds.values()) + (pixels - 1) * seconds["validate"])
        image_seconds += count * images * pixels * cost.image_core_seconds * (kind.data == IMAGENET)
        downloaded += count * cost.checkpoint_bytes
        converted += count * cost.module_bytes
        published += count * cost.published_bytes
        gigabytes = max(gigabytes, cost.gigabytes)
    return Total(members, core_seconds / 3600, image_seconds / 3600, downloaded, converted, published, gigabytes)


def table(costs: Sequence[MemberCost], kinds: Counter[Kind], images: int) -> str:
    """Returns a Markdown table: a row for each variant, and one for all."""
    rows = [
        "| variant | checkpoints | core-hours | of evaluation images | checkpoints, TB | SavedModels, TB | tarballs, TB"
        " | largest process, GB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    sizes = {kind.variant: find_cost(costs, kind)[0].checkpoint_bytes for kind in kinds}
    for name in [*sorted(sizes, key=lambda name: sizes[name]), "all"]:
        total = cost_of(costs, [item for item in kinds.items() if name in (item[0].variant, "all")], images)
        cells = [
            f"{total.members:,}",
            f"{total.core_hours:,.0f}",
            f"{total.image_core_hours:,.0f}",
            *(f"{size / 1e12:.2f}" for size in (total.downloaded, total.converted, total.published)),
            f"{total.gigabytes:.1f}",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description="Computes what publishing the whole AugReg pool takes.")
    parser.add_argument("index", type=Path, nargs="?", help="the pool's index.csv; default: a made-up one of its size")
    parser.add_argument("--images", type=int, default=IMAGES, help="evaluation images of each checkpoint of ImageNet")
    args = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        path = args.index or Path(folder, "index.csv")
        if not args.index:
            synthetic_index.write(path)
        index = read(path)
    print(f"{len(index.rows):,} checkpoints of {index.citation}, {args.images:,} images for each of ImageNet:\n")
    print(table(read_costs(), count_kinds(index), args.images))


if __name__ == "__main__":
    raise SystemExit(guarded("cost_model", lambda: main(sys.argv[1:])))
