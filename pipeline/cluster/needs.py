"""What a stage needs of a node: processor cores, memory, and the libraries that its process has imported already.

The memory is estimated from the size of the checkpoint and the number of patches; benchmarks/README.md has the
measurements.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.sizes import show_size

_LIGHT_CPUS, _LIGHT_MEMORY = 0.25, 400_000_000


@dataclass(frozen=True)
class Growth:
    """How the memory of all processes of a stage grows.

    Attributes:
        least: bytes.
        factor: bytes for each byte of the checkpoint.
        patch: bytes for each patch of an image above _USUAL_PATCHES.
    """

    least: int
    factor: float
    patch: int = 0


_USUAL_PATCHES = (224 // 16) ** 2
_PATCH = 4_000_000  # B/8 takes 2.1 GB more than B/16 in validate, with 588 patches more, and the same weights


# Several processes each, which share what they import. A core each: on a node with more tasks than cores all of them
# are busy, and a stage alone uses those that are free.
_HEAVY = {
    "convert": Growth(1_500_000_000, 2.5),
    "validate": Growth(2_000_000_000, 6.0, _PATCH),
    "classify": Growth(1_000_000_000, 3.0, _PATCH),
    "member_formats": Growth(2_000_000_000, 8.0, _PATCH),
}


HEAVY = tuple(_HEAVY)  # the stages that use TensorFlow or JAX


@dataclass(frozen=True)
class Needs:
    """What a task declares.

    Attributes:
        cpus: cores, at least what the largest node has where that is less.
        memory: bytes.
        is_heavy: whether it uses TensorFlow or JAX.
    """

    cpus: float
    memory: int
    is_heavy: bool


def is_heavy(stage: str) -> bool:
    """Whether a stage uses TensorFlow or JAX."""
    return stage in HEAVY


def needs_of(stage: str, arguments: Sequence[str], folder: Path) -> Needs:
    """Returns the needs of a stage's command.

    Args:
        stage: such as "convert".
        arguments: its command line.
        folder: that relative paths start from.
    """
    growth = _HEAVY.get(stage)
    if growth is None:
        return Needs(_LIGHT_CPUS, _LIGHT_MEMORY, False)
    more = max(0, _patches(arguments, folder) - _USUAL_PATCHES)
    memory = growth.least + int(growth.factor * _checkpoint_size(arguments, folder)) + growth.patch * more
    return Needs(1.0, memory, True)


def _checkpoint_size(arguments: Sequence[str], folder: Path) -> int:
    """Returns the bytes of the checkpoint that a command line names, or that lies in the folder of outputs it names."""
    for argument in arguments:
        path = folder / argument
        for file in (path, path / "checkpoint.npz", path.parent / "checkpoint.npz"):
            if file.suffix == ".npz" and file.is_file():
                return file.stat().st_size
    return 0


def _patches(arguments: Sequence[str], folder: Path) -> int:
    """Returns the patches of an image of the member that a command line names: of S/16, each has 16 x 16 pixels.

    0 for a model whose variant does not say it, and where the YAML file has a fault, which the stage reports.
    """
    from pipeline.base.yaml_sections import YamlFile  # here, since who asks for HEAVY alone starts without packages

    for argument in arguments:
        if argument.endswith(".yaml"):
            try:
                model = YamlFile(folder / argument).plain().get("model")
            except Fault:
                return 0
            facts = model if isinstance(model, dict) else {}
            found, size = re.search(r"/(\d+)$", str(facts.get("variant"))), facts.get("image_size")
            if found and int(found[1]) and isinstance(size, int):
                return (size // int(found[1])) ** 2
    return 0


def why_never(label: str, needs: Needs, memories: Sequence[int]) -> str:
    """Returns why no node can ever hold a task, in a sentence; empty if one can.

    Args:
        label: the stage and its member.
        needs: the task's.
        memories: the bytes of memory of each node, as Ray counts them.
    """
    if not memories or max(memories) >= needs.memory:
        return ""
    return (
        f"{label} needs {show_size(needs.memory)} of memory, and the largest node offers {show_size(max(memories))}:"
        " add a larger node, start Ray there with a larger --memory, or use RUNNER=local on a machine with more"
    )
