"""Replays the self-tests of full-size modules in every TensorFlow from 2.14 on and writes what they found.

    python -m benchmarks.compatibility [FOLDER] [--interpreter MINOR=PYTHON ...]

A plain Vision Transformer and a hybrid with random weights, converted as any member is; with training=True the plain
one drops a tenth of the units. FOLDER gets their checkpoints and SavedModels, and an environment for each TensorFlow,
from benchmarks/tensorflow/<minor>.lock, kept until the lock changes; 12 GB in all. --interpreter names one that exists
already. In each, the modules' own assets.extra/selftest.py runs with --gradients, on the CPU.

Writes templates/compatibility.json, which the cards quote, and prints it as a table, which README.md shows. Fails, and
writes nothing, when a module fails its self-test in any TensorFlow. About half an hour on 2 cores.
"""

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import subjects
from benchmarks.random_checkpoints import random_arrays
from pipeline.base.command import guarded
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.heads import Head
from pipeline.model.variants import Model
from pipeline.saved_model import runtimes
from pipeline.saved_model.graph import find_xla_calls, saved_model_class
from pipeline.saved_model.inspection import inspect_saved_model

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "benchmarks/tensorflow"
RECORD = ROOT / "templates/compatibility.json"
COMMAND = "python -m benchmarks.compatibility"

# The newest Python 3 that each TensorFlow has wheels for; the oldest of ours, 3.11, runs them all.
NEWEST_PYTHON = {
    "2.14": 11,
    "2.15": 11,
    "2.16": 12,
    "2.17": 12,
    "2.18": 12,
    "2.19": 12,
    "2.20": 13,
    "2.21": 13,
}
VARIANTS = {"vit_s16": "S/16", "vit_r26_s32": "R26+S/32"}
DROPOUT = {"vit_s16": 0.1, "vit_r26_s32": 0.0}  # the hybrid's gradient takes minutes to compile as it is
# Small models whose conversion stands for the others': their computations tell whether a record is still of this code.
PROBES = {"plain": Model("Mini/8", 16, 3, dropout=0.1), "hybrid": Model("R+Ti/16", 32, 3)}

_DIFFERENCE = re.compile(r"^(\w+): (\S+) of the largest output, \S+ allowed: ok$", re.MULTILINE)
_GRADIENTS = re.compile(r"^training=(False|True): (\d+) of (\d+) variables have a gradient: ok$", re.MULTILINE)
_VERDICT = re.compile(r"^TensorFlow (\S+): passed$", re.MULTILINE)


@dataclass(frozen=True)
class Replay:
    """What one self-test found.

    Attributes:
        differences: from the JAX model, by the way of calling the module, divided by the largest output.
        variables: how many variables can be trained.
        gradients: how many of them have a finite gradient, with training=False and True.
    """

    differences: dict[str, float]
    variables: int
    gradients: dict[str, int]


def parse(output: str) -> tuple[str, Replay] | None:
    """Returns TensorFlow's version and the findings that a passed self-test printed; None for any other output."""
    verdict = _VERDICT.search(output)
    differences = {way: float(value) for way, value in _DIFFERENCE.findall(output)}
    gradients = {training: (int(found), int(of)) for training, found, of in _GRADIENTS.findall(output)}
    if not verdict or set(differences) != {"call", "serving_default", "serving_images"} or len(gradients) != 2:
        return None
    (variables,) = {of for _, of in gradients.values()}
    return verdict[1], Replay(
        differences, variables, {f"training={training}": found for training, (found, _) in gradients.items()}
    )


