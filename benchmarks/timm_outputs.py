"""Compares what our Vision Transformers compute with timm: tokens, features and logits of the same random weights.

    python -m benchmarks.timm_outputs --torch-python PYTHON [--folder FOLDER] [NAME ...]
    python -m benchmarks.timm_outputs --torch-python PYTHON --record tests/data/timm_outputs.json

The first form takes models of full size, FULL; H/14 needs 10 GB of memory. PYTHON, which has timm, reads the checkpoint
in upstream's layout (benchmarks/timm_forward.py). The second form writes parts of the outputs of the small models,
SMALL, which tests/model/test_vit.py compares with, since the tests have no timm.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import numpy as np

from benchmarks import subjects
from benchmarks.random_checkpoints import random_arrays
from pipeline.checkpoints import npz
from pipeline.model.networks import open_network
from pipeline.model.section import Model, Option
from pipeline.model.vit.variants import HYBRIDS, SIZES, Variant, variant

IMAGES = 2
TOLERANCE, HYBRID_TOLERANCE = 1e-5, 5e-5
# A hybrid with the ResNet of R50+B/16 before a small Transformer.
SMALL_HYBRID = {"R50+Mini/16": Variant(1, *SIZES["Mini"], resnet=(3, 4, 9))}
Outputs = dict[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A model to compare."""

    variant: str
    image_size: int
    classes: int
    options: Mapping[str, Option] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        """The section `model`."""
        return Model(self.variant, self.image_size, self.classes, options=self.options)


SMALL = {
    "gap": Case("Mini/8", 32, 10, {"pooling": "gap"}),
    "map": Case("Mini/8", 32, 10, {"pooling": "map"}),
    "pre_logits": Case("Mini/8", 32, 10, {"pre_logits": 48}),
    "R50": Case("R50+Mini/16", 64, 10),
}
FULL = {
    "B/16 with pre_logits": Case("B/16", 224, 21_843, {"pre_logits": 768}),
    "B/16 at 384": Case("B/16", 384, 1000),
    "S/16 gap": Case("S/16", 224, 1000, {"pooling": "gap"}),
    "B/32 gap": Case("B/32", 224, 1000, {"pooling": "gap"}),
    "B/16 map": Case("B/16", 224, 1000, {"pooling": "map"}),
    "L/16 map with pre_logits": Case("L/16", 224, 1000, {"pooling": "map", "pre_logits": 512}),
    "H/14": Case("H/14", 224, 1000),
    "R50+B/16": Case("R50+B/16", 224, 1000),
    "R26+B/32": Case("R26+B/32", 224, 1000),
}


def make_images(size: int) -> np.ndarray:
    """Returns noise from a fixed seed, float32 (IMAGES, size, size, 3) in [-1, 1]."""
    return np.random.default_rng(0).uniform(-1, 1, (IMAGES, size, size, 3)).astype(np.float32)


def our_outputs(model: Model, compile_function: Callable[..., Any] = jax.jit) -> Outputs:
    """Returns the tokens, features and logits of a model of random weights.

    Args:
        model: the section.
        compile_function: compiles a function of weights and images.
    """
    network = open_network(model, subjects.ROOT)
    arrays = npz.fit(random_arrays(model), network, Path("random")).arrays
    functions = {"tokens": network.tokens, "features": network.features, "logits": network.logits}
    images = make_images(model.image_size)
    compute = compile_function(lambda weights, x: {name: each(weights, x) for name, each in functions.items()})
    return {name: np.asarray(value) for name, value in compute(arrays, images).items()}


def timm_outputs(model: Model, python: str, folder: Path) -> tuple[Outputs, str]:
    """Returns the same of timm, and timm's version.

    Args:
        model: the section.
        python: an interpreter with timm.
        folder: for temporary files.
    """
    each, options = variant(model.variant), dict(model.options)
    pooling = str(options.get("pooling", "token"))
    arguments = {
        "img_size": model.image_size,
        "patch_size": each.patch,
        "embed_dim": each.width,
        "depth": each.layers,
        "num_heads": each.heads,
        "mlp_ratio": each.mlp / each.width,
        "class_token": pooling == "token",
        "global_pool": {"gap": "avg"}.get(pooling, pooling),
        "num_classes": 0 if "pre_logits" in options else model.classes,
    }
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        (work / "model.json").write_text(json.dumps({"arguments": arguments, "resnet": each.resnet}))
        np.savez(work / "checkpoint.npz", allow_pickle=False, **random_arrays(model))
        np.save(work / "images.npy", make_images(model.image_size))
        done = subprocess.run(
            [python, "-m", "benchmarks.timm_forward", name],
            cwd=subjects.ROOT, env=subjects.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{model.variant}: {python} -m benchmarks.timm_forward failed:\n{done.stderr[-4000:]}")
        with np.load(work / "outputs.npz") as outputs:
            return dict(outputs), done.stdout.split()[-1]


def select(outputs: Outputs) -> Outputs:
    """Returns the part of outputs that the tests compare."""
    return {
        "tokens": outputs["tokens"][:, ::5, :24],
        "features": outputs["features"][:, :24],
        "logits": outputs["logits"],
    }


def compare(got: Outputs, expected: Outputs) -> dict[str, float]:
    """Returns the largest difference of each output, relative to the largest expected value."""
    return {
        name: float(np.abs(got[name] - value).max() / np.abs(value).max())
        if got[name].shape == value.shape
        else float("inf")
        for name, value in expected.items()
    }


def check(name: str, python: str, folder: Path) -> None:
    """Compares a model of full size and prints the errors; exits where they are too large."""
    model = FULL[name].model
    expected, version = timm_outputs(model, python, folder)
    errors = compare(our_outputs(model), expected)
    tolerance = TOLERANCE if variant(model.variant).resnet is None else HYBRID_TOLERANCE
    text = ", ".join(f"{output} {error:.1e}" for output, error in errors.items())
    print(f"{name}: relative errors {text} (limit {tolerance:.0e}); timm {version}", flush=True)
    if not all(error <= tolerance for error in errors.values()):
        raise SystemExit(f"{name}: timm computes something else")


def record(python: str, out: Path) -> None:
    """Writes timm's outputs for the small models."""
    rows = {}
    for name, case in SMALL.items():
        outputs, version = timm_outputs(case.model, python, Path(tempfile.gettempdir()))
        rows[name] = {output: value.round(6).tolist() for output, value in select(outputs).items()}
        print(f"{name}: timm {version}", flush=True)
    out.write_text(json.dumps(rows) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares outputs with timm's.")
    parser.add_argument("names", nargs="*", default=list(FULL), help="of FULL; default: all")
    parser.add_argument("--torch-python", default=sys.executable, help="the interpreter that has torch and timm")
    parser.add_argument("--folder", type=Path, help="for the files, which are removed; default: the system's")
    parser.add_argument("--record", type=Path, help="write the tests' file instead")
    args = parser.parse_args()
    if args.record:
        with patch.dict(HYBRIDS, SMALL_HYBRID):
            record(args.torch_python, args.record)
        return
    folder = args.folder or Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    for name in args.names:
        check(name, args.torch_python, folder)
    print(f"{len(args.names)} models compute what timm does", flush=True)


if __name__ == "__main__":
    main()
