"""A network of one's own as the rest of the pipeline sees it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from pipeline.model.architecture import Architecture, Shape
from pipeline.model.network import Network, Tolerances, Values, Weights
from pipeline.model.own import checks
from pipeline.model.own.source import Source, find_source, make_network, read_declared
from pipeline.model.parameters import nest_parameters
from pipeline.model.section import Model


class OwnNetwork(Network):
    """A class of a Python file beside the member's YAML file.

    The class gets weights and images of one type. It gets the head's weights only in head(), and all others only in
    features() and tokens(), as the two modules do.
    """

    def __init__(self, model: Model, source: Source) -> None:
        self.model = model
        self._source = source
        self._own: Any = make_network(source, model)
        declared = read_declared(source, type(self._own))
        self.head_prefixes, self.state_prefixes = declared.head_prefixes, declared.state_prefixes
        self.tolerances = Tolerances(declared.tolerance, declared.gradient_tolerance, tokens=declared.tolerance)
        self.has_tokens = hasattr(type(self._own), "tokens")  # an attribute of the object may be their number
        self._architecture = declared.architecture

    @property
    def architecture(self) -> Architecture:
        return self._architecture

    def expected_shapes(self, image_size: int | None = None) -> dict[str, Shape] | None:
        del image_size
        return None

    def check(self, arrays: Mapping[str, np.ndarray]) -> None:
        shapes = {name: value.shape for name, value in arrays.items()}
        checks.check_network(self, self._own, self._source, shapes)
        checks.check_logits(self, self._source, arrays)

    def _tree(self, weights: Weights, like: Values, is_head: bool) -> dict[str, Any]:
        """Nests the weights of the head, or all others, in the type of `like`."""
        chosen = {name: value for name, value in weights.items() if self.is_head(name) == is_head}
        return nest_parameters({name: jnp.asarray(value, like.dtype) for name, value in chosen.items()})

    def features(self, weights: Weights, images: Values, key: jax.Array | None = None) -> jax.Array:
        inputs = jnp.asarray(images)
        rngs = {} if key is None else {"dropout": key}
        features: jax.Array = self._own.features(self._tree(weights, inputs, False), inputs, key is not None, rngs)
        return features

    def head(self, weights: Weights, features: Values) -> jax.Array:
        inputs = jnp.asarray(features)
        logits: jax.Array = self._own.head(self._tree(weights, inputs, True), inputs)
        return logits

    def tokens(self, weights: Weights, images: Values) -> jax.Array:
        inputs = jnp.asarray(images)
        tokens: jax.Array = self._own.tokens(self._tree(weights, inputs, False), inputs)
        return tokens


def open_network(model: Model, folder: Path) -> Network:
    """Returns the network of a section `<file>.py:<class>`; runs the file, which lies in the folder."""
    return OwnNetwork(model, find_source(model, folder))
