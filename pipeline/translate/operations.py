"""The operations of a translated graph: what StableHLO leaves when shapes are folded and patterns are recovered.

Each kind is a frozen dataclass. Its docstring says what the inputs of its node are; the node itself has the shape and
the type of the result. Inputs broadcast by NumPy's rules in elementwise operations, and nowhere else. "Sizes", "starts"
and "limits" are inputs: vectors of integers, which are a Constant (pipeline.translate.graph), a Pack, or computed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.translate.graph import Graph, Operation

# The kinds of Elementwise, by the number of their inputs. Their meaning is StableHLO's, not NumPy's, where they differ:
# integer division rounds to zero and the remainder has the sign of the dividend; a shift by at least the width gives 0
# (a "shift_right_arithmetic" the sign); "round_even" rounds halves to even; "maximum" and "minimum" hand NaN on.
# fmt: off
UNARY = frozenset((
    "negate", "exp", "expm1", "log", "log1p", "sqrt", "rsqrt", "cbrt", "sin", "cos", "tan", "tanh", "sigmoid", "erf",
    "abs", "sign", "floor", "ceil", "round_even", "round", "is_finite", "not", "popcount",
))
BINARY = frozenset((
    "add", "subtract", "multiply", "divide", "maximum", "minimum", "power", "remainder", "atan2", "and", "or", "xor",
    "shift_left", "shift_right_logical", "shift_right_arithmetic",
))
# fmt: on


@dataclass(frozen=True)
class Elementwise(Operation):
    """One of UNARY or BINARY; its one or two inputs."""

    kind: str


@dataclass(frozen=True)
class Compare(Operation):
    """EQ, NE, LT, LE, GT or GE of two inputs; booleans. Any comparison with NaN is false but NE."""

    direction: str


@dataclass(frozen=True)
class Select(Operation):
    """Inputs: a condition, what is taken where it is true, what is taken elsewhere."""


@dataclass(frozen=True)
class Cast(Operation):
    """Converts its input to the node's type; floats are cut off towards zero for integers, 0 is false."""


@dataclass(frozen=True)
class Bitcast(Operation):
    """Its input's bits as the node's type, of the same width."""


@dataclass(frozen=True)
class Size(Operation):
    """The size of an axis of its input, a scalar int32."""

    axis: int


@dataclass(frozen=True)
class Pack(Operation):
    """A vector of its inputs, scalars of the node's type."""


@dataclass(frozen=True)
class Reshape(Operation):
    """Inputs: x, sizes (none of them -1)."""


@dataclass(frozen=True)
class Broadcast(Operation):
    """Inputs: x, sizes. x has the rank of the result; its axes of 1 are repeated."""


@dataclass(frozen=True)
class Transpose(Operation):
    """Axis i of the result is axis permutation[i] of its input."""

    permutation: tuple[int, ...]


@dataclass(frozen=True)
class Concatenate(Operation):
    """Its inputs along an axis."""

    axis: int


@dataclass(frozen=True)
class Range(Operation):
    """0, 1, ..., n - 1 of the node's type; its input is n, a scalar integer."""


@dataclass(frozen=True)
class Slice(Operation):
    """Inputs: x, starts, limits: all in bounds, not negative. The strides are known."""

    strides: tuple[int, ...]


@dataclass(frozen=True)
class DynamicSlice(Operation):
    """Inputs: x, starts, sizes. Starts are clamped, so that the whole slice is in bounds."""


@dataclass(frozen=True)
class DynamicUpdateSlice(Operation):
    """Inputs: x, update, starts. Starts are clamped, so that the whole update is in bounds."""


@dataclass(frozen=True)
class Pad(Operation):
    """Inputs: x, low, high (vectors of sizes, not negative), and the value, a scalar."""


