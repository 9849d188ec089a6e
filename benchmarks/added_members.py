"""Adds members of every variant, resolution and data set with `make add` and publishes them unedited.

    python -m benchmarks.added_members FOLDER [CHECKPOINT ...]

Of each of upstream's folders beside the AugReg pool it adds the first file; benchmarks.every_row publishes every model.
R26+B/32 has no file there: it is published through `make new`, with its open places filled in. A CHECKPOINT is a name
or an address for make add, with SIZE where that is needed
("gs://vit_models/imagenet21k+imagenet2012/ViT-L_16.npz SIZE=512"), or "new:<variant>".

Works in a copy of the project below FOLDER, with a made-up index and random weights, and prints a table. Each member's
outputs are removed before the next member; the largest needs about 8 GB of disk and 6 GB of memory. Fails at the first
member that is not published. B/8 is published at 224 pixels only, as the pool has no other.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import synthetic_index
from benchmarks.open_places import ANSWERS, fill
from benchmarks.stage_lines import read_stage_lines
from benchmarks.subjects import relative_errors
from pipeline.facts.report import load_report
from pipeline.pool.names import FINE_TUNING, RESOLUTIONS, VARIANTS, variant_token
from pipeline.pool.upstream import list_files
from tests.conftest import copy_project

ROOT = Path(__file__).parents[1]
MAKE = ("make", f"PYTHON={sys.executable}")
NEW = "new:"  # before a variant that goes through make new


def checkpoints() -> list[str]:
    """Returns all checkpoints: of the pool, of upstream's other folders, and the variant that has no file."""
    return [*pool_checkpoints(), *upstream_checkpoints(), f"{NEW}R26+B/32"]


def upstream_checkpoints() -> list[str]:
    """Returns the address of a file of each folder."""
    return list({file.release.folder: file.address for file in reversed(list_files())}.values())


def pool_checkpoints() -> list[str]:
    """Returns names of files of the pool: every variant and resolution, then every data set for Ti/16."""
    recipe = "{}-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0"
    names = [
        f"{recipe.format(variant_token(variant))}--imagenet2012-steps_20k-lr_0.01-res_{resolution}"
        for variant in VARIANTS
        for resolution in RESOLUTIONS
        if (variant, resolution) != ("B/8", 384)
    ]
    tiny = recipe.format("Ti_16")
    names += [
        f"{tiny}--{ds}-steps_{steps // 1000}k-lr_0.01-res_224"
        for ds in FINE_TUNING
        if ds != "imagenet2012"
        for steps in synthetic_index.STEPS[ds][:1]
    ]
    with_dropout = f"{tiny}--cifar100-steps_2k-lr_0.01-res_384".replace("do_0.0-sd_0.0", "do_0.1-sd_0.1")
    return [*names, with_dropout, tiny, tiny.replace("i21k", "i1k")]


def replace_project(tree: Path) -> None:
    """Replaces `tree` by a copy of what make needs, with upstream's collection."""
    shutil.rmtree(tree, ignore_errors=True)
    copy_project(tree)
    for name in ("vit", "labels"):
        shutil.copytree(ROOT / "model_cards" / name, tree / "model_cards" / name)


def run(tree: Path, *command: str | Path) -> str:
    """Runs a command in `tree` and returns its output; exits with the output when the command fails."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        list(map(str, command)), cwd=tree, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}")
    return done.stdout + done.stderr


def write_member(folder: Path, checkpoint: str) -> Path:
    """Writes the YAML file of a checkpoint into FOLDER/tree, with FOLDER/index.csv; returns it."""
    tree = folder / "tree"
    words: tuple[str, ...]
    if checkpoint.startswith(NEW):
        words = ("new", "COLLECTION=mine", "MODEL=mine", f"VARIANT={checkpoint.removeprefix(NEW)}")
    else:
        name, *settings = checkpoint.split(" ")
        words = ("add", f"CHECKPOINT={name}", f"INDEX={folder}/index.csv", *settings)
    added = run(tree, *MAKE, *words)
    paths = [tree / file for file in re.findall(r"^wrote ([^\n,]*)", added, re.MULTILINE)]
    if checkpoint.startswith(NEW):
        own = {"checkpoint.name": "mine", "checkpoint.sources[0]": "mine.npz", "model.image_size": "224"}
        for path in paths:
            fill(path, ANSWERS | own | {"model.classes": "1000"})
    return paths[-1]


def publish(folder: Path, checkpoint: str) -> str:
    """Adds and publishes a checkpoint from FOLDER/tree; returns its row of the table."""
    tree, artifacts, weights = folder / "tree", folder / "artifacts", folder / "checkpoints"
    path = write_member(folder, checkpoint)
    run(ROOT, sys.executable, "-m", "benchmarks.random_checkpoints", weights, path)
    started = time.perf_counter()
    settings = (f"CHECKPOINTS={weights}", f"ARTIFACTS={artifacts}", "FORMATS=xla")
    log = run(tree, *MAKE, "publish", f"MODEL={path.stem}", *settings)
    seconds = time.perf_counter() - started
    row = table_row(artifacts / path.stem, seconds, max(line.peak for line in read_stage_lines(log)))
    shutil.rmtree(artifacts)
    shutil.rmtree(weights)
    return row


def table_row(outputs: Path, seconds: float, peak: float) -> str:
    """Returns a member's row of the table from its outputs, the seconds to publish it and the peak memory in GB."""
    report = load_report(outputs / "report.json")
    published = json.loads((outputs / "published.json").read_text())["published"]
    if len(published) != 2:
        raise SystemExit(f"{outputs.name}: expected two modules, got {list(published)}")
    model = report.model
    return (
        f"| {outputs.name} | {model.variant} | {model.image_size} | {model.classes:,} | {seconds:.0f} | {peak:.2f} |"
        f" {relative_errors(report)} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Adds and publishes members of the whole pool with random weights.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("checkpoints", nargs="*", default=checkpoints(), help="names of the pool's files")
    args = parser.parse_args()
    folder = args.folder.resolve()
    replace_project(folder / "tree")
    synthetic_index.write(folder / "index.csv")
    print("| member | variant | pixels | classes | publish, s | peak, GB | relative error: logits, features |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for checkpoint in args.checkpoints:
        print(publish(folder, checkpoint), flush=True)
    print(f"\n{len(args.checkpoints)} members added and published unedited")


if __name__ == "__main__":
    main()
