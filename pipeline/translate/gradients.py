"""Compares the gradient that TensorFlow derives of a translated module with the one that its file has.

jax.lax.stop_gradient and jax.custom_vjp leave no trace in the StableHLO of a function, only in that of its gradient:
of x * stop_gradient(x) TensorFlow would derive 2x. Both are computed of random arguments, in float64; those of large
networks in float32, since float64 would take ten times the memory of their weights.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from pipeline.saved_model.graph import attribute
from pipeline.translate.graph import Graph, Node, Parameter, constant, ordered
from pipeline.translate.inlining import inlined
from pipeline.translate.operations import Case, Cast, Elementwise, Pool, Reduce, Relu, Select, Size, inner_graphs
from pipeline.translate.reading import read
from pipeline.translate.refusal import Untranslatable
from pipeline.translate.tensorflow_functions import to_function
from pipeline.translate.widening import widened
from pipeline.translate.xla_calls import Gradient, XlaCall

LIMIT = 1e-5  # relative error in float64; constants such as sqrt(2) are rounded to float32 in one of the two
NARROW_LIMIT, KINKED_LIMIT = 2e-4, 5e-2  # in float32; with corners, whose sides values near them may change
_SCALES = (0.1, 1.0, 30.0)
_CLIPPED = 1e4  # gradients that no bound of a use lets pass
_LARGE, _MANY = 1500, 1 << 20  # nodes, values of the parameters; of a graph with more, few draws are made
# Values of the parameters of the largest graph that is computed in float64, which takes 40 bytes for each; L/16 has 304
# million.
_WIDEST = 1 << 27
_FREE = 2  # in place of a size that depends on the call
_Arrays = Mapping[int, np.ndarray]  # by the number of an argument of the forward call


@dataclass(frozen=True)
class Draw:
    """How the arguments of a call and the gradients of its results are drawn.

    Attributes:
        is_signed: whether floats are of both signs; all positive, logarithms and roots are finite.
        flag: what integers and booleans are; keys of random numbers are drawn.
        scale: of the floats.
        weight: of the gradients of the results; large ones show that they are clipped.
    """

    is_signed: bool = True
    flag: int = 0
    scale: float = 1.0
    weight: float = 1.0


def is_derived(graph: Graph, call: XlaCall) -> bool:
    """Whether the gradient that TensorFlow derives is the file's own.

    Floats are drawn of both signs, and positive, at three scales, and with each integer and boolean at 0 and at 1. Of a
    large graph one scale is drawn, and positive floats only where the others prove nothing: what it has besides
    conditions is smooth. All draws whose gradients are finite must agree, and there must be one. Nothing is proven of a
    graph with branches, of which a draw takes one, nor of one that selects floats by a condition that was the same in
    all draws. A gradient that cannot be translated is computed by XLA, in float32; one of more than _WIDEST parameters
    is computed in float32, too.

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
    count = sum(map(_count, graph.parameters))
    reference: Callable[..., Sequence[tf.Tensor]]
    limit = KINKED_LIMIT if any(map(_has_corner, nodes)) else NARROW_LIMIT
    try:
        own = read(gradient.module, platforms=gradient.platforms)
        if count <= _WIDEST:
            reference, graph, limit = to_function(widened(own)), widened(graph), LIMIT
        else:
            reference = to_function(own)
    except Untranslatable as refusal:
        if "custom_call" in str(refusal):  # of a function outside of TensorFlow, which is not run here
            return False
        reference = lambda *inputs: run_by_xla(gradient.node, inputs)  # noqa: E731
    function, watched = to_function(graph), to_function(_conditions(inlined(graph)))
    seen: list[np.ndarray] = []
    is_large = len(nodes) > _LARGE or count > _MANY
    for draw in _draws(graph, is_large):
        if is_large and not draw.is_signed and seen:
            break
        generator = np.random.default_rng(0)
        arguments = draw_arguments(graph, call, generator, draw)
        tensors = {number: tf.constant(arguments.pop(number)) for number in list(arguments)}  # not twice in memory
        try:
            error = _error(function, reference, call, tensors, generator, draw.weight)
            if math.isnan(error) or (math.isinf(error) and draw.scale > 1):  # large floats overflow in one of the two
                continue
            if error > limit:
                return False
            conditions = watched(*(tensors[number] for number in call.arguments))
            seen.append(np.array([bool(each) for each in conditions], bool).reshape(-1, 2))
        except tf.errors.OpError:  # sizes that do not fit each other, say
            continue
    return bool(seen) and bool(np.any(seen, axis=0).all())


def _count(node: Node) -> int:
    return math.prod(_FREE if size is None else size for size in node.shape)


def _draws(graph: Graph, is_large: bool) -> list[Draw]:
    """Returns the draws for a graph, the ones with most to show first."""
    has_flags = any(not _is_float(each) and not _is_key(each) for each in graph.parameters)
    flags = (0, 1) if has_flags else (0,)
    if is_large:  # a draw takes seconds; between the scales lie conditions, which are watched, and clipping
        return [Draw(is_signed, flag, weight=_CLIPPED) for is_signed in (True, False) for flag in flags]
    weights = ((1.0, _CLIPPED), (_SCALES[0], 1.0), (_SCALES[-1], 1.0), (1.0, 1.0))
    return [
        Draw(is_signed, flag, scale, weight)
        for is_signed in (True, False)
        for flag in flags
        for scale, weight in weights
    ]


