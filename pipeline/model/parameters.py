"""Selects the parameters of a head, nests them for Flax, and releases their memory."""

import mmap
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from pipeline.base.heads import Head

Parameters = dict[str, Any]  # nested by path, as Flax expects them
Value = TypeVar("Value")


def select_parameters(arrays: Mapping[str, Value], head: Head) -> dict[str, Value]:
    """Returns the parameters that a head uses by path: all, or for the feature extractor all but the last layer."""
    has_classifier = head is Head.CLASSIFICATION
    return {name: value for name, value in arrays.items() if has_classifier or not name.startswith("head/")}


def nest_parameters(arrays: Mapping[str, np.ndarray]) -> Parameters:
    """Nests '/'-separated paths into the tree that Flax expects."""
    from flax.traverse_util import unflatten_dict

    nested: Parameters = unflatten_dict(dict(arrays), sep="/")
    return nested


def release_memory(arrays: Iterable[object]) -> None:
    """Releases the memory of views of a mapped file; they stay valid, and are read again when used.

    The file's pages stay in the system's cache while it has room for them. Arrays that are not such views are ignored.
    """
    for array in arrays:
        view, owner = None, array
        while isinstance(owner, np.ndarray):
            view, owner = owner, owner.base
        if view is not None and isinstance(owner, memoryview) and isinstance(owner.obj, mmap.mmap):
            _release_pages(view, owner.obj)


def _release_pages(view: np.ndarray, mapping: mmap.mmap) -> None:
    """Releases the whole pages of a contiguous view; those at its ends hold neighbours, too."""
    start = view.ctypes.data - np.frombuffer(mapping, np.uint8, 1).ctypes.data
    first = -(-start // mmap.PAGESIZE) * mmap.PAGESIZE
    if (length := start + view.nbytes - first) >= mmap.PAGESIZE:
        mapping.madvise(mmap.MADV_DONTNEED, first, length - length % mmap.PAGESIZE)
