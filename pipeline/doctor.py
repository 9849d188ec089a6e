"""doctor: shows what a SavedModel needs and contains, and what is wrong with it, without running it.

    python -m pipeline.doctor SAVED_MODEL ... [--publish] [--json] [--cache FOLDER] [--offline]

SAVED_MODEL is a folder, an archive or an address, as pipeline/saved_model/opening.py opens it. The exit status is 1 if
any of them has a fault, something that keeps it from being loaded or run, else 0; with --publish also if it breaks a
rule for publication by this project. pipeline/saved_model/findings.py lists the kinds of both.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice

from pipeline.base.addresses import public_address
from pipeline.base.archives import EntryKind
from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault, escape, list_names, show_name
from pipeline.base.program import program
from pipeline.base.sizes import show_size
from pipeline.download import cache
from pipeline.saved_model import runtimes
from pipeline.saved_model.access import Kind
from pipeline.saved_model.faults import find_faults, find_publication_faults
from pipeline.saved_model.files import Files, belongs_to_model
from pipeline.saved_model.findings import Finding
from pipeline.saved_model.graph import Tensor
from pipeline.saved_model.inspection import Inspection, inspect_saved_model
from pipeline.saved_model.meta_graphs import MetaGraph
from pipeline.saved_model.remote import Downloads, local_copy

_LISTED = 50  # names of one kind that are printed


@dataclass(frozen=True)
class Diagnosis:
    """A SavedModel, what keeps it from being loaded or run, and what keeps this project from publishing it."""

    model: Inspection
    faults: list[Finding]
    publication: list[Finding]


def diagnose(name: str, downloads: Downloads) -> Diagnosis:
    """Reads a SavedModel that is named by a path or an address.

    Raises:
        Fault: as local_copy() and inspect_saved_model().
    """
    with local_copy(name, "SAVED_MODEL", downloads) as path:
        model = inspect_saved_model(path)
    if "://" in name:
        model = replace(model, files=replace(model.files, path=public_address(name)))
    return Diagnosis(model, find_faults(model), find_publication_faults(model))


def render_json(diagnosis: Diagnosis) -> str:
    """Returns all facts and findings as one JSON object on one line."""
    findings = {"faults": diagnosis.faults, "publication": diagnosis.publication}
    lists = {name: [asdict(finding) for finding in group] for name, group in findings.items()}
    return json.dumps(asdict(diagnosis.model) | lists)


def render_text(diagnosis: Diagnosis) -> str:
    """Returns all facts and findings for a person."""
    model = diagnosis.model
    table = [f"  {name:<25} {value}" for name, value in _facts(model)]
    faults = ["faults:", *(_finding_lines(model, diagnosis.faults) or ["  none"])]
    rules = _finding_lines(model, diagnosis.publication) or [
        f"  it keeps every rule{', but for the faults' if diagnosis.faults else ''}"
    ]
    publication = ["to publish it with this project:", *rules]
    return "\n".join(map(escape, [model.files.path, *table, *faults, *publication]))


def _finding_lines(model: Inspection, findings: Sequence[Finding]) -> list[str]:
    prefix = f"{model.files.path}: "
    return [f"  {finding.kind}: {finding.text.removeprefix(prefix)}" for finding in findings]


def _facts(model: Inspection) -> Iterator[tuple[str, str]]:
    """Yields the facts as (name, value)."""
    if model.files.note:
        yield "model", model.files.note
    yield "TensorFlow", _tensorflow(model)
    yield "platforms", _platforms(model)
    if model.computations:
        yield from _computation_facts(model)
    yield "access", "; ".join(_accesses(model)) or "no files but its own, no network"
    yield "paths", list_names(model.paths, 3) or "none"
    for meta in model.meta_graphs:
        yield f"tags {list(meta.tags)}", _loading(model, meta)
        graph = f"GraphDef version {meta.producer}, readable from {meta.min_consumer}"
        yield "written by", f"TensorFlow {show_name(meta.written_by) or 'unknown'} ({graph})"
        for name, signature in islice(meta.signatures.items(), _LISTED):
            yield f"signature {show_name(name)}", f"{_tensors(signature.inputs)} -> {_tensors(signature.outputs)}"
        if len(meta.signatures) > _LISTED:
            yield "signatures", f"{len(meta.signatures) - _LISTED:,} more"
    variables = model.variables
    yield "variables", f"{variables.count}, {show_size(variables.bytes)}; {variables.trainable} trainable"
    yield "gradients", {True: "saved", False: "not saved", None: "computed by TensorFlow"}[model.gradients]
    yield "files", _files(model.files)


def _accesses(model: Inspection) -> Iterator[str]:
    accesses = list(dict.fromkeys(access for meta in model.meta_graphs for access in meta.accesses))
    for kind in Kind:
        if texts := [access.text for access in accesses if access.kind is kind]:
            yield f"{kind}: {list_names(texts, 3)}"


def _loading(model: Inspection, meta: MetaGraph) -> str:
    """Returns how to load a meta graph in Python, and whether TensorFlow Serving does so."""
    tags = f", tags={list(meta.tags)}" if len(model.meta_graphs) > 1 else ""
    serving = "" if meta.tags == ("serve",) else "; TensorFlow Serving loads only tags ['serve'] unless told otherwise"
    return f"tf.saved_model.load(path{tags}){serving}"


def _files(files: Files) -> str:
    """Returns the number and size of a model's files, and how many others lie beside them."""
    prefix = f"{files.root}/" if files.root else ""
    entries = [entry for entry in files.entries if entry.kind in (EntryKind.FILE, EntryKind.LINK)]
    own = [entry for entry in entries if belongs_to_model(entry.name.removeprefix(prefix))]
    others = f"; {len(entries) - len(own)} others beside them" if len(entries) > len(own) else ""
    return f"{len(own)}, {show_size(sum(entry.size for entry in own))}{others}"


