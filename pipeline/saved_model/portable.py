"""Makes a SavedModel run in older TensorFlows and on every platform, and removes what only its author needed.

    StableHLO modules  are rewritten for STABLEHLO_VERSION, without debug information
    XlaCallModule      nodes get CALLING_CONVENTION, which every TensorFlow since 2.14 runs
    gradients          that are not saved are no longer announced, so that TensorFlow does not warn of them
    functions          that only call another take its place: each has all variables as arguments
    the graph          loses shapes, names and nodes that only hand their inputs on and that nothing needs

pipeline.saved_model.runtimes has the measurements behind the two versions.
"""

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from pipeline.saved_model.graph import (
    CALLS,
    attribute,
    called_functions,
    find_empty_attributes,
    find_xla_calls,
    function_nodes,
)

STABLEHLO_VERSION = "0.9.0"
CALLING_CONVENTION = 8
PLATFORMS = ("cpu", "cuda", "tpu")  # as jax2tf's native_serialization_platforms names them

# Operations whose shapes follow from inputs, attributes or the variable. Calls and XlaCallModule keep their shapes.
_SHAPED_BY_INPUTS = ("Identity", "IdentityN", "ReadVariableOp", "VarHandleOp", "AssignVariableOp", "DisableCopyOnRead")


def make_portable(folder: Path) -> None:
    """Rewrites folder/saved_model.pb and removes fingerprint.pb, which no longer fits.

    TensorFlow loads a model without a fingerprint. The one that it wrote also has a random identifier.

    Raises:
        RuntimeError: when a node has side effects or another calling convention than jax2tf was told to use, or an
            attribute has no value.
    """
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = folder / "saved_model.pb"
    saved_model = SavedModel.FromString(path.read_bytes())
    _lower_xla_calls(saved_model)
    _remove_unsaved_gradient_marks(saved_model)
    _unwrap_functions(saved_model)
    _slim_graphs(saved_model)
    if empty := [one.text for one in find_empty_attributes(saved_model)]:
        raise RuntimeError(f"{path}: attributes without a value: {', '.join(empty)}")
    path.write_bytes(saved_model.SerializeToString(deterministic=True))
    (folder / "fingerprint.pb").unlink(missing_ok=True)


def _lower_xla_calls(saved_model: Any) -> None:
    """Lowers every XlaCallModule node to CALLING_CONVENTION and its module to STABLEHLO_VERSION."""
    lowered: dict[bytes, bytes] = {}
    for node in find_xla_calls(saved_model):
        version, effects = attribute(node, "version").i, attribute(node, "has_token_input_output").b
        if version != CALLING_CONVENTION + 1 or effects:
            raise RuntimeError(f"{node.name}: cannot lower calling convention {version} (effects: {effects})")
        module = node.attr["module"].s
        if module not in lowered:
            lowered[module] = _lower_module(module)
        node.attr["module"].s = lowered[module]
        node.attr["version"].i = CALLING_CONVENTION


def _lower_module(module: bytes) -> bytes:
    """Returns a serialized StableHLO module without debug information, for STABLEHLO_VERSION."""
    from jax._src.interpreters.mlir import make_ir_context
    from jaxlib.mlir.dialects import stablehlo
    from jaxlib.mlir.passmanager import PassManager

    with make_ir_context() as context:
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        PassManager.parse("builtin.module(strip-debuginfo)").run(parsed.operation)
        serialized: bytes = stablehlo.serialize_portable_artifact(parsed, STABLEHLO_VERSION)
        return serialized


def _remove_unsaved_gradient_marks(saved_model: Any) -> None:
    """Removes the mark of a custom gradient from operations whose gradient is not in the file.

    These operations are part of the gradients themselves: jax2tf exports no second derivatives. TensorFlow fails when a
    second derivative is needed, with the mark or without, but with it also warns at every load.
    """
    for meta_graph in saved_model.meta_graphs:
        library = meta_graph.graph_def.library
        saved = {gradient.registered_op_type.encode() for gradient in library.registered_gradients}
        for function in library.function:
            for node in function.node_def:
                if "_gradient_op_type" in node.attr and node.attr["_gradient_op_type"].s not in saved:
                    del node.attr["_gradient_op_type"]


