"""doctor: what a SavedModel needs and holds, and what is wrong with it, without running it.

    python -m pipeline.doctor SAVED_MODEL ... [--json]

SAVED_MODEL is the folder or .tar.gz of any SavedModel. The exit status is 1 when something is wrong with one of them
(pipeline/saved_model/inspection.py lists what counts), 0 otherwise.
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
from pipeline.saved_model.files import Finding
from pipeline.saved_model.graph import Tensor
from pipeline.saved_model.inspection import Inspection, find_faults, inspect_saved_model


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count:,} bytes"


def _tensors(tensors: Mapping[str, Tensor]) -> str:
    def shape(tensor: Tensor) -> str:
        if tensor.shape is None:
            return "of any shape"
        return "(" + ", ".join("?" if size is None else str(size) for size in tensor.shape) + ")"

    return ", ".join(f"{name} {tensor.dtype} {shape(tensor)}" for name, tensor in tensors.items()) or "nothing"


def _tensorflow(found: Inspection) -> str:
    if found.tensorflow is None:
        return "not known: its nodes are TensorFlow's own, see who wrote it"
    if found.tensorflow == runtimes.UNKNOWN:
        return found.tensorflow
    older = " (older ones were not measured)" if found.tensorflow == runtimes.OLDEST else ""
    return f"{found.tensorflow} or newer{older}"


def _span(versions: Iterable[str | None]) -> str:
    known = sorted({version for version in versions if version}, key=runtimes.parse)
    return " to ".join(dict.fromkeys([known[0], known[-1]])) if known else "not known"


def _versions(found: Inspection) -> str:
    modules = found.computations
    header, features = _span(one.stablehlo for one in modules), _span(one.features for one in modules)
    version = header if header == features else f"{header} in the header, features of {features}"
    number = f"{len(modules)} {'module' if len(modules) == 1 else 'modules'}"
    return f"{version}; {number}, {_size(sum(one.size for one in modules))}"


def lines(found: Inspection) -> Iterator[tuple[str, str]]:
    """Yields the facts as (name, value)."""
    modules = found.computations
    yield "TensorFlow", _tensorflow(found)
    graph = f"GraphDef version {found.producer}, readable from {found.min_consumer}"
    yield "written by", f"TensorFlow {found.written_by or 'unknown'} ({graph})"
    yield "platforms", "any" if found.platforms is None else ", ".join(found.platforms) or "none"
    if modules:
        yield "calling convention", ", ".join(map(str, found.conventions))
        yield "StableHLO", _versions(found)
        effects = sorted({effect for one in modules for effect in one.effects})
        yield "side effects", ", ".join(effects + ["tokens"] * found.token_effects) or "none"
        yield "custom calls", ", ".join(sorted({call for one in modules for call in one.custom_calls})) or "none"
        yield "disabled checks", ", ".join(found.disabled_checks) or "none"
        yield "debug information", "yes" if any(one.debug_info for one in modules) else "none"
    yield "paths", list_names(found.paths, 3) or "none"
    for name, signature in found.signatures.items():
        yield f"signature {name}", f"{_tensors(signature.inputs)} -> {_tensors(signature.outputs)}"
    if found.variables is None:
        yield "variables", "not known: it has no object graph"
    else:
        variables = found.variables
        yield "variables", f"{variables.count}, {_size(variables.bytes)}; {variables.trainable} trainable"
    yield "gradients", {True: "saved", False: "not saved", None: "TensorFlow derives them"}[found.gradients]
    number = sum(entry.kind == "file" for entry in found.files.entries)
    yield "files", f"{number}, {_size(found.files.size)}"


def text(found: Inspection, findings: Sequence[Finding]) -> str:
    """Returns the page for a person: every fact, then every fault."""
    table = [f"  {name:<26}{value}" for name, value in lines(found)]
    prefix = f"{found.files.path}: "
    wrong = [f"  {finding.kind}: {finding.text.removeprefix(prefix)}" for finding in findings] or ["  none"]
    return "\n".join([found.files.path, *table, "faults:", *wrong])


def record(found: Inspection, findings: Sequence[Finding]) -> str:
    """Returns the same for a program: one JSON object on one line."""
    return json.dumps(asdict(found) | {"faults": [asdict(finding) for finding in findings]})


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.doctor", description="Says what a SavedModel needs.")
    parser.add_argument("saved_model", type=Path, nargs="+", help="the folder or .tar.gz of a SavedModel")
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object per SavedModel, each on its own line"
    )
    args = parser.parse_args(arguments)
    wrong = 0
    for path in args.saved_model:
        found = inspect_saved_model(path)
        findings = find_faults(found)
        wrong += len(findings)
        try:
            print(record(found, findings) if args.json else text(found, findings), flush=True)
        except BrokenPipeError:  # into `head`, say; Python would complain once more as it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if wrong:
        raise Fault(f"{wrong} {'fault' if wrong == 1 else 'faults'}, listed above")


if __name__ == "__main__":
    raise SystemExit(guarded("doctor", lambda: main(sys.argv[1:])))
