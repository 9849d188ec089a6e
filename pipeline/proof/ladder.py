"""The ladder of proofs: every check of a report as a rung with value, tolerance, verdict and, where it failed, why.

Each rung rests on those before it: the weights are the checkpoint's, the module reproduces its self-test, in other
loaders too, and matches the JAX model, for every batch size, its two heads belong together, it can be differentiated
and trained, and last, how well it classifies.

A new rung of a module is a dataclass in pipeline.facts.checks, a field of ModuleReport of the rung's name, the code
that fills it in (pipeline.proof.checks), and its sentences in RUNGS.
"""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import Accuracy, LabelOrder
from pipeline.facts.checks import (
    BatchSizes,
    BlockTrace,
    ClassesCheck,
    Comparison,
    FineTuningCheck,
    GradientCheck,
    LoaderCheck,
    ModuleReport,
    SelfTestReplay,
    WeightsCheck,
)
from pipeline.facts.report import Report, Rung

SKIPPED = "an earlier check failed"


@dataclass(frozen=True)
class Result:
    """A check's outcome.

    Attributes:
        value, tolerance, verdict, gate: as in Rung.
        reason: why it failed or was not measured, if it was not passed.
        figure: what was measured, with its limit, if it was passed.
    """

    value: float | None
    tolerance: float | None
    verdict: Verdict
    reason: str
    figure: str
    gate: bool = True


def _error(value: float, tolerance: float) -> str:
    return f"relative error {value:.1e} (limit {tolerance:.0e})"


def _worst(values: Mapping[str, float]) -> tuple[str, float]:
    """Returns the entry with the largest value; NaN is larger than any."""
    return max(values.items(), key=lambda pair: (math.isnan(pair[1]), pair[1]))


def _where(trace: BlockTrace, tolerance: float) -> str:
    """Returns a clause that says at which block the error first exceeds the tolerance."""
    if trace.reason is not None:
        return f"; no block can be named: {trace.reason}"
    previous = ""
    for path, error in trace.max_rel:
        if not error <= tolerance:  # NaN, too
            place = f"between {previous} and {path}" if previous else f"before or in {path}"
            return f"; the error starts {place}, whose relative error is {error:.1e}"
        previous = path
    return f"; all blocks match up to {previous}, the error starts after it"


def _relative(value: float | None, tolerance: float, verdict: Verdict, reason: str) -> Result:
    """Returns the result of a check whose figure is a relative error."""
    figure = "" if value is None else _error(value, tolerance)
    return Result(value, tolerance, verdict, reason, figure)


# The checks of one module ---------------------------------------------------------------------------------------------
def _weights(check: WeightsCheck) -> Result:
    names = check.different
    reason = f"{len(names)} variables differ from the checkpoint: {', '.join(names[:5])}"
    figure = f"all {check.arrays} arrays equal the checkpoint's, bit for bit"
    if check.resized_from is not None:
        resized = f"with its position embedding resized from {check.resized_from} pixels"
        reason, figure = f"{reason} {resized}", f"{figure}, {resized}"
    return Result(float(len(names)), 0.0, check.verdict, reason, figure)


def _selftest(check: SelfTestReplay) -> Result:
    way, value = check.worst
    reason = f"the self-test fails ({way}): {_error(value, check.limit(way))}"
    return _relative(value, check.limit(way), check.verdict, reason)


def _loader(name: str, check: LoaderCheck) -> Result:
    if check.reason:
        return Result(None, check.tolerance, check.verdict, f"{name}: {check.reason}", "")
    signature, value = check.worst
    reason = f"{name}: {signature} differs from the JAX model, {_error(value, check.limit(signature))}"
    return _relative(value, check.limit(signature), check.verdict, reason)


def _preprocessing(check: Comparison) -> Result:
    reason = (
        "the signature serving_images does not prepare images as the protocol resize does:"
        f" {_error(check.max_rel, check.tolerance)}"
    )
    return _relative(check.max_rel, check.tolerance, check.verdict, reason)


def _encoded(check: Comparison) -> Result:
    reason = (
        "the signature serving_jpeg does not read images as Pillow does, or prepares them otherwise:"
        f" {_error(check.max_rel, check.tolerance)}"
    )
    return _relative(check.max_rel, check.tolerance, check.verdict, reason)