@dataclass(frozen=True)
class Reverse(Operation):
    """Reverses axes of its input."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class Take(Operation):
    """Inputs: x, integers of any rank. Replaces an axis of x by the axes of the integers, which are clamped."""

    axis: int


@dataclass(frozen=True)
class GatherNd(Operation):
    """Inputs: x, integers (..., k), in bounds. Result (..., *x.shape[k:]): the parts of x at these indices."""


@dataclass(frozen=True)
class ScatterNd(Operation):
    """Inputs: x, integers (..., k), updates (..., *x.shape[k:]); the indices are in bounds.

    Attributes:
        kind: "set" (the last of equal indices wins), "add", "maximum" or "minimum". The last two may lose NaN, as the
            runtimes' own do; what reads StableHLO adds it.
    """

    kind: str


@dataclass(frozen=True)
class Sort(Operation):
    """One input; sorts along the last axis, NaN last. With `is_indices` the places in the input, int32; stable."""

    descending: bool
    is_indices: bool


@dataclass(frozen=True)
class TopK(Operation):
    """One input; the k largest along the last axis, equal ones in order. With `is_indices` their places, int32."""

    k: int
    is_indices: bool


@dataclass(frozen=True)
class Cumulate(Operation):
    """One input; "add", "multiply", "maximum" or "minimum" of all values up to each along an axis."""

    kind: str
    axis: int
    reverse: bool


@dataclass(frozen=True)
class MatMul(Operation):
    """Inputs (..., m, k) and (..., k, n) with equal leading axes, or as the flags say (..., k, m) and (..., n, k)."""

    transpose_left: bool = False
    transpose_right: bool = False


@dataclass(frozen=True)
class Dense(Operation):
    """Inputs (..., k), (k, n) or with the flag (n, k), and perhaps a bias (n,)."""

    transpose_right: bool = False


@dataclass(frozen=True)
class Einsum(Operation):
    """Any other product of two inputs."""

    equation: str


@dataclass(frozen=True)
class Reduce(Operation):
    """One input; "add", "multiply", "maximum", "minimum", "and" or "or" over axes, which stay with size 1 or not.

    Attributes:
        kind: the operation.
        axes: sorted, not negative.
        keeps_axes: whether they stay.
    """

    kind: str
    axes: tuple[int, ...]
    keeps_axes: bool = False


@dataclass(frozen=True)
class ArgReduce(Operation):
    """The first place of the "maximum" or "minimum" of its input along an axis; NaN counts as both."""

    kind: str
    axis: int


@dataclass(frozen=True)
class Convolution(Operation):
    """Inputs: images (n, *space, channels), kernel (*window, channels / groups, outputs); one to three axes of space.

    With `dilations_of_input` other than 1, zeros lie between the pixels of the images (a transposed convolution).

    Attributes:
        strides, dilations, dilations_of_input: by axis of space.
        padding: (low, high) by axis of space; negative ones crop.
        groups: of channels.
    """

    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]
    dilations_of_input: tuple[int, ...]
    groups: int = 1


@dataclass(frozen=True)
class Pool(Operation):
    """One input (n, *space, channels); "maximum" or "add" over windows, padded with what changes nothing.

    What a maximum makes of NaN is left to the runtime: those of pools skip it, where StableHLO hands it on.

    Attributes:
        kind: the operation.
        window, strides: by axis of space.
        padding: (low, high) by axis of space.
    """

    kind: str
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]


# Recovered patterns.


@dataclass(frozen=True)
class Softmax(Operation):
    """Of its input along the last axis."""


@dataclass(frozen=True)
class LayerNorm(Operation):
    """Inputs: x (..., k), scale (k,), bias (k,). Normalizes the last axis."""

    epsilon: float


@dataclass(frozen=True)
class GroupNorm(Operation):
    """Inputs: x (n, *space, channels), scale (channels,), bias (channels,). Normalizes space and the channels of each
    group."""

    groups: int
    epsilon: float


@dataclass(frozen=True)
class Gelu(Operation):
    """Of its input, by tanh as jax.nn.gelu(approximate=True), or exactly by erf."""

    by_tanh: bool


@dataclass(frozen=True)
class Relu(Operation):
    """Of its input; NaN stays NaN."""


# Control flow. Graphs that they hold see nothing but their own parameters.


@dataclass(frozen=True, eq=False)
class Call(Operation):
    """A graph of its inputs. The node's results are read by Output; its own shape and type mean nothing."""

    graph: Graph


@dataclass(frozen=True)
class Output(Operation):
    """One of the results of its input, a node of Call, While or Case."""

    index: int


@dataclass(frozen=True, eq=False)
class While(Operation):
    """Inputs: the initial state, then `constants` values that stay. Both graphs take all inputs; `condition` returns a
    boolean and `body` the next state."""

    condition: Graph
    body: Graph
    constants: int = 0


@dataclass(frozen=True, eq=False)
class Case(Operation):
    """Inputs: an int32 scalar, then the arguments of each branch. Any index out of range takes the last branch."""

    branches: tuple[Graph, ...]


def inner_graphs(operation: Operation) -> list[Graph]:
    """Returns the graphs that an operation holds."""
    match operation:
        case Call():
            return [operation.graph]
        case While():
            return [operation.condition, operation.body]
        case Case():
            return list(operation.branches)
    return []


def with_inner(operation: Operation, change: Callable[[Graph], Graph]) -> Operation:
    """Returns an operation that holds other graphs: what `change` makes of each; itself without graphs."""
    match operation:
        case Call():
            return Call(change(operation.graph))
        case While():
            return While(change(operation.condition), change(operation.body), operation.constants)
        case Case():
            return Case(tuple(map(change, operation.branches)))
    return operation
