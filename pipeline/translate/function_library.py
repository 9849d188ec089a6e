"""Concrete functions as FunctionDefs for the library of a SavedModel: the same bytes every time."""

import re
from collections.abc import Iterator
from typing import Any

from pipeline.saved_model.graph import attribute
from pipeline.translate.tensorflow_functions import NOT_INLINED, ConcreteFunction

FunctionDef = Any

# Calls lose the shapes of their results without it; the shapes of others follow from their inputs and attributes.
_SHAPED = ("PartitionedCall", "StatelessWhile", "While", "StatelessCase", "Case", "StatelessIf", "If")
# Of calls: what TensorFlow writes for itself, among it the devices of this machine.
_PRIVATE = (
    "_gradient_op_type",
    "_collective_manager_ids",
    "_read_only_resource_inputs",
    "config",
    "config_proto",
    "executor_type",
)


def to_library(concrete: ConcreteFunction, prefix: str) -> list[FunctionDef]:
    """Returns the definitions of a function, which is the first one, and of those that it calls.

    Args:
        concrete: takes no variables.
        prefix: of their names, which TensorFlow numbers anew in each process.
    """
    known = {each.signature.name: each for each in concrete.graph.as_graph_def().library.function}
    root = type(concrete.function_def)()
    root.CopyFrom(concrete.function_def)
    known[root.signature.name] = root
    names = list(_reachable(root.signature.name, known))
    renamed = {name: f"{prefix}_{number}_{_bare(name)}" for number, name in enumerate(names)}
    definitions = []
    for name in names:
        definition = type(root)()
        definition.CopyFrom(known[name])
        _clean(definition, renamed)
        definitions.append(definition)
    return definitions


def _bare(name: str) -> str:
    """Returns what a function is called before TensorFlow adds a prefix and numbers."""
    return re.sub(r"(^__(inference|forward)_)|(_\d+)+$", "", name)


def _reachable(name: str, known: dict[str, FunctionDef]) -> Iterator[str]:
    """Yields a function and those that it calls, each once, in the order of the calls."""
    waiting, seen = [name], {name}
    while waiting:
        name = waiting.pop(0)
        yield name
        for node in known[name].node_def:
            for called in _called(node):
                if called.name not in seen:
                    seen.add(called.name)
                    waiting.append(called.name)


def _called(node: Any) -> Iterator[Any]:
    """Yields the functions that a node names, as messages to change, in the order of its attributes' names."""
    for _, value in sorted(node.attr.items()):
        if value.WhichOneof("value") == "func":
            yield value.func
        elif value.WhichOneof("value") == "list":
            yield from value.list.func


def _clean(definition: FunctionDef, renamed: dict[str, str]) -> None:
    """Gives a definition and the functions that it calls their new names, and removes what only this process needs."""
    definition.signature.name = renamed[definition.signature.name]
    for name in set(definition.attr) - {NOT_INLINED}:
        del definition.attr[name]
    _remove_unused(definition)
    for node in definition.node_def:
        for name in _PRIVATE if node.op.endswith("PartitionedCall") else ():
            node.attr.pop(name, None)
        if node.op not in _SHAPED:
            node.attr.pop("_output_shapes", None)
        _remove_defaults(node)
        for called in _called(node):
            called.name = renamed[called.name]


def _remove_unused(definition: FunctionDef) -> None:
    """Removes nodes that no result needs, such as the sizes of axes that a slice takes whole."""
    nodes = {node.name: node for node in definition.node_def}
    waiting = [*definition.ret.values(), *definition.control_ret.values()]
    needed: set[str] = set()
    while waiting:
        name = waiting.pop().removeprefix("^").partition(":")[0]
        if name in nodes and name not in needed:
            needed.add(name)
            waiting += nodes[name].input
    kept = [node for node in definition.node_def if node.name in needed]
    del definition.node_def[:]
    definition.node_def.extend(kept)


def _remove_defaults(node: Any) -> None:
    """Removes attributes that have their default: older TensorFlows do not know all, and refuse such a node."""
    from tensorflow.python.framework import op_def_registry

    definition = op_def_registry.get(node.op)
    for attribute_ in definition.attr if definition is not None else ():
        name = attribute_.name
        if attribute_.HasField("default_value") and name in node.attr and node.attr[name] == attribute_.default_value:
            del node.attr[name]


def make_call(node: Any, function: str) -> None:
    """Makes an XlaCallModule node the call of a function; its name, inputs and device stay."""
    inputs, outputs, shapes = (attribute(node, name).list for name in ("Tin", "Tout", "Sout"))
    made = type(node)(name=node.name, op="PartitionedCall", input=node.input, device=node.device)
    made.attr["Tin"].list.CopyFrom(inputs)
    made.attr["Tout"].list.CopyFrom(outputs)
    made.attr["_output_shapes"].list.CopyFrom(shapes)
    made.attr["f"].func.name = function
    node.CopyFrom(made)
