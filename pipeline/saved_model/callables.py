"""Reads how a loaded SavedModel can be called itself, `model(images)`, from its object graph, without TensorFlow."""

from collections.abc import Iterator
from typing import Any

from pipeline.saved_model.graph import Signature, Tensor, function_names, read_tensor

CALL = "__call__"


def read_call(meta_graph: Any) -> Signature | None:
    """Returns the inputs and outputs of the object that tf.saved_model.load returns, None if it cannot be called.

    An input that is an option, such as Keras' `training`, is not listed. Of several forms with one tensor the one with
    the most open dimensions counts. Outputs that are a list are called "0", "1" and so on, and a single one "output".
    """
    nodes = meta_graph.object_graph_def.nodes
    functions = meta_graph.object_graph_def.concrete_functions
    children = nodes[0].children if nodes else ()
    called = [child.node_id for child in children if child.local_name == CALL]
    names = [name for number in called if 0 <= number < len(nodes) for name in function_names(nodes[number])]
    forms = []
    for function in (functions[name] for name in names if name in functions):
        inputs = dict(_tensors(function.canonicalized_input_signature, "", meta_graph, by_spec=True))
        if len(inputs) == 1:
            forms.append(Signature(inputs, dict(_tensors(function.output_signature, "output", meta_graph))))
    return max(forms, key=_count_open, default=None)


def _count_open(form: Signature) -> float:
    """Returns how many dimensions of the only input are open."""
    ((_, tensor),) = form.inputs.items()
    return float("inf") if tensor.shape is None else tensor.shape.count(None)


def _tensors(value: Any, name: str, meta_graph: Any, by_spec: bool = False) -> Iterator[tuple[str, Tensor]]:
    """Yields the tensors of a StructuredValue of tensorflow/core/protobuf/struct.proto, each with its name.

    Args:
        value: the message.
        name: of the value.
        meta_graph: the meta graph, for its types.
        by_spec: whether the name that a tensor has itself counts.
    """
    kind = value.WhichOneof("kind")
    if kind in ("tensor_spec_value", "bounded_tensor_spec_value"):
        spec = getattr(value, kind)
        yield (spec.name or name) if by_spec else name, read_tensor(spec.dtype, spec.shape, meta_graph)
    elif kind == "dict_value":
        for key in sorted(value.dict_value.fields):
            yield from _tensors(value.dict_value.fields[key], key, meta_graph, by_spec)
    elif kind in ("list_value", "tuple_value"):
        for number, part in enumerate(getattr(value, kind).values):
            yield from _tensors(part, str(number), meta_graph, by_spec)
    elif kind == "named_tuple_value":
        for pair in value.named_tuple_value.values:
            yield from _tensors(pair.value, pair.key, meta_graph, by_spec)
