"""Checkpoints in folders of Orbax: one array of TensorStore (zarr or zarr3, plain or in OCDBT) for each leaf of a tree.

`_METADATA` says how the keys of the tree are joined to the arrays' names. TensorStore reads the arrays; neither JAX nor
Orbax is imported, and nothing in the folder is code.
"""

import itertools
import math
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.archive_bounds import FREE, RATIO
from pipeline.base.fault import UnusableFile, list_names
from pipeline.base.files import Unreadable, read_bounded
from pipeline.base.json_files import parse_facts
from pipeline.checkpoints.containers.weights_file import Stored, WeightsFile, check_count, check_name

FILES = 100_000  # at most in a folder
_METADATA, _LENGTH = "_METADATA", 1 << 24  # its bytes, at most: 300 for a leaf
# The end of the key that says what an array is, by TensorStore's driver.
_DRIVERS = {"zarr3": "/zarr.json", "zarr": "/.zarray"}


def find_trees(folder: Path) -> list[Path]:
    """Returns the folders of trees: this one, or the items of its steps, as orbax.CheckpointManager has them."""
    return sorted(
        path.parent for path in itertools.chain(*(folder.glob(f"{'*/' * depth}{_METADATA}") for depth in range(3)))
    )


class OrbaxWeights(WeightsFile):
    """A folder of Orbax."""

    kind = "Orbax"

    def __init__(self, folder: Path, where: str) -> None:
        """Opens every array of the folder's tree.

        Raises:
            UnusableFile: when there is not one tree, or it is damaged or exceeds a bound.
        """
        self.where = where
        trees = find_trees(folder)
        if len(trees) != 1:
            names = list_names([f"{path.relative_to(folder)}/" for path in trees])
            what = f"it holds {len(trees)} checkpoints: {names}; name one" if trees else f"it has no {_METADATA}"
            raise UnusableFile(f"{where}: a folder of Orbax with one checkpoint is expected: {what}")
        try:
            allowed = FREE + RATIO * _measure(folder)
            self._arrays = _open_arrays(trees[0].resolve())  # TensorStore refuses paths with ".."
            check_count(len(self._arrays))
            for array in self._arrays.values():
                _check_chunk(array, allowed)
            total = sum(_size(array, array.shape) for array in self._arrays.values())
            if total > allowed:
                raise ValueError(f"it unpacks to {total:,} bytes, at most {allowed:,} are allowed for its size")
        except (ValueError, NotImplementedError, OSError) as error:
            raise self.damage(error) from None
        self.stored = {name: Stored(tuple(array.shape), array.dtype.name) for name, array in self._arrays.items()}

    def read(self, name: str) -> np.ndarray:
        try:
            value: np.ndarray = self._arrays[name].read().result()
        except (ValueError, OSError) as error:
            raise self.damage(error) from None
        return value

    def close(self) -> None:
        self._arrays = {}


def _measure(folder: Path) -> int:
    """Returns the bytes of all files in a folder.

    Raises:
        ValueError: for anything but files and folders, such as links, or too many.
    """
    total, count = 0, 0
    for base, folders, files in os.walk(folder):
        for name in (*folders, *files):
            status = os.lstat(Path(base, name))
            if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                raise ValueError(f"{name} is a link, a pipe or a device")
            total += status.st_size
            count += 1
        if count > FILES:
            raise ValueError(f"more than {FILES:,} files")
    return total


def _read_metadata(tree: Path) -> tuple[dict[str, str], bool]:
    """Returns the path of each leaf, its keys joined by "/", by the name of its array; and whether all was stored.

    Older versions of Orbax leave out the pieces of an array that are zeros; of newer ones, a missing piece is lost.
    """
    try:
        content = parse_facts(read_bounded(tree / _METADATA, _LENGTH))
        leaves = content["tree_metadata"].values()
        keys = [[str(key["key"]) for key in leaf["key_metadata"]] for leaf in leaves]
        is_whole = content.get("store_array_data_equal_to_fill_value") is True
    except (Unreadable, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"its {_METADATA} is none of Orbax: {error}") from None
    return {".".join(parts): "/".join(parts) for parts in keys}, is_whole


def _open_arrays(tree: Path) -> dict[str, Any]:
    """Returns TensorStore's arrays by path."""
    import tensorstore  # takes half a second, for such a folder alone

    paths, is_whole = _read_metadata(tree)
    is_ocdbt = (tree / "manifest.ocdbt").is_file()
    files: dict[str, Any] = {"driver": "file", "path": f"{tree}/"}  # no URL, in which "%", "#" and "?" have a meaning
    store = {"driver": "ocdbt", "base": files} if is_ocdbt else files
    found: dict[str, Any] = {}
    for raw in tensorstore.KvStore.open(store).result().list().result():
        key = raw.decode()
        driver = next((driver for driver, end in _DRIVERS.items() if key.endswith(end)), None)
        if driver is None:
            continue
        name = key.removesuffix(_DRIVERS[driver])
        path = paths.get(name, name.replace(".", "/"))
        check_name(path)
        place = dict(store, path=f"{store.get('path', '')}{name}/")
        spec = {"driver": driver, "kvstore": place, "fill_missing_data_reads": not is_whole}
        found[path] = tensorstore.open(spec, open=True, read=True)
        check_count(len(found))
    return {path: future.result() for path, future in sorted(found.items())}


def _size(array: Any, shape: tuple[int, ...]) -> int:
    numpy_type = array.dtype.numpy_dtype
    return math.prod(shape) * (numpy_type.itemsize if numpy_type is not None else 1)


def _check_chunk(array: Any, allowed: int) -> None:
    """Refuses chunks that would need more memory than their array may."""
    size = _size(array, tuple(array.chunk_layout.read_chunk.shape or array.shape))
    if size > allowed:
        raise ValueError(f"a chunk of {size:,} bytes, at most {allowed:,} are allowed for its size")
