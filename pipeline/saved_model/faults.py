"""Lists what keeps a SavedModel from being loaded or run, and, apart from that, from being published by this project.

FaultKind lists the kinds of both. Everything else that inspection.py reads is a fact: who wrote a model, the checks
that it disables, numbers and sizes.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from pipeline.base.fault import list_names, show_name
from pipeline.saved_model import operations, runtimes
from pipeline.saved_model.access import Kind
from pipeline.saved_model.files import find_packing_faults, find_unsafe_names
from pipeline.saved_model.findings import FaultKind, Finding
from pipeline.saved_model.inspection import Inspection
from pipeline.saved_model.meta_graphs import MetaGraph, Use
from pipeline.saved_model.portable import PLATFORMS

_RANGE = f"TensorFlow {runtimes.OLDEST} to {runtimes.NEWEST}"


def find_faults(model: Inspection) -> list[Finding]:
    """Returns what keeps a SavedModel from being loaded or run; each text starts with the model's path."""
    faults = (
        *_tag_faults(model),
        *_meta_graph_faults(model),
        *_runtime_faults(model),
        *_computation_faults(model),
        *_loading_faults(model),
    )
    return [*_with_path(model, faults), *find_unsafe_names(model.files)]


def find_publication_faults(model: Inspection) -> list[Finding]:
    """Returns what keeps this project from publishing a SavedModel as it is, beside its faults."""
    findings = (*_portability_findings(model), *_gradient_findings(model), *_graph_findings(model))
    return [*_with_path(model, findings), *find_packing_faults(model.files)]


def _with_path(model: Inspection, findings: Iterable[Finding]) -> list[Finding]:
    return [Finding(finding.kind, f"{model.files.path}: {finding.text}") for finding in findings]


# Meta graphs ----------------------------------------------------------------------------------------------------------
def _tag_faults(model: Inspection) -> Iterator[Finding]:
    """Yields what loaders refuse that are not told which of several meta graphs to load."""
    counts = Counter(frozenset(meta.tags) for meta in model.meta_graphs)
    tags = list({frozenset(meta.tags): meta.tags for meta in reversed(model.meta_graphs)}.values())[::-1]
    repeated = [names for names in tags if counts[frozenset(names)] > 1]
    if len(model.meta_graphs) == 1:
        return
    is_hub_module = model.files.has("tfhub_module.pb") and () in tags
    refusing = "tf.saved_model.load refuses" if is_hub_module else "tf.saved_model.load and hub.load refuse"
    text = f"{refusing} it without tags, since it has {len(model.meta_graphs)} meta graphs; pass {list_tags(tags)}"
    hub = " (hub.load passes tags=[] by itself, because of tfhub_module.pb)" if is_hub_module else ""
    yield Finding(FaultKind.TAGS, f"{text}{hub}; keras.layers.TFSMLayer cannot load it")
    if repeated:
        yield Finding(FaultKind.TAGS, f"several meta graphs have {list_tags(repeated)}; only the first can be loaded")


def list_tags(tags: Sequence[tuple[str, ...]]) -> str:
    """Returns the arguments that select each meta graph: "tags=['serve'] or tags=[]"."""
    return " or ".join(f"tags={list(names)}" for names in tags)


def _meta_graph_faults(model: Inspection) -> Iterator[Finding]:
    """Yields the faults of the meta graphs, naming the tags of those that have one that another has not."""
    by_finding: dict[Finding, list[MetaGraph]] = {}
    for meta in model.meta_graphs:
        for finding in (*_operation_faults(meta), *_access_faults(meta), *_asset_faults(meta)):
            by_finding.setdefault(finding, []).append(meta)
    for finding, metas in by_finding.items():
        where = "" if len(metas) == len(model.meta_graphs) else f"with {list_tags([meta.tags for meta in metas])}, "
        yield Finding(finding.kind, f"{where}{finding.text}")


def _operation_faults(meta: MetaGraph) -> Iterator[Finding]:
    if uses := meta.unknown_operations:
        text = f"it has operations that {_RANGE} lack: {_list_uses(uses, _with_library)}"
        yield Finding(FaultKind.OPERATIONS, f"{text}; {_todo_for_operations(meta)}")
    if uses := meta.python_calls:
        yield Finding(FaultKind.PYTHON, describe_python_calls(uses))
    if uses := meta.gpu_operations:
        yield Finding(FaultKind.DEVICES, f"it runs on GPUs only, because of {_list_uses(uses, _with_library)}")
    if uses := meta.unsupported_operations:
        on = "on TPUs only" if any("TPU" in use.operation for use in uses) else "neither on CPUs nor on GPUs"
        text = f"it runs {on}, because of {_list_uses(uses)}"
        yield Finding(FaultKind.DEVICES, f"{text}, for which {_RANGE} have no kernel")
    if meta.removed_operations:
        names = ", ".join(f"{name} (up to {last})" for name, last in meta.removed_operations.items())
        yield Finding(FaultKind.TENSORFLOW, f"newer versions of TensorFlow lack {names}; use an older one")


