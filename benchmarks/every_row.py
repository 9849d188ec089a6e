"""Publishes every model of google-research/vision_transformer at full size from random weights, and prints a table.

    python -m benchmarks.every_row FOLDER [--resume] [--costs] [ROW ...]

Works in a copy of the project below FOLDER, with a collection for each architecture. A row is a model of the tables in
vit_jax/configs/models.py and models_mixer.py of https://github.com/google-research/vision_transformer; upstream's
own modules have that number of arrays and parameters. For each row this writes a checkpoint of random weights and the
member's YAML file, runs make publish, and reads in the report how many arrays and parameters the classifier has, and
how far both heads are from the JAX model in float64.

Figures are written to FOLDER/rows.jsonl. With --resume an earlier run goes on: rows that are there and missed no limit
are not measured again. With --costs each row's stages are added to stage_costs.json (benchmarks.stage_costs). A row's
outputs are removed before the next. Fails at the end when a row could not be published or misses a limit.
"""

import argparse
import json
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks import stage_costs
from benchmarks.added_members import replace_project, run
from benchmarks.stage_lines import read_stage_lines
from pipeline.base.heads import Head
from pipeline.base.strict_json import parse_json
from pipeline.facts.report import load_report
from pipeline.pool.datasets import IMAGENET, IMAGENET_21K

ROOT = Path(__file__).parents[1]
STAGES = ("fetch", "convert", "validate", "package", "publish")
LIMIT, HYBRID_LIMIT = 1e-5, 5e-5  # of the relative errors


@dataclass(frozen=True)
class Row:
    """A model of upstream's table.

    Attributes:
        name: of the row, upstream's.
        variant: as in the section `model`.
        arrays: the number of its arrays with a head.
        parameters: the number of its parameters with that head.
        architecture: the name of a folder of pipeline/model.
        options: as in the section `model`.
        classes: of its head.
        limit: the largest relative error that passes.
    """

    name: str
    variant: str
    arrays: int
    parameters: int
    architecture: str = "vit"
    options: Mapping[str, str | int] = field(default_factory=dict)
    classes: int = 1000
    limit: float = LIMIT

    @property
    def member(self) -> str:
        """The name of the member."""
        letters = "".join(letter if letter.isalnum() else "_" for letter in self.name.lower())
        return f"row_{letters}"


GAP = {"pooling": "gap"}
# The counts are those of upstream's modules at 224 pixels.
ROWS = (
    Row("ViT-Ti_16", "Ti/16", 200, 5_717_416),
    Row("R+ViT-Ti_16", "R+Ti/16", 203, 6_337_704, limit=HYBRID_LIMIT),
    Row("ViT-S_32", "S/32", 200, 22_878_952),
    Row("ViT-S_16", "S/16", 200, 22_050_664),
    Row("R26+ViT-S_32", "R26+S/32", 287, 36_431_912, limit=HYBRID_LIMIT),
    Row("Mixer-B_32", "B/32", 150, 60_293_428, "mixer"),
    Row("Mixer-B_16", "B/16", 150, 59_880_472, "mixer"),
    Row("ViT-B_32", "B/32", 200, 88_224_232),
    Row("ViT-B_16", "B/16", 200, 86_567_656),
    Row("R26+ViT-B_32", "R26+B/32", 287, 101_383_976, limit=HYBRID_LIMIT),
    Row("R50+ViT-B_16", "R50+B/16", 356, 98_659_112, limit=HYBRID_LIMIT),
    Row("ViT-S_32-gap-norep", "S/32", 199, 22_878_184, options=GAP),
    Row("ViT-S_16-gap-norep", "S/16", 199, 22_049_896, options=GAP),
    Row("ViT-B_32-gap-norep", "B/32", 199, 88_222_696, options=GAP),
    Row("ViT-B_16-gap-norep", "B/16", 199, 86_566_120, options=GAP),
    Row("ViT-B_16 with pre_logits", "B/16", 202, 103_186_515, options={"pre_logits": 768}, classes=21_843),
    Row("ViT-B_8", "B/8", 200, 86_576_872),
    Row("Mixer-L_16", "L/16", 294, 208_196_168, "mixer"),
    Row("ViT-L_32", "L/32", 392, 306_535_400),
    Row("ViT-L_16", "L/16", 392, 304_326_632),
    Row("R50+ViT-L_32", "R50+L/32", 551, 328_994_856, limit=HYBRID_LIMIT),
    Row("ViT-H_14", "H/14", 520, 632_045_800),
)

COLLECTION = {
    "hub_url": "http://localhost:8080",
    "publisher": {"id": "rows", "name": "Rows", "about": "Models of random weights."},
    "summary": "not trained: their weights are random",
    "training": "not trained; their weights are random",
    "license": "apache-2.0",
    "overview": "The weights of these models are random. They show that a model of this size can be published.\n",
    "about": "Do not use them: they have learned nothing.\n",
    "references": [
        {
            "text": "Vision Transformer, google-research on GitHub",
            "url": "https://github.com/google-research/vision_transformer",
        }
    ],
}


@dataclass(frozen=True)
class Figures:
    """What a row's report and its log say.

    Attributes:
        row: its name.
        date: of the measurement, YYYY-MM-DD.
        arrays, parameters: of the classifier.
        errors: by head, the largest difference from the JAX model in float64, divided by the largest output.
        limit: of the errors.
        stages: by stage its seconds and the memory of its largest process in GB.
    """

    row: str
    date: str
    arrays: int
    parameters: int
    errors: dict[str, float]
    limit: float
    stages: dict[str, tuple[float, float]]


