"""Runs the self-tests of full-size modules in every TensorFlow from 2.14 on and records the results.

    python -m benchmarks.compatibility [FOLDER] [--interpreter MINOR=PYTHON ...]

The modules are a plain Vision Transformer, with dropout of 0.1, and a hybrid, with random weights and converted like
any member. FOLDER gets their checkpoints and SavedModels, and an environment for each TensorFlow from
benchmarks/tensorflow/<minor>.lock, kept until the lock changes; 12 GB in all. --interpreter names an existing
environment's instead. Each runs the modules' own assets.extra/selftest.py with --gradients, on the CPU.

Writes templates/compatibility.json, which the cards quote, and prints it as the table of docs/compatibility.md. When a
module fails in any TensorFlow, exits without writing. Takes about half an hour on 2 cores.
"""

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import subjects
from benchmarks.random_checkpoints import random_arrays
from benchmarks.selftests import Replay, replay
from benchmarks.tensorflow_versions import find_interpreters
from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.heads import Head
from pipeline.model.networks import open_network
from pipeline.model.section import Model
from pipeline.saved_model import runtimes
from pipeline.saved_model.graph import attribute, find_xla_calls, saved_model_class
from pipeline.saved_model.inspection import inspect_saved_model

ROOT = Path(__file__).parents[1]
RECORD = ROOT / "templates/compatibility.json"
COMMAND = "python -m benchmarks.compatibility"
VARIANTS = {"vit_s16": "S/16", "vit_r26_s32": "R26+S/32"}
DROPOUT = {"vit_s16": 0.1, "vit_r26_s32": 0.0}  # without dropout, the hybrid's gradient already compiles for minutes
# Small models. A test converts them and compares their computations with the record's, to notice an outdated record.
PROBES = {"plain": Model("Mini/8", 16, 3, dropout=0.1), "hybrid": Model("R+Nano/32", 32, 3)}


# Modules ------------------------------------------------------------------------------------------------------------
def convert(name: str, folder: Path) -> Path:
    """Converts a member of random weights and returns its folder, which has classification/ and fe/."""
    print(f"Converting {name}.", flush=True)
    yaml, weights = subjects.member(folder, VARIANTS[name], DROPOUT[name]), subjects.checkpoint(folder, VARIANTS[name])
    subjects.run(subjects.published(yaml, weights, folder / name))
    return folder / name


def read_needs(folder: Path) -> dict[str, Any]:
    """Returns what both SavedModels of a member need to run."""
    inspections = [inspect_saved_model(folder / head) for head in Head]
    computations = [computation for inspection in inspections for computation in inspection.computations]
    versions = {computation.features for computation in computations if computation.features}
    platforms = [set(inspection.platforms or ()) for inspection in inspections]
    return {
        "tensorflow": max((each.tensorflow for each in inspections), key=runtimes.parse),
        "calling_convention": max(number for each in inspections for number in each.conventions),
        "stablehlo": max(versions, key=runtimes.parse),
        "platforms": sorted(set.intersection(*platforms)),
    }


def computations_digest(folders: Sequence[Path]) -> str:
    """Returns the SHA-256 over the digests of all StableHLO modules in some SavedModels, sorted in each.

    It changes when the conversion produces other computations, not with the weights or file names.
    """
    digest = hashlib.sha256()
    for folder in folders:
        saved_model = saved_model_class().FromString((folder / "saved_model.pb").read_bytes())
        for module in sorted(attribute(node, "module").s for node in find_xla_calls(saved_model)):
            digest.update(hashlib.sha256(module).digest())
    return digest.hexdigest()


def probe_digest(folder: Path) -> str:
    """Converts the classifiers of PROBES in `folder` and returns their computations_digest()."""
    folders = []
    for name, model in PROBES.items():
        yaml = folder / f"{name}.yaml"
        yaml.write_text(f"checkpoint: {{name: {name}, sources: [{name}.npz]}}\nmodel: {json.dumps(asdict(model))}\n")
        np.savez(folder / f"{name}.npz", allow_pickle=False, **random_arrays(model, 0))
        subjects.run(subjects.published(yaml, folder / f"{name}.npz", folder / name))
        folders.append(folder / name / "classification")
    return computations_digest(folders)


