"""Hostile and damaged files: what strangers can give to each command, made when a test runs.

- attack: how an attack is described.
- damage: seeded damage to well-formed files.
- isolation: runs one attack in a process of its own, with limits, and tells how it ended.
- run: runs the attacks and the fuzz of one area; tests and benchmarks/hostile.py start it.
- planted: attacks that succeed, by which the harness itself is tested.
- areas: every other module; each has ATTACKS, LONG_ATTACKS (which take seconds, and are left to benchmarks) or FUZZES.
"""

from pathlib import Path

_HARNESS = {"__init__", "attack", "damage", "isolation", "planted", "run"}
AREAS = sorted(
    path.stem
    for path in Path(__file__).parent.glob("*.py")
    if path.stem not in _HARNESS and not path.stem.startswith("test_")
)