def write_member(row: Row, folder: Path) -> Path:
    """Writes a row's YAML file into its collection's folder, with a collection.yaml; returns its path."""
    dataset = IMAGENET if row.classes == 1000 else IMAGENET_21K
    home = folder / f"rows_{row.architecture}_{row.classes}"
    home.mkdir(parents=True, exist_ok=True)
    collection = {"name": home.name, "dataset_tag": dataset.tag, "dataset_name": dataset.name} | COLLECTION
    (home / "collection.yaml").write_text(yaml.safe_dump(collection, sort_keys=False))
    model: dict[str, Any] = {"variant": row.variant, "image_size": 224, "classes": row.classes}
    model |= {"architecture": row.architecture, "labels": f"../{dataset.labels}"}
    if row.options:
        model["options"] = dict(row.options)
    member = {
        "checkpoint": {"name": row.member, "sources": [f"{row.member}.npz"]},
        "model": model,
        "evaluation": {"dataset": dataset.evaluation, "minimum_top1": 0.0},
        "module": {"version": 1, "title": row.name},
    }
    path = home / f"{row.member}.yaml"
    path.write_text(yaml.safe_dump(member, sort_keys=False))
    return path


def publish(row: Row, folder: Path) -> Figures:
    """Publishes a row and returns its figures; its outputs stay below FOLDER/work."""
    tree, work = folder / "tree", folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    path = write_member(row, tree / "model_cards")
    run(ROOT, sys.executable, "-m", "benchmarks.random_checkpoints", work / "checkpoints", path)
    settings = (f"CHECKPOINTS={work}/checkpoints", f"ARTIFACTS={work}", f"HUB={work}/hub", f"LOCK={work}/lock")
    log = run(tree, "make", f"PYTHON={sys.executable}", "publish", f"MODEL={row.member}", "FORMATS=xla", *settings)
    lines = [line for line in read_stage_lines(log) if line.subject == row.member]
    stages = {}
    for stage in STAGES:
        runs = [line for line in lines if line.stage == stage]  # package: one per head
        stages[stage] = (sum(line.seconds for line in runs), max(line.peak for line in runs))
    report = load_report(work / row.member / "report.json")
    published = json.loads((work / row.member / "published.json").read_text())["published"]
    if len(published) != len(Head):
        raise SystemExit(f"{row.name}: expected two modules, got {list(published)}")
    weights = report.modules[Head.CLASSIFICATION].weights
    errors = {str(head): report.modules[head].parity.max_rel for head in Head}
    today = time.strftime("%Y-%m-%d", time.gmtime())
    return Figures(row.name, today, weights.arrays, weights.parameters, errors, row.limit, stages)


def list_misses(row: Row, figures: Figures) -> list[str]:
    """Returns a sentence for each figure of a row that is not as expected."""
    misses = [
        f"{row.name}: {got:,} {what}, expected {expected:,}"
        for what, got, expected in (
            ("arrays", figures.arrays, row.arrays),
            ("parameters", figures.parameters, row.parameters),
        )
        if got != expected
    ]
    misses += [
        f"{row.name}, {head}: relative error {error:.1e}, expected at most {row.limit:.0e}"
        for head, error in figures.errors.items()
        if not error <= row.limit
    ]
    return misses


def table(figures: list[Figures]) -> str:
    """Returns a Markdown table."""
    stages = " | ".join(f"{stage}, s / GB" for stage in STAGES)
    lines = [f"| row | arrays | parameters | relative error: logits, features | {stages} |"]
    lines.append("|---" * (4 + len(STAGES)) + "|")
    for one in figures:
        errors = ", ".join(f"{one.errors[head]:.1e}" for head in Head)
        cells = " | ".join(f"{one.stages[stage][0]:.1f} / {one.stages[stage][1]:.2f}" for stage in STAGES)
        lines.append(f"| {one.row} | {one.arrays} | {one.parameters:,} | {errors} | {cells} |")
    return "\n".join(lines)


def read_figures(path: Path) -> dict[str, Figures]:
    """Returns the figures of earlier runs by row."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {figures.row: figures for figures in (parse_json(Figures, line) for line in lines)}


def main() -> None:
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(description="Publishes every model of upstream's table with random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--resume", action="store_true", help="keep the figures of earlier runs")
    parser.add_argument("--costs", action="store_true", help="add what the stages took to stage_costs.json")
    parser.add_argument("rows", nargs="*", help=f"default: all, {', '.join(names)}")
    args = parser.parse_intermixed_args()  # rows may follow an option
    if unknown := set(args.rows) - set(names):
        parser.error(f"unknown rows {', '.join(sorted(unknown))}: expected {', '.join(names)}")
    folder = args.folder.resolve()
    results, failures = folder / "rows.jsonl", []
    replace_project(folder / "tree")
    if not args.resume:
        results.unlink(missing_ok=True)
    measured = read_figures(results)
    for row in (row for row in ROWS if row.name in (args.rows or names)):
        if row.name in measured and not list_misses(row, measured[row.name]):
            continue
        try:
            figures = publish(row, folder)
            if args.costs:
                stage_costs.add(folder / "work")
        except SystemExit as failure:
            failures.append(f"{row.name} was not published")
            print(f"{row.name}: {failure}", file=sys.stderr, flush=True)
            continue
        with results.open("a") as stream:
            stream.write(json.dumps(asdict(figures)) + "\n")
        print(table([figures]).splitlines()[-1], flush=True)
    shutil.rmtree(folder / "work", ignore_errors=True)
    measured = read_figures(results)
    print(f"\n{table([measured[name] for name in names if name in measured])}")
    failures += [miss for row in ROWS if row.name in measured for miss in list_misses(row, measured[row.name])]
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
