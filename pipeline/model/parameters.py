"""Parameters by path: which of them a head uses, the tree that Flax takes, and their memory."""

import mmap
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np
from flax.traverse_util import unflatten_dict

Parameters = dict[str, Any]  # nested by path, as Flax takes them
Value = TypeVar("Value")


def select_parameters(arrays: Mapping[str, Value], head: str) -> dict[str, Value]:
    """Returns the parameters, by path, that a module uses: the feature extractor has no classification head."""
    return {name: value for name, value in arrays.items() if head == "classification" or not name.startswith("head/")}


def nest_parameters(arrays: Mapping[str, np.ndarray]) -> Parameters:
    """Nests '/'-separated paths into the tree that Flax takes."""
    nested: Parameters = unflatten_dict(dict(arrays), sep="/")
    return nested


def give_back(arrays: Iterable[object]) -> None:
    """Gives the memory back that views of a file hold; they stay what they are, and are read again when used.

    The file's pages stay in the system's cache while it has room for them. Anything but such a view is left alone.
    """
    for array in arrays:
        owner = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        if isinstance(owner, memoryview) and isinstance(owner.obj, mmap.mmap):
            owner.obj.madvise(mmap.MADV_DONTNEED)
