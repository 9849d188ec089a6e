"""What JAX computes in a function of somebody else's: its operations, without running them."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval

Jaxpr = Any  # jax.extend.core.Jaxpr
Equation = Any
_EXACT = (jnp.float64, jnp.complex128)
_RANDOM = ("random_", "threefry2x32", "rng_bit_generator", "rng_uniform")  # how the names of operations begin


def walk(jaxpr: Jaxpr) -> Iterator[Equation]:
    """Yields every operation, those inside of another before it."""
    for equation in jaxpr.eqns:
        for value in equation.params.values():
            for each in value if isinstance(value, (tuple, list)) else (value,):
                inner = getattr(each, "jaxpr", each)  # of a ClosedJaxpr
                if hasattr(inner, "eqns"):
                    yield from walk(inner)
        yield equation


def line_of(equation: Equation, file: str) -> str:
    """Returns ":<line>" of a file whose code made an operation, "" where none did."""
    traceback = equation.source_info.traceback
    lines = [frame.line_num for frame in traceback.frames if frame.file_name == file] if traceback else []
    return f":{lines[0]}" if lines else ""


def find_narrowing(jaxpr: Jaxpr) -> Equation | None:
    """Returns the first operation that reads a float64 value and returns a float of fewer bits, or None.

    A complex number counts as the floats that it has.
    """
    for equation in walk(jaxpr):
        if any(_type(value) in _EXACT for value in equation.invars) and narrower_type(equation) is not None:
            return equation
    return None


def narrower_type(equation: Equation) -> Any:
    """Returns the type of the first output of an operation that is a float of fewer bits than float64, or None."""
    types = (_type(value) for value in equation.outvars)
    return next((kind for kind in types if jnp.issubdtype(kind, jnp.inexact) and kind not in _EXACT), None)


def _type(value: Any) -> Any:
    """Returns the type of a value; that of a token, which has none, counts as an integer's."""
    return getattr(value.aval, "dtype", jnp.dtype(jnp.int32))


def find_random(jaxpr: Jaxpr) -> Equation | None:
    """Returns the first operation that draws random numbers, or None."""
    return next((each for each in walk(jaxpr) if each.primitive.name.startswith(_RANDOM)), None)


def find_effect(jaxpr: Jaxpr) -> Equation | None:
    """Returns the first operation that does more than compute, such as a print or a call of Python, or None."""
    for equation in walk(jaxpr):
        if "callback" in equation.primitive.name or (jaxpr.effects and equation.effects):
            return equation
    return None


def trace(function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what a function computes, a ClosedJaxpr; arguments may be abstract. The function runs each time."""
    return jax.make_jaxpr(lambda *given: function(*given))(*arguments)  # JAX remembers what it traced by function


def is_same(one: Any, other: Any) -> bool:
    """Whether two traces compute the same, by their operations and constants."""
    texts = [re.sub(r"\bat 0x[0-9a-f]+", "", str(traced.jaxpr)) for traced in (one, other)]
    return texts[0] == texts[1] and all(
        np.asarray(a).tobytes() == np.asarray(b).tobytes()  # a NaN equals itself
        for a, b in zip(one.consts, other.consts, strict=True)
    )


def reads_kept(closed: Any) -> bool:
    """Whether a trace reads values of another one, which an object kept of a call that has ended."""
    return any(isinstance(each, jax.core.Tracer) for each in closed.consts)


def list_unused(closed: Any, names: list[str]) -> list[str]:
    """Returns those of the first arguments, which have names, that no output depends on."""
    _, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return [name for name, is_used in zip(names, used, strict=False) if not is_used]


def abstract(shape: tuple[Any, ...], kind: Any) -> jax.ShapeDtypeStruct:
    """Returns a value without content, of a shape and a type."""
    return jax.ShapeDtypeStruct(shape, kind)
