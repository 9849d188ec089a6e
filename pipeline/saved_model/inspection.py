"""Reads what a SavedModel of any origin needs and contains, without running it, and lists its faults.

FaultKind lists what counts as a fault, and the rules for publication, which are apart from that. Everything else is a
fact: who wrote it, the checks that it disables, numbers and sizes, custom calls that TensorFlow implements. A model
without XlaCallModule nodes consists of TensorFlow's own operations: it runs on every platform, TensorFlow
differentiates it, and its files do not tell which TensorFlow is the oldest that has its operations.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import list_names
from pipeline.saved_model import computation, graph, runtimes
from pipeline.saved_model.computation import Computation
from pipeline.saved_model.files import Files, find_packing_faults, find_unsafe_names
from pipeline.saved_model.findings import FaultKind, Finding
from pipeline.saved_model.graph import Signature, Variables, attribute
from pipeline.saved_model.opening import read_files
from pipeline.saved_model.portable import PLATFORMS

# Paths of source files, and everything below a home or temporary folder.
_PATHS = re.compile(
    rb"(?:/[\w.@+~-]+)+/[\w.@+~-]+\.(?:py|ipynb|cc|cpp|h|npz|mlir)\b"
    rb"|/(?:home|Users|root|tmp|mnt|content|workspace)/[\w.@+~/-]{2,}"
    rb"|\b[A-Za-z]:\\(?:[\w. -]+\\)+[\w.-]+"
)


_MAX_PATHS = 10


@dataclass(frozen=True)
class Inspection:
    """What a SavedModel needs and contains.

    Attributes:
        files: the files of the folder or tarball.
        written_by: the version of the TensorFlow that wrote it.
        producer, min_consumer: that TensorFlow's GraphDef version, and the oldest that may read it.
        tensorflow: the oldest measured TensorFlow that runs every XlaCallModule node, see
            pipeline.saved_model.runtimes; None without such nodes. For "2.14", older versions were not measured.
        requirements: the properties that decide this, each with the oldest TensorFlow that supports it.
        platforms: those on which every XlaCallModule node runs, in lower case; None for no restriction.
        conventions: the calling conventions of the XlaCallModule nodes, ascending.
        disabled_checks: the safety checks that XlaCallModule nodes disable.
        token_effects: whether an XlaCallModule node has has_token_input_output set.
        computations: the distinct StableHLO modules.
        signatures: by name.
        variables: None without an object graph (TensorFlow 1).
        gradients: whether the gradients of the XlaCallModule nodes are saved; None without such nodes.
        paths: file names of other machines in saved_model.pb, at most _MAX_PATHS.
        empty_attributes: those without a value that TensorFlow's C++ loader refuses, see graph.find_empty_attributes().
    """

    files: Files
    written_by: str
    producer: int
    min_consumer: int
    tensorflow: str | None
    requirements: dict[str, str]
    platforms: tuple[str, ...] | None
    conventions: tuple[int, ...]
    disabled_checks: tuple[str, ...]
    token_effects: bool
    computations: tuple[Computation, ...]
    signatures: dict[str, Signature]
    variables: Variables | None
    gradients: bool | None
    paths: tuple[str, ...]
    empty_attributes: tuple[str, ...]


def inspect_saved_model(path: Path) -> Inspection:
    """Reads a SavedModel's folder or archive; an archive is read as a stream, and its variables are not kept.

    Raises:
        Fault: when it is missing, damaged, or not a SavedModel.
    """
    files, content = read_files(path)
    saved_model = graph.parse(content, path, files.graph)
    metas = saved_model.meta_graphs
    serving = next((meta for meta in metas if "serve" in meta.meta_info_def.tags), metas[0])
    nodes = list(graph.find_xla_calls(saved_model))
    conventions = sorted({attribute(node, "version").i for node in nodes})
    computations = tuple(map(computation.read, sorted({attribute(node, "module").s for node in nodes})))
    requirements = _find_requirements(conventions, computations)
    return Inspection(
        files=files,
        written_by=serving.meta_info_def.tensorflow_version,
        producer=serving.graph_def.versions.producer,
        min_consumer=serving.graph_def.versions.min_consumer,
        tensorflow=max(requirements.values(), key=runtimes.parse, default=None),
        requirements=requirements,
        platforms=_find_platforms(nodes),
        conventions=tuple(conventions),
        disabled_checks=tuple(sorted({check for node in nodes for check in _strings(node, "disabled_checks")})),
        token_effects=any(attribute(node, "has_token_input_output").b for node in nodes),
        computations=computations,
        signatures=graph.read_signatures(serving),
        variables=graph.read_variables(serving),
        gradients=graph.has_saved_gradients(serving),
        paths=_find_paths(content),
        empty_attributes=tuple(one.text for one in graph.find_empty_attributes(saved_model) if one.is_refused),
    )


def _find_requirements(conventions: Sequence[int], computations: Sequence[Computation]) -> dict[str, str]:
    """Returns the oldest TensorFlow that supports each property of the XlaCallModule nodes."""
    requirements = {f"calling convention {number}": runtimes.for_convention(number) for number in conventions}
    for module in computations:
        requirements |= module.requirements()
    return requirements


def _find_platforms(nodes: Sequence[Any]) -> tuple[str, ...] | None:
    # Before calling convention 6 an empty list means that nothing is checked.
    platforms = [set(map(str.lower, names)) for node in nodes if (names := _strings(node, "platforms"))]
    return tuple(sorted(set.intersection(*platforms))) if platforms else None


def _strings(node: Any, name: str) -> list[str]:
    return [value.decode(errors="replace") for value in attribute(node, name).list.s]


def _find_paths(content: bytes) -> tuple[str, ...]:
    paths: set[str] = set()
    for match in _PATHS.finditer(content):
        paths.add(match[0].decode(errors="replace"))
        if len(paths) == _MAX_PATHS:
            break
    return tuple(sorted(paths))


# Findings -------------------------------------------------------------------------------------------------------------
def find_faults(model: Inspection) -> list[Finding]:
    """Returns what keeps a SavedModel from being loaded or run; each text starts with the model's path."""
    faults = (*_runtime_faults(model), *_computation_faults(model), *_loading_faults(model))
    return [*_with_path(model, faults), *find_unsafe_names(model.files)]


