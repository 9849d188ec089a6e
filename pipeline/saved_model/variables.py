"""Reads the variables of a SavedModel, without starting TensorFlow.

The checkpoint names each by its way from the root object, such as "variables/3/.ATTRIBUTES/VARIABLE_VALUE". A graph of
the objects, stored beside them, has these names; it is walked together with that of saved_model.pb.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.base.crc32c import masked_crc
from pipeline.base.fault import Fault
from pipeline.base.varint import read_varint
from pipeline.saved_model.bundle import INDEX, data_file, read_entries
from pipeline.saved_model.graph import message_class, read_tensor

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_AGAIN = "get the whole model again, or write it again"


@dataclass(frozen=True)
class Variable:
    """A variable of a SavedModel.

    Attributes:
        name: such as "head/kernel".
        value: read-only; mapped from the file, and so in no memory before it is used.
    """

    name: str
    value: np.ndarray


def read_variables(folder: Path, meta_graph: Any) -> dict[int, Variable]:
    """Returns the variables by their numbers in the object graph.

    Args:
        folder: the SavedModel.
        meta_graph: of its saved_model.pb.

    Raises:
        Fault: when the variables are damaged, or of a type that NumPy lacks.
        OSError: when a file is missing.
    """
    entries = read_entries((folder / INDEX).read_bytes())
    if _OBJECTS not in entries:
        raise Fault(f"{folder}: its variables have no object graph; expected a SavedModel of TensorFlow 2")
    count = entries[""].num_shards
    data = {shard: np.memmap(folder / data_file(shard, count), np.uint8, "r") for shard in range(count)}

    def read(key: str) -> np.ndarray:
        if key not in entries:
            raise Fault(f"{folder}: no variable {key} in {INDEX}; {_AGAIN}")
        entry = entries[key]
        return data[entry.shard_id][entry.offset : entry.offset + entry.size]

    def check(key: str, content: bytes) -> None:
        if masked_crc(content) != entries[key].crc32c.to_bytes(4, "little"):
            raise Fault(f"{folder}: the checksum of the variable {key} is wrong; {_AGAIN}")

    packed, covered = _read_string(read(_OBJECTS))
    check(_OBJECTS, covered)
    objects = message_class("trackable_object_graph", "TrackableObjectGraph").FromString(packed)
    variables = {}
    for number, key in _keys(meta_graph.object_graph_def, objects):
        tensor = read_tensor(entries[key].dtype, entries[key].shape, meta_graph)
        try:
            dtype = np.dtype(tensor.dtype)
        except TypeError:
            raise Fault(f"{folder}: the variable {key} is of {tensor.dtype}; expected a type of NumPy") from None
        content = read(key)
        check(key, content.tobytes())
        value = content.view(dtype).reshape([size or 0 for size in tensor.shape or ()])
        variables[number] = Variable(meta_graph.object_graph_def.nodes[number].variable.name, value)
    return variables


def _read_string(content: np.ndarray) -> tuple[bytes, bytes]:
    """Returns the string of a scalar, and what its checksum covers.

    It is stored as its length, a checksum of that, and its bytes; the checksum covers the length as four bytes
    (tensorflow/core/util/tensor_bundle/tensor_bundle.cc, WriteStringTensor).
    """
    stored = content.tobytes()
    try:
        length, start = read_varint(stored, 0, len(stored))
    except ValueError:
        return b"", b""
    return stored[start + 4 : start + 4 + length], (length & 0xFFFFFFFF).to_bytes(4, "little") + stored[start:]


def _keys(graph: Any, objects: Any) -> Iterator[tuple[int, str]]:
    """Yields the number and the key of each variable of an object graph that the checkpoint has."""
    pairs, seen = [(0, 0)], {0}
    while pairs:
        number, other = pairs.pop()
        if graph.nodes[number].HasField("variable"):
            for attribute in objects.nodes[other].attributes:
                if attribute.name == "VARIABLE_VALUE":
                    yield number, attribute.checkpoint_key
        others = {child.local_name: child.node_id for child in objects.nodes[other].children}
        for child in graph.nodes[number].children:
            if child.local_name in others and child.node_id not in seen:
                seen.add(child.node_id)
                pairs.append((child.node_id, others[child.local_name]))
