"""Compares the gradient that TensorFlow derives of a translated module with the one that its file has.

jax.lax.stop_gradient and jax.custom_vjp leave no trace in the StableHLO of a function, only in that of its gradient:
of x * stop_gradient(x) TensorFlow would derive 2x. Both are computed of random arguments, in float64.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.saved_model.graph import attribute
from pipeline.translate.graph import Graph, Node, ordered
from pipeline.translate.operations import Case, Elementwise, Pool, Relu, inner_graphs
from pipeline.translate.reading import read
from pipeline.translate.refusal import Untranslatable
from pipeline.translate.tensorflow_functions import to_function
from pipeline.translate.widening import widened
from pipeline.translate.xla_calls import Gradient, XlaCall

LIMIT = 1e-5  # relative error in float64; constants such as sqrt(2) are rounded to float32 in one of the two
NARROW_LIMIT, KINKED_LIMIT = 2e-4, 5e-2  # in float32; with corners, whose sides values near them may change
_FREE = 2  # in place of a size that depends on the call
_Arrays = Mapping[int, np.ndarray]  # by the number of an argument of the forward call


def is_derived(graph: Graph, call: XlaCall) -> bool:
    """Whether the gradient that TensorFlow derives is the file's own.

    Two draws of arguments are tried: of both signs, and positive, for logarithms and roots. What is not finite proves
    nothing, and neither does a draw of a graph with branches, of which it takes one. A gradient that cannot be
    translated is computed by XLA, in float32.

    Args:
        graph: of the forward call, with its patterns recovered.
        call: the forward call, with its gradient.
    """
    gradient = call.gradient
    assert gradient is not None
    with _unoptimized():
        return _is_derived(graph, call, gradient)


@contextmanager
def _unoptimized() -> Iterator[None]:
    """Runs functions as they are: to optimize one that runs once takes longer than to run it."""
    name = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(name, False)
    tf.config.optimizer.set_experimental_options({name: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before})


def _is_derived(graph: Graph, call: XlaCall, gradient: Gradient) -> bool:
    nodes = list(_all_nodes(graph))
    if any(isinstance(each.operation, Case) for each in nodes):
        return False
    reference: Callable[..., Sequence[tf.Tensor]]
    try:
        reference = to_function(widened(read(gradient.module, platforms=gradient.platforms)))
        graph, limit = widened(graph), LIMIT
    except Untranslatable as refusal:
        if "custom_call" in str(refusal):  # of a function outside of TensorFlow, which is not run here
            return False
        reference = lambda *inputs: run_by_xla(gradient.node, inputs)  # noqa: E731
        limit = KINKED_LIMIT if any(map(_has_corner, nodes)) else NARROW_LIMIT
    function = to_function(graph)
    for is_signed in (True, False):
        generator = np.random.default_rng(0)
        try:
            error = _error(function, reference, call, draw_arguments(graph, call, generator, is_signed), generator)
        except tf.errors.OpError:  # sizes that do not fit each other, say
            continue
        if math.isfinite(error):
            return error <= limit
    return False


def _all_nodes(graph: Graph) -> Iterator[Node]:
    """Yields the nodes of a graph and of those inside."""
    seen, waiting = {graph}, [graph]
    while waiting:
        for node in ordered(waiting.pop().outputs):
            yield node
            inner = [each for each in inner_graphs(node.operation) if each not in seen]
            seen.update(inner)
            waiting += inner


def _has_corner(node: Node) -> bool:
    operation = node.operation
    kinds = ("maximum", "minimum", "abs")
    is_kinked = isinstance(operation, Elementwise) and operation.kind in kinds
    return (is_kinked or isinstance(operation, Relu | Pool)) and np.issubdtype(node.dtype, np.floating)


def draw_arguments(
    graph: Graph, call: XlaCall, generator: np.random.Generator, is_signed: bool
) -> dict[int, np.ndarray]:
    """Draws the arguments of a forward call. Kernels are as small as at the start of a training."""
    arguments = {}
    for number, parameter in zip(call.arguments, graph.parameters, strict=True):
        shape = tuple(_FREE if size is None else size for size in parameter.shape)
        if not np.issubdtype(parameter.dtype, np.floating):
            arguments[number] = generator.integers(0, 2, shape).astype(parameter.dtype)
            continue
        values = (
            generator.standard_normal(shape) if is_signed and len(shape) > 1 else generator.uniform(0.5, 1.5, shape)
        )
        is_kernel = len(shape) > 1 and None not in parameter.shape
        arguments[number] = (values / math.sqrt(math.prod(shape[:-1]) if is_kernel else 1)).astype(parameter.dtype)
    return arguments


def _error(
    function: Any, reference: Callable[..., Sequence[tf.Tensor]], call: XlaCall, drawn: _Arrays, generator: Any
) -> float:
    """Returns the largest relative error of the gradients of the arguments, each as a whole."""
    assert call.gradient is not None
    tensors = {number: tf.constant(array) for number, array in drawn.items()}
    floats = {number: tensor for number, tensor in tensors.items() if tensor.dtype.is_floating}
    with tf.GradientTape() as tape:
        tape.watch(list(floats.values()))
        results = function(*(tensors[number] for number in call.arguments))
    weights = [
        tf.constant(generator.standard_normal(each.shape), each.dtype)
        if each.dtype.is_floating
        else tf.zeros_like(each)
        for each in results
    ]
    derived = tape.gradient(
        [each for each in results if each.dtype.is_floating],
        floats,
        [each for each in weights if each.dtype.is_floating],
        tf.UnconnectedGradients.ZERO,
    )
    sources = {"argument": tensors, "result": dict(enumerate(weights))}
    own = reference(*(sources[kind][number] for kind, number in call.gradient.inputs))
    expected = {
        number: np.asarray(each, np.float64)
        for number, each in zip(call.gradient.outputs, own, strict=True)
        if number in floats
    }
    return _largest_error(derived, expected)


def _largest_error(derived: Mapping[int, tf.Tensor], expected: _Arrays) -> float:
    """Compares gradients as pipeline.proof.gradients does: by norms, small ones by a thousandth of the largest."""
    norms = {number: float(np.linalg.norm(value)) for number, value in expected.items()}
    smallest = 1e-3 * max(norms.values(), default=0.0)
    errors = [
        float(np.linalg.norm(np.asarray(derived[number], np.float64) - value)) / (max(norms[number], smallest) or 1.0)
        for number, value in expected.items()
    ]
    return max(errors, key=lambda error: math.inf if math.isnan(error) else error, default=math.nan)


def run_by_xla(node: Any, inputs: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
    """Runs an XlaCallModule node."""
    from tensorflow.compiler.tf2xla.python import xla

    results: Sequence[tf.Tensor] = xla.call_module(
        list(inputs),
        version=attribute(node, "version").i,
        module=attribute(node, "module").s,
        Sout=[
            [None if size.size < 0 else size.size for size in each.dim] for each in attribute(node, "Sout").list.shape
        ],
        Tout=[tf.as_dtype(each) for each in attribute(node, "Tout").list.type],
        platforms=[each.decode() for each in attribute(node, "platforms").list.s],
    )
    return results
