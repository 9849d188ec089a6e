"""Reads what each meta graph of a SavedModel needs of TensorFlow: its operations, devices, files and Python functions.

A SavedModel holds one meta graph for each set of tags. Loading one imports all of its functions, so TensorFlow must
know every operation in them; only the nodes that signatures, initialisers and saved functions reach are run.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base.archives import is_safe
from pipeline.base.fault import show_name
from pipeline.saved_model import graph, operations, runtimes
from pipeline.saved_model.access import Access, Kind, find_access
from pipeline.saved_model.graph import Signature, attribute
from pipeline.saved_model.operations import Device
from pipeline.saved_model.origins import Origins

Functions = Mapping[str, Sequence[Any]]  # the nodes of each function, those of the graph itself under ""
_INIT, _TRAIN = "__saved_model_init_op", "__saved_model_train_op"  # signatures that are none
_INITIALIZERS, _TABLES = ("saved_model_main_op", "legacy_init_op"), "table_initializer"  # collections of TensorFlow 1
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
    run = _run_nodes(meta_graph, functions)
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
        accesses=_accesses(meta_graph, functions),
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


# What is run ----------------------------------------------------------------------------------------------------------
def _run_nodes(meta_graph: Any, functions: Functions) -> list[tuple[str, Any]]:
    """Returns the nodes that can be run, each as (function, node), without those that save and restore variables."""
    initial = _ancestors(meta_graph, _initializer_names(meta_graph))
    nodes = list({node.name: node for node in (*_needed_nodes(meta_graph), *initial)}.values())
    return _nodes_of(functions, nodes, _called(functions, nodes, _object_functions(meta_graph)))


def _called(functions: Functions, nodes: Iterable[Any], roots: Iterable[str]) -> list[str]:
    """Returns the functions that nodes of the graph call, directly or not, with the roots and what these call."""
    called = [name for node in nodes for name in graph.called_functions(node)]
    return graph.reachable_functions(functions, [*called, *roots], [""])


def _nodes_of(functions: Functions, nodes: Iterable[Any], called: Iterable[str]) -> list[tuple[str, Any]]:
    """Returns nodes of the graph, then those of functions, each as (function, node)."""
    return [*(("", node) for node in nodes), *((name, node) for name in called for node in functions[name])]


def _object_functions(meta_graph: Any) -> list[str]:
    """Returns the names of the functions of the model's objects, which a loader runs or offers to its caller."""
    objects = meta_graph.object_graph_def
    return [*objects.concrete_functions, *(name for node in objects.nodes for name in graph.function_names(node))]


def _needed_nodes(meta_graph: Any) -> list[Any]:
    """Returns the graph's own nodes that its signatures need.

    Without signatures and saved functions that is unknown: then all but the nodes that save and restore variables.
    """
    signatures = [one for name, one in meta_graph.signature_def.items() if name not in (_INIT, _TRAIN)]
    roots = [name for signature in signatures for info in signature.outputs.values() for name in _tensor_names(info)]
    if graph.read_signatures(meta_graph) or _object_functions(meta_graph):
        return _ancestors(meta_graph, roots)
    saver = meta_graph.saver_def
    others = [saver.save_tensor_name, saver.restore_op_name, *_initializer_names(meta_graph)]
    excluded = {node.name for node in _ancestors(meta_graph, others)}
    return [node for node in meta_graph.graph_def.node if node.name not in excluded]


def _initializer_names(meta_graph: Any) -> list[str]:
    """Returns the names of the nodes that a loader runs once.

    Without any of its own, TensorFlow runs the initializers of the tables and of the local variables.
    """
    collections = meta_graph.collection_def
    names = (
        [info.name for info in meta_graph.signature_def[_INIT].outputs.values()]
        if _INIT in meta_graph.signature_def
        else []
    )
    for collection in _INITIALIZERS:
        if collection in collections:
            names += collections[collection].node_list.value
    if not names and _TABLES in collections:
        names += collections[_TABLES].node_list.value
    return names or graph.read_local_initializers(meta_graph)


