"""What a SavedModel needs and holds, ours or a stranger's, read from its files without running any of it.

inspect_saved_model() reads a model's folder or tarball; find_faults() lists what a published module must not have:

| kind | fault |
|---|---|
| tensorflow | an XlaCallModule node needs a newer TensorFlow than 2.14, the oldest we promise |
| platforms | an XlaCallModule node is not lowered for all of cpu, cuda and tpu |
| effects | a StableHLO module has side effects, which calling convention 8 cannot order |
| custom_calls | a StableHLO module calls functions that TensorFlow does not have |
| module | a StableHLO module cannot be parsed |
| gradients | there are trainable variables and XlaCallModule nodes, but the nodes' gradients are not saved |
| debug_info | a StableHLO module says where in its author's program its operations come from |
| paths | saved_model.pb names files or folders of its author's machine |
| signature | there is no signature serving_default |
| variables | there are variables, but no variables/variables.index |
| files | a file, folder, link or name that TF-Hub does not allow, or saved_model.pb is not at the root |
| order | a tarball whose folders don't stand before their files, or whose saved_model.pb is not its last entry |

Everything else is a fact and no fault: who wrote it, checks that it disables, numbers and sizes, custom calls that
TensorFlow knows. A model without XlaCallModule nodes is one of TensorFlow's own operations: it runs on every platform,
TensorFlow derives its gradients, and its files don't tell which TensorFlow is the oldest that has its operations.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.saved_model import computation, graph, portable, runtimes
from pipeline.saved_model.computation import Computation
from pipeline.saved_model.files import Files, Finding, file_faults, read_files
from pipeline.saved_model.graph import Signature, Variables

# Paths of source files, and whatever lies below a home or temporary folder.
_PATHS = re.compile(
    rb"(?:/[\w.@+~-]+)+/[\w.@+~-]+\.(?:py|ipynb|cc|cpp|h|npz|mlir)\b"
    rb"|/(?:home|Users|root|tmp|mnt|content|workspace)/[\w.@+~/-]{2,}"
    rb"|\b[A-Za-z]:\\(?:[\w. -]+\\)+[\w.-]+"
)


@dataclass(frozen=True)
class Inspection:
    """What a SavedModel needs and holds.

    Attributes:
        files: what lies in the folder or tarball.
        written_by: the version of the TensorFlow that wrote it.
        producer, min_consumer: that TensorFlow's GraphDef version, and the oldest that may read it.
        tensorflow: the oldest measured TensorFlow that runs every XlaCallModule node, see
            pipeline.saved_model.runtimes; None without such nodes. Of "2.14" nobody measured whether an older one would
            do.
        requirements: the properties that decide over it, each with the oldest TensorFlow.
        platforms: on which every XlaCallModule node runs, in lower case; None for no restriction.
        conventions: the calling conventions of the XlaCallModule nodes, ascending.
        disabled_checks: the safety checks that XlaCallModule nodes disable.
        token_effects: whether an XlaCallModule node has has_token_input_output set.
        computations: the distinct StableHLO modules.
        signatures: by name.
        variables: None where there is no object graph (TensorFlow 1).
        gradients: whether the gradients of the XlaCallModule nodes are saved; None without such nodes.
        paths: of other machines, found in saved_model.pb; ten at most.
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


def _paths(content: bytes) -> tuple[str, ...]:
    found: set[str] = set()
    for match in _PATHS.finditer(content):
        found.add(match[0].decode(errors="replace"))
        if len(found) == 10:
            break
    return tuple(sorted(found))


def _strings(node: Any, name: str) -> list[str]:
    return [value.decode(errors="replace") for value in node.attr[name].list.s] if name in node.attr else []


