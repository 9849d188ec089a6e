"""Publishes the seven members at full size from random weights, loads all that was published, and prints the figures.

    python -m benchmarks.full_size FOLDER

FOLDER gets the checkpoints (3.5 GB, kept for the next time), the outputs and the hub, about 30 GB in all; outputs of an
earlier run are removed. Fails when anything is missing from the hub, a difference exceeds its tolerance, a published
module does not load or answer, a stage of L/16 takes more than 6 GB, or a second make is no no-op within 0.5 s.
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
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGES = ("fetch", "convert", "validate", "package", "publish")
LINE = re.compile(r"^(\w+) (\w+)(?:/(\w+)\.tar\.gz)?.*: ([\d.]+) s, ([\d.]+) GB in its largest process$", re.MULTILINE)
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
    """Runs make publish-all; returns what it wrote to stderr and its wall time in seconds."""
    command = [
        "make",
        "publish-all",
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


def figures(log: str, folder: Path) -> str:
    """Returns a Markdown table: wall time and largest process of each stage, and the differences from JAX."""
    seen: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for stage, member, _, seconds, memory in LINE.findall(log):
        seen.setdefault(member, {}).setdefault(stage, []).append((float(seconds), float(memory)))
    rows = [
        "| member | "
        + " | ".join(f"{stage}, s / GB" for stage in STAGES)
        + " | difference from JAX: logits, features |",
        "|---|" + "---|" * (len(STAGES) + 1),
    ]
    for report_path in sorted(folder.glob("*/report.json")):
        member = report_path.parent.name
        cells = []
        for stage in STAGES:
            runs = seen[member][stage]  # package runs once per head
            cells.append(f"{sum(seconds for seconds, _ in runs):.1f} / {max(memory for _, memory in runs):.2f}")
        modules = json.loads(report_path.read_text())["modules"]
        differences = [modules[head]["parity"]["max_rel"] for head in ("classification", "fe")]
        rows.append(f"| {member} | {' | '.join(cells)} | {differences[0]:.1e}, {differences[1]:.1e} |")
    return "\n".join(rows)


def load_everything(hub: Path) -> int:
    """Loads every published module through a static server with tensorflow_hub, each in a fresh process."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(hub)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    index = json.loads((hub / "index.json").read_text())
    for handle in index["modules"]:
        member, head = re.fullmatch(r".*/(\w+)_(classification|fe)/\d+", handle).groups()  # type: ignore[union-attr]
        report = json.loads((hub.parent / member / "report.json").read_text())
        url = f"http://127.0.0.1:{server.server_address[1]}/{handle}.tar.gz"
        width = str(report["modules"][head]["output_width"])
        with tempfile.TemporaryDirectory() as cache:
            environment = os.environ | {"TFHUB_CACHE_DIR": cache, "TF_CPP_MIN_LOG_LEVEL": "2"}
            command = [sys.executable, "-W", "ignore", "-c", LOAD, url, width]
            subprocess.run(command, env=environment, check=True, stderr=subprocess.DEVNULL)
        print(f"loaded {handle}", flush=True)
    server.shutdown()
    return len(index["modules"])


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    checkpoints = folder / "checkpoints"
    if len(list(checkpoints.glob("*.npz"))) < 7:
        subprocess.run([sys.executable, "-m", "benchmarks.random_checkpoints", checkpoints], cwd=ROOT, check=True)
    for leftover in (
        "collections",
        "hub",
        ".stamps",
        *(path.stem for path in (ROOT / "model_cards/vit").glob("vit_*")),
    ):
        shutil.rmtree(folder / leftover, ignore_errors=True)
    # Random weights are other ones than those of the lock file.
    settings = (f"CHECKPOINTS={checkpoints}", f"LOCK={folder}/checkpoints.lock")
    log, seconds = make(folder, "-j2", *settings)
    print(f"\n`make publish-all -j2`: {seconds:.0f} s\n\n{figures(log, folder)}\n")
    again, idle = make(folder, *settings)
    print(f"a second `make publish-all`: {idle:.2f} s")
    cards = [path for path in (folder / "hub").rglob("1.md") if "collections" not in path.parts]
    pages = list((folder / "hub").glob("*/collections/*/1.md"))
    count = load_everything(folder / "hub")
    print(f"{count} modules loaded by tensorflow_hub, {len(cards)} cards, {len(pages)} collection page")
    if (count, len(cards), len(pages)) != (14, 14, 1):
        raise SystemExit("expected 14 modules, 14 cards and 1 collection page")
    if again or idle > 0.5:
        raise SystemExit(f"expected a second make to do nothing within 0.5 s, it took {idle:.2f} s: {again}")
    peak = max(float(row[4]) for row in LINE.findall(log) if row[1] == "vit_l16")
    if peak > 6:
        raise SystemExit(f"expected no process of vit_l16 above 6 GB, the largest took {peak:.2f} GB")


if __name__ == "__main__":
    main()
