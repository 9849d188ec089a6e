"""Measures how fast a published SavedModel loads and runs on a CPU, beside other ways to run the same model.

    python -m benchmarks.forward [--torch-python PYTHON] [--threads N] [--rounds N] [--starts N] [--only CONTENDER ...]
                                 [--folder FOLDER] [VARIANT ...]

The contenders use float32, the same random weights and the same number of threads:

- ours: the SavedModel of `python -m pipeline.convert`, loaded with tf.saved_model.load;
- plain: the SavedModel of `python -m benchmarks.plain`, by jax2tf from upstream's code;
- upstream: upstream's Flax model, under jax.jit;
- timm, and timm under torch.compile;
- onnxruntime and OpenVINO, with timm's model exported to ONNX.

The last four run in the interpreter --torch-python, for instance of an environment made from
benchmarks/requirements-forward.txt. Missing ones are named and left out.

Each contender has its own process (benchmarks/contenders.py). They take turns, in reverse order in every second round.
Figures are medians: over `starts` processes for imports, loads and first calls, over `rounds` turns for the rest. The
first calls, with 1 and 32 images, include compilation. The last column is the largest difference from upstream's
outputs, divided by the largest output, to show that all compute the same function; for ours and plain it must be within
the tolerance of validation.
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

OPTIONAL = ("timm", "timm, compiled", "onnxruntime", "OpenVINO")  # they run in --torch-python
BATCHES = (1, 32)
RIVAL, RATIO = "timm, compiled", 1.0  # S/16 must be this many times as fast with 32 images at once
FIRST_CALL = 1.0  # seconds at most for S/16
TURN = 0.5  # seconds; the number of calls in a turn is chosen to last about this long


class Missing(Exception):
    """A contender could not start or run; the message says why."""


def find_error(log: str) -> str:
    """Returns the last line of a failed process's log that names an exception, else the last line."""
    exceptions = re.findall(r"^[\w.]+(?:Error|Exception)\b.*$", log, re.MULTILINE)
    return str([*log.strip().splitlines(), *exceptions][-1])


