"""Which TensorFlow runs which XlaCallModule node: a measured table, and what follows from it.

Measured on 2026-11-22 with `python -m benchmarks.runtime_probe` and the wheels of TensorFlow 2.14.1, 2.15.1, 2.16.2,
2.17.1, 2.18.1, 2.19.1, 2.20.0 and 2.21.0 (Python 3.11, x86-64, CPU), with SavedModels of jax 0.10.2 / jaxlib 0.10.2:

- Each runs every calling convention from 4 up to the one in the table and refuses the next ("XlaCallModuleOp with
  version 9 is not supported by this build. Must be <= 8").
- What decides over a StableHLO module is not the version in its header but the newest feature it makes use of: a module
  with the header 1.5.0 runs in 2.16, whose own StableHLO is 0.17.7, as long as it is written with the operations of
  0.17. What is newer than the runtime's own version is refused ("Cannot deserialize computation"). A module of matmul,
  gather, erf, exp and reductions, written for every version from 0.9.0 to 1.17.0, ran in all eight exactly where this
  rule has it run.
- TensorFlow up to 2.18 refuses a module whose debug information holds a range of lines or columns
  (`"a.py":1:2 to 3:4`, as jax writes them since 2025), whatever its version; other locations do no harm.
- 2.17 reads the operation `composite` (StableHLO 0.19) but cannot compile it.
- An XlaCallModule attribute that the runtime does not know (use_shardy_partitioner in 2.14 to 2.19) does no harm.
"""

from dataclasses import dataclass

Version = tuple[int, ...]


@dataclass(frozen=True)
class Runtime:
    """A minor version of TensorFlow: its newest calling convention, its own StableHLO, and whether it reads ranges."""

    tensorflow: str
    convention: int
    stablehlo: str
    ranges: bool


RUNTIMES = (
    Runtime("2.14", 8, "0.14.8", False),
    Runtime("2.15", 8, "0.14.24", False),
    Runtime("2.16", 9, "0.17.7", False),
    Runtime("2.17", 9, "1.1.1", False),
    Runtime("2.18", 9, "1.7.3", False),
    Runtime("2.19", 9, "1.9.1", True),
    Runtime("2.20", 10, "1.12.1", True),
    Runtime("2.21", 10, "1.13.7", True),
)
COMPOSITE = "2.18"  # the first that compiles the operation

OLDEST, NEWEST = RUNTIMES[0].tensorflow, RUNTIMES[-1].tensorflow
UNKNOWN = f"newer than {NEWEST}"


def parse(version: str) -> Version:
    """Returns "1.9.1" as (1, 9, 1), to compare by; UNKNOWN is above all."""
    return tuple(int(part) for part in version.removeprefix("newer than ").split(".")) + (version == UNKNOWN,) * 3


def for_convention(convention: int) -> str:
    """Returns the oldest TensorFlow of the table that runs a calling convention, or UNKNOWN."""
    return next((runtime.tensorflow for runtime in RUNTIMES if convention <= runtime.convention), UNKNOWN)


def for_stablehlo(version: str) -> str:
    """Returns the oldest TensorFlow of the table that reads the features of a StableHLO version, or UNKNOWN."""
    return next((runtime.tensorflow for runtime in RUNTIMES if parse(version) <= parse(runtime.stablehlo)), UNKNOWN)


def for_ranges() -> str:
    """Returns the oldest TensorFlow of the table that reads ranges in debug information."""
    return next(runtime.tensorflow for runtime in RUNTIMES if runtime.ranges)