def _unwrap_functions(saved_model: Any) -> None:
    """Puts the nodes of a function into one that only calls it; its other callers call that one instead.

    tf.saved_model.save writes a function around each signature, and the object around each of its methods. Each has all
    variables as arguments, which takes time at every load.
    """
    for meta_graph in saved_model.meta_graphs:
        library = meta_graph.graph_def.library
        functions = {function.signature.name: function for function in library.function}
        nodes = [node for body in function_nodes(meta_graph.graph_def).values() for node in body]
        named = Counter(name for node in nodes for name in called_functions(node))
        calls = Counter(attribute(node, "f").func.name for node in nodes if node.op in CALLS)
        public = meta_graph.object_graph_def.concrete_functions
        # What a gradient captures of the forward pass: a tensor of a function, by the name of its node.
        objects = meta_graph.object_graph_def.nodes
        captures = [node.captured_tensor for node in objects if node.HasField("captured_tensor")]
        for wrapper in list(functions.values()):
            called = functions.get(_wrapped(wrapper) or "")
            if called is None or called.signature.name in public:
                continue
            name = called.signature.name
            # What also names it in another way than by a call, as a loop does, needs it as it is.
            if named[name] != calls[name] or not _take_over(wrapper, called):
                continue
            del functions[name]
            for function in functions.values():
                for node in function.node_def:
                    if node.op in CALLS and attribute(node, "f").func.name == name:
                        node.attr["f"].func.name = wrapper.signature.name
            for captured in captures:
                if captured.concrete_function == name:
                    captured.concrete_function = wrapper.signature.name
        kept = list(functions.values())
        del library.function[:]
        library.function.extend(kept)


def _take_over(wrapper: Any, called: Any) -> bool:
    """Replaces the nodes of a function by those of the one that it only calls; returns whether it could."""
    arguments, results = (
        list(zip(getattr(called.signature, field), getattr(wrapper.signature, field), strict=True))
        for field in ("input_arg", "output_arg")
    )
    names = {old.name: new.name for old, new in arguments}
    if not {node.name for node in called.node_def}.isdisjoint(names.values()):
        return False
    outputs = {new.name: names.get(called.ret[old.name], called.ret[old.name]) for old, new in results}
    del wrapper.node_def[:]
    wrapper.node_def.extend(called.node_def)
    for node in wrapper.node_def:
        node.input[:] = [names.get(name, name) for name in node.input]
    wrapper.ret.clear()
    wrapper.ret.update(outputs)
    wrapper.control_ret.clear()
    wrapper.control_ret.update(called.control_ret)
    wrapper.signature.control_output[:] = called.signature.control_output
    return True


def _wrapped(function: Any) -> str | None:
    """Returns the function that another one only calls, with its own arguments, and whose results it returns."""
    nodes = {node.name: node for node in function.node_def}
    calls = [node for node in nodes.values() if node.op in CALLS]
    if len(calls) != 1 or any(node.op not in (calls[0].op, "Identity", "NoOp") for node in nodes.values()):
        return None
    (call,) = calls
    if list(call.input) != [argument.name for argument in function.signature.input_arg]:
        return None
    results = [nodes[function.ret[each.name].partition(":")[0]] for each in function.signature.output_arg]
    if [node.input[0] for node in results] != [f"{call.name}:output:{index}" for index in range(len(results))]:
        return None
    name: str = attribute(call, "f").func.name
    return name


def _slim_graphs(saved_model: Any) -> None:
    """Removes redundant attributes and, from gradient functions, redundant Identity nodes."""
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
            is_gradient = function.signature.name in gradients
            # What is differentiated all the same fails in TensorFlow, too: XlaCallModule has no gradient of its own.
            _remove_identities(function, ("Identity", "IdentityN") if is_gradient else ("PreventGradient",))


def _shorten_captures(function: Any) -> None:
    """Renames the variables that a function captures to v0, v1, and so on; they are bound by position."""
    from tensorflow.core.framework.types_pb2 import DT_RESOURCE

    names = {node.name for node in function.node_def} | {argument.name for argument in function.signature.input_arg}
    short_names = {}
    for index, argument in enumerate(function.signature.input_arg):
        if argument.type == DT_RESOURCE and f"v{index}" not in names:
            short_names[argument.name] = f"v{index}"
            argument.name = f"v{index}"
            function.arg_attr[index].attr.pop("_user_specified_name", None)
    for node in function.node_def:
        node.input[:] = [short_names.get(name, name) for name in node.input]


def _remove_identities(function: Any, operations: Collection[str]) -> None:
    """Removes nodes that only hand on their inputs; nodes that read them read their inputs instead.

    Args:
        function: of the graph.
        operations: of these nodes, such as Identity; those with control inputs stay.
    """
    inputs_of_identities = {
        node.name: list(node.input)
        for node in function.node_def
        if node.op in operations and not any(name.startswith("^") for name in node.input)
    }

    def source(name: str) -> str:
        node, _, output = name.partition(":output:")
        while node in inputs_of_identities:
            name = inputs_of_identities[node][int(output)]
            node, _, output = name.partition(":output:")
        return name

    kept = [node for node in function.node_def if node.name not in inputs_of_identities]
    for node in kept:
        node.input[:] = [source(name) for name in node.input if name.removeprefix("^") not in inputs_of_identities]
    for key, name in function.ret.items():
        function.ret[key] = source(name)
    del function.node_def[:]
    function.node_def.extend(kept)
