"""Attributes without a value, of nodes, functions, their arguments and the functions that an attribute names."""

from collections.abc import Callable
from typing import Any

import pytest

from pipeline.saved_model.graph import EmptyAttribute, attribute, find_empty_attributes, saved_model_class


def make_model() -> Any:
    """Returns a graph that calls the function f; the function g is not called."""
    saved_model = saved_model_class()()
    graph = saved_model.meta_graphs.add().graph_def
    graph.node.add(name="call", op="PartitionedCall").attr["f"].func.name = "f"
    for name in ("f", "g"):
        function = graph.library.function.add()
        function.signature.name = name
        node = function.node_def.add(name="call", op="XlaCallModule")
        node.attr["version"].i = 9
        node.attr["platforms"].list.SetInParent()
    return saved_model


def graph_of(saved_model: Any) -> Any:
    return saved_model.meta_graphs[0].graph_def


def test_reading_an_attribute_inserts_nothing() -> None:
    saved_model = make_model()
    before = saved_model.SerializeToString(deterministic=True)
    node = graph_of(saved_model).library.function[0].node_def[0]
    assert attribute(node, "version").i == 9
    assert attribute(node, "has_token_input_output").b is False
    assert list(attribute(node, "module").list.s) == []
    assert saved_model.SerializeToString(deterministic=True) == before
    assert list(find_empty_attributes(saved_model)) == []
    assert node.attr["has_token_input_output"].b is False  # the read that inserts
    assert len(list(find_empty_attributes(saved_model))) == 1


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (
            lambda graph: graph.library.function[0].node_def[0].attr,
            EmptyAttribute("_x of node call in function f", True),
        ),
        (
            lambda graph: graph.library.function[1].node_def[0].attr,
            EmptyAttribute("_x of node call in function g", False),
        ),
        (lambda graph: graph.node[0].attr, EmptyAttribute("_x of node call", False)),
        (lambda graph: graph.node[0].attr["f"].func.attr, EmptyAttribute("f.f._x of node call", True)),
        (
            lambda graph: graph.node[0].attr["branches"].list.func.add(name="g").attr,
            EmptyAttribute("branches.g._x of node call", True),
        ),
        (lambda graph: graph.library.function[0].attr, EmptyAttribute("_x of function f", False)),
        (lambda graph: graph.library.function[0].arg_attr[0].attr, EmptyAttribute("_x of function f", False)),
    ],
)
def test_each_attribute_without_a_value_is_found(attributes: Callable[[Any], Any], expected: EmptyAttribute) -> None:
    """Whether TensorFlow's C++ loader refuses it was measured with its C API."""
    saved_model = make_model()
    assert not attributes(graph_of(saved_model))["_x"].s
    assert list(find_empty_attributes(saved_model)) == [expected]


def test_only_private_attributes_of_the_graph_itself_are_ignored() -> None:
    saved_model = make_model()
    graph_of(saved_model).node[0].attr["config_proto"].Clear()
    assert list(find_empty_attributes(saved_model)) == [EmptyAttribute("config_proto of node call", True)]
