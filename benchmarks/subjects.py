"""What the benchmarks convert and run: variants of 224 pixels and 1,000 classes with random weights, on the CPU."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from pipeline.checkpoints import provenance

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "artifacts/bench"  # the checkpoints stay there for the next run

MEMBER = """\
checkpoint: {{name: {name}, sources: ["{name}.npz"]}}
model: {{variant: {variant}, image_size: 224, classes: 1000, labels: {labels}, dropout: {dropout}}}
"""


def environment() -> dict[str, str]:
    """Returns the environment of every process that is measured: the CPU alone, and frameworks that keep quiet."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    return os.environ | quiet | {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


def run(command: list[str]) -> None:
    """Runs a command to its end; what it says is shown only if it fails."""
    with tempfile.TemporaryFile() as said:
        done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=said, stderr=said, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{tail(said)}")


def tail(said: IO[bytes], size: int = 4000) -> str:
    """Returns the end of what a process has written to a file."""
    said.seek(0)
    return said.read()[-size:].decode(errors="replace")


def member(folder: Path, variant: str, dropout: float = 0.0) -> Path:
    """Writes a member's YAML file, with the label file that a published one has, and returns its path."""
    name = variant.replace("/", "_").replace("+", "_")
    path = folder / f"{name}{f'_dropout_{dropout}' if dropout else ''}.yaml"
    labels = ROOT / "model_cards/vit/imagenet2012.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(MEMBER.format(name=name, variant=variant, labels=labels, dropout=dropout))
    return path


def checkpoint(folder: Path, variant: str) -> Path:
    """Returns a checkpoint of random weights with its record, as fetch leaves them, made now unless it is there.

    Another process makes it: a process's peak memory counts that of its parent from before it started.
    """
    yaml = member(folder, variant)
    path = folder / yaml.stem / f"{yaml.stem}.npz"
    if not path.exists():
        run([sys.executable, "-m", "benchmarks.random_checkpoints", str(path.parent), str(yaml)])
    if not provenance.path_of(path).exists():
        provenance.write(path, provenance.read(path))
    return path


def plain(variant: str, weights: Path, head: str, out: Path) -> list[str]:
    """Returns the command that converts one head the plain way."""
    return [sys.executable, "-m", "benchmarks.plain", variant, str(weights), head, str(out)]


def published(yaml: Path, weights: Path, out: Path) -> list[str]:
    """Returns the command that converts both heads as the pipeline does."""
    return [sys.executable, "-m", "pipeline.convert", str(yaml), str(weights), str(out)]