# The record ---------------------------------------------------------------------------------------------------------
def replay_all(modules: Mapping[str, Path], pythons: Mapping[str, Path]) -> dict[tuple[str, str, Head], Replay]:
    """Runs every module's self-test in every TensorFlow, one process per processor.

    Args:
        modules: the members' folders by name.
        pythons: the interpreters by TensorFlow's minor version.

    Returns:
        The self-tests by member, minor version and head.

    Raises:
        Fault: when any fails, after all have run; lists the failures.
    """
    replays, failures = {}, []
    # Old TensorFlows compile on one processor only.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = {
            (name, minor, head): pool.submit(replay, minor, python, folder / head)
            for minor, python in pythons.items()
            for name, folder in modules.items()
            for head in Head
        }
        for (name, minor, head), future in futures.items():
            try:
                passed = replays[name, minor, head] = future.result()
            except Fault as fault:
                failures.append(str(fault))
                print(f"FAILED: {fault}", flush=True)
            else:
                print(f"{name}/{head} in TensorFlow {passed.tensorflow}: passed", flush=True)
    if failures:
        raise Fault("\n".join([f"{len(failures)} failed, nothing is written:", *failures]))
    return replays


def describe_machine() -> str:
    """Returns this machine in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory / 1e9:.0f} GB, CPU only"


def python_versions(pythons: Mapping[str, Path]) -> str:
    """Returns the Python versions of the interpreters, each once, such as "3.11.7"."""
    script = "import platform; print(platform.python_version())"
    versions = {
        subprocess.run([python, "-I", "-c", script], capture_output=True, text=True, check=True).stdout.strip()
        for python in pythons.values()
    }
    return ", ".join(sorted(versions))


def make_record(modules: Mapping[str, Path], pythons: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Returns the content of templates/compatibility.json.

    Args:
        modules: the members' folders by name, each with classification/ and fe/.
        pythons: the interpreters by TensorFlow's minor version.
        folder: for PROBES.
    """
    replays = replay_all(modules, pythons)
    return {
        "date": date.today().isoformat(),
        "python": python_versions(pythons),
        "machine": describe_machine(),
        "command": COMMAND,
        "tensorflow": {minor: passed.tensorflow for (_, minor, _), passed in replays.items()},
        "computations_sha256": probe_digest(folder),
        "models": {name: model_record(name, folder, pythons, replays) for name, folder in modules.items()},
    }


def model_record(
    name: str, folder: Path, minors: Iterable[str], replays: Mapping[tuple[str, str, Head], Replay]
) -> dict[str, Any]:
    """Returns the part of the record on a member, converted to `folder`."""
    model = Model(VARIANTS[name], 224, 1000, dropout=DROPOUT[name])
    results = {minor: {head: asdict(replays[name, minor, head].result) for head in Head} for minor in minors}
    return {
        "variant": model.variant,
        "dropout": model.dropout,
        "tolerance": open_network(model, ROOT).tolerances.outputs,
        "needs": read_needs(folder),
        "results": results,
    }


def table(record: Mapping[str, Any]) -> str:
    """Returns the record as a Markdown table: a row per TensorFlow, a column per model and head.

    A cell has the largest difference of all ways to call the module, and the variables with gradients.
    """
    models = record["models"]
    columns = [(name, head) for name in models for head in Head]
    titles = [f"{models[name]['variant']}, {head.output}" for name, head in columns]
    rows = ["| TensorFlow | " + " | ".join(titles) + " |", "|---|" + "---|" * len(columns)]
    for minor, version in record["tensorflow"].items():
        cells = []
        for name, head in columns:
            result = models[name]["results"][minor][head]
            gradients = min(result["gradients"].values())
            cells.append(f"{max(result['differences'].values()):.1e}; {gradients} of {result['variables']}")
        rows.append(f"| {version} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=COMMAND, description="Runs full-size modules' self-tests in every TensorFlow."
    )
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=ROOT / "artifacts/compatibility",
        help="for checkpoints, SavedModels and environments, 12 GB (default: artifacts/compatibility)",
    )
    parser.add_argument(
        "--interpreter", action="append", default=[], metavar="MINOR=PYTHON", help="use this one for that TensorFlow"
    )
    args = parser.parse_args(arguments)
    folder = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    pythons = find_interpreters(folder, args.interpreter)
    modules = {name: convert(name, folder) for name in VARIANTS}
    probes = folder / "probes"
    probes.mkdir(exist_ok=True)
    record = make_record(modules, pythons, probes)
    write_text(RECORD, json.dumps(record, indent=2) + "\n")
    print(f"\nwrote {RECORD.relative_to(ROOT)}\n\n{table(record)}")


if __name__ == "__main__":
    raise SystemExit(guarded("compatibility", lambda: main(sys.argv[1:])))
