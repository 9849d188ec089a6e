"""Refuses a network of one's own that does not do what its class declares, before anything is made of it.

All checks but one look at what JAX would compute, and compute nothing. docs/own_networks.md lists what is refused, and
why.
"""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from pipeline.base.fault import Fault, list_names
from pipeline.model.architecture import Shape
from pipeline.model.network import Network
from pipeline.model.own import tracing
from pipeline.model.own.source import Source
from pipeline.model.own.tracing import abstract, trace
from pipeline.model.parameters import nest_parameters

Shapes = Mapping[str, Shape]
_BATCH = 2  # images of the checks that need a number
# How the names of a BatchNorm's means and variances end: Flax' (and those of other programs), Haiku's.
_STATISTICS = (
    ("mean", "var"),
    ("running_mean", "running_var"),
    ("moving_mean", "moving_variance"),
    ("mean_ema/average", "var_ema/average"),
)


def check_network(network: Network, own: Any, source: Source, shapes: Shapes) -> None:
    """Checks a network against the arrays of its checkpoint.

    Args:
        network: the network.
        own: the instance of the class that it calls.
        source: the file.
        shapes: of the checkpoint's arrays by path, sorted.

    Raises:
        Fault: the first that is wrong, in one sentence.
    """
    _check_names(network, source, shapes)
    _check_state(network, source, shapes)
    checker = _Checker(network, own, source, shapes)
    checker.check_shapes()
    checker.check_any_batch()
    checker.check_tokens()
    checker.check_computation()
    checker.check_float64()
    checker.check_dropout()


def _check_names(network: Network, source: Source, shapes: Shapes) -> None:
    """Refuses prefixes that are not those of the checkpoint, and names that are an array and a folder of arrays."""
    names = sorted(shapes)
    if both := next((name for name in names if any(other.startswith(f"{name}/") for other in names)), None):
        raise Fault(f"{source.path}: the checkpoint has an array {both!r} and arrays below that name; rename one")
    for kind, prefixes in (("head_prefixes", network.head_prefixes), ("state_prefixes", network.state_prefixes)):
        for prefix in prefixes:
            if not any(name.startswith(prefix) for name in names):
                raise Fault(
                    f"{source.path}: {source.name}.{kind} has {prefix!r}, with which no array of the checkpoint begins:"
                    f" it has {list_names(names)}"
                )
    if all(network.is_head(name) for name in names):
        raise Fault(
            f"{source.path}: {source.name}.head_prefixes are those of all arrays of the checkpoint, so that the feature"
            " extractor would have none; declare the arrays of the last layer alone"
        )


def _check_state(network: Network, source: Source, shapes: Shapes) -> None:
    """Refuses what looks like a BatchNorm's statistics and is not declared: TensorFlow would train it by gradients."""
    parameters = [name for name in sorted(shapes) if not name.startswith(network.state_prefixes)]
    for mean, variance in _STATISTICS:
        for name in parameters:
            other = f"{name.removesuffix(mean)}{variance}"
            if f"/{name}".endswith(f"/{mean}") and other in parameters and shapes[name] == shapes[other]:
                raise Fault(
                    f"{source.path}: {name} and {other} look like the mean and variance of a BatchNorm, which gradients"
                    f" must not train: declare them in {source.name}.state_prefixes (docs/own_networks.md, 'State'), or"
                    " rename them if the network does learn them by gradients"
                )


def check_logits(network: Network, source: Source, arrays: Mapping[str, np.ndarray]) -> None:
    """Refuses a head that returns probabilities, of which the classifier would compute probabilities once more.

    Of large features of any sign, logits of no network are all from 0 to 1.

    Raises:
        Fault: when it does.
    """
    size = network.model.image_size
    width = jax.eval_shape(network.features, arrays, abstract((_BATCH, size, size, 3), jnp.float32)).shape[1]
    features = 1e6 * np.random.default_rng(0).standard_normal((32, width), np.float32)
    logits = np.asarray(network.head(arrays, features))
    if logits.min() >= 0 and logits.max() <= 1 and np.ptp(logits):
        raise Fault(
            f"{source.path}: head() returns numbers from 0 to 1 for any features, as a softmax or a sigmoid does;"
            " it must return the logits before that: leave that function out"
        )


