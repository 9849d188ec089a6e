"""Reads what each meta graph of a SavedModel needs of TensorFlow: its operations, devices, files and Python functions.

A SavedModel holds one meta graph for each set of tags. Loading one imports all of its functions, so TensorFlow must
know every operation in them; only the nodes that signatures, initialisers and saved functions reach are run.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.fault import show_name
from pipeline.saved_model import graph, operations, runtimes
from pipeline.saved_model.access import Access, Names, find_access
from pipeline.saved_model.graph import Signature, attribute
from pipeline.saved_model.operations import Device

Functions = Mapping[str, Sequence[Any]]  # the nodes of each function, those of the graph itself under ""
_INITIALIZERS = ("saved_model_main_op", "legacy_init_op")  # collections of TensorFlow 1
_TRACED_NAME = re.compile(r"__(?:inference|forward|backward)_(.+?)_\d+")


@dataclass(frozen=True)
class Use:
    """An operation, and a function that has a node of it; "" for the graph itself."""

    operation: str
    function: str

    def __str__(self) -> str:
        operation = show_name(self.operation)
        return f"{operation} in {show_name(self.function)}" if self.function else operation


@dataclass(frozen=True)
class MetaGraph:
    """What a meta graph needs and contains.

    Attributes:
        tags: the names that a loader selects it by, in any order.
        written_by: the version of the TensorFlow that wrote it.
        producer, min_consumer: that TensorFlow's GraphDef version, and the oldest that may read it.
        signatures: by name.
        unknown_operations: those that no TensorFlow of the table has.
        python_calls: nodes that call Python functions of the process that saved it.
        gpu_operations: nodes that run on GPUs only.
        unsupported_operations: nodes that run neither on CPUs nor on GPUs, but for those compiled by XLA.
        accesses: what it does with files, but its own, and the network.
        newer_operations: the oldest TensorFlow of each operation that the oldest of the table lacks.
        removed_operations: the newest TensorFlow of each operation that the newest of the table lacks.
        missing_assets: the names of its assets that are not among the files.
    """

    tags: tuple[str, ...]
    written_by: str
    producer: int
    min_consumer: int
    signatures: dict[str, Signature]
    unknown_operations: tuple[Use, ...]
    python_calls: tuple[Use, ...]
    gpu_operations: tuple[Use, ...]
    unsupported_operations: tuple[Use, ...]
    accesses: tuple[Access, ...]
    newer_operations: dict[str, str]
    removed_operations: dict[str, str]
    missing_assets: tuple[str, ...]


def read_meta_graph(meta_graph: Any, has_file: Callable[[str], bool]) -> MetaGraph:
    """Reads a MetaGraphDef.

    Args:
        meta_graph: the message.
        has_file: whether the model has a file of that name.
    """
    functions = graph.function_nodes(meta_graph.graph_def)
    known = {node.op for nodes in functions.values() for node in nodes if node.op in operations.table()}
    table = {name: operations.table()[name] for name in sorted(known)}
    run = list(_run_nodes(meta_graph, functions))
    compiled = set(_compiled_functions(meta_graph, functions))
    assets = sorted(set(graph.read_assets(meta_graph).values()))
    return MetaGraph(
        tags=tuple(meta_graph.meta_info_def.tags),
        written_by=meta_graph.meta_info_def.tensorflow_version,
        producer=meta_graph.graph_def.versions.producer,
        min_consumer=meta_graph.graph_def.versions.min_consumer,
        signatures=graph.read_signatures(meta_graph),
        unknown_operations=_uses(_unknown_nodes(functions)),
        python_calls=_uses((name, node) for name, node in run if node.op in operations.PYTHON_CALLS),
        gpu_operations=_uses((name, node) for name, node in run if operations.needs_device(node.op) is Device.GPU),
        unsupported_operations=_uses(
            (name, node)
            for name, node in run
            if operations.needs_device(node.op) is Device.NONE and name not in compiled
        ),
        accesses=_accesses(meta_graph, functions, run),
        newer_operations={name: one.first for name, one in table.items() if one.first != runtimes.OLDEST},
        removed_operations={name: one.last for name, one in table.items() if one.last != runtimes.NEWEST},
        missing_assets=tuple(name for name in assets if not has_file(f"assets/{name}")),
    )


def _uses(nodes: Iterable[tuple[str, Any]]) -> tuple[Use, ...]:
    """Returns the operations of nodes, each once, sorted."""
    first: dict[str, Use] = {}
    for function, node in nodes:
        first.setdefault(node.op, Use(node.op, short_name(function)))
    return tuple(use for _, use in sorted(first.items()))


def short_name(function: str) -> str:
    """Returns the name that a function had in Python: "f" for "__inference_f_123"."""
    match = _TRACED_NAME.fullmatch(function)
    return match[1] if match else function


def _unknown_nodes(functions: Functions) -> Iterator[tuple[str, Any]]:
    for name, nodes in functions.items():
        yield from ((name, node) for node in nodes if node.op not in operations.table() and node.op not in functions)


def _accesses(meta_graph: Any, functions: Functions, run: Iterable[tuple[str, Any]]) -> tuple[Access, ...]:
    names = Names(meta_graph, functions)
    return tuple(dict.fromkeys(access for name, node in run for access in find_access(name, node, names)))


# What is run ----------------------------------------------------------------------------------------------------------
def _run_nodes(meta_graph: Any, functions: Functions) -> Iterator[tuple[str, Any]]:
    """Yields the nodes that can be run, each as (function, node), without those that save and restore variables."""
    nodes = _needed_nodes(meta_graph)
    called = [name for node in nodes for name in graph.called_functions(node)]
    roots = [*called, *meta_graph.object_graph_def.concrete_functions]
    yield from (("", node) for node in nodes)
    for name in graph.reachable_functions(functions, roots, [""]):
        yield from ((name, node) for node in functions[name])


def _needed_nodes(meta_graph: Any) -> list[Any]:
    """Returns the graph's own nodes that its signatures and initialisers need.

    Without signatures and saved functions that is unknown: then all but the nodes that save and restore variables.
    """
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    signatures = [signature for name, signature in meta_graph.signature_def.items() if name != "__saved_model_train_op"]
    roots = [name for signature in signatures for info in signature.outputs.values() for name in _tensor_names(info)]
    for collection in _INITIALIZERS:
        if collection in meta_graph.collection_def:
            roots += meta_graph.collection_def[collection].node_list.value
    if graph.read_signatures(meta_graph) or meta_graph.object_graph_def.concrete_functions:
        return _ancestors(nodes, roots)
    saver = meta_graph.saver_def
    saving = {node.name for node in _ancestors(nodes, [saver.save_tensor_name, saver.restore_op_name])}
    return [node for node in meta_graph.graph_def.node if node.name not in saving]


def _tensor_names(info: Any) -> list[str]:
    sparse = info.coo_sparse
    parts = [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    components = [name for one in info.composite_tensor.components for name in _tensor_names(one)]
    return [info.name, *parts, *components]


def _ancestors(nodes: Mapping[str, Any], roots: Iterable[str]) -> list[Any]:
    """Returns the nodes that the roots, names of nodes or tensors, depend on, with those of the roots."""
    needed: dict[str, Any] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in needed:
            needed[name] = nodes[name]
            waiting += nodes[name].input
    return list(needed.values())


def _compiled_functions(meta_graph: Any, functions: Functions) -> list[str]:
    """Returns the functions that XLA compiles, which has operations without a kernel."""
    library = meta_graph.graph_def.library.function
    roots = [function.signature.name for function in library if attribute(function, "_XlaMustCompile").b]
    for nodes in functions.values():
        for node in nodes:
            if attribute(node, "_XlaMustCompile").b:
                roots += graph.called_functions(node)
    return graph.reachable_functions(functions, roots, [""])
