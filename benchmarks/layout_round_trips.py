"""Checks the layouts of other programs against these programs themselves, with random weights of full size.

    python -m benchmarks.layout_round_trips --torch-python PYTHON [--classes N ...] [--folder FOLDER] [NAME ...]
    python -m benchmarks.layout_round_trips --torch-python PYTHON --record tests/data/timm

PYTHON has timm and transformers (benchmarks/torch_files.py runs there). Two kinds of checks:

- where timm reads .npz files by its own loader, a checkpoint goes through timm into safetensors, and is imported: the
  same arrays must come back, byte for byte. Upstream's names for the variants of upstream, with the empty `pre_logits`
  that some of its files have; big_vision's names, with and without stacked blocks, for its poolings.
- where it does not, as for Mixers, and for transformers: the program makes the weights, and computes the outputs of two
  images; our network must compute the same from the arrays that were imported, within its tolerance.

H/14 needs 8 GB of memory and 5 GB of disk. The second form writes the small files that tests/checkpoints/test_timm.py
reads, since the tests have no timm.
"""

import argparse
import json
import lzma
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks import subjects
from benchmarks.contenders import TIMM
from benchmarks.random_checkpoints import random_arrays, stored_shapes
from pipeline.checkpoints import npz
from pipeline.checkpoints.arrays_of import plan_arrays
from pipeline.checkpoints.containers.opening import open_weights
from pipeline.checkpoints.npz import Arrays
from pipeline.model.networks import open_network
from pipeline.model.section import Model

VARIANTS = tuple(name for name in TIMM if name != "L/32")  # the pool has none
NAMES = TIMM | {"R50+B/16": "vit_base_r50_s16_224", "R26+B/32": "vit_base_r26_s32_224", "H/14": "vit_huge_patch14_224"}
RECORDED = (Model("Ti/16", 32, 3), Model("R+Ti/16", 32, 3), Model("R26+S/32", 32, 3))
POSITION = "Transformer/posembed_input/pos_embedding"


@dataclass(frozen=True)
class Trip:
    """A model that goes through a program.

    Attributes:
        name: what it is called here, such as "B/16 map".
        model: the section; its head is left out where `has_head` is false.
        theirs: the program's name of it, or transformers' class.
        options: of the program.
        layout: whose names the .npz has that timm reads: "upstream", "big_vision" or "stacked"; "" where the program
            makes the weights.
        program: timm or transformers.
        has_head: whether the program's model has a head.
    """

    name: str
    model: Model
    theirs: str
    options: Mapping[str, object] = field(default_factory=dict)
    layout: str = ""
    program: str = "timm"
    has_head: bool = True


def _model(variant: str, size: int, classes: int, **options: str | int) -> Model:
    return Model(variant, size, classes, options=options)


def _transformers(
    name: str, kind: str, model: Model, numbers: tuple[int, int, int, int], has_head: bool = True
) -> Trip:
    """Returns a model of transformers; `numbers` are width, layers, heads and MLP."""
    keys = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    patch = int(model.variant.partition("/")[2])
    options = dict(zip(keys, numbers, strict=True)) | {"image_size": model.image_size, "patch_size": patch}
    if has_head:
        options["num_labels"] = model.classes
    return Trip(name, model, kind, options, program="transformers", has_head=has_head)


