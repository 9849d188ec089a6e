"""Checks pipeline/checkpoints/timm.py against timm itself: AugReg checkpoints through timm and back, byte for byte.

    python -m benchmarks.timm_round_trip --torch-python PYTHON [--sizes N ...] [--classes N ...] [--folder FOLDER]
                                         [VARIANT ...]
    python -m benchmarks.timm_round_trip --torch-python PYTHON --record tests/data/timm

For each variant, image size and number of classes, writes a checkpoint of random weights in the AugReg layout, with the
empty `pre_logits` that some files of the pool have. PYTHON, which has timm, converts it to safetensors
(benchmarks/timm_file.py), and ours converts it back. The result must have the same arrays with the same types, shapes
and bytes. L/16 and R50+L/32 need 3 GB of memory and 3 GB of disk.

The second form writes the small files that tests/checkpoints/test_timm.py reads, since the tests have no timm.
"""

import argparse
import json
import lzma
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks import subjects
from benchmarks.contenders import TIMM
from benchmarks.random_checkpoints import random_arrays, stored_shapes
from pipeline.checkpoints.npz import Arrays
from pipeline.checkpoints.timm import augreg_arrays
from pipeline.model.section import Model

VARIANTS = tuple(name for name in TIMM if name != "L/32")  # the pool has none
RECORDED = (Model("Ti/16", 32, 3), Model("R+Ti/16", 32, 3), Model("R26+S/32", 32, 3))


def counting_arrays(model: Model) -> Arrays:
    """Returns parameters that are all different, in the AugReg layout.

    Their bits count up from those of 1.0, so that a file of them packs to a few kilobytes.
    """
    arrays, start = {}, int(np.float32(1).view(np.uint32))
    for path, shape in sorted(stored_shapes(model).items()):
        end = start + math.prod(shape)
        arrays[path], start = np.arange(start, end, dtype=np.uint32).view(np.float32).reshape(shape), end
    return arrays


def through_timm(python: str, model: Model, arrays: Arrays, folder: Path) -> str:
    """Writes `original.npz`, converts it to `model.safetensors` with timm, and returns timm's version."""
    with (folder / "original.npz").open("wb") as stream:
        np.savez(stream, allow_pickle=False, pre_logits=np.zeros(0, np.float32), **arrays)
    facts = [model.variant, model.image_size, model.classes, folder / "original.npz", folder]
    done = subprocess.run(
        [python, "-m", "benchmarks.timm_file", *map(str, facts)],
        cwd=subjects.ROOT, env=subjects.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{model.variant}: {python} -m benchmarks.timm_file failed:\n{done.stderr[-4000:]}")
    return done.stdout.split()[-1]


def differences(original: Path, arrays: Arrays) -> list[str]:
    """Returns a line for each array that differs from the original in type, shape or bytes, or is not in C order."""
    lines = []
    with np.load(original, allow_pickle=False) as archive:
        names = set(archive.files) - {"pre_logits"}
        lines += [f"{name}: missing on one side" for name in sorted(names ^ arrays.keys())]
        for name in sorted(names & arrays.keys()):
            expected, got = archive[name], arrays[name]
            if (got.dtype, got.shape) != (expected.dtype, expected.shape):
                lines.append(f"{name}: {got.dtype} {got.shape}, expected {expected.dtype} {expected.shape}")
            elif not got.flags.c_contiguous or not np.array_equal(got.view(np.uint32), expected.view(np.uint32)):
                lines.append(f"{name}: different bytes")
    return lines


def check(model: Model, python: str, folder: Path) -> None:
    """Runs a round trip and prints its figures; exits when the arrays differ."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        version = through_timm(python, model, random_arrays(model), work)
        started = time.perf_counter()
        arrays = augreg_arrays(work / "model.safetensors")
        seconds = time.perf_counter() - started
        mismatches = differences(work / "original.npz", arrays)
    label = f"{model.variant} with {model.image_size} pixels and {model.classes} classes"
    if mismatches:
        raise SystemExit("\n".join([f"{label}: timm {version} changes {len(mismatches)} arrays:", *mismatches]))
    size = sum(array.nbytes for array in arrays.values())
    print(f"{label}: {len(arrays)} arrays, {size / 1e6:.1f} MB, equal; timm {version}; {seconds:.2f} s", flush=True)


def record(python: str, out: Path) -> None:
    """Writes the compressed files for the tests, and files.json, which names the version of timm."""
    # Neighbouring values differ by 1, so their differences compress well.
    filters = [{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2, "preset": 9}]
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for model in RECORDED:
        file = f"{model.variant.replace('/', '_').replace('+', '_')}.safetensors.xz"
        with tempfile.TemporaryDirectory() as name:
            version = through_timm(python, model, counting_arrays(model), Path(name))
            packed = lzma.compress((Path(name) / "model.safetensors").read_bytes(), filters=filters)
        (out / file).write_bytes(packed)
        facts = {"variant": model.variant, "image_size": model.image_size, "classes": model.classes}
        rows.append({"file": file, **facts, "timm": version})
        print(f"{file}: {len(packed)} bytes", flush=True)
    (out / "files.json").write_text(json.dumps(rows, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Checks that checkpoints survive a round trip through timm.")
    parser.add_argument("variants", nargs="*", default=list(VARIANTS), help="default: all of the pool")
    parser.add_argument("--torch-python", default=sys.executable, help="the interpreter that has torch and timm")
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 384], help="in pixels; default 224 and 384")
    parser.add_argument("--classes", type=int, nargs="+", default=[1000, 21843], help="default 1000 and 21843")
    parser.add_argument("--folder", type=Path, help="for the files, which are removed; default: the system's")
    parser.add_argument("--record", type=Path, help="write the tests' files to this folder instead")
    args = parser.parse_args()
    if args.record:
        record(args.torch_python, args.record)
        return
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
    models = [Model(name, size, count) for name in args.variants for size in args.sizes for count in args.classes]
    for model in models:
        check(model, args.torch_python, args.folder)
    print(f"{len(models)} round trips through timm, all arrays equal", flush=True)


if __name__ == "__main__":
    main()