def _tokens(check: Comparison) -> Result:
    reason = f"the tokens of TensorFlow and JAX differ: {_error(check.max_rel, check.tolerance)}"
    return _relative(check.max_rel, check.tolerance, check.verdict, reason)


def _classes(check: ClassesCheck) -> Result:
    difference = f"probabilities differ by {check.max_abs:.1e} (limit {check.tolerance:.0e})"
    if check.are_named:
        reason = f"serving_classify: {difference} from those of its logits by the collection's activation"
    else:
        named = ", ".join(check.example)
        reason = f"serving_classify does not name the classes of its largest logits, in the label file's order: {named}"
    return Result(check.max_abs, check.tolerance, check.verdict, reason, f"{difference}, the top classes are named")


def _parity(check: Comparison) -> Result:
    agreement = 1.0 if check.argmax_agreement is None else check.argmax_agreement
    reason = f"TensorFlow and JAX differ: {_error(check.max_rel, check.tolerance)}" + (
        f", another class for {1 - agreement:.1%} of the inputs" if agreement < 1 else ""
    )
    return _relative(check.max_rel, check.tolerance, check.verdict, reason)


def _batch_sizes(check: BatchSizes) -> Result:
    size, value = _worst(check.max_rel)
    reason = f"outputs for batches of {size} and {check.of} differ: {_error(value, check.tolerance)}"
    return _relative(value, check.tolerance, check.verdict, reason)


def _gradients(check: GradientCheck) -> Result:
    if check.max_rel is None:
        reason = f"expected a gradient for each of the checkpoint's {check.expected} arrays, got other variables"
    else:
        reason = f"the gradient of {check.worst} differs from JAX's: {_error(check.max_rel, check.tolerance)}"
    result = _relative(check.max_rel, check.tolerance, check.verdict, reason)
    return _at_level(result, check.optimization_level)


def _at_level(result: Result, level: int | None) -> Result:
    """Adds to a result how the programs of its check were compiled, if not as users have them."""
    if level is None:
        return result
    how = f", compiled at optimization level {level}"
    return replace(result, reason=f"{result.reason}{how}", figure=f"{result.figure}{how}")


def _fine_tuning(check: FineTuningCheck) -> Result:
    if names := check.without_gradient:
        reason = f"{len(names)} variables have no finite gradient: {', '.join(names[:5])}"
    elif not check.variables:
        reason = "no trainable variables"
    else:
        reason = (
            "a step of gradient descent does not lower the loss:"
            f" {check.loss_before:.4f} before, {check.loss_after:.4f} after"
        )
    figure = f"{check.variables} variables, loss {check.loss_before:.4f} to {check.loss_after:.4f}"
    result = Result(check.loss_after - check.loss_before, 0.0, check.verdict, reason, figure)
    return _at_level(result, check.optimization_level)


# By rung, which is a field of ModuleReport, in order: the result of the check in that field.
RUNGS: dict[str, Callable[[Any], Result]] = {
    "weights": _weights,
    "selftest": _selftest,
    "session": functools.partial(_loader, "in a session of TensorFlow 1"),
    "c_api": functools.partial(_loader, "in TensorFlow's C API, whose loader TensorFlow Serving uses"),
    "preprocessing": _preprocessing,
    "encoded": _encoded,
    "parity": _parity,
    "tokens": _tokens,
    "classes": _classes,
    "batch_sizes": _batch_sizes,
    "gradients": _gradients,
    "fine_tuning": _fine_tuning,
}


# Those that modules of earlier releases do not have, and not every module has.
OPTIONAL = ("encoded", "tokens", "classes")
# How many rungs one module has at most.
MOST = len(RUNGS) - 1  # tokens or classes
# Those that need trainable variables.
TRAINING = ("gradients", "fine_tuning")


def not_measured(reason: str) -> Result:
    """Returns the result of a check that was not made."""
    return Result(None, None, Verdict.NOT_MEASURED, reason, "")


def judge(rung: str, check: Any, trace: BlockTrace | None = None) -> Result:
    """Returns the result of a module's check.

    Args:
        rung: one of RUNGS.
        check: the dataclass of pipeline.facts.checks in that field of ModuleReport.
        trace: where a difference begins, for the rung parity.
    """
    result = RUNGS[rung](check)
    return result if trace is None else replace(result, reason=result.reason + _where(trace, check.tolerance))


