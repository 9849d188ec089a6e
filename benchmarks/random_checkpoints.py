"""Writes checkpoints of random weights in the AugReg layout, so that full-size members run on any machine.

    python -m benchmarks.random_checkpoints FOLDER [MEMBER.yaml ...]

writes FOLDER/<checkpoint name>.npz for each member (default: the collection `vit`), 3.4 GB for the seven. The weights
are scaled as at the start of a training, so that activations stay of the order of 1; the head is not zero.
"""

import argparse
import math
import zlib
from pathlib import Path

import numpy as np

from pipeline.base.files import replacing
from pipeline.base.yaml_sections import Member
from pipeline.checkpoints.section import Checkpoint
from pipeline.model.networks import open_network
from pipeline.model.section import Model

ROOT = Path(__file__).parents[1]


def random_array(path: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Returns float32 values for the parameter at `path`, reproducible from path, shape and seed on any machine."""
    generator = np.random.default_rng([seed, zlib.crc32(path.encode())])
    values = generator.standard_normal(shape, dtype=np.float32)
    name = path.rsplit("/", 1)[-1]
    if name == "scale":
        return 1 + np.float32(0.1) * values
    if name != "kernel":
        return np.float32(0.02) * values
    is_projection = path.endswith(("query/kernel", "key/kernel", "value/kernel"))  # width to (heads, width / heads)
    fan_in = shape[0] if is_projection else math.prod(shape[:-1])
    return values / np.float32(math.sqrt(fan_in))


def stored_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Returns the shape of each parameter in upstream's files by path; GroupNorm's are (1, 1, 1, C) there."""
    shapes = {}
    for path, shape in (open_network(model, ROOT).expected_shapes() or {}).items():
        is_group_norm = "/" in path and path.split("/")[-2].startswith("gn")
        shapes[path] = (1, 1, 1, *shape) if is_group_norm else shape
    return shapes


def random_arrays(model: Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Returns random parameters of a model by path, in the shapes of upstream's files."""
    return {path: random_array(path, shape, seed) for path, shape in stored_shapes(model).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Writes random checkpoints in the AugReg layout.")
    parser.add_argument("folder", type=Path)
    default = [path for path in sorted((ROOT / "model_cards/vit").glob("*.yaml")) if path.name != "collection.yaml"]
    parser.add_argument("members", type=Path, nargs="*", default=default, help="members' YAML files")
    args = parser.parse_args()
    for seed, path in enumerate(args.members):
        member = Member(path)
        name = member.section("checkpoint", Checkpoint).name
        arrays = random_arrays(member.section("model", Model), seed)
        with replacing(args.folder / f"{name}.npz") as stream:
            np.savez(stream, allow_pickle=False, **arrays)
        print(f"{member.name}: {sum(array.nbytes for array in arrays.values()) / 1e6:.1f} MB", flush=True)


if __name__ == "__main__":
    main()
