"""How fast a published SavedModel loads and runs, beside other ways to run the same model on a CPU, in one run.

    python -m benchmarks.forward [--torch-python PYTHON] [--threads N] [--rounds N] [--starts N] [--only CONTENDER ...]
                                 [--folder FOLDER] [VARIANT ...]

The contenders, all float32, all with the same random weights and the same number of threads:

- ours: the SavedModel of `python -m pipeline.convert`, loaded with tf.saved_model.load;
- plain: that of `python -m benchmarks.plain`, as jax2tf makes it of upstream's code;
- upstream: the Flax model as upstream writes it, under jax.jit;
- timm, and timm under torch.compile; onnxruntime and OpenVINO with timm's model exported to ONNX.

The last four belong to the interpreter --torch-python, for instance of an environment made from
benchmarks/requirements-forward.txt. What is missing there is named and left out.

Each runs in a process of its own (benchmarks/contenders.py); they take turns, in every second round backwards, and each
figure is a median, over `rounds` turns or, for imports, loads and first calls, over `starts` processes. The first call
is for one image, and for all that compile, so is the first of 32. The last column says how far the outputs are from
upstream's, relative to the largest: different functions must not be compared. Ours and plain must be within the
tolerance that validation asks for.
"""

import argparse
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from benchmarks import subjects
from benchmarks.contenders import CONTENDERS
from pipeline.base.progress import Progress

OPTIONAL = ("timm", "timm, compiled", "onnxruntime", "OpenVINO")  # those of --torch-python
BATCHES = (1, 32)
RIVAL, RATIO = "timm, compiled", 1.0  # of whose images per second S/16 must have so many, 32 at once
FIRST_CALL = 1.0  # seconds, of S/16
TURN = 0.5  # seconds that a turn should last at least


class Missing(Exception):
    """A contender could not start or run; the message says why."""


def reason(said: str) -> str:
    """Returns the line that tells most of what a dying process said: the last one with an exception's name."""
    exceptions = re.findall(r"^[\w.]+(?:Error|Exception)\b.*$", said, re.MULTILINE)
    return str([*said.strip().splitlines(), *exceptions][-1])