def list_trips(classes: list[int]) -> list[Trip]:
    """Returns all trips; upstream's variants at two sizes and with each number of classes."""
    upstream = [
        Trip(f"{name} {size} {count}", Model(name, size, count), theirs, layout="upstream")
        for name, theirs in NAMES.items()
        for size in ((224,) if name == "H/14" else (224, 384))
        for count in classes
    ]
    base, large = (768, 12, 12, 3072), (1024, 24, 16, 4096)
    gap, map_ = (_model("B/16", 224, 1000, pooling=pooling) for pooling in ("gap", "map"))
    tok = Model("B/16", 224, 1000)
    siglip = "vit_base_patch16_siglip_224"
    return [
        *upstream,
        Trip("B/16 gap big_vision", gap, "vit_base_patch16_siglip_gap_224", layout="big_vision"),
        Trip("B/16 map big_vision", map_, siglip, layout="big_vision"),
        Trip("B/16 map stacked", map_, siglip, layout="stacked"),
        Trip("B/16 token stacked", tok, "vit_base_patch16_224", {"no_embed_class": True}, "stacked"),
        Trip("B/16 map timm", map_, siglip),
        Trip("B/16 gap timm", gap, "vit_base_patch16_siglip_gap_224"),
        *(
            Trip(f"Mixer {name}", Model(name, 224, 1000, architecture="mixer"), theirs)
            for name, theirs in (("B/16", "mixer_b16_224"), ("B/32", "mixer_b32_224"), ("L/16", "mixer_l16_224"))
        ),
        _transformers("B/16 transformers", "ViTForImageClassification", tok, base),
        _transformers("L/32 transformers", "ViTForImageClassification", Model("L/32", 384, 1000), large),
        _transformers("B/16 pooler", "ViTModel", _model("B/16", 224, 1000, pre_logits=768), base, has_head=False),
        _transformers("B/16 SigLIP", "SiglipVisionModel", map_, base, has_head=False),
        _transformers("B/16 SigLIP gap", "SiglipForImageClassification", gap, base),
    ]


def import_arrays(path: Path) -> Arrays:
    """Returns the arrays of another program's file, as fetch writes them."""
    with open_weights(path, str(path)) as file:
        return plan_arrays(file, None, is_own=False).read(file)


def counting_arrays(model: Model) -> Arrays:
    """Returns parameters that are all different, in upstream's layout.

    Their bits count up from those of 1.0, so that a file of them packs to a few kilobytes.
    """
    arrays, start = {}, int(np.float32(1).view(np.uint32))
    for path, shape in sorted(stored_shapes(model).items()):
        end = start + math.prod(shape)
        arrays[path], start = np.arange(start, end, dtype=np.uint32).view(np.float32).reshape(shape), end
    return arrays


def big_vision_arrays(arrays: Arrays, is_stacked: bool = False) -> Arrays:
    """Returns arrays under big_vision's names, with those of all blocks in one if stacked.

    A class token has no position there.
    """
    theirs = {}
    for name, value in arrays.items():
        for ours, new in (("Attention_1", "Attention_0"), ("LayerNorm_2", "LayerNorm_1"), ("MlpBlock_3", "MlpBlock_0")):
            name = name.replace(ours, new)
        theirs[name] = value
    if POSITION in theirs:
        theirs["pos_embedding"] = theirs.pop(POSITION)[:, int("cls" in arrays) :]
    if not is_stacked:
        return theirs
    rest = {name: value for name, value in theirs.items() if "/encoderblock_" not in name}
    layers = len({name.split("/")[1] for name in theirs if name.startswith("Transformer/encoderblock_")})
    for name in [name.split("encoderblock_0/")[1] for name in theirs if "/encoderblock_0/" in name]:
        blocks = [theirs[f"Transformer/encoderblock_{layer}/{name}"] for layer in range(layers)]
        rest[f"Transformer/encoderblock/{name}"] = np.stack(blocks)
    return rest