class _Checker:
    """The checks of one network."""

    def __init__(self, network: Network, own: Any, source: Source, shapes: Shapes) -> None:
        self._network, self._own, self._source, self._shapes = network, own, source, shapes
        self._names = sorted(shapes)

    # What the checks look at ------------------------------------------------------------------------------------------
    def _weights(self, kind: Any = jnp.float32) -> dict[str, jax.ShapeDtypeStruct]:
        return {name: abstract(self._shapes[name], kind) for name in self._names}

    def _images(self, n: Any = _BATCH, kind: Any = jnp.float32) -> jax.ShapeDtypeStruct:
        size = self._network.model.image_size
        return abstract((n, size, size, 3), kind)

    def _refuse(self, text: str, equation: Any = None) -> Fault:
        line = tracing.line_of(equation, str(self._source.path)) if equation is not None else ""
        return Fault(f"{self._source.path}{line}: {text}")

    def _shape(self, what: str, function: Callable[..., Any], *arguments: Any) -> Any:
        """Returns the shape and type of what a function returns, one array."""
        result = self._source.run(what, lambda: jax.eval_shape(lambda *given: function(*given), *arguments))
        return self._one_array(what, result)

    def _one_array(self, what: str, result: Any) -> Any:
        if not isinstance(result, jax.ShapeDtypeStruct):
            raise self._refuse(f"{what.split()[0]} returns {type(result).__name__}, expected one array")
        return result

    # The checks -------------------------------------------------------------------------------------------------------
    def check_shapes(self) -> None:
        """Checks the shapes of the outputs, and that features() needs no array of the head, and head() no other."""
        network, n, classes = self._network, _BATCH, self._network.model.classes
        arguments = (self._weights(), self._images())
        try:
            result = self._source.run("features() fails", lambda: jax.eval_shape(network.features, *arguments))
        except Fault as fault:
            raise self._explain(fault) from None
        features = self._one_array("features()", result)
        self._check_kept("features()", network.features, *arguments)
        if len(features.shape) != 2 or features.shape[0] != n:
            raise self._refuse(f"features() returns {features.shape} for {n} images, expected ({n}, width)")
        fails = "head() fails with the arrays that head_prefixes declare the head's"
        logits = self._shape(fails, network.head, self._weights(), abstract(features.shape, features.dtype))
        if logits.shape != (n, classes):
            raise self._refuse(
                f"head() returns {logits.shape} for {n} images, expected ({n}, {classes}), as model.classes says"
            )
        self._check_kept("head()", network.head, self._weights(), abstract(features.shape, features.dtype))

    def _check_kept(self, name: str, function: Callable[..., Any], *arguments: Any) -> None:
        """Refuses a function that reads what an earlier call has put into an attribute or a cache."""
        if tracing.reads_kept(self._source.run(f"{name} fails", lambda: trace(function, *arguments))):
            raise self._refuse(
                f"{name} reads a value that an earlier call kept, in an attribute or a cache such as functools.cache;"
                f" the modules keep nothing between calls, so compute in {name} all it needs"
            )

    def _explain(self, fault: Fault) -> Fault:
        """Returns a better message where features() works once it has the head's arrays, too."""

        def features(weights: Mapping[str, Any], images: jax.Array) -> jax.Array:
            result: jax.Array = self._own.features(nest_parameters(weights), images, False, {})
            return result

        try:
            traced = trace(features, self._weights(), self._images())
        except Exception:  # then the arrays of the head are not the reason
            return fault
        unused = tracing.list_unused(traced, self._names)
        names = [name for name in self._names if self._network.is_head(name) and name not in unused]
        which = f"reads {list_names(names)}, which" if names else "needs arrays that"
        return self._refuse(
            f"features() {which} {self._source.name}.head_prefixes declare the head's; correct them, or split the"
            " network where the head begins"
        )

    def check_any_batch(self) -> None:
        """Checks that the network takes any number of images: a module is traced once for all."""
        (n,) = export.symbolic_shape("n")
        fails = "cannot take a batch of any size n, which its modules must"
        for name, function in (("features()", self._network.features), ("the network", self._network.logits)):
            shape = self._shape(f"{name} {fails}", function, self._weights(), self._images(n)).shape
            if shape[0] != n:
                raise self._refuse(f"{name} returns {shape[0]} rows for n images; it must return one per image")

    def check_tokens(self) -> None:
        """Checks that tokens() returns (n, tokens, width) for any n."""
        if not self._network.has_tokens:
            return
        self._check_kept("tokens()", self._network.tokens, self._weights(), self._images())
        (n,) = export.symbolic_shape("n")
        for batch in (_BATCH, n):
            shape = self._shape("tokens() fails", self._network.tokens, self._weights(), self._images(batch)).shape
            if len(shape) != 3 or shape[0] != batch:
                raise self._refuse(f"tokens() returns {shape} for {batch} images, expected ({batch}, tokens, width)")

    def check_computation(self) -> None:
        """Checks that inference only computes, without chance, the same each time, and of all weights."""
        traced = trace(self._network.logits, self._weights(), self._images())
        if (equation := tracing.find_effect(traced.jaxpr)) is not None:
            what = f"does more than compute ({equation.primitive.name}), which no SavedModel can; remove it"
            raise self._refuse(f"the network {what}", equation)
        if (equation := tracing.find_random(traced.jaxpr)) is not None:
            what = f"draws random numbers with train=False ({equation.primitive.name}); draw them with train=True alone"
            raise self._refuse(f"the network {what}", equation)
        if not tracing.is_same(traced, trace(self._network.logits, self._weights(), self._images())):
            raise self._refuse(
                "the network computes something else each time it is called with the same weights and images; it must"
                " depend on nothing but these, such as numpy.random, the time or a counter"
            )
        if unused := tracing.list_unused(traced, self._names):
            raise self._refuse(
                f"the network uses {len(self._names) - len(unused)} of the checkpoint's {len(self._names)} arrays, and"
                f" not {list_names(unused)}; remove them from the checkpoint, or correct the class"
            )

    def check_float64(self) -> None:
        """Checks that the network computes in float64 when its weights and images are float64."""
        with jax.enable_x64(True):
            arguments = (self._weights(jnp.float64), self._images(_BATCH, jnp.float64))
            fails = "the network fails in float64, in which its reference is computed"
            traced = self._source.run(fails, lambda: trace(self._network.logits, *arguments))
        kind, equation = traced.out_avals[0].dtype, tracing.find_narrowing(traced.jaxpr)
        if equation is not None or kind != np.float64:
            narrower = kind if equation is None else tracing.narrower_type(equation)
            raise self._refuse(
                f"the network computes in {narrower} when its weights and images are float64, in which its reference is"
                " computed; take the type of the inputs, as in x.dtype, and name none",
                equation,
            )

    def check_dropout(self) -> None:
        """Checks that a network with a rate of dropout uses the key with train=True."""
        network, rate = self._network, self._network.model.dropout
        if not rate:
            return
        if network.state_prefixes:
            raise self._refuse(
                f"model.dropout is {rate}, but a network with state ({', '.join(network.state_prefixes)}) cannot be"
                " trained here, and never drops anything; remove model.dropout"
            )

        def train(weights: Mapping[str, Any], images: jax.Array, data: jax.Array) -> jax.Array:
            return network.features(weights, images, jax.random.wrap_key_data(data, impl="threefry2x32"))

        (n,) = export.symbolic_shape("n")
        arguments = (self._weights(), self._images(n), abstract((2,), jnp.uint32))
        traced = self._source.run("features() fails with train=True", lambda: trace(train, *arguments))
        if (equation := tracing.find_effect(traced.jaxpr)) is not None:
            what = f"does more than compute with train=True ({equation.primitive.name}), which no SavedModel can"
            raise self._refuse(f"features() {what}; remove it", equation)
        expected = self._shape("features() fails", network.features, self._weights(), self._images(n)).shape
        if (got := traced.out_avals[0].shape) != expected:
            raise self._refuse(f"features() returns {got} with train=True, but {expected} with train=False")
        if "key" in tracing.list_unused(traced, [*self._names, "images", "key"]):
            raise self._refuse(
                f'model.dropout is {rate}, but features() does not use the key rngs["dropout"] with train=True; use it,'
                " or remove model.dropout"
            )
