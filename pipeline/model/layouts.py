"""The names of an architecture's arrays in other programs' files.

An architecture's folder has a module `layouts` with two constants:

    ANCHORS   the names, in its own files and in others', of the array that embeds the patches of an image. A file may
              have all names below a prefix, such as "params/": what stands before an anchor.
    LAYOUTS   a Reader by the name of a program, such as "timm".

Without JAX, since fetch uses it.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.fault import list_names, show_name
from pipeline.model import architectures

# What _list_modules() imports by name, for pipeline.base.stage_code.
IMPORTS_BY_NAME = ("model/*/layouts.py",)

Shape = tuple[int, ...]
# By number of axes: PyTorch has outputs before inputs, and a convolution's window last.
TORCH_AXES = {2: (1, 0), 4: (2, 3, 1, 0)}


class UnknownTensors(ValueError):
    """A file is of a program's layout, but does not fit it. The text says what is off, to follow "it "."""


@dataclass(frozen=True)
class Tensor:
    """An array of another program's file, and our arrays that it stands for.

    Attributes:
        shape: in that file.
        names: the paths of our arrays. Several lie in it along the first axis, in this order; none for one that the
            model does not use.
        ours: the shape of each of our arrays, which may split, add or drop axes after the transposition.
        axes: how each part is transposed; None for as it is.
        zeros: the number of rows of zeros that ours has before the others along its second axis: a class token that has
            no position in that file.
    """

    shape: Shape
    names: tuple[str, ...]
    ours: Shape
    axes: tuple[int, ...] | None = None
    zeros: int = 0

    def arrays(self, value: np.ndarray) -> dict[str, np.ndarray]:
        """Splits the value, of the shape `shape`, into our arrays by path, each in C order."""
        parts = np.split(value, len(self.names)) if len(self.names) > 1 else [value] * len(self.names)
        return {name: self._convert(part) for name, part in zip(self.names, parts, strict=True)}

    def _convert(self, part: np.ndarray) -> np.ndarray:
        if self.axes is not None:
            part = part.transpose(self.axes)
        if self.zeros:
            part = np.pad(part, [(0, 0), (self.zeros, 0), (0, 0)])
        return np.ascontiguousarray(part).reshape(self.ours)


# Returns the tensors of a file by their names in it, from the shapes of all of its tensors; None for a file of another
# architecture or program. Raises UnknownTensors for one of this layout that it does not fit.
Reader = Callable[[Mapping[str, Shape]], dict[str, Tensor] | None]


@dataclass(frozen=True)
class Layout:
    """A layout that a file was recognised as.

    Attributes:
        program: whose it is, such as "timm".
        tensors: by their names in the file.
    """

    program: str
    tensors: Mapping[str, Tensor]


class WrongLayout(UnknownTensors):
    """The same with the program's name; the text is a sentence's end, to follow "it "."""


@functools.cache
def _list_modules() -> tuple[Any, ...]:
    folders = sorted(path.parent.name for path in Path(__file__).parent.glob("*/layouts.py"))
    return tuple(architectures.find_part(name, "layouts") for name in folders)


def list_anchors() -> tuple[str, ...]:
    """Returns the anchors of all architectures, the longest first."""
    names = {anchor for module in _list_modules() for anchor in module.ANCHORS}
    return tuple(sorted(names, key=lambda name: (-len(name), name)))


def find_layout(shapes: Mapping[str, Shape]) -> Layout | None:
    """Returns the layout of a file by its tensors' names and shapes; None for an unknown one, or for our own.

    Raises:
        WrongLayout: for a known layout that the tensors do not fit.
    """
    for module in _list_modules():
        for program, read in module.LAYOUTS.items():
            try:
                tensors = read(shapes)
            except UnknownTensors as fault:
                raise WrongLayout(f"has the layout of {program}, but {fault}") from None
            if tensors is not None:
                return Layout(program, tensors)
    return None


def check_shapes(shapes: Mapping[str, Shape], tensors: Mapping[str, Tensor], what: str) -> dict[str, Tensor]:
    """Returns the tensors of a layout, if a file has exactly these.

    Args:
        shapes: of the file's tensors.
        tensors: the layout.
        what: the model that it is of, such as "a Vision Transformer B/16".

    Raises:
        UnknownTensors: with what the file has more, lacks, or has in another shape.
    """
    if extra := sorted(shapes.keys() - tensors.keys()):
        names = list_names([show_name(name) for name in extra])
        raise UnknownTensors(f"is another model than {what}, which does not have {names}")
    if missing := sorted(tensors.keys() - shapes.keys()):
        raise UnknownTensors(f"lacks {list_names(missing)} of {what}")
    for name, tensor in tensors.items():
        if shapes[name] != tensor.shape:
            raise UnknownTensors(
                f"has {name!r} in the shape {str(shapes[name])[:60]}, expected {tensor.shape} in {what}"
            )
    return dict(tensors)


def unchanged(shapes: Mapping[str, Shape]) -> dict[str, Tensor]:
    """Returns the tensors of a file that has our arrays under our names."""
    return {name: Tensor(shape, (name,), shape) for name, shape in shapes.items()}


def unused(name: str, shape: Shape) -> dict[str, Tensor]:
    """Returns a tensor that the model does not use."""
    return {name: Tensor(shape, (), shape)}


def same(theirs: str, ours: str, *shape: int) -> dict[str, Tensor]:
    """Returns a tensor that is our array under another name."""
    return {theirs: Tensor(shape, (ours,), shape)}


def dense(theirs: str, ours: str, inputs: int, outputs: int) -> dict[str, Tensor]:
    """Returns PyTorch's weight and bias of a dense layer; ours are a kernel (inputs, outputs) and a bias."""
    kernel = Tensor((outputs, inputs), (f"{ours}/kernel",), (inputs, outputs), TORCH_AXES[2])
    return {f"{theirs}.weight": kernel} | same(f"{theirs}.bias", f"{ours}/bias", outputs)


def convolution(theirs: str, ours: str, size: int, inputs: int, outputs: int) -> dict[str, Tensor]:
    """Returns PyTorch's weight of a convolution; ours is a kernel (size, size, inputs, outputs)."""
    shape = (size, size, inputs, outputs)
    return {f"{theirs}.weight": Tensor((outputs, inputs, size, size), (f"{ours}/kernel",), shape, TORCH_AXES[4])}


def norm(theirs: str, ours: str, channels: int, axes: int = 1) -> dict[str, Tensor]:
    """Returns PyTorch's weight and bias of a LayerNorm; ours are a scale and a bias.

    With `axes=4` those of a GroupNorm, which upstream stores as (1, 1, 1, channels).
    """
    shape = (1,) * (axes - 1) + (channels,)
    return {
        f"{theirs}.weight": Tensor((channels,), (f"{ours}/scale",), shape),
        f"{theirs}.bias": Tensor((channels,), (f"{ours}/bias",), shape),
    }
