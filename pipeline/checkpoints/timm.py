"""timm's copies of the AugReg checkpoints, taken back to the layout they came from: safetensors to upstream's arrays.

timm publishes some of the pool's checkpoints in its own layout (pipeline/checkpoints/timm_tensors.py). Here is the
exact inverse of its reading them, so that the arrays are the pool's, byte for byte; proven against timm itself
(benchmarks/timm_round_trip.py).

Imports no JAX: fetch uses it.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from pipeline.base.fault import list_names
from pipeline.checkpoints.digest import UnusableFile
from pipeline.checkpoints.timm_tensors import Shape, Tensor, layout
from pipeline.model.variants import HYBRIDS, SIZES, variant

_TYPES = {"F16": "float16", "BF16": "bfloat16", "F64": "float64"}  # safetensors' words for what timm may hold, too


def identify_variant(shapes: Mapping[str, Shape], path: Path) -> str:
    """Returns the variant that a file's tensors belong to.

    The file does not say how many heads the attention has, and its tensors look the same for any number: it is that of
    the pool's variant of this width, number of layers and ResNet.

    Raises:
        UnusableFile: when no variant of the pool has them.
    """
    cls, patches = shapes.get("cls_token", ()), shapes.get("patch_embed.proj.weight", ())
    if len(cls) != 3 or len(patches) != 4 or 0 in patches:
        raise UnusableFile(
            f"{path}: not a Vision Transformer of timm: it has {len(shapes)} tensors, but no cls_token of 3 axes and"
            " patch_embed.proj.weight of 4; expected timm's copy of an AugReg checkpoint"
        )
    width, layers = cls[-1], len({found[1] for name in shapes if (found := re.match(r"blocks\.(\d+)\.", name))})
    units = _units(shapes)
    sizes = {f"{size}/{patches[-1]}": variant(f"{size}/{patches[-1]}") for size in SIZES}
    known = sizes if units is None else HYBRIDS
    names = [name for name, one in known.items() if (one.width, one.layers, one.resnet) == (width, layers, units)]
    if len(names) != 1:
        what = "" if units is None else f"after a ResNet whose stages have {units} units "
        raise UnusableFile(
            f"{path}: {layers} encoder blocks of width {width} {what}are none of the variants {', '.join(known)}, and"
            " the file does not tell its number of heads; expected timm's copy of an AugReg checkpoint"
        )
    return names[0]


def _units(shapes: Mapping[str, Shape]) -> tuple[int, ...] | None:
    """Returns how many residual units each stage has, as in Variant.resnet."""
    if not any(name.startswith("patch_embed.backbone.") for name in shapes):
        return None
    matches = (re.match(r"patch_embed\.backbone\.stages\.(\d+)\.blocks\.(\d+)\.", name) for name in shapes)
    stages = [stage for stage, _ in {(int(found[1]), int(found[2])) for found in matches if found}]
    return tuple(stages.count(stage) for stage in sorted(set(stages)))


def _check_tensors(shapes: Mapping[str, Shape], expected: Mapping[str, Shape], what: str, path: Path) -> None:
    """Refuses a file whose tensors do not have the names and shapes of `what`."""
    if extra := sorted(shapes.keys() - expected.keys()):
        raise UnusableFile(
            f"{path}: it is another model than {what}, which does not have {list_names(extra)}; expected timm's"
            " copy of an AugReg checkpoint"
        )
    if missing := sorted(expected.keys() - shapes.keys()):
        raise UnusableFile(
            f"{path}: it lacks {list_names(missing)} of {what}; expected timm's copy of an AugReg checkpoint"
        )
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise UnusableFile(f"{path}: the tensor {name!r} has the shape {shapes[name]}, expected {shape} in {what}")


def _layout_of(shapes: Mapping[str, Shape], path: Path) -> dict[str, Tensor]:
    """Returns the layout that a file's tensors have, or refuses it; see augreg_arrays()."""
    name = identify_variant(shapes, path)
    position = shapes.get("pos_embed", ())
    tokens = position[1] if len(position) == 3 else 2
    head = shapes.get("head.weight") or shapes.get("head.bias")
    tensors = layout(name, tokens, head[0] if head else None)
    _check_tensors(shapes, {tensor: value.shape for tensor, value in tensors.items()}, f"timm's {name}", path)
    if tokens < 2 or math.isqrt(tokens - 1) ** 2 != tokens - 1:
        raise UnusableFile(f"{path}: pos_embed has {tokens} tokens, expected a class token and a square of patches")
    return tensors


def augreg_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads a safetensors file of timm and returns upstream's arrays, sorted by their paths.

    They are float32, in C order, and equal the pool's in name, shape and bytes:

    - GroupNorm's scale and bias are (1, 1, 1, channels), as the pool's files have them;
    - `pre_logits`, which some of the pool's files hold as an empty array, is never returned: timm does not keep it;
    - without `head.weight` and `head.bias` in the file there is no `head/kernel` and `head/bias`.

    What a file does not show is not checked: heads in another order, or another number of heads than the variant's,
    look the same. The digest of the arrays tells. NaN and infinity are for checkpoint.fit().

    The memory it takes is that of the arrays and of the largest of them, twice.

    Args:
        path: such as the `model.safetensors` of a model that timm publishes.

    Raises:
        UnusableFile: when the file is missing, truncated or not safetensors; when a tensor is not float32, unknown,
            missing or of another shape than timm's; when the tensors are of no known variant.
        OSError: when there is no permission to read the file.
    """
    if not path.is_file():
        raise UnusableFile(f"{path}: no such file; expected a safetensors file of timm")
    path.open("rb").close()  # the library says "no such file" of one that it may not read
    arrays: dict[str, np.ndarray] = {}
    try:
        # Not mapped: the pages of a mapping would count as this process's memory, as much again as the arrays.
        with safe_open(path, framework="numpy", backend="pread") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            for name, one in slices.items():
                if (kind := one.get_dtype()) != "F32":
                    raise UnusableFile(
                        f"{path}: the tensor {name!r} is {_TYPES.get(kind, kind)}, expected float32: a file of other"
                        " numbers cannot give the pool's arrays back"
                    )
            tensors = _layout_of({name: tuple(one.get_shape()) for name, one in slices.items()}, path)
            for name, tensor in tensors.items():
                arrays |= tensor.arrays(file.get_tensor(name))
    except (SafetensorError, OSError) as error:
        raise UnusableFile(
            f"{path}: not a whole safetensors file ({error}); it is truncated or something else; get it again"
        ) from None
    return dict(sorted(arrays.items()))
