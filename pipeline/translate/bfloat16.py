"""Writes the bfloat16 twin of a SavedModel, for processors that multiply bfloat16 fast: GPUs, TPUs, newer CPUs.

It is the plain twin whose products, convolutions and elementwise operations are of bfloat16; softmax, normalizations,
sums and the last product are of float32 (pipeline.translate.half_precision). Variables, inputs and outputs are float32:
the weights are the source's, bit for bit, and are rounded where they are used.

It imports TensorFlow only when it writes.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pipeline.base.fault import Fault
from pipeline.base.npz_file import NpzFile

if TYPE_CHECKING:
    from pipeline.translate.saved_models import Twin

SELFTEST = "assets.extra/selftest.npz"

_COARSER = (
    3000  # a tenth of what bfloat16 rounds more coarsely than float32, as tolerances have room for more roundings
)
_LARGEST = 0.15  # of self-tests; what breaks a model may differ by no more
_EXACT_OUTPUTS = 1e-5
# A gradient of zeros has a relative error of 1, one of the other sign 2. Of a ReLU that is rounded to the other side of
# zero the slope is 1 in place of 0: in a random R26+S/32 the stem's gradients differ by 0.96, with no other fault.
_GRADIENTS = {True: 0.25, False: 1.5}


@dataclass(frozen=True)
class Limits:
    """The largest relative errors that a bfloat16 twin may have; docs/bfloat16.md has what was measured.

    Attributes:
        outputs: in the module's self-test.
        gradients: of a variable's gradient against the module's, see pipeline.proof.gradients.compare().
    """

    outputs: float
    gradients: float


def limits_of(tolerance: float) -> Limits:
    """Returns the limits of a twin.

    Args:
        tolerance: of the module's own self-test, in float32. It tells how much a network enlarges what is rounded:
            those with ReLUs enlarge more, and have slopes that are 0 in one and 1 in the other.
    """
    return Limits(round(min(_LARGEST, _COARSER * tolerance), 9), _GRADIENTS[tolerance <= _EXACT_OUTPUTS])


def write_bfloat16(source: Path, target: Path, status: Callable[[str], None] = lambda activity: None) -> "Twin":
    """Writes the bfloat16 twin of a SavedModel; the same bytes each time.

    The twin has the source's self-test with the tolerance of limits_of(), a file of its own.

    Args:
        source: the folder of a SavedModel with XlaCallModule nodes.
        target: as of pipeline.translate.saved_models.write_plain().
        status: is told what is being done, in words.

    Raises:
        Untranslatable: as write_plain().
        Fault: as write_plain(), and when the self-test is damaged.
    """
    from pipeline.translate.half_precision import BFLOAT16
    from pipeline.translate.saved_models import write_plain

    path = source / SELFTEST
    own = {SELFTEST: _with_tolerance(path)} if path.is_file() else {}
    return write_plain(source, target, status, BFLOAT16, own)


def _with_tolerance(path: Path) -> bytes:
    """Returns the content of a self-test, with the tolerance of bfloat16."""
    with NpzFile(path, str(path), "convert the member again") as file:
        arrays = {name: file.read(name) for name in file.headers}
    if "tolerance" not in arrays:
        raise Fault(f"{path}: the self-test lacks tolerance; convert the member again")
    names = ("tolerance", "tokens_tolerance")
    coarser = {name: np.array(limits_of(float(arrays[name])).outputs) for name in names if name in arrays}
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **(arrays | coarser))
    return content.getvalue()