class Worker:
    """A contender's process.

    Attributes:
        started: the seconds that its import and load took.
    """

    def __init__(self, command: list[str]) -> None:
        """Starts the process and waits until it is ready.

        Raises:
            Missing: when it cannot start.
        """
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the worker
        # With a compiler's cache only the first start would compile.
        environment = subjects.environment() | {"TORCHINDUCTOR_FORCE_DISABLE_CACHES": "1"}
        self._process = subprocess.Popen(
            command, cwd=subjects.ROOT, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        self.started = self._answer()

    def ask(self, **message: Any) -> dict[str, float]:
        """Sends a request of benchmarks/contenders.py and waits for the answer.

        Raises:
            Missing: when the process ends instead.
        """
        stdin: IO[str] = self._process.stdin  # type: ignore[assignment]
        with contextlib.suppress(BrokenPipeError):  # _answer() reports why
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        line = self._process.stdout.readline()  # type: ignore[union-attr]
        answer: dict[str, Any] = json.loads(line or "{}")
        if not line or "missing" in answer:
            log = self.close()
            raise Missing(answer.get("missing") or find_error(log))
        return answer

    def close(self) -> str:
        """Ends the process and returns the end of its stderr."""
        with self._log:
            self._process.communicate()
            return subjects.tail(self._log).strip() or f"exit status {self._process.returncode}"


Figures = dict[str, list[float]]  # seconds of each start or turn, by name, such as "load" or "batch 32"


def make_sources(variant: str, folder: Path, work: Path, names: Sequence[str]) -> dict[str, Path]:
    """Makes the SavedModels and returns the file or folder that each contender loads."""
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
    """Exports timm's model to ONNX, unless the file exists.

    Raises:
        Missing: when the interpreter lacks a package, or timm the model.
    """
    if out.exists():
        return
    command = [python, "-m", "benchmarks.contenders", "export", variant, str(weights), str(out)]
    done = subprocess.run(
        command, cwd=subjects.ROOT, env=subjects.environment(), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Missing(f"no ONNX file: {find_error(done.stderr)}")


def start(name: str, command: list[str], figures: Figures) -> Worker:
    """Starts a contender and adds the seconds of its import, load and first calls to `figures`."""
    worker = Worker(command)
    for figure in ("import", "load"):
        figures[figure].append(worker.started[figure])
    for batch in BATCHES:
        figures[f"first {batch}"].append(worker.ask(batch=batch)["seconds"])
    return worker


def compete(
    commands: Mapping[str, list[str]], starts: int, progress: Progress
) -> tuple[dict[str, Worker], dict[str, Figures]]:
    """Starts every contender several times in turn.

    Contenders of --torch-python that cannot run are named and left out.

    Returns:
        The last process of each contender, still running, and the figures of all its starts.
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
    """Runs batches on every contender in turn and adds the seconds of a call to `figures`."""
    calls: dict[tuple[str, int], int] = {}
    order = list(workers)
    for number in range(rounds + 1):
        for name in order[:: -1 if number % 2 else 1]:
            for batch in BATCHES:
                time.sleep(0.05)  # the threads of some frameworks spin for a while after their work
                count = calls.get((name, batch), 1)
                seconds = workers[name].ask(batch=batch, calls=count)["seconds"] / count
                if number:
                    figures[name][f"batch {batch}"].append(seconds)
                else:  # the first round warms up and shows how many calls fill a turn
                    calls[name, batch] = max(1, round(TURN / seconds))
            progress.advance(1)


def outputs(worker: Worker, path: Path) -> np.ndarray:
    """Returns a contender's outputs for the larger batch."""
    worker.ask(batch=BATCHES[-1], save=str(path))
    saved: np.ndarray = np.load(path)
    return saved


def compare_outputs(workers: Mapping[str, Worker], work: Path) -> dict[str, float]:
    """Returns each contender's largest difference from upstream, divided by upstream's largest output."""
    if "upstream" not in workers:
        return {}
    truth = outputs(workers["upstream"], work / "outputs.npy")
    return {
        name: float(np.abs(outputs(worker, work / "outputs.npy") - truth).max() / np.abs(truth).max())
        for name, worker in workers.items()
    }


def table(figures: Mapping[str, Figures], errors: Mapping[str, float]) -> str:
    """Returns a Markdown table with a row per contender: seconds, images/s, ours divided by it, and its error."""
    medians = {
        name: {figure: statistics.median(values) for figure, values in by_figure.items()}
        for name, by_figure in figures.items()
    }
    columns = ["import, s", "load, s", *(f"first call of {batch}, s" for batch in BATCHES)]
    columns += [column for batch in BATCHES for column in (f"images/s, {batch} at once", "ours / this")]
    rows = [
        "| contender | " + " | ".join(columns) + " | difference from upstream |",
        "|---|" + "---|" * (len(columns) + 1),
    ]
    for name, median in medians.items():
        cells = [f"{median[figure]:.2f}" for figure in ("import", "load", *(f"first {batch}" for batch in BATCHES))]
        for batch in BATCHES:
            figure = f"batch {batch}"
            ratio = f"{median[figure] / medians['ours'][figure]:.2f}" if "ours" in medians else "-"
            cells += [f"{batch / median[figure]:.1f}", ratio]
        rows.append(f"| {name} | {' | '.join(cells)} | {f'{errors[name]:.0e}' if name in errors else '-'} |")
    return "\n".join(rows)


def check_outputs(variant: str, errors: Mapping[str, float]) -> None:
    """Exits when one of the two SavedModels computes another function than upstream."""
    from pipeline.model.networks import open_network
    from pipeline.model.section import Model

    tolerance = open_network(Model(variant, 224, 1000), Path()).tolerances.outputs
    for name in {"ours", "plain"} & errors.keys():
        if not errors[name] <= tolerance:
            raise SystemExit(
                f"{variant}: {name} differs from upstream by {errors[name]:.1e}, expected at most {tolerance:.0e}"
            )


def check_limits(variant: str, figures: Mapping[str, Figures]) -> list[str]:
    """Returns a sentence for each limit of S/16 that ours misses."""
    if variant != "S/16" or "ours" not in figures:
        return []
    misses = []
    if (first := statistics.median(figures["ours"]["first 1"])) > FIRST_CALL:
        misses.append(f"{variant}: the first call takes {first:.2f} s, expected at most {FIRST_CALL}")
    if RIVAL in figures:
        ratio = statistics.median(figures[RIVAL]["batch 32"]) / statistics.median(figures["ours"]["batch 32"])
        if ratio < RATIO:
            misses.append(f"{variant}: {ratio:.2f} of the images per second of {RIVAL}, expected at least {RATIO}")
    return misses


def commands_of(variant: str, paths: Mapping[str, Path], args: argparse.Namespace) -> dict[str, list[str]]:
    """Returns the command of each contender; those whose ONNX file cannot be made are named and left out."""
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
    """Prints the table of a variant; returns a sentence for each limit that is missed."""
    args.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        work = Path(name)
        paths = make_sources(variant, args.folder, work, args.only)
        commands = commands_of(variant, paths, args)
        with Progress(f"start {variant}", args.starts * len(commands), "starts") as progress:
            workers, figures = compete(commands, args.starts, progress)
        with Progress(f"run {variant}", (1 + args.rounds) * len(workers), "turns") as progress:
            take_turns(workers, figures, args.rounds, progress)
        errors = compare_outputs(workers, work)
        for worker in workers.values():
            worker.close()
    print(f"\n{variant}, float32, {args.threads} threads, medians of {args.rounds} rounds and {args.starts} starts\n")
    print(table(figures, errors), flush=True)
    check_outputs(variant, errors)
    return check_limits(variant, figures)


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
