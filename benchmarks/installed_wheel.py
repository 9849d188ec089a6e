"""Installs the wheel into a new environment outside any checkout, and runs its commands there.

    python -m benchmarks.installed_wheel FOLDER [--light]

Publishes vit_demo into FOLDER, builds the source archive and the wheel, and makes an environment in a temporary folder
from the Python that runs this. First with the light extras: TensorFlow and JAX must not be there, `serve` must answer,
`verify` must find a changed card, and `doctor` and `evaluate` must name what to install. Then, without --light, with
the extra `convert`: both must work, and `reproduce` must come to the same bytes.
Prints the size of the environment each time.

Needs a package index; the second part takes minutes and 3 GB.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from benchmarks.fresh_install import HANDLE, ROOT, publish_demo, run
from pipeline.base.command import guarded
from pipeline.base.fault import Fault

SOURCES = ("pipeline", "templates", "docs", "model_cards/vit", "model_cards/labels")
SOURCE_FILES = (
    "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md", "benchmarks/README.md",
)  # fmt: skip
LIGHT = "serve,trust"
HEAVY = ("tensorflow", "jax", "jaxlib", "flax", "numpy")
DEMO = ROOT / "model_cards/demo"


def copy_sources(folder: Path) -> None:
    """Copies what the wheel is built from: setuptools writes into the folder in which it builds."""
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in SOURCE_FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)


def build(folder: Path, *options: str) -> Path:
    """Builds the wheel below an empty folder with the setuptools of this environment; returns its path.

    Args:
        folder: gets the sources and `dist/`.
        options: of `python -m build`; without any, the source archive is built first, and the wheel from that.
    """
    copy_sources(folder)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder / "dist"), *options]
    run([*command, str(folder)], os.environ)
    (wheel,) = (folder / "dist").glob("*.whl")
    return wheel


class Installed:
    """An environment that has the wheel; its commands run in another folder than the checkout."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        run([sys.executable, "-m", "venv", str(folder / "venv")], os.environ)
        self.folder, self.wheel = folder, wheel
        self.python, self.script = folder / "venv/bin/python", folder / "venv/bin/vit-publisher"
        kept = ("PATH", "HOME", "LANG", "TMPDIR")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}

    def install(self, extras: str) -> None:
        """Installs the wheel with extras."""
        run([str(self.python), "-m", "pip", "install", "--quiet", f"{self.wheel}[{extras}]"], os.environ)
        size = run(["du", "-sm", str(self.folder / "venv")], os.environ).split()[0]
        print(f"installed with [{extras}]: {size} MB", flush=True)

    def run(self, *arguments: object) -> str:
        """Returns what a command prints. Raises Fault when it fails."""
        return run([str(self.script), *map(str, arguments)], self.environment, self.folder)

    def refuse(self, message: str, *arguments: object) -> None:
        """Raises Fault unless a command fails with a message and exit status 1."""
        command = [str(self.script), *map(str, arguments)]
        done = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, check=False
        )
        if done.returncode != 1 or message not in done.stderr:
            raise Fault(f"{' '.join(command)}: expected exit status 1 and {message!r}, got {done}")

    @contextmanager
    def serving(self, hub: Path) -> Iterator[str]:
        """Serves a hub; yields its address. Raises Fault when the server does not end in order."""
        command = [str(self.script), "serve", str(hub), "--port", "0"]
        with subprocess.Popen(
            command, env=self.environment, cwd=self.folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as server:
            assert server.stderr is not None
            try:
                line = server.stderr.readline()
                found = re.search(r" at (http://\S+)/ until", line)
                if not found:
                    raise Fault(f"serve printed {line!r}, expected its address")
                yield found[1]
            finally:
                server.send_signal(signal.SIGTERM)
        if server.returncode:
            raise Fault(f"serve ended with exit status {server.returncode} after SIGTERM, expected 0")


def check_light(installed: Installed, hub: Path) -> None:
    """Raises Fault unless the light commands work without the heavy packages, and the others name their extra."""
    probe = f"from importlib.util import find_spec; print(*[name for name in {HEAVY} if find_spec(name)])"
    if heavy := run([str(installed.python), "-c", probe], installed.environment).split():
        raise Fault(f"the extras {LIGHT} brought {', '.join(heavy)}")
    print(installed.run("--help"), flush=True)
    tarball = hub / f"{HANDLE}.tar.gz"
    with installed.serving(hub) as address, urlopen(f"{address}/{HANDLE}.tar.gz") as response:
        if response.read() != tarball.read_bytes():
            raise Fault(f"{address}: another {tarball.name} than the hub's")
    print(installed.run("verify", hub), installed.run("verify", tarball), sep="", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        changed = shutil.copytree(hub, Path(folder) / "hub")
        with (changed / f"{HANDLE}.md").open("a", encoding="utf-8") as card:
            card.write("Changed.")
        installed.refuse(f"{HANDLE}.md", "verify", changed)
    installed.refuse('pip install "vit-publisher[doctor]"', "doctor", tarball)
    installed.refuse('pip install "vit-publisher[evaluate]"', "evaluate", tarball, "--images", DEMO)


def check_heavy(installed: Installed, hub: Path) -> None:
    """Raises Fault unless doctor, evaluate and reproduce work on the demo's classifier."""
    tarball = hub / f"{HANDLE}.tar.gz"
    if "faults:\n  none" not in (text := installed.run("doctor", tarball)):
        raise Fault(f"doctor printed:\n{text}")
    images, labels = DEMO / "fashion_mnist_test", DEMO / "fashion_mnist.tsv"
    text = installed.run("evaluate", tarball, "--images", images, "--labels", labels, "--samples", 100)
    if "top-1" not in text:
        raise Fault(f"evaluate printed:\n{text}")
    print(text, flush=True)
    print(installed.run("reproduce", f"{hub}/{HANDLE}", "--checkpoints", DEMO), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.installed_wheel", description="Tries the wheel.")
    parser.add_argument("folder", type=Path, help="gets the hub and the wheel")
    parser.add_argument("--light", action="store_true", help="without the extra convert")
    args = parser.parse_args()
    folder = args.folder.resolve()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    publish_demo(folder, "http://localhost:8080")
    (folder / "wheel").mkdir()
    wheel = build(folder / "wheel")
    with tempfile.TemporaryDirectory() as elsewhere:
        installed = Installed(Path(elsewhere), wheel)
        installed.install(LIGHT)
        check_light(installed, folder / "hub")
        if not args.light:
            installed.install(f"{LIGHT},convert")
            check_heavy(installed, folder / "hub")


if __name__ == "__main__":
    raise SystemExit(guarded("installed_wheel", main))
