"""A measured table of which TensorFlow runs which XlaCallModule nodes.

Measured on 2026-11-22 with `python -m benchmarks.runtime_probe` and the wheels of TensorFlow 2.14.1, 2.15.1, 2.16.2,
2.17.1, 2.18.1, 2.19.1, 2.20.0 and 2.21.0 (Python 3.11, x86-64, CPU), with SavedModels of jax 0.10.2 / jaxlib 0.10.2:

- Each runs every calling convention from 4 up to the one in the table and refuses the next ("XlaCallModuleOp with
  version 9 is not supported by this build. Must be <= 8").
- A StableHLO module runs if the newest feature that it uses is not newer than the runtime's own StableHLO; the version
  in its header does not matter. A module with the header 1.5.0 runs in 2.16, whose own StableHLO is 0.17.7, if it uses
  only operations of 0.17. Newer features are refused ("Cannot deserialize computation"). A module of matmul, gather,
  erf, exp and reductions, written for every version from 0.9.0 to 1.17.0, ran in all eight exactly where this rule
  predicts it.
- TensorFlow up to 2.18 refuses a module whose debug information holds a range of lines or columns
  (`"a.py":1:2 to 3:4`, as jax writes them since 2025), whatever its version; other locations are harmless.
- 2.17 reads the operation `composite` (StableHLO 0.19) but cannot compile it.
- An XlaCallModule attribute that the runtime does not know (use_shardy_partitioner in 2.14 to 2.19) is harmless.
"""

from dataclasses import dataclass

Version = tuple[int, ...]


@dataclass(frozen=True)
class Runtime:
    """A minor version of TensorFlow.

    Attributes:
        tensorflow: the minor version.
        convention: the newest calling convention that it runs.
        stablehlo: the version of its own StableHLO.
        ranges: whether it reads debug locations that are ranges.
    """

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
COMPOSITE = "2.18"  # the oldest that compiles the operation composite

OLDEST, NEWEST = RUNTIMES[0].tensorflow, RUNTIMES[-1].tensorflow
UNKNOWN = f"newer than {NEWEST}"


def parse(version: str) -> Version:
    """Returns "1.9.1" as (1, 9, 1), for comparisons; UNKNOWN is greater than every version of the table."""
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