def _tensor_names(info: Any) -> list[str]:
    sparse = info.coo_sparse
    parts = [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    components = [name for one in info.composite_tensor.components for name in _tensor_names(one)]
    return [info.name, *parts, *components]


def _ancestors(meta_graph: Any, roots: Iterable[str]) -> list[Any]:
    """Returns the nodes of the graph that the roots, names of nodes or tensors, depend on, with those of the roots."""
    nodes = {node.name: node for node in meta_graph.graph_def.node}
    needed: dict[str, Any] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in needed:
            needed[name] = nodes[name]
            waiting += nodes[name].input
    return list(needed.values())


# Access ---------------------------------------------------------------------------------------------------------------
def _accesses(meta_graph: Any, functions: Functions) -> tuple[Access, ...]:
    """Returns what a meta graph does with files and the network when it is loaded and called, each once.

    A loader gives the path of the variables to what restores them, and those of the assets to the initializers; to
    signatures it gives neither.
    """
    saver, assets = meta_graph.saver_def, graph.read_assets(meta_graph)
    reads = _asset_reads(functions, assets)
    steps: tuple[tuple[list[Any], list[str], set[str]], ...] = (
        (_ancestors(meta_graph, [saver.restore_op_name]), [], {saver.filename_tensor_name.partition(":")[0], *reads}),
        (_ancestors(meta_graph, _initializer_names(meta_graph)), [], {*assets, *reads}),
        (_needed_nodes(meta_graph), _object_functions(meta_graph), reads),
    )
    accesses: dict[Access, None] = {}
    for name in assets.values():
        if not is_safe(name):
            accesses[Access(Kind.READ, f"assets/{show_name(name)}")] = None
    for nodes, roots, own in steps:
        called = _called(functions, nodes, roots)
        run = _nodes_of(functions, nodes, called)
        origins = Origins(meta_graph, functions, run, own)
        for name, node in (*run, *_nodes_of(functions, (), _alternatives(meta_graph, functions, called))):
            accesses |= dict.fromkeys(find_access(name, node, origins))
    return tuple(accesses)


def _asset_reads(functions: Functions, assets: Collection[str]) -> set[str]:
    """Returns the names of the graph's nodes that read a variable which holds the path of an asset, and nothing else.

    TensorFlow 2 saves an asset as such a variable, which an initializer fills.
    """
    handles = [(function, node) for function, nodes in functions.items() for node in nodes if node.op == "VarHandleOp"]
    shared = Counter(_resource_name(node) for _, node in handles)
    names = {node.name for function, node in handles if not function and shared[_resource_name(node)] == 1}
    filled, reads = set(), {}
    for node in functions[""]:
        inputs = [source.partition(":")[0] for source in node.input]
        if node.op == "AssignVariableOp" and len(inputs) > 1 and inputs[0] in names and inputs[1] in assets:
            filled.add(inputs[0])
        elif node.op == "ReadVariableOp" and inputs:
            reads[node.name] = inputs[0]
        elif node.op != "VarIsInitializedOp":
            names -= set(inputs)
    return {name for name, handle in reads.items() if handle in names & filled}


def _resource_name(node: Any) -> bytes:
    """Returns the name by which nodes share a variable."""
    name: bytes = attribute(node, "shared_name").s
    return name or node.name.encode()


def _alternatives(meta_graph: Any, functions: Functions, called: Collection[str]) -> list[str]:
    """Returns the functions that TensorFlow may run in place of those that are called, and what these call.

    They are others of the same interface (such as the GPU's variant of an LSTM), and gradients.
    """
    library = meta_graph.graph_def.library
    interfaces = {one.signature.name: attribute(one, "api_implements").s for one in library.function}
    used = {interfaces[name] for name in called if interfaces[name]}
    roots = [name for name, interface in interfaces.items() if interface in used]
    return graph.reachable_functions(
        functions, [*roots, *(one.gradient_func for one in library.gradient)], ["", *called]
    )


def _compiled_functions(meta_graph: Any, functions: Functions) -> list[str]:
    """Returns the functions that XLA compiles, which has operations without a kernel."""
    library = meta_graph.graph_def.library.function
    roots = [function.signature.name for function in library if attribute(function, "_XlaMustCompile").b]
    for nodes in functions.values():
        for node in nodes:
            if attribute(node, "_XlaMustCompile").b:
                roots += graph.called_functions(node)
    return graph.reachable_functions(functions, roots, [""])