def _is_float(node: Node) -> bool:
    return bool(np.issubdtype(node.dtype, np.floating))


def _is_key(node: Node) -> bool:
    """Whether a parameter is a key of random numbers."""
    return node.dtype == np.uint32 and node.shape in ((2,), (4,))


def _conditions(graph: Graph) -> Graph:
    """Returns a graph of whether each condition is true somewhere, and whether it is false somewhere.

    The conditions are those that floats are selected by, or that become floats. Those of constants, or of random keys
    alone, are left out: the former stay as they are, and the latter are of dropout, whose chances may be small. Those
    within loops stand for themselves: a graph with such ones has a result that is always false.
    """
    varying = set[Node]()
    conditions = dict[Node, None]()
    for node in ordered(graph.outputs):
        if isinstance(node.operation, Size):  # of a batch, not its values
            continue
        is_argument = isinstance(node.operation, Parameter) and not _is_key(node)
        if is_argument or not varying.isdisjoint(node.inputs):
            varying.add(node)
        if (condition := _condition(node)) is not None and condition in varying:
            conditions[condition] = None
    outputs = [each for condition in conditions for each in _both(condition)]
    inner = [each for node in ordered(graph.outputs) for each in inner_graphs(node.operation)]
    if any(_condition(node) is not None for each in inner for node in _all_nodes(each)):
        outputs += [constant(False, np.bool_), constant(False, np.bool_)]
    return Graph("conditions", graph.parameters, tuple(outputs or (constant(True, np.bool_),) * 2))


def _condition(node: Node) -> Node | None:
    """Returns the boolean that decides about a float."""
    operation, first = node.operation, node.inputs[0] if node.inputs else None
    is_switch = isinstance(operation, Select) or (isinstance(operation, Cast) and first is not None)
    return first if is_switch and _is_float(node) and first is not None and first.dtype == np.bool_ else None


def _both(condition: Node) -> tuple[Node, Node]:
    axes, dtype = tuple(range(condition.rank)), np.dtype(np.bool_)
    opposite = Node(Elementwise("not"), (condition,), condition.shape, dtype)
    yes, no = (Node(Reduce("or", axes), (each,), (), dtype) for each in (condition, opposite))
    return yes, no


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
    graph: Graph, call: XlaCall, generator: np.random.Generator, draw: Draw | None = None
) -> dict[int, np.ndarray]:
    """Draws the arguments of a forward call. Kernels are as small as at the start of a training."""
    arguments, draw = {}, draw or Draw()
    for number, parameter in zip(call.arguments, graph.parameters, strict=True):
        shape = tuple(_FREE if size is None else size for size in parameter.shape)
        if _is_key(parameter):
            arguments[number] = generator.integers(0, 2**32, shape).astype(parameter.dtype)
            continue
        if not _is_float(parameter):
            arguments[number] = np.full(shape, draw.flag, parameter.dtype)
            continue
        is_normal = draw.is_signed and len(shape) > 1
        values = generator.standard_normal(shape) if is_normal else generator.uniform(0.5, 1.5, shape)
        is_kernel = len(shape) > 1 and None not in parameter.shape
        values = values * (draw.scale / math.sqrt(math.prod(shape[:-1]) if is_kernel else 1))
        arguments[number] = values.astype(parameter.dtype)
    return arguments


def _error(
    function: Any,
    reference: Callable[..., Sequence[tf.Tensor]],
    call: XlaCall,
    tensors: Mapping[int, tf.Tensor],
    generator: np.random.Generator,
    weight: float,
) -> float:
    """Returns the largest relative error of the gradients of the arguments, each as a whole.

    It is NaN where the file's own are not finite, and infinite where only the derived ones are not, or where the file
    has none of an argument.
    """
    assert call.gradient is not None
    floats = {number: tensor for number, tensor in tensors.items() if tensor.dtype.is_floating}
    with tf.GradientTape() as tape:
        tape.watch(list(floats.values()))
        results = function(*(tensors[number] for number in call.arguments))
    weights = [
        tf.constant(weight * generator.standard_normal(each.shape), each.dtype)
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
        number: each.numpy() for number, each in zip(call.gradient.outputs, own, strict=True) if number in floats
    }
    if floats.keys() - expected.keys():
        return math.inf
    if not all(np.isfinite(each).all() for each in expected.values()):
        return math.nan
    error = _largest_error(derived, expected)
    return math.inf if math.isnan(error) else error


def _largest_error(derived: Mapping[int, tf.Tensor], expected: _Arrays) -> float:
    """Compares gradients as pipeline.proof.gradients does: by norms, small ones by a thousandth of the largest."""
    norms = {number: _norm(value) for number, value in expected.items()}
    smallest = 1e-3 * max(norms.values(), default=0.0)
    errors = [
        _norm(np.asarray(derived[number], np.float64) - value) / (max(norms[number], smallest) or 1.0)
        for number, value in expected.items()
    ]
    return max(errors, key=lambda error: math.inf if math.isnan(error) else error, default=0.0)


def _norm(value: np.ndarray) -> float:
    """Returns the Euclidean norm; squares of large float32 would overflow."""
    return float(np.linalg.norm(value.astype(np.float64, copy=False)))


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
