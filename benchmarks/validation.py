"""Measures what validate costs, beside an earlier version of this project in the same run.

    python -m benchmarks.validation [--runs N] [--before COMMIT] [--folder FOLDER] [VARIANT | VARIANT@RATE ...]

Converts a checkpoint of random weights, with that rate of dropout, and validates the same SavedModels by turns with the
project as it was at COMMIT and as it is here. Prints the medians of both, and ours divided by that of before. Fails at
the end where a ratio is above its limit, or where a check of before is missing, passes with a larger difference, or
ends with another verdict. At which level programs were compiled is not compared: reports say it.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks import subjects
from benchmarks.conversion import check_case
from benchmarks.costs import Cost, measure_command, median
from pipeline.base.heads import Head
from pipeline.base.progress import Progress
from pipeline.base.verdict import Verdict
from pipeline.facts.report import load_report

BEFORE = "e8600ea"  # of 2026-11-30, the last one whose processes each compiled what they ran
DEFAULT = ("R26+S/32@0.1", "L/16@0.1")  # as some members are published
RATIO = 0.5  # of the time of before, at most
# What validate reads beside what convert does: the collection, and on which images an accuracy would be measured.
COLLECTION = "vit"
EVALUATION = "evaluation: {dataset: the ImageNet-1k validation set, minimum_top1: 0.0}\n"


@dataclass(frozen=True)
class Outcome:
    """What a check came to: its verdict, and the largest difference that passes."""

    verdict: Verdict
    tolerance: float | None


Outcomes = Mapping[tuple[str, Head | None], Outcome]  # by the rung and its module


def write_tree(commit: str, folder: Path) -> Path:
    """Writes the project as it was at a commit, and returns its folder.

    Raises:
        SystemExit: when this is no clone with that commit.
    """
    tree = folder / f"before-{commit}"
    tree.mkdir(parents=True, exist_ok=True)
    git = ["git", "-C", str(subjects.ROOT), "archive", commit]
    with subprocess.Popen(git, stdout=subprocess.PIPE) as archive:
        subprocess.run(["tar", "-x", "-C", str(tree)], stdin=archive.stdout, check=False)
    if archive.returncode:
        raise SystemExit(f"{subjects.ROOT}: expected a clone with the commit {commit}; git fetch --unshallow gets it")
    return tree


def validate(tree: Path, member: Path, weights: Path, modules: Path, folder: Path) -> tuple[Cost, Outcomes]:
    """Validates a member's SavedModels with the project in a folder; returns the cost, and the checks."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        report = Path(name, "report.json")
        inputs = [str(path) for path in (member, weights, *(modules / head for head in Head), report)]
        cost = measure_command([sys.executable, "-m", "pipeline.validate", *inputs], tree)
        rungs = load_report(report).ladder
    return cost, {(rung.rung, rung.head): Outcome(rung.verdict, rung.tolerance) for rung in rungs}


def write_member(folder: Path, variant: str, rate: float) -> Path:
    """Writes the YAML file of a member of a collection below the folder; returns its path."""
    collection = folder / COLLECTION
    member = subjects.member(collection, variant, rate)
    shutil.copy(subjects.ROOT / "model_cards" / COLLECTION / "collection.yaml", collection)
    with member.open("a") as stream:
        stream.write(EVALUATION)
    return member


def weaker_checks(before: Outcomes, now: Outcomes) -> list[str]:
    """Returns a sentence for each check that says less than before."""
    sentences = []
    for (rung, head), old in before.items():
        new = now.get((rung, head))
        if new is None:
            sentences.append(f"{head or ''} {rung} is missing".strip())
        elif new.verdict is not old.verdict or is_looser(rung, old.tolerance, new.tolerance):
            sentences.append(f"{head or ''} {rung} is now {new}, before {old}".strip())
    return sentences


def is_looser(rung: str, before: float | None, now: float | None) -> bool:
    """Whether a check passes more than before: its tolerance is the largest error, of an accuracy the smallest."""
    old, new = before or 0.0, now or 0.0
    return new < old if rung == "accuracy" else new > old


def measure(case: str, before: Path, folder: Path, runs: int) -> list[str]:
    """Validates one case by turns; prints a row for each way, and returns a sentence for each miss.

    Args:
        case: VARIANT or VARIANT@RATE.
        before: the project of before.
        folder: for checkpoints and outputs.
        runs: of each way.
    """
    variant, _, rate = case.partition("@")
    weights, member = subjects.checkpoint(folder, variant), write_member(folder, variant, float(rate or 0))
    old: list[Cost] = []
    new: list[Cost] = []
    misses: list[str] = []
    with tempfile.TemporaryDirectory(dir=folder) as name:
        modules = Path(name)
        subjects.run(subjects.published(member, weights, modules))
        with Progress(f"validate {case}", 2 * runs, "runs") as progress:
            for _ in range(runs):
                cost, outcomes = validate(before, member, weights, modules, folder)
                old.append(cost)
                progress.advance(1)
                cost, now = validate(subjects.ROOT, member, weights, modules, folder)
                new.append(cost)
                progress.advance(1)
                misses += [f"{case}: {sentence}" for sentence in weaker_checks(outcomes, now)]
    first, second = median(old), median(new)
    ratio = second.wall / first.wall
    for way, cost, text in (("before", first, ""), ("now", second, f"{ratio:.2f}")):
        cells = f"{cost.wall:.0f} | {cost.processor:.0f} | {cost.memory / 1e9:.2f} | {text}"
        print(f"| {case} | {way} | {cells} |", flush=True)
    if ratio > RATIO:
        misses.append(f"{case}: {ratio:.2f} of the time of before, expected at most {RATIO}")
    return misses


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares validate with an earlier version of this project.")
    parser.add_argument("cases", nargs="*", type=check_case, default=DEFAULT, help=f"default: {' '.join(DEFAULT)}")
    parser.add_argument("--runs", type=int, default=3, help="of each way; default 3")
    parser.add_argument("--before", default=BEFORE, help=f"a commit; default {BEFORE}")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints, which stay, and outputs")
    args = parser.parse_args()
    folder = args.folder.resolve()
    before = write_tree(args.before, folder)
    print(f"validate, medians of {args.runs}; the memory is that of all processes together\n")
    print("| variant | way | time, s | processor time, s | memory, GB | ratio of time |\n|---|---|---|---|---|---|")
    misses = [sentence for case in args.cases for sentence in measure(case, before, folder, args.runs)]
    if misses:
        raise SystemExit("\n".join(misses))


if __name__ == "__main__":
    main()
