"""Measures how fast modules load and answer first, beside the same models as version 1 had them.

    python -m benchmarks.loading [--starts N] [--folder FOLDER]

Version 1 is converted by the code of the commit BEFORE, the last without serving_jpeg, serving_classify and tokens, in
this environment. Both heads of vit_demo and of an S/16 with random weights are loaded with tf.saved_model.load and
called with one image, each in a new process; the versions take turns. Figures are medians of the seconds from the start
of the load to the end of the first call, and of the processor time meanwhile, which other work on the machine does not
change as much. Fails when one of the ratios of processor time is above LIMIT, or the outputs differ by a bit.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks import subjects
from pipeline.base import archives
from pipeline.base.heads import Head
from pipeline.base.progress import Progress

BEFORE = "c9162f7"
LIMIT = 1.1
DEMO = subjects.ROOT / "model_cards/demo"
LABELS = subjects.ROOT / "model_cards/vit/imagenet2012.tsv"
LOAD = """
import hashlib, json, resource, sys, time
import numpy as np
import tensorflow as tf
def times():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return np.array([time.perf_counter(), usage.ru_utime + usage.ru_stime])
size = int(sys.argv[2])
images = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, size, size, 3)), tf.float32)
start = times()
model = tf.saved_model.load(sys.argv[1])
loaded = times()
outputs = model(images).numpy()
called = times()
print(*(loaded - start), *(called - loaded), hashlib.sha256(outputs.tobytes()).hexdigest())
"""
Times = tuple[float, float, float, float]  # seconds and processor seconds, of the load and of the first call


def code_before(folder: Path) -> Path:
    """Unpacks the code of BEFORE into a folder; returns the folder."""
    code = folder / "code"
    if not code.exists():
        code.mkdir(parents=True)
        archive = folder / "code.tar"
        command = ["git", "archive", "--format=tar", f"--output={archive}", BEFORE, "pipeline"]
        subprocess.run(command, cwd=subjects.ROOT, check=True)
        archives.unpack(archive, code)
        archive.unlink()
    return code


def convert(folder: Path) -> dict[str, dict[str, Path]]:
    """Converts each model by both versions; returns the folders of their modules by model and version."""
    roots = {"before": code_before(folder / "before"), "now": subjects.ROOT}
    weights = subjects.checkpoint(folder, "S/16")
    models = {
        "vit_demo": (DEMO / "vit_demo.yaml", DEMO / "vit_demo.npz"),
        "S/16": (_write_member(folder), weights),
    }
    return {
        model: {
            version: _convert(root, yaml, checkpoint, folder / version / yaml.stem)
            for version, root in roots.items()
        }
        for model, (yaml, checkpoint) in models.items()
    }  # fmt: skip


def _write_member(folder: Path) -> Path:
    """Writes the file of a member with random weights, which the code of BEFORE reads, too; returns its path."""
    path = folder / "random.yaml"
    path.write_text(
        "checkpoint: {name: S_16, sources: [S_16.npz]}\n"
        f"model: {{variant: S/16, image_size: 224, classes: 1000, labels: {LABELS}}}\n"
    )
    return path


def _convert(root: Path, yaml: Path, checkpoint: Path, out: Path) -> Path:
    command = [sys.executable, "-m", "pipeline.convert", str(yaml), str(checkpoint), str(out)]
    environment = subjects.environment() | {"PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} in {root} failed:\n{done.stderr[-4000:]}")
    return out


def load(module: Path, size: int) -> tuple[Times, str]:
    """Loads a module in a process of its own; returns its times, and the digest of its outputs."""
    command = [sys.executable, "-W", "ignore", "-c", LOAD, str(module), str(size)]
    environment = subjects.environment()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{module} cannot be loaded:\n{done.stderr[-4000:]}")
    *seconds, digest = done.stdout.split()
    load_wall, load_cpu, call_wall, call_cpu = map(float, seconds)
    return (load_wall, load_cpu, call_wall, call_cpu), digest


def measure(folders: dict[str, dict[str, Path]], starts: int) -> dict[tuple[str, Head], dict[str, Times]]:
    """Returns the medians by model and head, and version."""
    figures: dict[tuple[str, Head, str], list[Times]] = defaultdict(list)
    digests: dict[tuple[str, Head], set[str]] = defaultdict(set)
    rounds = [(model, head) for _ in range(starts) for model in folders for head in Head]
    with Progress("loading", len(rounds), "modules") as progress:
        for number, (model, head) in enumerate(rounds):
            versions = list(folders[model].items())
            for version, folder in versions if number % 2 else reversed(versions):
                times, digest = load(folder / head, 28 if model == "vit_demo" else 224)
                figures[model, head, version].append(times)
                digests[model, head].add(digest)
            progress.advance(1)
    if differing := [f"{model}/{head}" for (model, head), each in digests.items() if len(each) > 1]:
        raise SystemExit(f"the outputs of the versions differ: {', '.join(differing)}")

    def median(times: list[Times]) -> Times:
        first, second, third, fourth = (statistics.median(column) for column in zip(*times, strict=True))
        return first, second, third, fourth

    return {
        (model, head): {version: median(figures[model, head, version]) for version in ("before", "now")}
        for model in folders
        for head in Head
    }


def ratio(times: dict[str, Times], column: int) -> float:
    """Returns the time of now divided by that of before."""
    return times["now"][column] / times["before"][column]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures load and first call beside version 1.")
    parser.add_argument("--starts", type=int, default=7, help="processes per module and version")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints, which are kept")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
        figures = measure(convert(Path(temporary)), args.starts)
    print("| module | load, s | CPU s | ratio | first call, s | CPU s | ratio |")
    print("|---|---|---|---|---|---|---|")
    missed = []
    for (model, head), times in figures.items():
        (was, is_now), name = (times["before"], times["now"]), f"{model}, {head}"
        cells = []
        for wall, cpu in ((0, 1), (2, 3)):
            cells.append(f"{was[wall]:.2f} to {is_now[wall]:.2f} ({ratio(times, wall):.2f})")
            cells.append(f"{was[cpu]:.2f} to {is_now[cpu]:.2f} | {ratio(times, cpu):.2f}")
        print(f"| {name} | {' | '.join(cells)} |")
        whole = (is_now[1] + is_now[3]) / (was[1] + was[3])
        if whole > LIMIT:
            missed.append(f"{name}: load and first call take {whole:.2f} of the processor time of version 1")
    if missed:
        raise SystemExit(f"{'; '.join(missed)}; expected at most {LIMIT}")


if __name__ == "__main__":
    main()
