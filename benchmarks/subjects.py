"""Makes the members that benchmarks convert and run: 224 pixels, 1,000 classes, random weights, on the CPU.

A variant is named as in YAML files, of another architecture than the Vision Transformer with that before: "mixer:B/16".
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO

from pipeline.base.heads import Head
from pipeline.checkpoints import provenance
from pipeline.facts.report import Report
from pipeline.model.section import Model

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "artifacts/bench"  # checkpoints are kept there for the next run

MEMBER = """\
checkpoint: {{name: {name}, sources: ["{name}.npz"]}}
model: {{architecture: {architecture}, variant: {variant}, image_size: 224, classes: 1000, dropout: {dropout},
  labels: {labels}}}
"""


def environment() -> dict[str, str]:
    """Returns the environment of a measured process: the CPU alone, and no log messages of frameworks."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}
    return os.environ | quiet | {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}


def run(command: list[str]) -> None:
    """Runs a command; exits with the end of its output when it fails."""
    with tempfile.TemporaryFile() as log:
        done = subprocess.run(command, cwd=ROOT, env=environment(), stdout=log, stderr=log, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{tail(log)}")


def tail(log: IO[bytes], size: int = 4000) -> str:
    """Returns the last `size` bytes that a process wrote to a file, as text."""
    log.seek(0)
    return log.read()[-size:].decode(errors="replace")


def model_of(variant: str, dropout: float = 0.0) -> Model:
    """Returns the model of a variant.

    Raises:
        Fault: for an unknown one.
    """
    architecture, _, name = variant.rpartition(":")
    return Model(name, 224, 1000, dropout=dropout, architecture=architecture or "vit")


def member(folder: Path, variant: str, dropout: float = 0.0) -> Path:
    """Writes a member's YAML file, with the labels of ImageNet-1k, and returns its path."""
    model, name = model_of(variant, dropout), re.sub("[^A-Za-z0-9]", "_", variant)
    path = folder / f"{name}{f'_dropout_{dropout}' if dropout else ''}.yaml"
    labels = ROOT / "model_cards/vit/imagenet2012.tsv"
    path.parent.mkdir(parents=True, exist_ok=True)
    fields = {"architecture": model.architecture, "variant": model.variant, "labels": labels, "dropout": dropout}
    path.write_text(MEMBER.format(name=name, **fields))
    return path


def checkpoint(folder: Path, variant: str) -> Path:
    """Returns a checkpoint of random weights with its record, as fetch writes them; makes it unless it exists.

    A process of its own makes it, since a process inherits the peak memory of its parent.
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


def relative_errors(report: Report) -> str:
    """Returns the largest differences of logits and features from JAX, as a cell of a table."""
    return ", ".join(f"{report.modules[head].parity.max_rel:.1e}" for head in Head)
