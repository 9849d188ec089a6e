"""Converts timm's copies of AugReg checkpoints, safetensors files, back to upstream's arrays.

timm publishes some of the pool's checkpoints in its own layout (pipeline/checkpoints/timm_tensors.py). The conversion
is the exact inverse of timm's import, so that the arrays are the pool's, byte for byte; benchmarks/timm_round_trip.py
proves it against timm itself.

Imports no JAX, since fetch uses it.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from pipeline.base.fault import UnusableFile, list_names, show_name
from pipeline.checkpoints.layouts import describe_tensors
from pipeline.checkpoints.safetensors_header import DamagedHeader, check_header
from pipeline.checkpoints.timm_tensors import Shape, Tensor, layout
from pipeline.model.vit.variants import HYBRIDS, SIZES, variant

_TYPES = {"F16": "float16", "BF16": "bfloat16", "F64": "float64"}  # safetensors' names of other types in timm's files
_EXPECTED = "expected timm's copy of an AugReg checkpoint"


def identify_variant(shapes: Mapping[str, Shape], path: Path) -> str:
    """Returns the name of the variant that a file's tensors belong to.

    It is told by width, number of layers and ResNet. Tensors don't show the number of attention heads, which is that of
    the pool's variant.

    Args:
        shapes: of the tensors, by timm's name.
        path: the file, for messages.

    Raises:
        UnusableFile: when they belong to none of the pool's variants.
    """
    cls, patches = shapes.get("cls_token", ()), shapes.get("patch_embed.proj.weight", ())
    if len(cls) != 3 or len(patches) != 4 or 0 in patches:
        raise UnusableFile(
            f"{path}: not a Vision Transformer of timm: it has {len(shapes)} tensors, but no cls_token of 3 axes and"
            f" patch_embed.proj.weight of 4; {_EXPECTED}"
        )
    width, layers = cls[-1], len({match[1] for name in shapes if (match := re.match(r"blocks\.(\d+)\.", name))})
    units = _count_units(shapes)
    plain = {f"{size}/{patches[-1]}": variant(f"{size}/{patches[-1]}") for size in SIZES}
    variants = plain if units is None else HYBRIDS
    names = [name for name, vit in variants.items() if (vit.width, vit.layers, vit.resnet) == (width, layers, units)]
    if len(names) != 1:
        what = "" if units is None else f"after a ResNet whose stages have {str(units)[:60]} units "
        raise UnusableFile(
            f"{path}: {layers} encoder blocks of width {width} {what}are none of the variants"
            f" {', '.join(variants)}, and the file does not tell its number of heads; {_EXPECTED}"
        )
    return names[0]


def _count_units(shapes: Mapping[str, Shape]) -> tuple[int, ...] | None:
    """Returns the number of residual units of each stage, as in Variant.resnet; None without a ResNet."""
    if not any(name.startswith("patch_embed.backbone.") for name in shapes):
        return None
    matches = (re.match(r"patch_embed\.backbone\.stages\.(\d+)\.blocks\.(\d+)\.", name) for name in shapes)
    stages = Counter(stage for stage, _ in {(int(match[1]), int(match[2])) for match in matches if match})
    return tuple(count for _, count in sorted(stages.items()))


def _check_tensors(shapes: Mapping[str, Shape], expected: Mapping[str, Shape], what: str, path: Path) -> None:
    """Refuses a file whose tensors do not have the names and shapes of `what`."""
    if extra := sorted(shapes.keys() - expected.keys()):
        names = list_names([show_name(name) for name in extra])
        raise UnusableFile(f"{path}: it is another model than {what}, which does not have {names}; {_EXPECTED}")
    if missing := sorted(expected.keys() - shapes.keys()):
        raise UnusableFile(f"{path}: it lacks {list_names(missing)} of {what}; {_EXPECTED}")
    for name, shape in expected.items():
        if shapes[name] != shape:
            raise UnusableFile(
                f"{path}: the tensor {name!r} has the shape {str(shapes[name])[:60]}, expected {shape} in {what}"
            )


def _identify_layout(shapes: Mapping[str, Shape], path: Path) -> dict[str, Tensor]:
    """Returns the layout of a file's tensors, by timm's names, or raises UnusableFile; see augreg_arrays()."""
    if problem := describe_tensors(shapes.keys()):
        raise UnusableFile(f"{path}: {problem}")
    name = identify_variant(shapes, path)
    position = shapes.get("pos_embed", ())
    tokens = position[1] if len(position) == 3 else 2
    head = shapes.get("head.weight") or shapes.get("head.bias")
    tensors = layout(name, tokens, head[0] if head else None)
    _check_tensors(shapes, {tensor: value.shape for tensor, value in tensors.items()}, f"timm's {name}", path)
    if tokens < 2 or math.isqrt(tokens - 1) ** 2 != tokens - 1:
        raise UnusableFile(f"{path}: pos_embed has {tokens} tokens, expected a class token and a square of patches")
    return tensors


def _check_type(name: str, kind: str, path: Path) -> None:
    """Refuses a tensor of another type than float32; `kind` is safetensors' name of the type."""
    if kind != "F32":
        raise UnusableFile(
            f"{path}: the tensor {show_name(name)!r} is {_TYPES.get(kind, kind)}, expected float32: from other types"
            " the pool's arrays cannot be restored"
        )


def augreg_arrays(path: Path) -> dict[str, np.ndarray]:
    """Reads a safetensors file of timm and returns upstream's arrays, sorted by path.

    They are float32, in C order, and equal the pool's in name, shape and bytes:

    - GroupNorm's scale and bias are (1, 1, 1, channels), as the pool's files have them;
    - `pre_logits`, which some of the pool's files hold as an empty array, is never returned: timm does not keep it;
    - without `head.weight` and `head.bias` in the file there is no `head/kernel` and `head/bias`.

    Heads in another order, or in another number than the variant's, give tensors of the same shapes and are not noticed
    here: the digest of the arrays tells. NaN and infinity are left to npz.fit().

    Needs the memory of the arrays, and twice that of the largest.

    Args:
        path: the file, such as the `model.safetensors` of a model that timm publishes.

    Raises:
        UnusableFile: when the file is missing, truncated or not safetensors; when a tensor is not float32, unknown,
            missing or of another shape than timm's; when the tensors are of no known variant.
        OSError: when there is no permission to read the file.
    """
    if not path.is_file():
        raise UnusableFile(f"{path}: no such file; expected a safetensors file of timm")
    path.open("rb").close()  # safetensors reports a file without read permission as missing
    arrays: dict[str, np.ndarray] = {}
    try:
        check_header(path)
        # Not mapped: the pages of a mapping would count as this process's memory, and double it.
        with safe_open(path, framework="numpy", backend="pread") as file:
            slices = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            for name, part in slices.items():
                _check_type(name, part.get_dtype(), path)
            tensors = _identify_layout({name: tuple(part.get_shape()) for name, part in slices.items()}, path)
            for name, tensor in tensors.items():
                arrays |= tensor.arrays(file.get_tensor(name))
    except (SafetensorError, DamagedHeader, OSError) as error:
        reason = show_name(str(error))
        raise UnusableFile(
            f"{path}: not a whole safetensors file ({reason}); it is truncated or something else; download it again"
        ) from None
    return dict(sorted(arrays.items()))
