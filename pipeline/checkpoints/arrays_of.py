"""Makes a checkpoint's arrays of any file's: finds the parameters in it, and recognises the layout of their names.

A file may have them below a prefix (`params/`, `opt/target/`, `params/img/`), with an optimizer's state or a tower for
texts beside them, under another program's names, and in half precision.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.fault import UnusableFile, list_names, show_name
from pipeline.checkpoints.containers.opening import open_weights
from pipeline.checkpoints.containers.weights_file import NARROW, WeightsFile
from pipeline.checkpoints.digest import model_shape
from pipeline.checkpoints.layouts import describe_names
from pipeline.checkpoints.types import TYPE_ADVICE
from pipeline.model.layouts import Shape, Tensor, UnknownTensors, find_layout, list_anchors, unchanged

# In the names of an optimizer's state, which has an array for each parameter under the same name.
_OPTIMIZER = re.compile(
    r"(^|[/.])(mu|nu|trace|momentum(_buffer)?|exp_avg(_sq)?|grad_ema|param_states|opt_state"
    r"|(opt|optimizer)(?=[/.](?!target[/.])))([/.]|$)"
)
# numpy.savez has arguments of these names.
_RESERVED = ("file", "allow_pickle", "args", "kwds")


@dataclass(frozen=True)
class Plan:
    """How a checkpoint's arrays are made of a file's.

    Attributes:
        tensors: by the names in the file, those that are read.
        program: whose names they have, such as "timm"; None for our own.
        prefix: what stands before all of their names.
        narrow: the types among theirs that float32 has all values of, sorted.
    """

    tensors: Mapping[str, Tensor]
    program: str | None
    prefix: str
    narrow: tuple[str, ...]

    def describe(self, kind: str) -> str:
        """Returns what records call a file of this kind, such as "big_vision npz below params/, float16"."""
        words = [self.program, kind, f"below {show_name(self.prefix)}" if self.prefix else None]
        return ", ".join([" ".join(word for word in words if word), *self.narrow])

    def read(self, file: WeightsFile) -> dict[str, np.ndarray]:
        """Reads the arrays, sorted by path, in C order."""
        arrays: dict[str, np.ndarray] = {}
        for name, tensor in self.tensors.items():
            is_float = file.stored[name].type in ("float32", *NARROW)
            value = file.read_float32(name) if is_float else file.read(name)
            arrays |= tensor.arrays(value) if tensor.names else {}
        return dict(sorted(arrays.items()))


def plan_arrays(file: WeightsFile, prefix: str | None, is_own: bool) -> Plan:
    """Finds out how a file's arrays become a checkpoint's.

    Args:
        file: the file.
        prefix: what stands before the parameters' names, if the member's YAML file says it.
        is_own: whether the architecture is a file beside the YAML file: its arrays keep their names then.

    Raises:
        UnusableFile: when it holds several models and `prefix` does not choose one, another program's weights that do
            not fit its layout, an unknown layout, or types that cannot be float32.
    """
    try:
        return _plan(file, prefix, is_own)
    except UnknownTensors as fault:
        raise UnusableFile(f"{file.where}: it {fault}") from None


def _plan(file: WeightsFile, setting: str | None, is_own: bool) -> Plan:
    prefix = _choose_prefix(file.stored, setting, is_own)
    names = [name for name in file.stored if name.startswith(prefix)]
    if not prefix and not is_own:
        names = [name for name in names if not _OPTIMIZER.search(name)] or names
    shapes = {name.removeprefix(prefix): file.stored[name].shape for name in names}
    program: str | None = None
    tensors: Mapping[str, Tensor] = unchanged(shapes)
    if not is_own:
        if problem := describe_names(shapes.keys()):
            raise UnusableFile(f"{file.where}: {problem}")
        if layout := find_layout(shapes):
            program, tensors = layout.program, layout.tensors
        elif not _may_be_ours(file, shapes.keys()):
            example = f", such as {show_name(min(shapes))!r}" if shapes else ""
            raise UnusableFile(
                f"{file.where}: its {len(shapes)} arrays are of no known layout by their names{example};"
                " docs/members.md, 'Checkpoints of other programs', lists those that are read"
            )
    if reserved := next((path for tensor in tensors.values() for path in tensor.names if path in _RESERVED), None):
        raise UnusableFile(f"{file.where}: an array is called {reserved!r}, which numpy.savez cannot store; rename it")
    plan = Plan({prefix + name: tensor for name, tensor in tensors.items()}, program, prefix, ())
    types = {file.stored[name].type for name, tensor in plan.tensors.items() if tensor.names}
    if program or (file.kind != "npz" and not is_own):
        _check_types(file, plan)
    return Plan(plan.tensors, program, prefix, tuple(sorted(types.intersection(NARROW))))


def _may_be_ours(file: WeightsFile, names: Collection[str]) -> bool:
    """Whether arrays of no other program's layout may be ours; an .npz may lack some, which convert lists."""
    anchors = [anchor for anchor in list_anchors() if anchor in names]
    return any("/" in anchor for anchor in anchors) if anchors else file.kind == "npz"


