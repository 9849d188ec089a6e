"""A translated graph as a function of ordinary TensorFlow operations, of TensorFlow 2.12 and newer.

All callers of a graph share one function. What follows from a meaning that TensorFlow's operation has not, is beside
the operation: tensorflow_elementwise, _arrays, _products, _patterns.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow as tf

from pipeline.translate import operations as op
from pipeline.translate import tensorflow_arrays as arrays
from pipeline.translate import tensorflow_elementwise as scalars
from pipeline.translate import tensorflow_patterns as patterns
from pipeline.translate import tensorflow_products as products
from pipeline.translate.graph import Constant, Graph, Node, Operation, Parameter, ordered
from pipeline.translate.refusal import Untranslatable

ConcreteFunction = Any  # tf.types.experimental.ConcreteFunction
NOT_INLINED = "_noinline"  # an attribute of functions
_LONG = 50  # operations
_Value = Any  # a tensor; a list of tensors for Call, While and Case

_TRANSLATE: dict[type[Operation], Callable[..., tf.Tensor]] = {
    op.Elementwise: scalars.elementwise,
    op.Compare: scalars.compare,
    op.Select: scalars.select,
    op.Cast: scalars.cast,
    op.Bitcast: scalars.bitcast,
    op.Size: arrays.size,
    op.Pack: arrays.pack,
    op.Reshape: arrays.reshape,
    op.Broadcast: arrays.broadcast,
    op.Transpose: arrays.transpose,
    op.Concatenate: arrays.concatenate,
    op.Range: arrays.range_,
    op.Slice: arrays.slice_,
    op.DynamicSlice: arrays.dynamic_slice,
    op.DynamicUpdateSlice: arrays.dynamic_update_slice,
    op.Pad: arrays.pad,
    op.Reverse: arrays.reverse,
    op.Take: arrays.take,
    op.GatherNd: arrays.gather_nd,
    op.ScatterNd: arrays.scatter_nd,
    op.Sort: arrays.sort,
    op.TopK: arrays.top_k,
    op.Cumulate: arrays.cumulate,
    op.MatMul: products.mat_mul,
    op.Dense: products.dense,
    op.Einsum: products.einsum,
    op.Reduce: products.reduce,
    op.ArgReduce: products.arg_reduce,
    op.Convolution: products.convolution,
    op.Pool: products.pool,
    op.Softmax: patterns.softmax,
    op.LayerNorm: patterns.layer_norm,
    op.GroupNorm: patterns.group_norm,
    op.Gelu: patterns.gelu,
    op.Relu: patterns.relu,
}


def to_function(graph: Graph) -> ConcreteFunction:
    """Returns a concrete function of a graph's parameters, which returns a list of its outputs.

    Raises:
        Untranslatable: when an operation or a type has no equal in TensorFlow.
    """
    return _Writer().function(graph)


class _Writer:
    """Writes graphs as functions; remembers those that it has written."""

    def __init__(self) -> None:
        self._functions: dict[Graph, ConcreteFunction] = {}

    def function(self, graph: Graph) -> ConcreteFunction:
        if graph not in self._functions:

            def body(*arguments: tf.Tensor) -> list[tf.Tensor]:
                return self._outputs(graph, arguments)

            body.__name__ = graph.name
            signature = [
                tf.TensorSpec(each.shape, _dtype(each), name=f"a{index}") for index, each in enumerate(graph.parameters)
            ]
            attributes = {NOT_INLINED: True} if _is_random(graph) else None
            function = tf.function(body, input_signature=signature, autograph=False, experimental_attributes=attributes)
            self._functions[graph] = function.get_concrete_function()
        return self._functions[graph]

    def _outputs(self, graph: Graph, arguments: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """Writes a graph's operations into the function that is being written."""
        values: dict[Node, _Value] = dict(zip(graph.parameters, arguments, strict=True))
        for node in ordered(graph.outputs):
            if node not in values:
                values[node] = self._value(node, [values[each] for each in node.inputs])
        # An argument that is a result, or one result twice, is a node of its own.
        return [tf.identity(values[node]) for node in graph.outputs]

    def _value(self, node: Node, inputs: list[_Value]) -> _Value:
        operation = node.operation
        match operation:
            case op.Call():
                return list(self.function(operation.graph)(*inputs))
            case op.While():
                return self._while(operation, inputs)
            case op.Case():
                return self._case(operation, inputs)
            case op.Output():
                value = inputs[0][operation.index]
            case Constant():
                _dtype(node)
                value = tf.constant(operation.value)
            case _:
                value = self._translate(node, inputs)
        value.set_shape(node.shape)  # fails for another one
        assert value.dtype == node.dtype, (operation, value.dtype, node.dtype)
        return value

    def _translate(self, node: Node, inputs: list[tf.Tensor]) -> tf.Tensor:
        operation = node.operation
        if isinstance(operation, Parameter) or type(operation) not in _TRANSLATE:
            raise Untranslatable(f"{type(operation).__name__}, which has no translation to TensorFlow")
        _dtype(node)
        try:
            return _TRANSLATE[type(operation)](node, operation, inputs)
        except (TypeError, ValueError) as error:  # so TensorFlow says what it does not take
            kind = type(operation).__name__
            raise Untranslatable(f"{kind}, which TensorFlow does not take so: {str(error)[:200]}") from error

    def _while(self, operation: op.While, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        count = len(inputs) - operation.constants
        state, constants = inputs[:count], inputs[count:]
        shapes = [each.shape for each in operation.body.parameters[:count]]

        def condition(*values: tf.Tensor) -> tf.Tensor:
            (result,) = self._outputs(operation.condition, [*values, *constants])
            return result

        def body(*values: tf.Tensor) -> list[tf.Tensor]:
            return self._outputs(operation.body, [*values, *constants])

        return _listed(tf.while_loop(condition, body, state, [tf.TensorShape(each) for each in shapes]))

    def _case(self, operation: op.Case, inputs: list[tf.Tensor]) -> list[tf.Tensor]:
        index, *arguments = inputs
        branches = [lambda branch=branch: self._outputs(branch, arguments) for branch in operation.branches]
        return _listed(tf.switch_case(index, branches))


def _is_random(graph: Graph) -> bool:
    """Whether a graph is long and has no gradient, as JAX's generators of random numbers.

    TensorFlow would put its operations into each place that calls it, and take seconds to optimize thousands of them.
    """
    return len(ordered(graph.outputs)) > _LONG and not any(_dtype(each).is_floating for each in graph.outputs)


def _listed(values: tf.Tensor | Iterable[tf.Tensor]) -> list[tf.Tensor]:
    return [values] if isinstance(values, tf.Tensor) else list(values)


def _dtype(node: Node) -> tf.DType:
    """Returns the type of a node.

    Raises:
        Untranslatable: for one that TensorFlow lacks, or cannot compute with.
    """
    try:
        dtype = tf.as_dtype(node.dtype)
    except TypeError:
        dtype = None
    if dtype is None or not (dtype.is_floating or dtype.is_integer or dtype.is_bool) or dtype.name.startswith("float8"):
        raise Untranslatable(f"the type {node.dtype}, which TensorFlow's operations lack")
    return dtype
