"""Judges what was measured of a format: each figure is a rung of its ladder."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.base.fault import list_names
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.checks import is_of_tokens
from pipeline.facts.formats import FormatReport, OnImages
from pipeline.facts.report import Rung
from pipeline.forms.precision import Precision
from pipeline.forms.quality import BARS, Bar, smallest_cosine
from pipeline.proof.loaders import SelfTest
from pipeline.runtimes.modules import BATCHES
from pipeline.runtimes.table import Format
from pipeline.runtimes.tensorflow_runs import TwinRun
from pipeline.saved_model.selftest import largest_error
from pipeline.translate.bfloat16 import Limits, limits_of

# The largest relative error of a variable's gradient, by the tolerance of the module's outputs: networks whose outputs
# are less exact, hybrids among them, have ReLUs, whose slope may be 0 or 1 where an activation is about zero.
_EXACT_OUTPUTS = 1e-5
_GRADIENTS = {True: 2e-4, False: 5e-2}
PARITY, COSINE = "parity", "cosine"
_LEAST = (COSINE, "batch-size cosine", "cosine on images", "same class")  # whose tolerance is the smallest that passes
_ROUNDING = 1e-9  # 3 of 1,000 images are 0.003, whatever the rounding
SIZES = f"{', '.join(map(str, BATCHES[:-1]))} and {BATCHES[-1]}"


@dataclass(frozen=True, eq=False)
class Images:
    """Images on which formats are compared with their module.

    Attributes:
        pixels: float32 (n, size, size, 3) in [-1, 1]; at least one.
        labels: the right class of each, an index of the logits, int (n,); None where they are not known.
        of: what they are, in words that follow "images of".
    """

    pixels: np.ndarray
    labels: np.ndarray | None
    of: str


def bound(rung: Rung) -> str:
    """Returns what the tolerance of a rung is: "at_least" or "at_most"."""
    return "at_least" if rung.rung in _LEAST else "at_most"


def describe(rung: Rung) -> str:
    """Returns a rung for people: "parity 3.1e-07 (at most 1e-05)"."""
    if rung.value is None or rung.tolerance is None:
        return f"{rung.rung} not measured: {rung.reason}"
    if not math.isfinite(rung.tolerance):
        return f"{rung.rung} {rung.value:.2g}"
    if rung.rung in _LEAST:
        return f"{rung.rung} {rung.value:.5f} (at least {rung.tolerance})"
    return f"{rung.rung} {rung.value:.2g} (at most {rung.tolerance:g})"


def describe_run(report: FormatReport) -> str:
    """Returns where a format was proven, and its rungs: "LiteRT 2.3.0: parity 3.1e-07 (at most 1e-05); ..."."""
    return f"{report.runtime} {report.version}: {'; '.join(map(describe, report.ladder))}"


def failures(ladder: Sequence[Rung]) -> str:
    """Returns the rungs that failed, in words; "" where none did."""
    return "; ".join(describe(rung) for rung in ladder if rung.verdict is Verdict.FAIL)


def judge_twin(head: Head, run: TwinRun, test: SelfTest, precision: Precision = Precision.FLOAT32) -> tuple[Rung, ...]:
    """Returns the rungs of a twin.

    Args:
        head: which module.
        run: what was measured.
        test: the module's self-test.
        precision: of the twin.
    """
    limits, tokens = Limits(test.tolerance, _GRADIENTS[test.tolerance <= _EXACT_OUTPUTS]), test.limit("tokens")
    if precision is Precision.BFLOAT16:
        limits, tokens = limits_of(test.tolerance), limits_of(tokens).outputs
    of_tokens = [error for way, error in run.errors.items() if is_of_tokens(way)]
    others = [error for way, error in run.errors.items() if not is_of_tokens(way)]
    # max() alone would lose a NaN.
    rungs = [_rung(PARITY, head, float(np.max(others)), limits.outputs)]
    if of_tokens:
        rungs.append(_rung("tokens", head, float(np.max(of_tokens)), tokens))
    rungs.append(_rung("batch sizes", head, run.batches, limits.outputs))
    if run.gradients is not None:
        rungs.append(_rung("gradients", head, run.gradients, limits.gradients))
    if run.missing:
        reason = f"no finite gradient of {list_names(run.missing)}"
        rungs.append(Rung("training", head, float(len(run.missing)), 0.0, Verdict.FAIL, reason))
    return tuple(rungs)


def judge_file(head: Head, wanted: Format, outputs: Sequence[np.ndarray], test: SelfTest) -> tuple[Rung, ...]:
    """Returns the rungs of a file's outputs of the examples.

    Float32 must keep the module's own tolerance; other precisions, the cosine and the relative error of their bar.

    Args:
        head: which module.
        wanted: the format.
        outputs: (n, k) of all examples, in batches of each size, the largest last; the first are the self-test's.
        test: the self-test, whose outputs are those of the JAX model in float64.
    """
    whole, count = outputs[-1], len(test.pixels)
    errors = [test.relative_error(each[:count]) for each in outputs]
    if wanted.precision is Precision.FLOAT32:
        spread = [largest_error(each, whole, test.scale) for each in outputs[:-1]]
        return (
            _rung(PARITY, head, float(np.max(errors)), test.tolerance),
            _rung("batch sizes", head, float(np.max(spread)), test.tolerance),
        )
    bar = BARS[wanted.precision]
    cosines = [smallest_cosine(each[:count], test.outputs) for each in outputs]
    between = [smallest_cosine(each, whole) for each in outputs[:-1]]
    return (
        _rung(COSINE, head, float(np.min(cosines)), bar.cosine),
        _rung("relative error", head, float(np.max(errors)), bar.error),
        _rung("batch-size cosine", head, float(np.min(between)), bar.cosine),
    )


def compare_on_images(head: Head, outputs: np.ndarray, module: np.ndarray, images: Images) -> OnImages:
    """Compares a format's outputs of images with the module's, both (n, k)."""
    cosine = smallest_cosine(outputs, module)
    if head is Head.FE or module.shape[1] < 2:
        return OnImages(len(module), images.of, cosine)
    got, expected = outputs.argmax(axis=1), module.argmax(axis=1)
    same = float((got == expected).mean())
    if images.labels is None:
        return OnImages(len(module), images.of, cosine, same)
    top1, module_top1 = (float((each == images.labels).mean()) for each in (got, expected))
    return OnImages(len(module), images.of, cosine, same, top1, module_top1)


def judge_quality(head: Head, bar: Bar, share: float, on_images: OnImages | None) -> tuple[Rung, ...]:
    """Returns the rungs of a format against its bar.

    Args:
        head: which module.
        bar: what the file must keep.
        share: its size as a share of the float32 file's.
        on_images: beside the module on images; None where there are none.
    """
    rungs = [_rung("size", head, share, bar.size)] if math.isfinite(bar.size) else []
    if on_images is None:
        reason = "there are no images to compare on"
        return (*rungs, Rung("same class", head, None, bar.same_class, Verdict.NOT_MEASURED, reason))
    rungs.append(_rung("cosine on images", head, on_images.cosine, bar.cosine))
    if on_images.same_class is not None:
        rungs.append(_rung("same class", head, on_images.same_class, bar.same_class))
    if on_images.top1 is not None and on_images.module_top1 is not None:
        difference = abs(on_images.top1 - on_images.module_top1)
        rungs.append(_rung("top-1 difference", head, difference, bar.top1 + _ROUNDING))
    return tuple(rungs)


def _rung(name: str, head: Head, value: float, tolerance: float) -> Rung:
    """Returns a rung with its verdict; NaN fails."""
    passed = value >= tolerance if name in _LEAST else value <= tolerance
    return Rung(name, head, value, tolerance, Verdict.of(passed))