def _module_rungs(modules: Mapping[Head, ModuleReport], frozen: str) -> Iterator[Rung]:
    for name in RUNGS:
        for head, module in modules.items():
            check = getattr(module, name)
            if check is None and name in OPTIONAL:
                continue
            if check is None:
                reason = frozen if frozen and name in TRAINING else SKIPPED
                yield _rung(name, head, not_measured(reason))
            else:
                result = judge(name, check, module.blocks if name == "parity" else None)
                yield _rung(name, head, replace(result, reason=f"{head}: {result.reason}"))


# The checks of both modules, and the accuracy -------------------------------------------------------------------------
def judge_features(check: Comparison) -> Result:
    """Returns the result of the check that the two modules belong together."""
    reason = (
        "extractor and classifier do not belong together: extractor + head differs from the classifier,"
        f" {_error(check.max_rel, check.tolerance)}"
    )
    return _relative(check.max_rel, check.tolerance, check.verdict, reason)


def _reported(accuracy: Accuracy) -> Result:
    """Compares the reported accuracy with the measured interval: value is the difference, tolerance the interval's.

    It is no gate: on a sample of the images of the reported figure, one good model in twenty fails by chance (on all of
    them none should), and a figure from elsewhere may be wrong.
    """
    measured = accuracy.measured
    against = measured.against_reported if measured else None
    if measured is None or against is None or against.inside is None:
        reason = against.reason if against else accuracy.reason
        return Result(None, None, Verdict.NOT_MEASURED, reason, "", gate=False)
    (low, high), top1 = measured.top1_interval, measured.top1
    tolerance = high - top1 if against.value > top1 else top1 - low
    difference = abs(against.value - top1)
    return Result(difference, tolerance, Verdict.of(against.inside), against.reason, against.reason, gate=False)


def _accuracy(accuracy: Accuracy) -> Result:
    measured, minimum = accuracy.measured, accuracy.minimum_top1
    if measured is None:
        return Result(None, minimum, accuracy.verdict, accuracy.reason, "")
    figure = f"top-1 {100 * measured.top1:.2f} % (minimum {100 * minimum:.2f} %) on {measured.images:,} images"
    return Result(measured.top1, minimum, accuracy.verdict, accuracy.reason, figure)


def _label_order(order: LabelOrder, images: int) -> Result:
    hits = f"{order.hits:,} of {images:,} images are right ({order.chance:,.1f} by chance)"
    return Result(None, None, order.verdict, order.reason, f"{hits}, no other order fits better")


def judge_accuracy(accuracy: Accuracy) -> dict[str, Result]:
    """Returns the results of the checks of the classifier's accuracy, by rung, in order."""
    results = {}
    if accuracy.measured is not None:
        results["label_order"] = _label_order(accuracy.measured.label_order, accuracy.measured.images)
    results["accuracy"] = _accuracy(accuracy)
    if accuracy.reported is not None:
        results["reported"] = _reported(accuracy)
    return results


# The ladder -----------------------------------------------------------------------------------------------------------
def _rung(name: str, head: Head | None, result: Result) -> Rung:
    reason = "" if result.verdict is Verdict.PASS else result.reason
    return Rung(name, head, result.value, result.tolerance, result.verdict, reason, result.gate)


def rungs(report: Report) -> tuple[Rung, ...]:
    """Returns the rungs of a report in order; checks that were not reached are not measured."""
    rungs = list(_module_rungs(report.modules, report.model.frozen))
    if report.features is not None:
        rungs.append(_rung("features", None, judge_features(report.features)))
    accuracy = judge_accuracy(report.accuracy)
    return (*rungs, *(_rung(name, Head.CLASSIFICATION, result) for name, result in accuracy.items()))


def failures(report: Report, gate: bool = True) -> list[str]:
    """Returns a sentence for each rung that failed.

    Args:
        report: the report; its own ladder is not read.
        gate: whether to list the failures that stop the publication, or the others.
    """
    return [rung.reason for rung in rungs(report) if rung.verdict is Verdict.FAIL and rung.gate == gate]
