"""Reads variables/variables.index of a SavedModel: which variables there are, and what of them was cut or damaged.

The index is a table of LevelDB's kind (tensorflow/tsl/lib/io/table.cc): data blocks, an index block with their places,
and a footer of 48 bytes. Each block ends with a byte for its compression and a masked CRC-32C. The first value is a
BundleHeaderProto, every other one a BundleEntryProto: which shard (variables.data-00000-of-00001) holds a tensor, and
where. The shards themselves are not read: their sizes tell of a download that was cut short.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.base.crc32c import masked_crc
from pipeline.base.fault import Fault, list_names
from pipeline.base.varint import read_varint
from pipeline.saved_model.graph import message_class

INDEX = "variables/variables.index"
# That of 10,000 variables with names of 200 bytes has 2 MB. Blocks lie one after another, so each byte is read once.
LARGEST_INDEX = 1 << 25
_ENTRIES = 100_000  # variables, and slices of partitioned ones; as many blocks, which hold some hundred each
_SHARDS = 100_000  # as many as their names have digits for

_FOOTER, _TRAILER, _MAGIC = 48, 5, 0xDB4775248B80FB57.to_bytes(8, "little")
_PLAIN, _SNAPPY = 0, 1
_AGAIN = "get the whole model again, or write it again"


class _DamagedError(Exception):
    """The index cannot be what TensorFlow wrote; the text says why."""


class _CompressedError(Exception):
    """A block is compressed with Snappy, which no release of TensorFlow wrote by itself."""


def find_damage(index: bytes, sizes: Mapping[str, int | None]) -> str:
    """Returns what keeps TensorFlow from reading the variables, "" where nothing was found.

    Args:
        index: the content of INDEX.
        sizes: the bytes of each file of the model by its name; None where they are unknown.
    """
    try:
        ends, count = _read_ends(index)
    except _DamagedError as damage:
        return f"{INDEX} ({len(index):,} bytes) is cut short or damaged: {damage}; {_AGAIN}"
    except _CompressedError:
        return ""
    names = {data_file(number, count): end for number, end in sorted(ends.items())}
    if missing := [name for name in names if name not in sizes]:
        return f"{list_names(missing, 3)} is missing; {_AGAIN}"
    for name, expected in names.items():
        size = sizes[name]
        if size is not None and size < expected:
            return f"{name} is cut short: expected {expected:,} bytes, got {size:,}; {_AGAIN}"
    return ""


def data_file(shard: int, count: int) -> str:
    """Returns the name of one of the files that hold the variables."""
    return f"variables/variables.data-{shard:05}-of-{count:05}"


def read_entries(index: bytes) -> dict[str, Any]:
    """Returns the BundleEntryProto of each variable by its key, and the BundleHeaderProto under "".

    Args:
        index: the content of INDEX.

    Raises:
        Fault: when it is damaged, or compressed.
    """
    from google.protobuf.message import DecodeError

    header, entry = (message_class("tensor_bundle", name) for name in ("BundleHeaderProto", "BundleEntryProto"))
    try:
        return {
            key.decode(): (entry if key else header).FromString(value)
            for number, (key, value) in zip(range(_ENTRIES), _read_table(index), strict=False)
        }
    except (_DamagedError, _CompressedError, DecodeError, UnicodeDecodeError) as damage:
        problem = "it is compressed" if isinstance(damage, _CompressedError) else str(damage)
        raise Fault(f"{INDEX} ({len(index):,} bytes) cannot be read: {problem}; {_AGAIN}") from None


def _read_ends(index: bytes) -> tuple[dict[int, int], int]:
    """Returns how many bytes each shard that is used needs, and the number of shards in the names of all."""
    from google.protobuf.message import DecodeError

    header, entry = (message_class("tensor_bundle", name) for name in ("BundleHeaderProto", "BundleEntryProto"))
    values = (value for _, value in _read_table(index))
    ends: dict[int, int] = {}
    try:
        count = header.FromString(next(values, b"")).num_shards
        if not 0 < count <= _SHARDS:
            raise _DamagedError(f"it has a number of data files of {count}")
        for number, value in enumerate(values):
            if number >= _ENTRIES:
                raise _DamagedError(f"more than {_ENTRIES:,} entries")
            one = entry.FromString(value)
            if not (0 <= one.shard_id < count and one.offset >= 0 and one.size >= 0):
                raise _DamagedError("an entry lies in no data file")
            if not one.slices:  # those of a partitioned variable are entries of their own
                end = one.offset + one.size if one.size else 0
                ends[one.shard_id] = max(ends.get(one.shard_id, 0), end)
    except DecodeError:
        raise _DamagedError("an entry cannot be parsed") from None
    return ends, count


# Tables ---------------------------------------------------------------------------------------------------------------
def _read_table(index: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yields the keys and values of a table in the order of the keys; the first one is empty."""
    footer = index[-_FOOTER:]
    if len(footer) < _FOOTER or not footer.endswith(_MAGIC):
        raise _DamagedError("it does not end as an index does")
    *_, position = _read_varints(footer, 0, 2)  # of a block that TensorFlow leaves empty
    start, size, _ = _read_varints(footer, position, 2)
    end, is_first = 0, True
    for number, (_, handle) in enumerate(_read_block(index, start, size)):
        start, size, _ = _read_varints(handle, 0, 2)
        if start < end:
            raise _DamagedError("its blocks overlap")
        if number >= _ENTRIES:
            raise _DamagedError(f"more than {_ENTRIES:,} blocks")
        end = start + size + _TRAILER
        for key, value in _read_block(index, start, size):
            if is_first == bool(key):
                raise _DamagedError("its first entry, and no other one, should have an empty name")
            is_first = False
            yield key, value


def _read_block(index: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Yields the key and the value of each entry of a block; a stored key leaves out what it shares with the last."""
    stop = start + size
    if size < 4 or stop + _TRAILER > len(index) - _FOOTER:
        raise _DamagedError("a block lies outside of it")
    if masked_crc(index[start : stop + 1]) != index[stop + 1 : stop + _TRAILER]:
        raise _DamagedError("the checksum of a block is wrong")
    if index[stop] == _SNAPPY:
        raise _CompressedError
    block, key, position = index[start:stop], b"", 0
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # the numbers of bytes at which keys are whole
    if index[stop] != _PLAIN or end < 0:
        raise _DamagedError("a block is of an unknown kind")
    while position < end:
        shared, own, length, position = _read_varints(block, position, 3)
        if shared > len(key) or position + own + length > end:
            raise _DamagedError("an entry is longer than its block")
        key = key[:shared] + block[position : position + own]
        position += own + length
        yield key, block[position - length : position]


def _read_varints(data: bytes, position: int, number: int) -> tuple[int, ...]:
    """Returns some numbers, then the position after them."""
    numbers = []
    for _ in range(number):
        try:
            value, position = read_varint(data, position, len(data))
        except ValueError:
            raise _DamagedError("a number has no end") from None
        numbers.append(value)
    return (*numbers, position)
