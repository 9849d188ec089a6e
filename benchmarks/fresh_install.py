"""Follows a card in new environments: its install line, then its first snippet, against a served hub.

    python -m benchmarks.fresh_install FOLDER [--python PYTHON ...]

Publishes vit_demo into FOLDER. For each PYTHON (default: the one that runs this) and each of INSTALLERS it makes an
environment with the newest setuptools, runs the install line of the classifier's card there, and the card's first
snippet, which must name the class of its sample picture. With the newest setuptools again the import must fail, so that
a bound that is no longer needed is noticed. Prints the installed versions.

Needs a package index; an environment takes a minute and 2 GB.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.full_size import serve_folder
from pipeline.base.command import guarded
from pipeline.base.fault import Fault

ROOT = Path(__file__).parents[1]
HANDLE = "vit-publisher/vit_demo_classification/2"
# The shell that runs the line, and what stands before the line.
INSTALLERS = {"bash": ("bash", ""), "zsh": ("zsh", ""), "uv": ("bash", "uv ")}
SHOWN = ("tensorflow", "tensorflow-hub", "tf-keras", "keras", "setuptools", "numpy")
SHOW = f"from importlib.metadata import version\nprint(*(f'{{name}} {{version(name)}}' for name in {SHOWN}), sep=', ')"


@dataclass(frozen=True)
class Card:
    """What a card tells its reader to run first.

    Attributes:
        install: the shell command that installs what the snippets need.
        snippet: the first snippet of Python.
    """

    install: str
    snippet: str


def read_card(text: str) -> Card:
    """Returns what a card, in Markdown, tells its reader to run first."""
    block = r"^```{}\n(.*?)\n```$"
    shell, python = (re.search(block.format(word), text, re.MULTILINE | re.DOTALL) for word in ("sh", "python"))
    if not shell or not python:
        raise Fault("the card has no install line or no snippet, expected a block ```sh and a block ```python")
    return Card(shell[1], python[1])


def run(command: Sequence[str], environment: Mapping[str, str], folder: Path | None = None) -> str:
    """Runs a command and returns what it prints.

    Raises:
        Fault: with the end of its messages, when it fails.
    """
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Fault(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def publish_demo(folder: Path, address: str) -> Card:
    """Publishes vit_demo into a folder, for a hub at an address; returns what its classifier's card says."""
    settings = [f"PYTHON={sys.executable}", f"ARTIFACTS={folder}/artifacts", f"HUB={folder}/hub", f"HUB_URL={address}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    run(["make", "publish", "MODEL=vit_demo", *settings], environment, ROOT)
    return read_card((folder / f"hub/{HANDLE}.md").read_text(encoding="utf-8"))


def upgrade_setuptools(interpreter: Path, *others: str) -> None:
    """Installs the newest setuptools, whatever other packages ask for, and other packages."""
    run([str(interpreter), "-m", "pip", "install", "--quiet", "--upgrade", "setuptools", *others], os.environ)


def follow(card: Card, installer: str, python: str, venv: Path) -> str:
    """Follows a card in a new environment; returns the versions that its line has installed there.

    Raises:
        Fault: when the line or the snippet fails, or when the line's bound is not needed.
    """
    run([python, "-m", "venv", "--clear", str(venv)], os.environ)
    interpreter = venv / "bin/python"
    upgrade_setuptools(interpreter, "uv")
    path = f"{interpreter.parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"TFHUB_CACHE_DIR": str(venv / "tfhub"), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment = os.environ | quiet | {"VIRTUAL_ENV": str(venv), "PATH": path}
    shell, before = INSTALLERS[installer]
    run([shell, "-c", before + card.install], environment)
    output = run([str(interpreter), "-c", card.snippet], environment, venv)
    if "T-shirt/top" not in output:
        raise Fault(
            f"{venv}: the card's snippet printed {output!r}, expected the class of its sample picture, T-shirt/top"
        )
    versions = run([str(interpreter), "-c", SHOW], environment).strip()
    upgrade_setuptools(interpreter)
    again = subprocess.run([interpreter, "-c", "import tensorflow_hub"], capture_output=True, check=False)
    if again.returncode == 0:
        raise Fault(f"{venv}: tensorflow_hub works with the newest setuptools; remove the bound from INSTALL")
    return versions


def follow_everywhere(card: Card, pythons: Sequence[str], folder: Path) -> None:
    """Follows a card with each Python and installer, in environments below a folder, and prints the versions."""
    for python in pythons:
        for installer, (shell, before) in INSTALLERS.items():
            if not shutil.which(shell):
                print(f"NOT run in {shell}, which is not installed", flush=True)
                continue
            versions = follow(card, installer, python, folder / f"{Path(python).name}-{installer}")
            name = run([python, "--version"], os.environ).strip()
            print(f"{name}, {shell}, `{before}{card.install}`: {versions}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fresh_install", description="Follows a card.")
    parser.add_argument("folder", type=Path, help="gets the hub and the environments")
    parser.add_argument("--python", action="append", help="an interpreter to make environments from")
    args = parser.parse_args()
    folder = args.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "hub").mkdir(parents=True)
    with serve_folder(folder / "hub") as address:
        follow_everywhere(publish_demo(folder, address), args.python or [sys.executable], folder)


if __name__ == "__main__":
    raise SystemExit(guarded("fresh_install", main))