def _computation_facts(model: Inspection) -> Iterator[tuple[str, str]]:
    modules = model.computations
    yield "calling convention", ", ".join(map(str, model.conventions))
    yield "StableHLO", _stablehlo(model)
    effects = sorted({effect for module in modules for effect in module.effects})
    calls = sorted({call for module in modules for call in module.custom_calls})
    yield "side effects", _names([*effects, *["tokens"] * model.token_effects])
    yield "custom calls", _names(calls)
    yield "disabled checks", _names(model.disabled_checks)
    yield "debug information", "yes" if any(module.debug_info for module in modules) else "none"


def _names(names: Sequence[str]) -> str:
    return list_names([show_name(name) for name in names], _LISTED) or "none"


def _tensorflow(model: Inspection) -> str:
    if model.meta_graphs[model.serving].unknown_operations:
        return f"none of {runtimes.OLDEST} to {runtimes.NEWEST} alone: it needs another library's operations"
    if model.tensorflow == runtimes.UNKNOWN:
        return model.tensorflow
    if model.newest_tensorflow:
        return f"{model.tensorflow} to {model.newest_tensorflow}"
    older = " (older versions were not measured)" if model.tensorflow == runtimes.OLDEST else ""
    return f"{model.tensorflow} or newer{older}"


def _platforms(model: Inspection) -> str:
    meta = model.meta_graphs[model.serving]
    if meta.unsupported_operations:
        return "neither CPUs nor GPUs"
    if meta.gpu_operations:
        return "GPUs"
    if meta.unknown_operations:
        return "unknown: the other library decides"
    if meta.python_calls:
        return "any, but its Python functions only in the process that saved it"
    return "any" if model.platforms is None else ", ".join(model.platforms) or "none"


def _stablehlo(model: Inspection) -> str:
    modules = model.computations
    header = _range(module.stablehlo for module in modules)
    features = _range(module.features for module in modules)
    version = header if header == features else f"{header} in the header, features of {features}"
    count = f"{len(modules)} {'module' if len(modules) == 1 else 'modules'}"
    return f"{version}; {count}, {show_size(sum(module.size for module in modules))}"


def _range(versions: Iterable[str | None]) -> str:
    """Returns "<oldest> to <newest>", or the only version."""
    ordered = sorted({version for version in versions if version}, key=runtimes.parse)
    return " to ".join(dict.fromkeys([ordered[0], ordered[-1]])) if ordered else "unknown"


def _tensors(tensors: Mapping[str, Tensor]) -> str:
    return (
        list_names([f"{show_name(name)} {tensor.dtype} {_shape(tensor)}" for name, tensor in tensors.items()], _LISTED)
        or "nothing"
    )


def _shape(tensor: Tensor) -> str:
    if tensor.shape is None:
        return "of any shape"
    return "(" + ", ".join("?" if size is None else str(size) for size in tensor.shape) + ")"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog=program("doctor"), description="Shows what SavedModels need, and their faults."
    )
    parser.add_argument("saved_model", nargs="+", help="the folder, archive or address of a SavedModel")
    parser.add_argument("--publish", action="store_true", help="fail for what keeps it from being published, too")
    parser.add_argument("--json", action="store_true", help="print one line for each SavedModel, a JSON object")
    cache.add_options(parser)
    args = parser.parse_args(arguments)
    count, downloads = 0, Downloads(cache.folder(args.cache), args.offline)
    for name in args.saved_model:
        diagnosis = diagnose(name, downloads)
        count += len(diagnosis.faults) + (len(diagnosis.publication) if args.publish else 0)
        try:
            print(render_json(diagnosis) if args.json else render_text(diagnosis), flush=True)
        except BrokenPipeError:  # of `| head`, say; without this Python would report it again at its end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if count:
        raise Fault(f"{count} {'fault' if count == 1 else 'faults'}, listed above")


if __name__ == "__main__":
    raise SystemExit(guarded("doctor", lambda: main(command_line())))
