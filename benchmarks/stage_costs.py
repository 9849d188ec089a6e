"""Reads what each stage of published members took, and measures how long their classifiers need for an image.

    python -m benchmarks.stage_costs ARTIFACTS

Adds the members of ARTIFACTS, which `make publish-all -j1 FORMATS=xla ARTIFACTS=...` made on a quiet machine, to
stage_costs.json beside this file, in the place of earlier figures of the same variant and image size; so does
benchmarks.every_row with --costs, for random weights. The times are of the records that the stages write
(pipeline/base/run_records.py). benchmarks.cost_model multiplies them.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter

from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.base.run_records import Outcome, read_record
from pipeline.facts.report import load_report

FILE = Path(__file__).with_name("stage_costs.json")
STAGES = {
    "fetch": ("fetch",),
    "convert": ("convert",),
    "validate": ("validate",),
    "package": ("package-classification", "package-fe"),
    "publish": ("card", "publish"),
}
# Prints the processor seconds per image of a second batch, when TensorFlow has compiled the module for it.
CLASSIFY = """
import resource, sys
import numpy as np
import tensorflow as tf
module = tf.saved_model.load(sys.argv[1])
images = np.random.default_rng(0).uniform(-1, 1, (32, int(sys.argv[2]), int(sys.argv[2]), 3)).astype(np.float32)
def seconds():
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
module(images).numpy()
before = seconds()
module(images).numpy()
print((seconds() - before) / len(images))
"""


@dataclass(frozen=True)
class StageCost:
    """What a stage takes for one member: wall time, processor time of all its processes, GB of its largest process."""

    seconds: float
    core_seconds: float
    gigabytes: float


@dataclass(frozen=True)
class MemberCost:
    """What a member of a variant takes.

    Attributes:
        variant, image_size: of the model.
        date: of the measurement.
        checkpoint_bytes: of its checkpoint, which is downloaded.
        module_bytes: of both SavedModels, on the disk of the machine that converts.
        published_bytes: of both tarballs.
        image_core_seconds: processor time for one evaluation image, without reading it.
        stages: by name.
    """

    variant: str
    image_size: int
    date: str
    checkpoint_bytes: int
    module_bytes: int
    published_bytes: int
    image_core_seconds: float
    stages: dict[str, StageCost] = field(default_factory=dict)

    @property
    def core_seconds(self) -> float:
        """Processor time of all stages, without evaluation images."""
        return sum(stage.core_seconds for stage in self.stages.values())

    @property
    def gigabytes(self) -> float:
        """Of the largest process of all stages."""
        return max(stage.gigabytes for stage in self.stages.values())


def read_costs(path: Path = FILE) -> list[MemberCost]:
    """Returns the measured costs."""
    return TypeAdapter(list[MemberCost]).validate_json(path.read_bytes()) if path.is_file() else []


def _stage_cost(folder: Path, names: Sequence[str]) -> StageCost:
    """Returns what the runs of a stage took together.

    Raises:
        Fault: when a run is not recorded, or did not end well.
    """
    records = []
    for name in names:
        record = read_record(folder / f"{name}.json")
        if record is None or record.outcome is not Outcome.DONE:
            raise Fault(f"{folder / name}.json: expected the record of a run that ended well; publish the member again")
        records.append(record)
    return StageCost(
        round(sum(record.seconds for record in records), 2),
        round(sum(record.core_seconds for record in records), 2),
        round(max(record.peak_memory for record in records) / 1e9, 3),
    )


def measure(artifacts: Path, member: str) -> MemberCost:
    """Returns what a published member took, and measures its classifier."""
    folder = artifacts / member
    report = load_report(folder / "report.json")
    classifier = folder / Head.CLASSIFICATION
    command = [sys.executable, "-c", CLASSIFY, str(classifier), str(report.model.image_size)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return MemberCost(
        variant=report.model.variant,
        image_size=report.model.image_size,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        checkpoint_bytes=report.checkpoint.bytes,
        module_bytes=sum(module.bytes for module in report.modules.values()),
        published_bytes=sum((folder / f"{head}.tar.gz").stat().st_size for head in Head),
        image_core_seconds=round(float(done.stdout.split()[-1]), 4),
        stages={stage: _stage_cost(artifacts / ".runs" / member, names) for stage, names in STAGES.items()},
    )


def add(artifacts: Path) -> None:
    """Adds the members whose outputs lie in a folder to FILE, and prints a line for each.

    Raises:
        Fault: when a run is not recorded, or did not end well.
    """
    costs = {(cost.variant, cost.image_size): cost for cost in read_costs()}
    for report in sorted(artifacts.glob("*/report.json")):
        cost = measure(artifacts, report.parent.name)
        costs[cost.variant, cost.image_size] = cost
        print(f"{report.parent.name}: {cost.core_seconds:.0f} core-seconds, {cost.gigabytes:.1f} GB")
    ordered = sorted(costs.values(), key=lambda cost: (cost.checkpoint_bytes, cost.image_size))
    FILE.write_text(json.dumps([asdict(cost) for cost in ordered], indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description="Collects what the stages of published members took.")
    parser.add_argument("artifacts", type=Path, help="the folder of all outputs")
    add(parser.parse_args(arguments).artifacts)


if __name__ == "__main__":
    raise SystemExit(guarded("stage_costs", lambda: main(sys.argv[1:])))