def through_program(python: str, trip: Trip, arrays: Arrays | None, folder: Path) -> str:
    """Writes `model.safetensors` with the program, from `arrays` if there are any; returns the program's version.

    `original.npz` are the arrays, and `theirs.npz` what the program reads.
    """
    facts: list[object] = [trip.theirs]
    if trip.program == "timm":
        facts += [trip.model.image_size, trip.model.classes if trip.has_head else 0]
    facts.append(folder)
    if arrays is not None:
        theirs = arrays if trip.layout == "upstream" else big_vision_arrays(arrays, trip.layout == "stacked")
        more = {"pre_logits": np.zeros(0, np.float32)} if trip.layout == "upstream" else {}
        for name, content in (("original", arrays), ("theirs", theirs | more)):
            with (folder / f"{name}.npz").open("wb") as stream:
                np.savez(stream, allow_pickle=False, **content)
        facts.append(folder / "theirs.npz")
    facts += [f"{name}={json.dumps(value)}" for name, value in trip.options.items()]
    done = subprocess.run(
        [python, "-m", "benchmarks.torch_files", trip.program, *map(str, facts)],
        cwd=subjects.ROOT, env=subjects.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(f"{trip.name}: {python} -m benchmarks.torch_files failed:\n{done.stderr[-4000:]}")
    return done.stdout.strip().splitlines()[-1]


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


def _original(trip: Trip) -> Arrays | None:
    """Returns the arrays that go through the program; None where it makes them."""
    if not trip.layout:
        return None
    arrays = random_arrays(trip.model)
    if trip.layout != "upstream" and "cls" in arrays:
        arrays[POSITION][:, 0] = 0
    return arrays


def compare_outputs(trip: Trip, arrays: Arrays, folder: Path) -> tuple[float, float]:
    """Returns the largest error of our outputs, relative to the largest of the program's, and the tolerance."""
    network = open_network(trip.model, folder)
    if not trip.has_head:
        shapes = {name: shape for name, shape in (network.expected_shapes() or {}).items() if network.is_head(name)}
        arrays = arrays | {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    weights = npz.fit(arrays, network, folder).arrays
    images, expected = np.load(folder / "images.npy"), np.load(folder / "outputs.npy")
    outputs = np.asarray((network.logits if trip.has_head else network.features)(weights, images))
    return float(np.abs(outputs - expected).max() / np.abs(expected).max()), network.tolerances.outputs


def check(trip: Trip, python: str, folder: Path | None) -> None:
    """Runs a trip and prints its figures; exits when the arrays or outputs differ."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        version = through_program(python, trip, _original(trip), work)
        started = time.perf_counter()
        arrays = import_arrays(work / "model.safetensors")
        seconds = time.perf_counter() - started
        if trip.layout:
            result, problems = "equal", differences(work / "original.npz", arrays)
        else:
            error, tolerance = compare_outputs(trip, arrays, work)
            result = f"outputs differ by {error:.1e} (limit {tolerance:.0e})"
            problems = [] if error <= tolerance else [result]
    if problems:
        raise SystemExit("\n".join([f"{trip.name}: after {version}, {len(problems)} faults:", *problems]))
    size = sum(array.nbytes for array in arrays.values())
    print(f"{trip.name}: {len(arrays)} arrays, {size / 1e6:.1f} MB, {result}; {version}; {seconds:.2f} s", flush=True)


def record(python: str, out: Path) -> None:
    """Writes the compressed files for the tests, and files.json, which names the version of timm."""
    # Neighbouring values differ by 1, so their differences compress well.
    filters = [{"id": lzma.FILTER_DELTA, "dist": 4}, {"id": lzma.FILTER_LZMA2, "preset": 9}]
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for model in RECORDED:
        file = f"{model.variant.replace('/', '_').replace('+', '_')}.safetensors.xz"
        trip = Trip(file, model, NAMES[model.variant], layout="upstream")
        with tempfile.TemporaryDirectory() as name:
            version = through_program(python, trip, counting_arrays(model), Path(name))
            packed = lzma.compress((Path(name) / "model.safetensors").read_bytes(), filters=filters)
        (out / file).write_bytes(packed)
        facts = {"variant": model.variant, "image_size": model.image_size, "classes": model.classes}
        rows.append({"file": file, **facts, "timm": version.removeprefix("timm ")})
        print(f"{file}: {len(packed)} bytes", flush=True)
    (out / "files.json").write_text(json.dumps(rows, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description="Checks the layouts of other programs against these programs.")
    parser.add_argument("names", nargs="*", help="how the names of trips begin, such as 'B/16 map'; default: all")
    parser.add_argument("--torch-python", default=sys.executable, help="the interpreter that has torch, timm, ...")
    parser.add_argument("--classes", type=int, nargs="+", default=[1000, 21843], help="default 1000 and 21843")
    parser.add_argument("--folder", type=Path, help="for the files, which are removed; default: the system's")
    parser.add_argument("--record", type=Path, help="write the tests' files to this folder instead")
    args = parser.parse_args()
    if args.record:
        record(args.torch_python, args.record)
        return
    if args.folder:
        args.folder.mkdir(parents=True, exist_ok=True)
    trips = [trip for trip in list_trips(args.classes) if trip.name.startswith(tuple(args.names) or "")]
    for trip in trips:
        check(trip, args.torch_python, args.folder)
    print(f"{len(trips)} round trips, all equal", flush=True)


if __name__ == "__main__":
    main()