def run_selftest(interpreter: Path, saved_model: Path) -> subprocess.CompletedProcess[str]:
    """Runs a SavedModel's self-test with gradients, on the CPU, with nothing but what the interpreter has installed."""
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    command = [str(interpreter), "-I", str(saved_model / "assets.extra/selftest.py"), "--gradients"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def replay(minor: str, interpreter: Path, saved_model: Path) -> tuple[str, Replay]:
    """Returns TensorFlow's full version and what a SavedModel's self-test found in it.

    Raises:
        Fault: when the self-test fails, or the interpreter has another TensorFlow than `minor`.
    """
    done = run_selftest(interpreter, saved_model)
    found = parse(done.stdout) if done.returncode == 0 else None
    name = "/".join(saved_model.parts[-2:])
    if found is None:
        # A failed self-test prints lines that say FAILED; a crash ends with the exception on stderr.
        failed = [line for line in done.stdout.splitlines() if "FAILED" in line] or done.stderr.splitlines()[-1:]
        raise Fault(f"{name} in TensorFlow {minor}, exit status {done.returncode}: {'; '.join(failed) or 'no output'}")
    if not found[0].startswith(f"{minor}."):
        raise Fault(f"{interpreter} should have TensorFlow {minor}, it has {found[0]}")
    return found


# Environments -------------------------------------------------------------------------------------------------------
def base_python(minor: str) -> str:
    """Returns an interpreter that has wheels of a TensorFlow: this one, or the newest such Python on the PATH.

    Raises:
        Fault: when there is none.
    """
    newest = NEWEST_PYTHON[minor]
    if (3, 11) <= sys.version_info[:2] <= (3, newest):
        return sys.executable
    for candidate in range(newest, 10, -1):
        if found := shutil.which(f"python3.{candidate}"):
            return found
    raise Fault(
        f"TensorFlow {minor} needs Python 3.11{f' to 3.{newest}' if newest > 11 else ''}, none is on the PATH "
        f"(this is {platform.python_version()}); install one, or say --interpreter {minor}=<python with it>"
    )


def environment(minor: str, base: str, folder: Path) -> Path:
    """Returns the interpreter of folder/tensorflow-<minor>, which is made unless its lock is still the same.

    Raises:
        Fault: when pip cannot install the lock.
    """
    venv, lock = folder / f"tensorflow-{minor}", LOCKS / f"{minor}.lock"
    interpreter, installed = venv / "bin/python", venv / "requirements.lock"
    if installed.exists() and installed.read_text() == lock.read_text():
        return interpreter
    print(f"Installing {lock.relative_to(ROOT)} into {venv}.", flush=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)]
    for command in ([base, "-m", "venv", "--clear", str(venv)], pip):
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise Fault(f"cannot make {venv}: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    shutil.copyfile(lock, installed)
    return interpreter


def given(pairs: Sequence[str]) -> dict[str, Path]:
    """Returns the interpreters that --interpreter MINOR=PYTHON named.

    Raises:
        Fault: for a TensorFlow that is not in the table, or a path without a file.
    """
    found = {}
    for pair in pairs:
        minor, _, path = pair.partition("=")
        if minor not in NEWEST_PYTHON or not Path(path).is_file():
            raise Fault(f"--interpreter {pair}: expected one of {', '.join(NEWEST_PYTHON)}, = and an interpreter")
        found[minor] = Path(path)
    return found


def interpreters(folder: Path, pairs: Sequence[str]) -> dict[str, Path]:
    """Returns an interpreter for each TensorFlow in runtimes.py, oldest first; see environment() and given()."""
    named = given(pairs)
    minors = [runtime.tensorflow for runtime in runtimes.RUNTIMES]
    bases = {minor: base_python(minor) for minor in minors if minor not in named}  # all, before any is installed
    return {minor: named.get(minor) or environment(minor, bases[minor], folder) for minor in minors}


# Modules ------------------------------------------------------------------------------------------------------------
def converted(name: str, folder: Path) -> Path:
    """Converts a member of random weights and returns its folder, which holds classification/ and fe/."""
    print(f"Converting {name}.", flush=True)
    yaml, weights = subjects.member(folder, VARIANTS[name], DROPOUT[name]), subjects.checkpoint(folder, VARIANTS[name])
    subjects.run(subjects.published(yaml, weights, folder / name))
    return folder / name


def needs_of(folder: Path) -> dict[str, Any]:
    """Returns what both SavedModels of a member need, as their files say."""
    found = [inspect_saved_model(folder / head) for head in Head]
    versions = {one.features for each in found for one in each.computations if one.features}
    return {
        "tensorflow": max((each.tensorflow or runtimes.UNKNOWN for each in found), key=runtimes.parse),
        "calling_convention": max(number for each in found for number in each.conventions),
        "stablehlo": max(versions, key=runtimes.parse),
        "platforms": sorted(set.intersection(*(set(each.platforms or ()) for each in found))),
    }


def computations_digest(folders: Sequence[Path]) -> str:
    """Returns the SHA-256 of the digests of all StableHLO modules in some SavedModels, those of each sorted.

    It changes when the conversion makes other computations of the same model; weights and file names don't count.
    """
    digest = hashlib.sha256()
    for folder in folders:
        saved_model = saved_model_class().FromString((folder / "saved_model.pb").read_bytes())
        for module in sorted(node.attr["module"].s for node in find_xla_calls(saved_model)):
            digest.update(hashlib.sha256(module).digest())
    return digest.hexdigest()


def probe_digest(folder: Path) -> str:
    """Returns computations_digest() of two small classifiers, PROBES, converted now."""
    folders = []
    for name, model in PROBES.items():
        yaml = folder / f"{name}.yaml"
        yaml.write_text(f"checkpoint: {{name: {name}, sources: [{name}.npz]}}\nmodel: {json.dumps(asdict(model))}\n")
        np.savez(folder / f"{name}.npz", allow_pickle=False, **random_arrays(model, 0))
        subjects.run(subjects.published(yaml, folder / f"{name}.npz", folder / name))
        folders.append(folder / name / "classification")
    return computations_digest(folders)


# The record ---------------------------------------------------------------------------------------------------------
def measure(modules: Mapping[str, Path], pythons: Mapping[str, Path]) -> dict[str, Any]:
    """Replays every module in every TensorFlow, as many at a time as there are processors.

    Args:
        modules: the members' folders by name.
        pythons: the interpreters by TensorFlow's minor version.

    Returns:
        `tensorflow`, the full version for each minor one, and `results`: by member, minor version and head.

    Raises:
        Fault: when any fails, after all have run; it lists them.
    """
    full: dict[str, str] = {}
    results: dict[str, dict[str, dict[str, Any]]] = {name: {minor: {} for minor in pythons} for name in modules}
    failures = []
    # Old TensorFlows compile on one processor only.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        waiting = {
            (minor, name, head): pool.submit(replay, minor, python, folder / head)
            for minor, python in pythons.items()
            for name, folder in modules.items()
            for head in Head
        }
        for (minor, name, head), replayed in waiting.items():
            try:
                full[minor], found = replayed.result()
            except Fault as fault:
                failures.append(str(fault))
                print(f"FAILED: {fault}", flush=True)
                continue
            results[name][minor][head] = asdict(found)
            print(f"{name}/{head} in TensorFlow {full[minor]}: passed", flush=True)
    if failures:
        raise Fault("\n".join([f"{len(failures)} failed, nothing is written:", *failures]))
    return {"tensorflow": full, "results": results}


