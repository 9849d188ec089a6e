"""Indexes of variables (variables.index), written without TensorFlow: well-formed ones, and any table of blocks."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.base.crc32c import masked_crc
from pipeline.saved_model.bundle import _MAGIC
from pipeline.saved_model.graph import message_class

Entry = tuple[int, bytes, bytes]  # how much of its key is that of the entry before it, the rest, the value
Handle = tuple[int, int]  # where a block starts, and its size


@dataclass(frozen=True)
class Place:
    """Where a variable lies."""

    name: bytes
    size: int
    offset: int = 0
    shard: int = 0


def write_index(places: Sequence[Place], shards: int = 1) -> bytes:
    """Returns the index of variables, in the order of their names."""
    header = message_class("tensor_bundle", "BundleHeaderProto")(num_shards=shards)
    entry = message_class("tensor_bundle", "BundleEntryProto")
    values = [entry(dtype=1, shard_id=one.shard, offset=one.offset, size=one.size) for one in places]
    names = [one.name for one in places]
    return write_table([(0, b"", header.SerializeToString()), *entries(names, values)])


def entries(names: Sequence[bytes], values: Sequence[object]) -> list[Entry]:
    return [(0, name, value.SerializeToString()) for name, value in zip(names, values, strict=True)]  # type: ignore[attr-defined]


def write_table(block: Sequence[Entry], kind: int = 0) -> bytes:
    """Returns a table of one block of entries, with right checksums."""
    content = write_block(block, kind)
    return close_table(content, [(0, len(content) - 5)])


def close_table(blocks: bytes, handles: Sequence[Handle]) -> bytes:
    """Returns blocks with an index block of handles, and the footer."""
    meta = write_block([])
    index = write_block([(0, bytes([number % 256]), varints(*handle)) for number, handle in enumerate(handles)])
    footer = varints(len(blocks), len(meta) - 5, len(blocks) + len(meta), len(index) - 5)
    return blocks + meta + index + footer.ljust(40, b"\0") + _MAGIC


def write_block(block: Sequence[Entry], kind: int = 0) -> bytes:
    """Returns a block of entries with its trailer; every key is whole at the first entry alone."""
    rows = b"".join(varints(shared, len(own), len(value)) + own + value for shared, own, value in block)
    content = rows + (0).to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes([kind])
    return content + masked_crc(content)


def varints(*numbers: int) -> bytes:
    """Returns numbers as they stand in tables: seven bits to a byte, the lowest first."""
    parts = bytearray()
    for number in numbers:
        rest = number
        while rest > 127:
            parts.append(rest & 127 | 128)
            rest >>= 7
        parts.append(rest)
    return bytes(parts)