def is_upstreams(file: WeightsFile, plan: Plan) -> bool:
    """Whether a file is an .npz as this pipeline reads it, so that its copy is the checkpoint."""
    return (
        file.kind == "npz"
        and not (plan.program or plan.prefix or plan.narrow)
        and (plan.tensors.keys() == file.stored.keys())
    )


def _check_types(file: WeightsFile, plan: Plan) -> None:
    for name, tensor in plan.tensors.items():
        if tensor.names and (kind := file.stored[name].type) not in ("float32", *NARROW):
            advice = f"; {TYPE_ADVICE[kind]}" if kind in TYPE_ADVICE else ""
            raise UnusableFile(
                f"{file.where}: the array {show_name(name)!r} is {show_name(kind)}, expected float32{advice}"
            )


def _choose_prefix(names: Collection[str], setting: str | None, is_own: bool) -> str:
    """Returns what stands before the names of the parameters."""
    if setting is not None:
        for prefix in (setting, f"{setting}/", f"{setting}."):
            if (not prefix or prefix[-1] in "/.") and any(name.startswith(prefix) for name in names):
                return prefix
        known = list_names([repr(show_name(prefix)) for prefix in _find_prefixes(names)]) or "none"
        raise UnknownTensors(
            f"has no arrays below checkpoint.prefix {setting!r}; prefixes of whole models in it: {known}"
        )
    if is_own:
        return ""
    models = list_models(names)
    if not models and _find_prefixes(names):
        raise UnknownTensors(
            f"holds only the state of an optimizer, such as {show_name(min(names))!r}; name the parameters' file"
        )
    if len(models) > 1:
        below = list_names([repr(show_name(prefix)) for prefix in models])
        raise UnknownTensors(
            f"holds {len(models)} models, below {below}; choose one in the YAML file: checkpoint.prefix: <one of these>"
        )
    return models[0] if models else ""


def list_models(names: Collection[str]) -> list[str]:
    """Returns what stands before the names of each whole model of a file, an optimizer's state aside."""
    return [prefix for prefix in _find_prefixes(names) if not _OPTIMIZER.search(prefix)]


def _find_prefixes(names: Collection[str]) -> list[str]:
    """Returns what stands before the names of whole models, such as "params/"; "" where nothing does."""
    anchors = list_anchors()
    prefixes = set()
    for name in names:
        anchor = next(
            (anchor for anchor in anchors if name == anchor or name.endswith((f"/{anchor}", f".{anchor}"))), ""
        )
        if anchor:
            prefixes.add(name.removesuffix(anchor))
    return sorted(prefixes)


def read_shapes(path: Path, where: str, is_own: bool) -> tuple[dict[str, Shape], list[str]]:
    """Returns what a file tells without its values.

    Args:
        path: the file or folder.
        where: what messages call it.
        is_own: see plan_arrays().

    Returns:
        The normalized shapes of the arrays that fetch would write, by path; and the prefixes to choose from, where it
        holds several models of these shapes, such as a second one of averaged weights.

    Raises:
        UnusableFile: see open_weights() and plan_arrays().
    """
    with open_weights(path, where) as file:
        models = [] if is_own else list_models(file.stored)
        choices: list[str | None] = [*models] if len(models) > 1 and all(models) else [None]
        each = [_shapes(plan_arrays(file, prefix, is_own)) for prefix in choices]
        if any(shapes != each[0] for shapes in each):
            plan_arrays(file, None, is_own)  # refuses them
    return each[0], models if len(each) > 1 else []


def _shapes(plan: Plan) -> dict[str, Shape]:
    shapes = {name: model_shape(name, tensor.ours) for tensor in plan.tensors.values() for name in tensor.names}
    return {name: shape for name, shape in sorted(shapes.items()) if shape is not None}