def machine() -> str:
    """Returns this machine in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory / 1e9:.0f} GB, CPU only"


def python_versions(pythons: Mapping[str, Path]) -> str:
    """Returns the versions of Python that the interpreters are, without repetition: "3.11.7"."""
    script = "import platform; print(platform.python_version())"
    said = {
        subprocess.run([python, "-I", "-c", script], capture_output=True, text=True, check=True).stdout.strip()
        for python in pythons.values()
    }
    return ", ".join(sorted(said))


def record(modules: Mapping[str, Path], pythons: Mapping[str, Path], folder: Path) -> dict[str, Any]:
    """Returns what goes into templates/compatibility.json.

    Args:
        modules: the folders of the members, each with classification/ and fe/.
        pythons: an interpreter for each minor version of TensorFlow.
        folder: for the PROBES, whose digest a test holds against what later conversions make.
    """
    measured = measure(modules, pythons)
    models = {name: Model(VARIANTS[name], 224, 1000, dropout=DROPOUT[name]) for name in modules}
    return {
        "date": date.today().isoformat(),
        "python": python_versions(pythons),
        "machine": machine(),
        "command": COMMAND,
        "tensorflow": measured["tensorflow"],
        "computations_sha256": probe_digest(folder),
        "models": {
            name: {
                "variant": models[name].variant,
                "dropout": models[name].dropout,
                "tolerance": models[name].tolerance,
                "needs": needs_of(folder),
                "results": measured["results"][name],
            }
            for name, folder in modules.items()
        },
    }


def table(found: Mapping[str, Any]) -> str:
    """Returns the record as a Markdown table: a row per TensorFlow, a column per model and head.

    A cell holds the largest difference of the three ways of calling, and the variables with gradients.
    """
    models = found["models"]
    columns = [(name, head) for name in models for head in Head]
    titles = [f"{models[name]['variant']}, {Head(head).output}" for name, head in columns]
    rows = ["| TensorFlow | " + " | ".join(titles) + " |", "|---|" + "---|" * len(columns)]
    for minor, version in found["tensorflow"].items():
        cells = []
        for name, head in columns:
            result = models[name]["results"][minor][head]
            gradients = min(result["gradients"].values())
            cells.append(f"{max(result['differences'].values()):.1e}; {gradients} of {result['variables']}")
        rows.append(f"| {version} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog=COMMAND, description="Replays full-size modules in every TensorFlow.")
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
    pythons = interpreters(folder, args.interpreter)
    modules = {name: converted(name, folder) for name in VARIANTS}
    probes = folder / "probes"
    probes.mkdir(exist_ok=True)
    found = record(modules, pythons, probes)
    write_text(RECORD, json.dumps(found, indent=2) + "\n")
    print(f"\nwrote {RECORD.relative_to(ROOT)}\n\n{table(found)}")


if __name__ == "__main__":
    raise SystemExit(guarded("compatibility", lambda: main(sys.argv[1:])))
