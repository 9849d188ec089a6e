"""The ladder of proofs: every check of a report as a rung with value, tolerance, verdict and, where it failed, why.

Each rung rests on those before it: the weights are the checkpoint's, the module reproduces its self-test, in other
loaders too, and matches the JAX model, for every batch size, its two heads belong together, it can be differentiated
and trained, and last, how well it classifies.

A new rung is a dataclass in pipeline.facts.checks, the code that fills it in (pipeline.proof.checks), and its sentence
here.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import Accuracy, Measured
from pipeline.facts.checks import BlockTrace, Comparison, LoaderCheck, ModuleReport
from pipeline.facts.report import Report, Rung

SKIPPED = "an earlier check failed"


@dataclass(frozen=True)
class _Result:
    """A check's outcome: value, tolerance and verdict as in Rung, and the reason in case it failed."""

    value: float | None
    tolerance: float
    verdict: Verdict
    reason: str


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


def _weights(module: ModuleReport) -> _Result:
    check = module.weights
    names = check.different
    reason = f"{len(names)} variables differ from the checkpoint: {', '.join(names[:5])}"
    return _Result(float(len(names)), 0.0, check.verdict, reason)


def _selftest(module: ModuleReport) -> _Result:
    check = module.selftest
    way, value = _worst(check.max_rel)
    reason = f"the self-test fails ({way}): {_error(value, check.tolerance)}"
    return _Result(value, check.tolerance, check.verdict, reason)


def _loader(check: LoaderCheck | None, name: str) -> _Result | None:
    if check is None:
        return None
    if check.reason:
        return _Result(None, check.tolerance, check.verdict, f"{name}: {check.reason}")
    signature, value = _worst(check.max_rel)
    reason = f"{name}: {signature} differs from the JAX model, {_error(value, check.tolerance)}"
    return _Result(value, check.tolerance, check.verdict, reason)


def _session(module: ModuleReport) -> _Result | None:
    return _loader(module.session, "in a session of TensorFlow 1")


def _c_api(module: ModuleReport) -> _Result | None:
    return _loader(module.c_api, "in TensorFlow's C API, whose loader TensorFlow Serving uses")


def _preprocessing(module: ModuleReport) -> _Result:
    check = module.preprocessing
    reason = (
        "the signature serving_images does not prepare images as the protocol resize does:"
        f" {_error(check.max_rel, check.tolerance)}"
    )
    return _Result(check.max_rel, check.tolerance, check.verdict, reason)


def _parity(module: ModuleReport) -> _Result:
    check = module.parity
    agreement = 1.0 if check.argmax_agreement is None else check.argmax_agreement
    reason = (
        f"TensorFlow and JAX differ: {_error(check.max_rel, check.tolerance)}"
        + (f", another class for {1 - agreement:.1%} of the inputs" if agreement < 1 else "")
        + _where(module.blocks, check.tolerance)
    )
    return _Result(check.max_rel, check.tolerance, check.verdict, reason)


def _batch_sizes(module: ModuleReport) -> _Result:
    check = module.batch_sizes
    size, value = _worst(check.max_rel)
    reason = f"outputs for batches of {size} and {check.of} differ: {_error(value, check.tolerance)}"
    return _Result(value, check.tolerance, check.verdict, reason)


def _gradients(module: ModuleReport) -> _Result | None:
    check = module.gradients
    if check is None:
        return None
    if check.max_rel is None:
        reason = f"expected a gradient for each of the checkpoint's {check.expected} arrays, got other variables"
    else:
        reason = f"the gradient of {check.worst} differs from JAX's: {_error(check.max_rel, check.tolerance)}"
    return _Result(check.max_rel, check.tolerance, check.verdict, reason)