def inspect_saved_model(path: Path) -> Inspection:
    """Reads a SavedModel's folder or .tar.gz; a tarball is read as a stream, its variables are not kept.

    Raises:
        Fault: when it is not there, not whole, or no SavedModel.
    """
    files, content = read_files(path)
    parsed = graph.parse(content, path)
    serving = next((meta for meta in parsed.meta_graphs if "serve" in meta.meta_info_def.tags), parsed.meta_graphs[0])
    nodes = list(graph.find_xla_calls(parsed))
    conventions = sorted({node.attr["version"].i for node in nodes})
    computations = tuple(map(computation.read, sorted({node.attr["module"].s for node in nodes})))
    requirements = {
        f"calling convention {convention}": runtimes.for_convention(convention) for convention in conventions
    }
    for one in computations:
        requirements |= one.requirements()
    # Before calling convention 6 an empty list means that nothing is checked.
    lowered = [set(map(str.lower, listed)) for node in nodes if (listed := _strings(node, "platforms"))]
    return Inspection(
        files=files,
        written_by=serving.meta_info_def.tensorflow_version,
        producer=serving.graph_def.versions.producer,
        min_consumer=serving.graph_def.versions.min_consumer,
        tensorflow=max(requirements.values(), key=runtimes.parse, default=None),
        requirements=requirements,
        platforms=tuple(sorted(set.intersection(*lowered))) if lowered else None,
        conventions=tuple(conventions),
        disabled_checks=tuple(sorted({check for node in nodes for check in _strings(node, "disabled_checks")})),
        token_effects=any(node.attr["has_token_input_output"].b for node in nodes),
        computations=computations,
        signatures=graph.signatures(serving),
        variables=graph.variables(serving),
        gradients=graph.gradients(serving),
        paths=_paths(content),
    )


# Faults ---------------------------------------------------------------------------------------------------------------
def _computation_faults(found: Inspection) -> Iterator[Finding]:
    modules = found.computations
    effects = sorted({effect for one in modules for effect in one.effects})
    if found.token_effects:
        effects.append("has_token_input_output")
    if effects:
        text = (
            f"has side effects ({', '.join(effects)}), expected none; remove callbacks and prints from the JAX function"
        )
        yield Finding("effects", f"its computation {text}")
    if calls := sorted({call for one in modules for call in one.foreign_calls()}):
        text = f"calls {', '.join(calls)}, which TensorFlow does not have; write the JAX function without them"
        yield Finding("custom_calls", f"its computation {text}")
    if problems := [one.problem for one in modules if one.problem]:
        text = f"cannot be parsed ({problems[0]}); convert it again"
        yield Finding("module", f"{len(problems)} of {len(modules)} StableHLO modules {text}")
    if number := sum(one.debug_info for one in modules):
        text = "say where in their author's program they come from, expected no debug information; strip it"
        yield Finding("debug_info", f"{number} of {len(modules)} StableHLO modules {text} (strip-debuginfo)")


def _model_faults(found: Inspection) -> Iterator[Finding]:
    promised = runtimes.parse(runtimes.OLDEST)
    if found.tensorflow and runtimes.parse(found.tensorflow) > promised:
        newer = {reason: oldest for reason, oldest in found.requirements.items() if runtimes.parse(oldest) > promised}
        reasons = ", ".join(f"{reason} ({oldest})" for reason, oldest in newer.items())
        text = f"{found.tensorflow} because of {reasons}, expected {runtimes.OLDEST}; make it portable"
        yield Finding("tensorflow", f"it needs TensorFlow {text} (pipeline.saved_model.portable)")
    if found.platforms is not None and (missing := sorted(set(portable.PLATFORMS) - set(found.platforms))):
        text = f"{' and '.join(found.platforms) or 'no platform'} only, {' and '.join(missing)} missing"
        todo = "convert with native_serialization_platforms=('cpu', 'cuda', 'tpu')"
        yield Finding("platforms", f"it is lowered for {text}; {todo}")
    yield from _computation_faults(found)
    if found.gradients is False and found.variables and found.variables.trainable:
        trained = f"{found.variables.trainable} of {found.variables.count} variables can be trained"
        text = f"the gradients of the JAX function are not saved though {trained}"
        todo = "convert with with_gradient=True and save with SaveOptions(experimental_custom_gradients=True)"
        yield Finding("gradients", f"{text}; {todo}, or make the variables not trainable")
    if found.paths:
        text = f"names paths of its author's machine ({', '.join(found.paths[:3])}), expected none"
        yield Finding("paths", f"saved_model.pb {text}; strip the debug information (strip-debuginfo)")
    if "serving_default" not in found.signatures:
        text = f"got {', '.join(found.signatures) or 'none'}; pass signatures= to tf.saved_model.save"
        yield Finding("signature", f"there is no signature serving_default, {text}")
    if found.variables and found.variables.count and not found.files.has("variables/variables.index"):
        text = f"{found.variables.count} variables are declared but variables/variables.index is missing"
        yield Finding("variables", f"{text}; fetch or convert it again")


def find_faults(found: Inspection) -> list[Finding]:
    """Returns what keeps a SavedModel from being a well-behaved published module; the kinds are listed above."""
    of_model = (Finding(one.kind, f"{found.files.path}: {one.text}") for one in _model_faults(found))
    return [*of_model, *file_faults(found.files)]
