"""doctor: shows what a SavedModel needs and contains, and what is wrong with it, without running it.

    python -m pipeline.doctor SAVED_MODEL ... [--json]

SAVED_MODEL is the folder or .tar.gz of any SavedModel. The exit status is 1 if any of them has a fault
(pipeline/saved_model/findings.py lists the kinds), else 0.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.base.command import guarded
from pipeline.base.fault import Fault, list_names
from pipeline.saved_model import runtimes
from pipeline.saved_model.files import EntryKind
from pipeline.saved_model.findings import Finding
from pipeline.saved_model.graph import Tensor
from pipeline.saved_model.inspection import Inspection, find_faults, inspect_saved_model


def render_json(model: Inspection, faults: Sequence[Finding]) -> str:
    """Returns all facts and faults as one JSON object on one line."""
    return json.dumps(asdict(model) | {"faults": [asdict(fault) for fault in faults]})


def render_text(model: Inspection, faults: Sequence[Finding]) -> str:
    """Returns all facts and faults for a person."""
    table = [f"  {name:<26}{value}" for name, value in _facts(model)]
    prefix = f"{model.files.path}: "
    lines = [f"  {fault.kind}: {fault.text.removeprefix(prefix)}" for fault in faults] or ["  none"]
    return "\n".join([model.files.path, *table, "faults:", *lines])


def _facts(model: Inspection) -> Iterator[tuple[str, str]]:
    """Yields the facts as (name, value)."""
    yield "TensorFlow", _tensorflow(model)
    graph = f"GraphDef version {model.producer}, readable from {model.min_consumer}"
    yield "written by", f"TensorFlow {model.written_by or 'unknown'} ({graph})"
    yield "platforms", "any" if model.platforms is None else ", ".join(model.platforms) or "none"
    if model.computations:
        yield from _computation_facts(model)
    yield "paths", list_names(model.paths, 3) or "none"
    for name, signature in model.signatures.items():
        yield f"signature {name}", f"{_tensors(signature.inputs)} -> {_tensors(signature.outputs)}"
    if variables := model.variables:
        yield "variables", f"{variables.count}, {_size(variables.bytes)}; {variables.trainable} trainable"
    else:
        yield "variables", "unknown: no object graph"
    yield "gradients", {True: "saved", False: "not saved", None: "computed by TensorFlow"}[model.gradients]
    count = sum(entry.kind is EntryKind.FILE for entry in model.files.entries)
    yield "files", f"{count}, {_size(model.files.size)}"


def _computation_facts(model: Inspection) -> Iterator[tuple[str, str]]:
    modules = model.computations
    yield "calling convention", ", ".join(map(str, model.conventions))
    yield "StableHLO", _stablehlo(model)
    effects = sorted({effect for module in modules for effect in module.effects})
    yield "side effects", ", ".join(effects + ["tokens"] * model.token_effects) or "none"
    yield "custom calls", ", ".join(sorted({call for module in modules for call in module.custom_calls})) or "none"
    yield "disabled checks", ", ".join(model.disabled_checks) or "none"
    yield "debug information", "yes" if any(module.debug_info for module in modules) else "none"


def _tensorflow(model: Inspection) -> str:
    if model.tensorflow is None:
        return "unknown: no XlaCallModule operations; see written by"
    if model.tensorflow == runtimes.UNKNOWN:
        return model.tensorflow
    older = " (older versions were not measured)" if model.tensorflow == runtimes.OLDEST else ""
    return f"{model.tensorflow} or newer{older}"


def _stablehlo(model: Inspection) -> str:
    modules = model.computations
    header = _range(module.stablehlo for module in modules)
    features = _range(module.features for module in modules)
    version = header if header == features else f"{header} in the header, features of {features}"
    count = f"{len(modules)} {'module' if len(modules) == 1 else 'modules'}"
    return f"{version}; {count}, {_size(sum(module.size for module in modules))}"


def _range(versions: Iterable[str | None]) -> str:
    """Returns "<oldest> to <newest>", or the only version."""
    ordered = sorted({version for version in versions if version}, key=runtimes.parse)
    return " to ".join(dict.fromkeys([ordered[0], ordered[-1]])) if ordered else "unknown"


def _tensors(tensors: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {tensor.dtype} {_shape(tensor)}" for name, tensor in tensors.items()) or "nothing"


def _shape(tensor: Tensor) -> str:
    if tensor.shape is None:
        return "of any shape"
    return "(" + ", ".join("?" if size is None else str(size) for size in tensor.shape) + ")"


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count:,} bytes"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.doctor", description="Shows what SavedModels need, and their faults."
    )
    parser.add_argument("saved_model", type=Path, nargs="+", help="the folder or .tar.gz of a SavedModel")
    parser.add_argument("--json", action="store_true", help="print one line for each SavedModel, a JSON object")
    args = parser.parse_args(arguments)
    count = 0
    for path in args.saved_model:
        model = inspect_saved_model(path)
        faults = find_faults(model)
        count += len(faults)
        try:
            print(render_json(model, faults) if args.json else render_text(model, faults), flush=True)
        except BrokenPipeError:  # of `| head`, say; without this Python would report it again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if count:
        raise Fault(f"{count} {'fault' if count == 1 else 'faults'}, listed above")


if __name__ == "__main__":
    raise SystemExit(guarded("doctor", lambda: main(sys.argv[1:])))