def _fine_tuning(module: ModuleReport) -> _Result | None:
    check = module.fine_tuning
    if check is None:
        return None
    if names := check.without_gradient:
        reason = f"{len(names)} variables have no finite gradient: {', '.join(names[:5])}"
    elif not check.variables:
        reason = "no trainable variables"
    else:
        reason = (
            "a step of gradient descent does not lower the loss:"
            f" {check.loss_before:.4f} before, {check.loss_after:.4f} after"
        )
    return _Result(check.loss_after - check.loss_before, 0.0, check.verdict, reason)


# By rung, in order: what came of the check of one module; None where it was not reached.
_MODULE_RUNGS: dict[str, Callable[[ModuleReport], _Result | None]] = {
    "weights": _weights,
    "selftest": _selftest,
    "session": _session,
    "c_api": _c_api,
    "preprocessing": _preprocessing,
    "parity": _parity,
    "batch_sizes": _batch_sizes,
    "gradients": _gradients,
    "fine_tuning": _fine_tuning,
}


def _module_rungs(modules: Mapping[Head, ModuleReport]) -> Iterator[Rung]:
    for name, check in _MODULE_RUNGS.items():
        for head, module in modules.items():
            result = check(module)
            if result is None:
                yield Rung(name, head, None, None, Verdict.NOT_MEASURED, SKIPPED)
            else:
                reason = f"{head}: {result.reason}"
                yield Rung(name, head, result.value, result.tolerance, result.verdict, reason)


def _features(check: Comparison) -> Rung:
    reason = (
        "extractor and classifier do not belong together: extractor + head differs from the classifier,"
        f" {_error(check.max_rel, check.tolerance)}"
    )
    return Rung("features", None, check.max_rel, check.tolerance, check.verdict, reason)


def _reported(accuracy: Accuracy) -> Rung:
    """Compares the reported accuracy with the measured interval: value is the difference, tolerance the interval's.

    It is no gate: on a sample of the images of the reported figure, one good model in twenty fails by chance (on all of
    them none should), and a figure from elsewhere may be wrong.
    """
    measured = accuracy.measured
    against = measured.against_reported if measured else None
    if measured is None or against is None or against.inside is None:
        reason = against.reason if against else accuracy.reason
        return Rung("reported", Head.CLASSIFICATION, None, None, Verdict.NOT_MEASURED, reason, gate=False)
    (low, high), top1 = measured.top1_interval, measured.top1
    tolerance = high - top1 if against.value > top1 else top1 - low
    verdict = Verdict.of(against.inside)
    difference = abs(against.value - top1)
    return Rung("reported", Head.CLASSIFICATION, difference, tolerance, verdict, against.reason, gate=False)


def _label_order(measured: Measured) -> Rung:
    order = measured.label_order
    return Rung("label_order", Head.CLASSIFICATION, None, None, order.verdict, order.reason)


def _accuracy(accuracy: Accuracy) -> Rung:
    top1 = accuracy.measured.top1 if accuracy.measured else None
    return Rung("accuracy", Head.CLASSIFICATION, top1, accuracy.minimum_top1, accuracy.verdict, accuracy.reason)


def _all_rungs(report: Report) -> Iterator[Rung]:
    yield from _module_rungs(report.modules)
    if report.features is not None:
        yield _features(report.features)
    if report.accuracy.measured is not None:
        yield _label_order(report.accuracy.measured)
    yield _accuracy(report.accuracy)
    if report.accuracy.reported is not None:
        yield _reported(report.accuracy)


def rungs(report: Report) -> tuple[Rung, ...]:
    """Returns the rungs of a report in order; checks that were not reached are not measured."""
    return tuple(replace(rung, reason="") if rung.verdict is Verdict.PASS else rung for rung in _all_rungs(report))


def failures(report: Report, gate: bool = True) -> list[str]:
    """Returns a sentence for each rung that failed.

    Args:
        report: the report; its own ladder is not read.
        gate: whether to list the failures that stop the publication, or the others.
    """
    return [rung.reason for rung in rungs(report) if rung.verdict is Verdict.FAIL and rung.gate == gate]