class Worker:
    """A contender's process."""

    def __init__(self, command: list[str]) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        # A compiler's cache would make every start but the first look quick.
        environment = subjects.environment() | {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
        self._process = subprocess.Popen(
            command, cwd=subjects.ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._said,
        )  # fmt: skip
        self.started = self._answer()

    def ask(self, **message: Any) -> dict[str, float]:
        """Sends a message of benchmarks/contenders.py and waits for the answer.

        Raises:
            Missing: when the process died of it.
        """
        stdin: IO[str] = self._process.stdin  # type: ignore[assignment]
        with contextlib.suppress(BrokenPipeError):  # the answer tells
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        answer: dict[str, Any] = json.loads(line or "{}")
        if not line or "missing" in answer:
            said = self.close()
            raise Missing(answer.get("missing") or reason(said))
        return answer

    def close(self) -> str:
        """Ends the process and returns the last that it said on stderr."""
        with self._said:
            self._process.communicate()
            return subjects.tail(self._said).strip() or f"exit status {self._process.returncode}"


Figures = dict[str, list[float]]  # by name, such as "load" or "batch 32", one per start or turn; in seconds


def sources(variant: str, folder: Path, work: Path, names: Sequence[str]) -> dict[str, Path]:
    """Returns what each contender loads, and makes the SavedModels among them."""
    weights = subjects.checkpoint(folder, variant)
    if "ours" in names:
        subjects.run(subjects.published(subjects.member(folder, variant), weights, work / "ours"))
    if "plain" in names:
        subjects.run(subjects.plain(variant, weights, "classification", work / "plain"))
    paths = dict.fromkeys(names, weights)
    return paths | {
        "ours": work / "ours/classification",
        "plain": work / "plain",
        "onnxruntime": work / "timm.onnx",
        "OpenVINO": work / "timm.onnx",
    }


def export(python: str, variant: str, weights: Path, out: Path) -> None:
    """Exports timm's model, unless an earlier contender has asked for it.

    Raises:
        Missing: when the interpreter lacks what it takes, or timm the model.
    """
    if out.exists():
        return
    command = [python, "-m", "benchmarks.contenders", "export", variant, str(weights), str(out)]
    done = subprocess.run(
        command, cwd=subjects.ROOT, env=subjects.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Missing(f"no ONNX file of it: {reason(done.stderr)}")


def start(name: str, command: list[str], figures: Figures) -> Worker:
    """Starts a contender and notes what its import, load and first calls took."""
    worker = Worker(command)
    for figure in ("import", "load"):
        figures[figure].append(worker.started[figure])
    for batch in BATCHES:
        figures[f"first {batch}"].append(worker.ask(batch=batch)["seconds"])
    return worker


def compete(
    commands: Mapping[str, list[str]], starts: int, progress: Progress
) -> tuple[dict[str, Worker], dict[str, Figures]]:
    """Starts every contender several times, taking turns, and leaves each one's last process running.

    Optional ones that cannot run are named and left out.
    """
    workers: dict[str, Worker] = {}
    figures: dict[str, Figures] = {name: defaultdict(list) for name in commands}
    for _ in range(starts):
        for name in list(figures):
            if name in workers:
                workers.pop(name).close()
            try:
                workers[name] = start(name, commands[name], figures[name])
            except Missing as missing:
                if name not in OPTIONAL:
                    raise SystemExit(f"{name}: {missing}") from None
                print(f"missing: {name}: {missing}", flush=True)
                del figures[name]
            progress.advance(1)
    return workers, figures


def take_turns(workers: Mapping[str, Worker], figures: Mapping[str, Figures], rounds: int, progress: Progress) -> None:
    """Runs batches on every contender in turn and notes the seconds of a call."""
    calls: dict[tuple[str, int], int] = {}
    order = list(workers)
    for number in range(rounds + 1):
        for name in order[:: -1 if number % 2 else 1]:
            for batch in BATCHES:
                time.sleep(0.05)  # some frameworks' threads spin on for a while after their work
                count = calls.get((name, batch), 1)
                seconds = workers[name].ask(batch=batch, calls=count)["seconds"] / count
                if number:
                    figures[name][f"batch {batch}"].append(seconds)
                else:  # to warm up, and to learn how many calls fill a turn
                    calls[name, batch] = max(1, round(TURN / seconds))
            progress.advance(1)


def outputs(worker: Worker, path: Path) -> np.ndarray:
    """Returns a contender's outputs for the larger batch."""
    worker.ask(batch=BATCHES[-1], save=str(path))
    saved: np.ndarray = np.load(path)
    return saved


def differences(workers: Mapping[str, Worker], work: Path) -> dict[str, float]:
    """Returns each contender's largest difference from upstream, divided by upstream's largest output."""
    if "upstream" not in workers:
        return {}
    truth = outputs(workers["upstream"], work / "outputs.npy")
    return {
        name: float(np.abs(outputs(worker, work / "outputs.npy") - truth).max() / np.abs(truth).max())
        for name, worker in workers.items()
    }


def table(figures: Mapping[str, Figures], off: Mapping[str, float]) -> str:
    """Returns a row per contender: seconds, images/s, and ours divided by it."""
    medians = {
        name: {figure: statistics.median(values) for figure, values in by_figure.items()}
        for name, by_figure in figures.items()
    }
    columns = ["import, s", "load, s", *(f"first call of {batch}, s" for batch in BATCHES)]
    columns += [column for batch in BATCHES for column in (f"images/s, {batch} at once", "ours / this")]
    rows = ["| contender | " + " | ".join(columns) + " | off upstream |", "|---|" + "---|" * (len(columns) + 1)]
    for name, median in medians.items():
        cells = [f"{median[figure]:.2f}" for figure in ("import", "load", *(f"first {batch}" for batch in BATCHES))]
        for batch in BATCHES:
            figure = f"batch {batch}"
            ratio = f"{median[figure] / medians['ours'][figure]:.2f}" if "ours" in medians else "-"
            cells += [f"{batch / median[figure]:.1f}", ratio]
        rows.append(f"| {name} | {' | '.join(cells)} | {f'{off[name]:.0e}' if name in off else '-'} |")
    return "\n".join(rows)


def check(variant: str, off: Mapping[str, float]) -> None:
    """Fails when one of the two SavedModels computes another function than upstream."""
    from pipeline.model.variants import Model

    tolerance = Model(variant, 224, 1000).tolerance
    for name in {"ours", "plain"} & off.keys():
        if not off[name] <= tolerance:
            raise SystemExit(f"{variant}: {name} is {off[name]:.1e} off upstream, expected at most {tolerance:.0e}")


def missed(variant: str, figures: Mapping[str, Figures]) -> list[str]:
    """Returns a sentence for each of the limits of S/16 that ours misses."""
    if variant != "S/16" or "ours" not in figures:
        return []
    found = []
    if (first := statistics.median(figures["ours"]["first 1"])) > FIRST_CALL:
        found.append(f"{variant}: the first call takes {first:.2f} s, expected at most {FIRST_CALL}")
    if RIVAL in figures:
        ratio = statistics.median(figures[RIVAL]["batch 32"]) / statistics.median(figures["ours"]["batch 32"])
        if ratio < RATIO:
            found.append(f"{variant}: {ratio:.2f} of the images per second of {RIVAL}, expected at least {RATIO}")
    return found


def commands_of(variant: str, paths: Mapping[str, Path], args: argparse.Namespace) -> dict[str, list[str]]:
    """Returns what starts each contender; those whose ONNX file cannot be made are named and left out."""
    commands = {}
    for name in args.only:
        python = args.torch_python if name in OPTIONAL else sys.executable
        try:
            if paths[name].suffix == ".onnx":
                export(python, variant, subjects.checkpoint(args.folder, variant), paths[name])
        except Missing as missing:
            print(f"missing: {name}: {missing}", flush=True)
            continue
        commands[name] = [python, "-m", "benchmarks.contenders", name, variant, str(paths[name]), str(args.threads)]
    return commands


def measure(variant: str, args: argparse.Namespace) -> list[str]:
    """Prints the table of one variant; returns what misses a limit."""
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        work = Path(name)
        paths = sources(variant, args.folder, work, args.only)
        commands = commands_of(variant, paths, args)
        with Progress(f"start {variant}", args.starts * len(commands), "starts") as progress:
            workers, figures = compete(commands, args.starts, progress)
        with Progress(f"run {variant}", (1 + args.rounds) * len(workers), "turns") as progress:
            take_turns(workers, figures, args.rounds, progress)
        off = differences(workers, work)
        for worker in workers.values():
            worker.close()
    print(f"\n{variant}, float32, {args.threads} threads, medians of {args.rounds} rounds and {args.starts} starts\n")
    print(table(figures, off), flush=True)
    check(variant, off)
    return missed(variant, figures)


def cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares a published SavedModel with other ways to run the model.")
    parser.add_argument("variants", nargs="*", default=["S/16"], help="default: S/16")
    parser.add_argument("--torch-python", default=sys.executable, help="the interpreter that has torch and timm")
    parser.add_argument("--threads", type=int, default=cores(), help="default: one per core")
    parser.add_argument("--rounds", type=int, default=5, help="of turns; default 5")
    parser.add_argument("--starts", type=int, default=3, help="of each process; default 3")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, default=list(CONTENDERS), help="these contenders")
    parser.add_argument("--folder", type=Path, default=subjects.FOLDER, help="for checkpoints, which stay, and outputs")
    args = parser.parse_args()
    args.folder = args.folder.resolve()
    failures = [sentence for variant in args.variants for sentence in measure(variant, args)]
    if failures:
        raise SystemExit("\n".join(failures))


if __name__ == "__main__":
    main()
