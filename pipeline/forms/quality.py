"""How far a quantized file may differ from the float32 one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.precision import Precision
from pipeline.forms.running import Runner, run_files

_BATCH = 32  # images


@dataclass(frozen=True)
class Bar:
    """What a quantized file must keep.

    Attributes:
        size: at most this share of the float32 file's bytes.
        top1: the accuracy may differ by at most this much.
        same_class: at least this share of the images must have the class that float32 gives them.
        cosine: at least this cosine between the outputs and those of float32, for every image.
        error: the largest relative error of the self-test: a cosine sees no factor, and tells nothing of one output.
    """

    size: float
    top1: float
    same_class: float
    cosine: float
    error: float = math.inf


# Of files whose self-test keeps the module's own tolerance, on real images.
EXACT = Bar(size=math.inf, top1=0.003, same_class=0.995, cosine=0.9999)
BARS: Mapping[Precision, Bar] = {
    Precision.FLOAT16: Bar(size=0.53, top1=0.003, same_class=0.995, cosine=0.9999, error=0.05),
    # Its weights are float32, the graph is a twin's. It rounds eight times as coarsely as float16: 0.063 radians here,
    # 0.014 there; docs/bfloat16.md has what was measured.
    Precision.BFLOAT16: Bar(size=1.1, top1=0.003, same_class=0.995, cosine=0.998),
    Precision.INT8: Bar(size=0.34, top1=0.003, same_class=0.995, cosine=0.99, error=0.25),
}


@dataclass(frozen=True, eq=False)
class Examples:
    """What quantized files are tried on.

    Attributes:
        images: float32 (n, size, size, 3) in [-1, 1]; at least one.
        labels: the right class of each, int (n,); None where they are not known.
    """

    images: np.ndarray
    labels: np.ndarray | None = None


@dataclass(frozen=True)
class Quality:
    """What was measured of a quantized file.

    Attributes:
        size: share of the float32 file's bytes.
        images: how many images the rest was measured on.
        cosine: the smallest, over the images, between the outputs and those of float32.
        same_class: share of the images with the class that float32 gives them; None of a feature extractor.
        top1, float32_top1: share of the images that are classified correctly; None without labels.
    """

    size: float
    images: int
    cosine: float
    same_class: float | None
    top1: float | None
    float32_top1: float | None


def measure(
    runner: Runner, files: Mapping[Precision, Path], head: Head, examples: Examples
) -> dict[Precision, Quality]:
    """Compares quantized files with that of float32; {} where there are none.

    Args:
        runner: of the files.
        files: by precision, float32 among them.
        head: which module.
        examples: what they are tried on.

    Raises:
        Fault: when the runtime cannot load or run a file.
    """
    if files.keys() == {Precision.FLOAT32}:
        return {}
    runs = run_files(runner, list(files.values()), examples.images, (_BATCH,), rounds=0)
    outputs = {precision: run.outputs[_BATCH] for precision, run in zip(files, runs, strict=True)}
    sizes = {precision: file.stat().st_size for precision, file in files.items()}
    expected, whole = outputs[Precision.FLOAT32], sizes[Precision.FLOAT32]
    return {
        precision: compare(head, outputs[precision], expected, sizes[precision] / whole, examples.labels)
        for precision in files
        if precision is not Precision.FLOAT32
    }


def compare(head: Head, outputs: np.ndarray, expected: np.ndarray, size: float, labels: np.ndarray | None) -> Quality:
    """Compares a quantized file with the float32 one.

    Args:
        head: which module.
        outputs: (n, k), of the quantized file.
        expected: (n, k), of the float32 file.
        size: share of the float32 file's bytes.
        labels: the right classes, or None.
    """
    cosine = smallest_cosine(outputs, expected)
    if head is Head.FE:
        return Quality(size, len(outputs), cosine, None, None, None)
    got, reference = outputs.argmax(axis=1), expected.argmax(axis=1)
    top1, float32_top1 = (None, None) if labels is None else (_mean(got == labels), _mean(reference == labels))
    return Quality(size, len(outputs), cosine, _mean(got == reference), top1, float32_top1)


def smallest_cosine(outputs: np.ndarray, expected: np.ndarray) -> float:
    """Returns the smallest cosine between the rows of two arrays (n, k); NaN for another shape, or a row with NaN.

    That of two rows of zeros is 1, that of one and another row 0.
    """
    if outputs.shape != expected.shape:
        return math.nan
    exact, wanted = outputs.astype(np.float64), expected.astype(np.float64)
    lengths = np.linalg.norm(exact, axis=1), np.linalg.norm(wanted, axis=1)
    norms = lengths[0] * lengths[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        cosines = np.where(norms == 0, lengths[0] == lengths[1], (exact * wanted).sum(axis=1) / norms)
    return float(cosines.min())


def _mean(right: np.ndarray) -> float:
    return float(right.mean())


def check(file: str, quality: Quality, bar: Bar) -> None:
    """Raises Fault, which names every figure that is outside the bar.

    Args:
        file: the file's name, for the message.
        quality: what was measured.
        bar: what is allowed.
    """
    # Written so that NaN, as of a model that overflows, is outside, too.
    faults = []
    if not quality.size <= bar.size:
        faults.append(f"its size is {quality.size:.1%} of float32 (at most {bar.size:.0%})")
    if not quality.cosine >= bar.cosine:
        faults.append(f"the smallest cosine to float32 is {quality.cosine:.5f} (at least {bar.cosine})")
    if quality.same_class is not None and not quality.same_class >= bar.same_class:
        faults.append(f"{quality.same_class:.2%} of the images have float32's class (at least {bar.same_class:.1%})")
    if quality.top1 is not None and quality.float32_top1 is not None:
        difference = quality.top1 - quality.float32_top1
        if not abs(difference) <= bar.top1 + 1e-9:  # 3 of 1,000 images are 0.003, whatever the rounding
            faults.append(
                f"top-1 differs from float32 by {100 * difference:+.2f} points (at most {100 * bar.top1:.1f})"
            )
    if faults:
        raise Fault(
            f"{file}: not written, since on {quality.images} images {'; '.join(faults)}; leave this format out of"
            " FORMATS"
        )
