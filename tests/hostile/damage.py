"""Seeded damage to a file's content, as broken disks, cut transfers and people who edit bytes do it.

Nearly all damage to the bytes of JSON or YAML ends in its parser, so that of the values is done apart.
"""

import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

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


# What other programs, other versions and people write in the place of a value.
_VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf")),
    *(
        "",
        " ",
        "0",
        "a" * 100_000,
        "../" * 99 + "etc/passwd",
        "/",
        "\x1b[2J",
        "\0",
        "\ud800",
        "=cmd()",
        "<script>",
        "\n# a",
    ),
    *([], [[]], [None], {}, {"": {}}, {"a": 1}),
)


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yields each object and list of JSON's values with each of its keys or positions."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, (dict, list)):
            yield from _places(item)


def _remove(parent: Any, key: Any, other: Any, random: Random) -> None:
    del parent[key]


def _replace(parent: Any, key: Any, other: Any, random: Random) -> None:
    parent[key] = random.choice(_VALUES)


def _replace_by_other(parent: Any, key: Any, other: Any, random: Random) -> None:
    parent[key] = other


def _wrap(parent: Any, key: Any, other: Any, random: Random) -> None:
    parent[key] = random.choice(([parent[key]], [parent[key]] * 3, {"a": parent[key]}, str(parent[key])))


def _add(parent: Any, key: Any, other: Any, random: Random) -> None:
    if isinstance(parent, list):
        parent.insert(key, other)
    else:
        parent[random.choice(("", "a", f"{key} ", "\x1b[2J", "\ud800", "a" * 10_000))] = other


def _rename(parent: Any, key: Any, other: Any, random: Random) -> None:
    _add(parent, key, parent.pop(key), random)


def damage_values(value: Any, random: Random) -> bytes:
    """Returns JSON's values with one to three of them removed, renamed, added or of another place or type, as JSON."""
    for _ in range(random.choice((1, 1, 2, 3))):
        if places := list(_places(value)):
            other_parent, other_key = random.choice(places)
            other = json.loads(json.dumps(other_parent[other_key]))
            kinds = (_remove, _replace, _replace, _replace_by_other, _wrap, _add, _rename)
            random.choice(kinds)(*random.choice(places), other, random)
    return json.dumps(value).encode()
