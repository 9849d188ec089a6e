"""Publishes the seven members at full size from random weights, loads every published module, and prints the figures.

    python -m benchmarks.full_size FOLDER

FOLDER gets the checkpoints (3.4 GB, kept for the next run), the outputs and the hub, about 30 GB in all. Outputs of an
earlier run are removed. Fails when the hub lacks something, a difference exceeds its tolerance, a published module does
not load or run, a stage of L/16 needs more than 6 GB, or a second make does any work or takes more than 0.5 s.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.stage_lines import StageLine, read_stage_lines
from benchmarks.subjects import relative_errors
from pipeline.base.heads import Head
from pipeline.facts.report import load_report

ROOT = Path(__file__).parents[1]
STAGES = ("fetch", "convert", "validate", "package", "publish")
MEMORY = 6.0  # GB, of the largest process of L/16
NO_OP = 0.5  # seconds
LOAD = """
import sys
import tensorflow as tf
import tensorflow_hub as hub
model = hub.load(sys.argv[1])
output = model(tf.zeros((2, 224, 224, 3)))
assert output.shape == (2, int(sys.argv[2])), output.shape
assert bool(tf.reduce_all(tf.math.is_finite(output)))
"""


def make(folder: Path, *arguments: str) -> tuple[str, float]:
    """Runs make publish-all; returns its stderr and its wall time in seconds."""
    command = [
        "make",
        "publish-all",
        "FORMATS=xla",
        f"PYTHON={sys.executable}",
        f"ARTIFACTS={folder}",
        f"HUB={folder}/hub",
        *arguments,
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    started = time.perf_counter()
    done = subprocess.run(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return done.stderr, time.perf_counter() - started


def table(lines: Sequence[StageLine], folder: Path) -> str:
    """Returns a Markdown table: wall time and peak memory of each stage, and the relative errors."""
    rows = [
        "| member | " + " | ".join(f"{stage}, s / GB" for stage in STAGES) + " | relative error: logits, features |",
        "|---|" + "---|" * (len(STAGES) + 1),
    ]
    for report_path in sorted(folder.glob("*/report.json")):
        member = report_path.parent.name
        cells = []
        for stage in STAGES:
            runs = [line for line in lines if (line.stage, line.subject) == (stage, member)]  # package: one per head
            cells.append(f"{sum(run.seconds for run in runs):.1f} / {max(run.peak for run in runs):.2f}")
        rows.append(f"| {member} | {' | '.join(cells)} | {relative_errors(load_report(report_path))} |")
    return "\n".join(rows)


@contextmanager
def serve_folder(folder: Path) -> Iterator[str]:
    """Serves a folder until the block ends; yields its address."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Logs nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def load_everything(hub: Path) -> int:
    """Loads every published module with tensorflow_hub, each in a fresh process; returns how many there are."""
    modules = json.loads((hub / "index.json").read_text())["modules"]
    with serve_folder(hub) as address:
        for handle in modules:
            member, head = re.fullmatch(r".*/(\w+)_(classification|fe)/\d+", handle).groups()  # type: ignore[union-attr]
            report = load_report(hub.parent / member / "report.json")
            load(f"{address}/{handle}.tar.gz", report.modules[Head(head)].output_width)
            print(f"loaded {handle}", flush=True)
    return len(modules)


def load(url: str, output_width: int) -> None:
    """Loads and runs a module in a fresh process, with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"TFHUB_CACHE_DIR": cache, "TF_CPP_MIN_LOG_LEVEL": "2"}
        command = [sys.executable, "-W", "ignore", "-c", LOAD, url, str(output_width)]
        subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)


def prepare(folder: Path) -> tuple[str, ...]:
    """Makes missing checkpoints and removes earlier outputs; returns the settings of make."""
    checkpoints = folder / "checkpoints"
    if len(list(checkpoints.glob("*.npz"))) < 7:
        subprocess.run([sys.executable, "-m", "benchmarks.random_checkpoints", checkpoints], cwd=ROOT, check=True)
    members = [path.stem for path in (ROOT / "model_cards/vit").glob("vit_*")]
    for output in ("collections", "hub", ".stamps", *members):
        shutil.rmtree(folder / output, ignore_errors=True)
    # The project's lock file has the digests of the real weights.
    return f"CHECKPOINTS={checkpoints}", f"LOCK={folder}/checkpoints.lock"


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    settings = prepare(folder)
    log, seconds = make(folder, "-j2", *settings)
    lines = read_stage_lines(log)
    print(f"\n`make publish-all -j2`: {seconds:.0f} s\n\n{table(lines, folder)}\n")
    again, idle = make(folder, *settings)
    print(f"a second `make publish-all`: {idle:.2f} s")
    cards = [path for path in (folder / "hub").rglob("2.md") if "collections" not in path.parts]
    pages = list((folder / "hub").glob("*/collections/*/1.md"))
    count = load_everything(folder / "hub")
    print(f"{count} modules loaded by tensorflow_hub, {len(cards)} cards, {len(pages)} collection page")
    if (count, len(cards), len(pages)) != (14, 14, 1):
        raise SystemExit("expected 14 modules, 14 cards and 1 collection page")
    if again or idle > NO_OP:
        raise SystemExit(f"expected a second make to do nothing within {NO_OP} s, it took {idle:.2f} s: {again}")
    peak = max(line.peak for line in lines if line.subject == "vit_l16")
    if peak > MEMORY:
        raise SystemExit(f"vit_l16: peak memory {peak:.2f} GB, expected at most {MEMORY:.0f} GB")


if __name__ == "__main__":
    main()
