"""Finds or makes an interpreter for each version of TensorFlow that the modules must run in.

benchmarks/tensorflow/ has a lock for each.
"""

import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.saved_model import runtimes

ROOT = Path(__file__).parents[1]
LOCKS = ROOT / "benchmarks/tensorflow"

# The newest Python 3 that each TensorFlow has wheels for. All have wheels for 3.11, the oldest that the pipeline needs.
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


def find_python(minor: str) -> str:
    """Returns a Python that a TensorFlow has wheels for: this one, or the newest on the PATH.

    Raises:
        Fault: when there is none.
    """
    newest = NEWEST_PYTHON[minor]
    if (3, 11) <= sys.version_info[:2] <= (3, newest):
        return sys.executable
    for candidate in range(newest, 10, -1):
        if path := shutil.which(f"python3.{candidate}"):
            return path
    raise Fault(
        f"TensorFlow {minor} needs Python 3.11{f' to 3.{newest}' if newest > 11 else ''}, none is on the PATH "
        f"(this is {platform.python_version()}); install one, or set --interpreter {minor}=<python with it>"
    )


def make_environment(minor: str, python: str, folder: Path) -> Path:
    """Returns the interpreter of folder/tensorflow-<minor>; makes the environment unless it has the current lock.

    Raises:
        Fault: when pip cannot install the lock.
    """
    venv, lock = folder / f"tensorflow-{minor}", LOCKS / f"{minor}.lock"
    interpreter, installed = venv / "bin/python", venv / "requirements.lock"
    if installed.exists() and installed.read_text() == lock.read_text():
        return interpreter
    print(f"Installing {lock.relative_to(ROOT)} into {venv}.", flush=True)
    pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--require-hashes", "-r", str(lock)]
    for command in ([python, "-m", "venv", "--clear", str(venv)], pip):
        done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            raise Fault(f"cannot make {venv}: {' '.join(done.stderr.strip().splitlines()[-1:])}")
    shutil.copyfile(lock, installed)
    return interpreter


def parse_interpreters(pairs: Sequence[str]) -> dict[str, Path]:
    """Returns the interpreters that --interpreter MINOR=PYTHON names, by minor version.

    Raises:
        Fault: for an unknown version, or a path without a file.
    """
    interpreters = {}
    for pair in pairs:
        minor, _, path = pair.partition("=")
        if minor not in NEWEST_PYTHON or not Path(path).is_file():
            raise Fault(f"--interpreter {pair}: expected one of {', '.join(NEWEST_PYTHON)}, = and an interpreter")
        interpreters[minor] = Path(path)
    return interpreters


def find_interpreters(folder: Path, pairs: Sequence[str]) -> dict[str, Path]:
    """Returns an interpreter for each TensorFlow in pipeline/saved_model/runtimes.py, the oldest first.

    Args:
        folder: for the environments.
        pairs: MINOR=PYTHON, interpreters to use instead.

    Raises:
        Fault: when one cannot be found or made.
    """
    given = parse_interpreters(pairs)
    minors = [runtime.tensorflow for runtime in runtimes.RUNTIMES]
    pythons = {minor: find_python(minor) for minor in minors if minor not in given}  # all, before the first install
    return {minor: given.get(minor) or make_environment(minor, pythons[minor], folder) for minor in minors}
