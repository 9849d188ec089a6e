"""Reads variable-length integers, seven bits to a byte, the lowest first, as protobuf and LevelDB's tables have them.

Source: https://protobuf.dev/programming-guides/encoding/.
"""

_LONGEST = 10  # bytes of 7 bits each, for 64 bits


def read_varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """Returns the number of at most 64 bits at `start`, which ends before `end`, and where it ends.

    Raises:
        ValueError: when it is cut short, or has more bits.
    """
    value = 0
    for place, byte in enumerate(data[start : min(end, start + _LONGEST)]):
        value |= (byte & 127) << (7 * place)
        if byte < 128 and value >> 64 == 0:
            return value, start + place + 1
    raise ValueError(f"a number that is cut short or has more than 64 bits at byte {start}")
