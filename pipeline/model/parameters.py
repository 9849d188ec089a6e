"""Nests parameters for Flax, and releases the memory of mapped ones."""

import mmap
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Parameters = dict[str, Any]  # nested by path, as Flax expects them


def nest_parameters(arrays: Mapping[str, Any]) -> Parameters:
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
