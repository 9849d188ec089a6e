"""Seeded damage to a file's content, as broken disks, cut transfers and people who edit bytes do it."""

from collections.abc import Callable
from random import Random

# Integers that overflow, turn negative or ask for everything, little-endian and big-endian where that differs.
_TEXTS = ("-1", "99999999999999999999", "1e308", "NaN", "0777", "'", '"', "\x1b[2J", "\0", "../")
_EXTREMES = [
    *(value.to_bytes(size, "little") for size in (1, 2, 4, 8) for value in (0, 2 ** (8 * size - 1), 256**size - 1)),
    *(value.to_bytes(size, "big") for size in (4, 8) for value in (1, 2**31 - 1, 2 ** (8 * size - 1))),
    *(text.encode() for text in _TEXTS),
]


def _range(content: bytearray, random: Random, longest: int) -> slice:
    start = random.randrange(len(content) + 1)
    return slice(start, start + random.randint(1, longest))


def _flip_bits(content: bytearray, random: Random) -> None:
    for _ in range(random.choice((1, 1, 1, 8))):
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)


def _cut(content: bytearray, random: Random) -> None:
    del content[random.randrange(len(content)) :]


def _overwrite(content: bytearray, random: Random) -> None:
    place = _range(content, random, 64)
    length = len(content[place])
    content[place] = random.choice((bytes(length), b"\xff" * length, random.randbytes(length)))


def _delete(content: bytearray, random: Random) -> None:
    del content[_range(content, random, 512)]


def _insert(content: bytearray, random: Random) -> None:
    start = random.randrange(len(content) + 1)
    content[start:start] = random.randbytes(random.randint(1, 64))


def _repeat(content: bytearray, random: Random) -> None:
    """Copies a part of the file to somewhere else."""
    part = content[_range(content, random, 1024)]
    start = random.randrange(len(content) + 1)
    content[start:start] = part * random.choice((1, 1, 50))


def _swap(content: bytearray, random: Random) -> None:
    """Overwrites a place with what stands at another."""
    part = content[_range(content, random, 256)]
    start = random.randrange(len(content) + 1)
    content[start : start + len(part)] = part


def _write_extreme(content: bytearray, random: Random) -> None:
    value = random.choice(_EXTREMES)
    start = random.randrange(len(content) + 1)
    content[start : start + len(value)] = value


_KINDS: tuple[Callable[[bytearray, Random], None], ...] = (
    *(_flip_bits, _cut, _overwrite, _delete),
    *(_insert, _repeat, _swap, _write_extreme),
)


def damage(content: bytes, random: Random) -> bytes:
    """Returns the content with one damage, or one time in four with several; an empty one stays."""
    damaged = bytearray(content)
    for _ in range(random.choice((1, 1, 1, random.randint(2, 6)))):
        if damaged:
            random.choice(_KINDS)(damaged, random)
    return bytes(damaged)