def describe_python_calls(uses: Sequence[Use]) -> str:
    """Returns what is wrong with a model that calls Python functions, and what to do."""
    text = f"it calls Python functions of the process that saved it ({_list_uses(uses)}), which no other process has"
    return f"{text}; save it again with TensorFlow's operations instead of tf.py_function or tf.numpy_function"


def find_missing_operations(meta: MetaGraph, tensorflow: str) -> list[str]:
    """Returns the operations of a meta graph that a TensorFlow lacks, so that it cannot load it, for people.

    Args:
        meta: the meta graph.
        tensorflow: the version, such as "2.21.0"; nothing is returned for one that the table does not have.
    """
    minor = ".".join(tensorflow.split(".")[:2])
    if minor not in {runtime.tensorflow for runtime in runtimes.RUNTIMES}:
        return []
    own = runtimes.parse(minor)
    newer = {name: f"from {first}" for name, first in meta.newer_operations.items() if runtimes.parse(first) > own}
    removed = {name: f"up to {last}" for name, last in meta.removed_operations.items() if runtimes.parse(last) < own}
    others = [f"{show_name(name)} ({versions})" for name, versions in (newer | removed).items()]
    return [*map(_with_library, meta.unknown_operations), *others]


def _todo_for_operations(meta: MetaGraph) -> str:
    match = re.match(r"\d{1,4}\.\d{1,4}\b", meta.written_by)
    if match and runtimes.parse(match[0]) > runtimes.parse(runtimes.NEWEST):
        return (
            f"use TensorFlow {match[0]}, which wrote it, and import the library that brings them, if it is another one"
        )
    return "import the library that brings them before loading it"


def _list_uses(uses: Iterable[Use], render: Callable[[Use], str] = str) -> str:
    return list_names([render(use) for use in uses], 3)


def _with_library(use: Use) -> str:
    library = operations.library_of(use.operation)
    return f"{use} (from {library})" if library else str(use)


def _access_faults(meta: MetaGraph) -> Iterator[Finding]:
    for kind in Kind:
        if texts := [access.text for access in meta.accesses if access.kind is kind]:
            text = f"it {kind}: {list_names(texts, 3)}"
            yield Finding(FaultKind.ACCESS, f"{text}; run it only if you expect that, and trust its author")


def _asset_faults(meta: MetaGraph) -> Iterator[Finding]:
    if missing := meta.missing_assets:
        text = f"assets/ lacks {list_names(missing, 3)}, which it reads when it is loaded"
        yield Finding(FaultKind.FILES, f"{text}; download all of it again")


# Any meta graph -------------------------------------------------------------------------------------------------------
def _runtime_faults(model: Inspection) -> Iterator[Finding]:
    if model.tensorflow == runtimes.UNKNOWN:
        text = f"no TensorFlow up to {runtimes.NEWEST} runs it, because of {_reasons(model)}"
        yield Finding(
            FaultKind.TENSORFLOW, f"{text}; use a newer one, or make it portable (pipeline.saved_model.portable)"
        )
    if model.platforms is not None and "cpu" not in model.platforms and "platform" not in model.disabled_checks:
        text = f"it runs on {' and '.join(model.platforms) or 'no platform'} only"
        yield Finding(FaultKind.DEVICES, f"{text}, for which its JAX function is lowered")


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
    if model.variables.count and not model.files.has("variables/variables.index"):
        text = f"{model.variables.count} variables are declared, but variables/variables.index is missing"
        yield Finding(FaultKind.VARIABLES, f"{text}; get the whole model again, or write it again")
    if model.damage:
        yield Finding(FaultKind.VARIABLES, model.damage)


def _portability_findings(model: Inspection) -> Iterator[Finding]:
    """Yields what keeps a JAX function from running in every supported TensorFlow and on every platform."""
    modules = model.computations
    if runtimes.OLDEST != model.tensorflow != runtimes.UNKNOWN:
        todo = "make it portable (pipeline.saved_model.portable)" if modules else "write it without"
        text = f"{model.tensorflow} because of {_reasons(model)}, expected {runtimes.OLDEST}; {todo}"
        yield Finding(FaultKind.TENSORFLOW, f"it needs TensorFlow {text}")
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
    if model.gradients is False and model.variables.trainable:
        trainable = f"{model.variables.trainable} of {model.variables.count} variables are trainable"
        todo = "convert with with_gradient=True and save with SaveOptions(experimental_custom_gradients=True)"
        yield Finding(
            FaultKind.GRADIENTS,
            f"{trainable}, but the gradients of the JAX function are not saved; {todo}, or make them not trainable",
        )


def _graph_findings(model: Inspection) -> Iterator[Finding]:
    if model.paths:
        text = f"saved_model.pb contains paths of its author's machine ({list_names(model.paths, 3)}), expected none"
        is_jax = bool(model.computations)
        todo = "remove the debug information (MLIR's pass strip-debuginfo)" if is_jax else "save it again without them"
        yield Finding(FaultKind.PATHS, f"{text}; {todo}")
    if "serving_default" not in model.signatures:
        text = f"there is no signature serving_default, got {', '.join(model.signatures) or 'none'}"
        yield Finding(FaultKind.SIGNATURE, f"{text}; pass signatures= to tf.saved_model.save")
