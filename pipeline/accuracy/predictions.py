"""Predictions of a classifier: a few numbers per image instead of its logits, in files that survive a kill.

50,000 images of 1,000 classes have 200 MB of logits; the statistics need 32 bytes an image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from scipy.special import expit

from pipeline.base.fault import UnusableFile
from pipeline.base.files import make_way, replacing
from pipeline.base.npz_file import NpzFile

LARGEST = 64 << 20  # bytes, packed or not: those of 2,000,000 images; ImageNet's training set has 1,281,167
NOTHING = -1  # the prediction for an image whose logits have no largest one: NaN, or infinite
TOP = 5


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row per image, in the order of evaluation; n may be 0.

    Attributes:
        label: int32 (n,), the true class, an index of the outputs.
        top5: int32 (n, 5), the outputs with the largest logits, largest first; fewer columns when there are fewer
            outputs. NOTHING throughout where the logits are not numbers.
        confidence: float32 (n,) in 0 to 1, the probability of the first of top5; 0 where it is NOTHING.
        restricted: int32 (n,), the output with the largest logit among the classes of the chosen images; NOTHING where
            the logits are not numbers.
    """

    label: np.ndarray
    top5: np.ndarray
    confidence: np.ndarray
    restricted: np.ndarray

    def __post_init__(self) -> None:
        n = len(self.label)
        columns = self.top5.shape[1] if self.top5.ndim == 2 else 0
        shapes = {"label": (n,), "top5": (n, columns), "confidence": (n,), "restricted": (n,)}
        for name, shape in shapes.items():
            array, kind = getattr(self, name), np.float32 if name == "confidence" else np.int32
            if array.shape != shape or array.dtype != kind or not 1 <= columns <= TOP:
                raise ValueError(f"{name}: {array.dtype} {array.shape}, expected {np.dtype(kind)} {shape}")

    def __len__(self) -> int:
        return len(self.label)

    @property
    def predicted(self) -> np.ndarray:
        """The output with the largest logit: int32 (n,), or NOTHING."""
        best: np.ndarray = self.top5[:, 0]
        return best

    @property
    def right(self) -> np.ndarray:
        """Which images are classified right: bool (n,)."""
        hits: np.ndarray = self.predicted == self.label
        return hits

    def save(self, path: Path) -> None:
        """Writes an .npz of at most 32 bytes an image and 1.5 kB; a kill leaves the old file or none."""
        make_way(path)
        with replacing(path) as stream:
            np.savez_compressed(stream, **{field.name: getattr(self, field.name) for field in fields(self)})


def of_logits(logits: np.ndarray, label: np.ndarray, present: Sequence[int], activation: str) -> Predictions:
    """Returns the predictions of a batch; of equal logits the lower index wins.

    Args:
        logits: float32 (n, k).
        label: integers (n,) from 0 to k - 1, the true classes.
        present: the classes of all chosen images, not only of this batch; never empty.
        activation: what turns logits into probabilities, "softmax" or "sigmoid".
    """
    # A logit of -inf is a class that is ruled out. NaN, +inf, or nothing but -inf leave no winner.
    winner = np.isfinite(logits.max(axis=1)) & ~np.isnan(logits).any(axis=1)
    valid = np.where(winner[:, np.newaxis], logits, 0).astype(np.float64)
    top5 = np.argsort(-valid, axis=1, kind="stable")[:, :TOP]
    largest = valid.max(axis=1)
    if activation == "softmax":
        confidence = 1 / np.exp(valid - largest[:, np.newaxis]).sum(axis=1)
    elif activation == "sigmoid":
        confidence = expit(largest)
    else:
        raise ValueError(f"activation {activation!r}")
    among = np.unique(np.asarray(present))
    restricted = among[valid[:, among].argmax(axis=1)]
    return Predictions(
        label.astype(np.int32),
        np.where(winner[:, np.newaxis], top5, NOTHING).astype(np.int32),
        np.where(winner, confidence, 0).astype(np.float32),
        np.where(winner, restricted, NOTHING).astype(np.int32),
    )


def join(parts: Sequence[Predictions]) -> Predictions:
    """Returns the rows of all parts, one after the other; there must be a part."""
    return Predictions(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Predictions))
    )


def load_predictions(path: Path) -> Predictions | None:
    """Reads what save() wrote.

    Returns:
        None when the file is missing, damaged or of another kind: its images must be classified again.
    """
    names = [field.name for field in fields(Predictions)]
    try:
        with NpzFile(path, str(path), "") as file:
            if sum(header.size for header in file.headers.values()) > LARGEST:
                return None
            return Predictions(**{name: file.read(name) for name in names})
    except (FileNotFoundError, UnusableFile, KeyError, ValueError):  # ValueError: arrays of other shapes or types
        return None