def find_publication_faults(model: Inspection) -> list[Finding]:
    """Returns what keeps this project from publishing a SavedModel as it is, beside its faults."""
    findings = (*_portability_findings(model), *_gradient_findings(model), *_graph_findings(model))
    return [*_with_path(model, findings), *find_packing_faults(model.files)]


def _with_path(model: Inspection, findings: Iterable[Finding]) -> list[Finding]:
    return [Finding(finding.kind, f"{model.files.path}: {finding.text}") for finding in findings]


def _runtime_faults(model: Inspection) -> Iterator[Finding]:
    if model.tensorflow == runtimes.UNKNOWN:
        text = f"no TensorFlow up to {runtimes.NEWEST} runs it, because of {_reasons(model)}"
        yield Finding(
            FaultKind.TENSORFLOW, f"{text}; use a newer one, or make it portable (pipeline.saved_model.portable)"
        )


def _reasons(model: Inspection) -> str:
    """Returns what needs a newer TensorFlow than the oldest of the table."""
    oldest = runtimes.parse(runtimes.OLDEST)
    newer = {reason: needed for reason, needed in model.requirements.items() if runtimes.parse(needed) > oldest}
    return ", ".join(f"{reason} ({needed})" for reason, needed in newer.items())


def _computation_faults(model: Inspection) -> Iterator[Finding]:
    modules = model.computations
    if calls := sorted({call for module in modules for call in module.foreign_calls()}):
        text = f"it calls {', '.join(calls)}, which TensorFlow does not have"
        yield Finding(FaultKind.CUSTOM_CALLS, f"{text}; write the JAX function without them")
    if problems := [module.problem for module in modules if module.problem]:
        text = f"{len(problems)} of {len(modules)} StableHLO modules cannot be parsed ({problems[0]})"
        yield Finding(FaultKind.MODULE, f"{text}; convert it again")


def _loading_faults(model: Inspection) -> Iterator[Finding]:
    if model.empty_attributes:
        text = f"it loads in TensorFlow's Python loader only: no value for {list_names(model.empty_attributes, 3)}"
        yield Finding(FaultKind.ATTRIBUTES, f"{text}; remove these attributes, or convert it again")
    if model.variables and model.variables.count and not model.files.has("variables/variables.index"):
        text = f"{model.variables.count} variables are declared, but variables/variables.index is missing"
        yield Finding(FaultKind.VARIABLES, f"{text}; fetch or convert it again")


def _portability_findings(model: Inspection) -> Iterator[Finding]:
    """Yields what keeps a JAX function from running in every supported TensorFlow and on every platform."""
    modules = model.computations
    if model.tensorflow and runtimes.OLDEST != model.tensorflow != runtimes.UNKNOWN:
        text = f"{model.tensorflow} because of {_reasons(model)}, expected {runtimes.OLDEST}; make it portable"
        yield Finding(FaultKind.TENSORFLOW, f"it needs TensorFlow {text} (pipeline.saved_model.portable)")
    if model.platforms is not None and (missing := sorted(set(PLATFORMS) - set(model.platforms))):
        text = f"{' and '.join(model.platforms) or 'no platform'} only, {' and '.join(missing)} missing"
        todo = f"convert with native_serialization_platforms={PLATFORMS}"
        yield Finding(FaultKind.PLATFORMS, f"it is lowered for {text}; {todo}")
    effects = sorted({effect for module in modules for effect in module.effects})
    if model.token_effects:
        effects.append("has_token_input_output")
    if effects:
        text = f"it has side effects ({', '.join(effects)}), expected none"
        yield Finding(FaultKind.EFFECTS, f"{text}; remove callbacks and prints from the JAX function")
    if number := sum(module.debug_info for module in modules):
        text = f"{number} of {len(modules)} StableHLO modules have debug information, expected none"
        yield Finding(FaultKind.DEBUG_INFO, f"{text}; remove it (MLIR's pass strip-debuginfo)")


def _gradient_findings(model: Inspection) -> Iterator[Finding]:
    if model.gradients is False and model.variables and model.variables.trainable:
        trainable = f"{model.variables.trainable} of {model.variables.count} variables are trainable"
        todo = "convert with with_gradient=True and save with SaveOptions(experimental_custom_gradients=True)"
        yield Finding(
            FaultKind.GRADIENTS,
            f"{trainable}, but the gradients of the JAX function are not saved; {todo}, or make them not trainable",
        )


def _graph_findings(model: Inspection) -> Iterator[Finding]:
    if model.paths:
        text = f"saved_model.pb contains paths of its author's machine ({list_names(model.paths, 3)}), expected none"
        yield Finding(FaultKind.PATHS, f"{text}; remove the debug information (MLIR's pass strip-debuginfo)")
    if "serving_default" not in model.signatures:
        text = f"there is no signature serving_default, got {', '.join(model.signatures) or 'none'}"
        yield Finding(FaultKind.SIGNATURE, f"{text}; pass signatures= to tf.saved_model.save")
