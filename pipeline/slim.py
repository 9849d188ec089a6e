"""Takes out of a SavedModel's graph what TensorFlow works out again when it loads it.

A model of hundreds of variables is mostly names: of L/16's saved_model.pb, 2.8 MB, the StableHLO is a tenth. What goes
are shapes that follow from an operation's inputs, names of captured variables, and, in the gradients, operations that
hand on their inputs. What a loaded model computes, names, captures or shows to its callers stays.
"""

from typing import Any

from pipeline.meta_graph import function_nodes

# Of these the shapes follow from inputs, attributes or the variable. Calls and XlaCallModule keep theirs.
_SHAPED_BY_INPUTS = ("Identity", "IdentityN", "ReadVariableOp", "VarHandleOp", "AssignVariableOp", "DisableCopyOnRead")


def slim(saved_model: Any) -> None:
    """Slims a SavedModel protocol buffer in place."""
    for meta_graph in saved_model.meta_graphs:
        library = meta_graph.graph_def.library
        gradients = {gradient.gradient_func for gradient in library.registered_gradients}
        for nodes in function_nodes(meta_graph.graph_def).values():
            for node in nodes:
                if node.op in _SHAPED_BY_INPUTS:
                    node.attr.pop("_output_shapes", None)
                    node.attr.pop("debug_name", None)
        for function in library.function:
            _shorten_captures(function)
            if function.signature.name in gradients:
                _hand_on(function)


def _shorten_captures(function: Any) -> None:
    """Numbers the variables that a function captures, v0, v1, and so on; they are bound by position."""
    from tensorflow.core.framework.types_pb2 import DT_RESOURCE

    taken = {node.name for node in function.node_def} | {argument.name for argument in function.signature.input_arg}
    short = {}
    for index, argument in enumerate(function.signature.input_arg):
        if argument.type == DT_RESOURCE and f"v{index}" not in taken:
            short[argument.name] = f"v{index}"
            argument.name = f"v{index}"
            function.arg_attr[index].attr.pop("_user_specified_name", None)
    for node in function.node_def:
        node.input[:] = [short.get(name, name) for name in node.input]


def _hand_on(function: Any) -> None:
    """Removes every Identity and IdentityN that has no control input: who reads it reads its input instead."""
    idle = {
        node.name: list(node.input)
        for node in function.node_def
        if node.op in ("Identity", "IdentityN") and not any(name.startswith("^") for name in node.input)
    }

    def source(name: str) -> str:
        node, _, output = name.partition(":output:")
        while node in idle:
            name = idle[node][int(output)]
            node, _, output = name.partition(":output:")
        return name

    kept = [node for node in function.node_def if node.name not in idle]
    for node in kept:
        node.input[:] = [source(name) for name in node.input if name.removeprefix("^") not in idle]
    for key, name in function.ret.items():
        function.ret[key] = source(name)
    del function.node_def[:]
    function.node_def.extend(kept)
