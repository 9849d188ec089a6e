"""What a classifier answers beside its logits: probabilities, and the names of its most likely classes."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Classes:
    """The classes of a model.

    Attributes:
        activation: what turns logits into probabilities, one of ACTIVATIONS.
        names: for people, in the order of the logits; () for classes without names, which are called by their index.
    """

    activation: str = "softmax"
    names: tuple[str, ...] = ()

    def has_probabilities(self, logits: int) -> bool:
        """Whether probabilities of so many logits say anything: the softmax of a single one is 1 for every image."""
        return logits > 1 or self.activation != "softmax"

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Returns the probabilities of logits (n, classes), float32 of the same shape, computed in float64."""
        from scipy import special

        exact = logits.astype(np.float64)
        return (special.expit(exact) if self.activation == "sigmoid" else special.softmax(exact, axis=1)).astype(
            np.float32
        )

    def write(self, path: Path) -> None:
        """Writes a file that read_classes() reads: 21,843 names are too long for a command line."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")


def read_classes(path: Path) -> Classes:
    """Reads what Classes.write() wrote."""
    content = json.loads(path.read_text(encoding="utf-8"))
    return Classes(content["activation"], tuple(content["names"]))
