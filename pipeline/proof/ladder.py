"""The proof ladder: every check of a report as one rung, with value, tolerance, verdict and, where it failed, why.

Each rung rests on those before it: that the weights are the checkpoint's, that the module computes what its author saw,
that it computes what the JAX model does, alone and in batches, that its two heads belong together, that it can be
differentiated and trained, and at last how well it classifies.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Report = dict[str, Any]

SKIPPED = "an earlier check failed"


@dataclass(frozen=True)
class Rung:
    """A check.

    Attributes:
        rung: its name.
        head: "classification" or "fe"; "" for one that is about both.
        value: what was measured; None where nothing was.
        tolerance: the largest value that passes; for an accuracy, the least.
        verdict: "pass", "fail" or "not measured".
        reason: a sentence that says why it failed or was not measured; "" for one that passed.
        gate: whether its failure stops the publication.
    """

    rung: str
    head: str
    value: float | None
    tolerance: float | None
    verdict: str
    reason: str = ""
    gate: bool = True


def _worst(found: dict[str, float]) -> tuple[str, float]:
    """Returns the entry with the largest value; NaN is larger than any."""
    return max(found.items(), key=lambda pair: (math.isnan(pair[1]), pair[1]))


def _where(traced: Report, tolerance: float) -> str:
    """Returns a clause that says at which block the difference begins."""
    if "reason" in traced:
        return f"; where it begins cannot be shown: {traced['reason']}"
    previous = ""
    for path, difference in traced["max_rel"]:
        if not difference <= tolerance:  # NaN, too
            place = f"between {previous} and {path}" if previous else f"before or in {path}"
            return f"; it begins {place}, which is off by {difference:.1e}"
        previous = path
    return f"; all blocks agree up to {previous}, so it begins after it"


def _weights(head: str, findings: Report) -> Rung:
    found = findings["weights"]
    names = found["different"]
    reason = f"{head}: {len(names)} variables differ from the checkpoint: {', '.join(names[:5])}" if names else ""
    return Rung("weights", head, len(names), 0, found["verdict"], reason)


def _selftest(head: str, findings: Report) -> Rung:
    found = findings["selftest"]
    way, value = _worst(found["max_rel"])
    reason = (
        f"{head}: the self-test inside differs ({way}) by {value:.1e} of the largest output, expected at most"
        f" {found['tolerance']:.0e}"
    )
    return Rung("selftest", head, value, found["tolerance"], found["verdict"], reason)


def _preprocessing(head: str, findings: Report) -> Rung:
    found = findings["preprocessing"]
    reason = (
        f"{head}: the signature serving_images does not prepare images as the protocol resize does: the outputs differ"
        f" by {found['max_rel']:.1e} of the largest, expected at most {found['tolerance']:.0e}"
    )
    return Rung("preprocessing", head, found["max_rel"], found["tolerance"], found["verdict"], reason)


def _parity(head: str, findings: Report) -> Rung:
    found = findings["parity"]
    agreement = found.get("argmax_agreement", 1.0)
    reason = (
        f"{head}: TensorFlow and JAX differ by {found['max_rel']:.1e} of the largest output, expected at most"
        f" {found['tolerance']:.0e}"
        + (f", and name another class for {1 - agreement:.1%} of the inputs" if agreement < 1 else "")
        + _where(findings["blocks"], found["tolerance"])
    )
    return Rung("parity", head, found["max_rel"], found["tolerance"], found["verdict"], reason)


def _batch_sizes(head: str, findings: Report) -> Rung:
    found = findings["batch_sizes"]
    size, value = _worst(found["max_rel"])
    reason = (
        f"{head}: in a batch of {size} the outputs differ from those in one of {found['of']} by {value:.1e} of the"
        f" largest, expected at most {found['tolerance']:.0e}"
    )
    return Rung("batch_sizes", head, value, found["tolerance"], found["verdict"], reason)


def _gradients(head: str, findings: Report) -> Rung:
    found = findings["gradients"]
    if found["max_rel"] is None:
        reason = f"{head}: its gradients are not those of the checkpoint's {found['expected']} arrays, one each"
    else:
        reason = (
            f"{head}: the gradient by {found['worst']} differs from JAX's by {found['max_rel']:.1e} of its norm,"
            f" expected at most {found['tolerance']:.0e}"
        )
    return Rung("gradients", head, found["max_rel"], found["tolerance"], found["verdict"], reason)


def _fine_tuning(head: str, findings: Report) -> Rung:
    found = findings["fine_tuning"]
    if names := found["without_gradient"]:
        reason = f"{head}: {len(names)} variables have no finite gradient: {', '.join(names[:5])}"
    elif not found["variables"]:
        reason = f"{head}: it has no trainable variables"
    else:
        reason = (
            f"{head}: a step of gradient descent does not lower the loss: {found['loss_before']:.4f} before,"
            f" {found['loss_after']:.4f} after"
        )
    return Rung("fine_tuning", head, found["loss_after"] - found["loss_before"], 0, found["verdict"], reason)


def _features(found: Report) -> Rung:
    reason = (
        "the feature extractor and the classifier do not belong together: its features through the checkpoint's head"
        f" are off the classifier's logits by {found['max_rel']:.1e} of the largest, expected at most"
        f" {found['tolerance']:.0e}"
    )
    return Rung("features", "", found["max_rel"], found["tolerance"], found["verdict"], reason)


_OF_A_HEAD: dict[str, Callable[[str, Report], Rung]] = {
    "weights": _weights,
    "selftest": _selftest,
    "preprocessing": _preprocessing,
    "parity": _parity,
    "batch_sizes": _batch_sizes,
    "gradients": _gradients,
    "fine_tuning": _fine_tuning,
}


def _reported(found: Report) -> Rung:
    """Holds the measured accuracy against the reported one: how far it is off, and how far its interval reaches there.

    This is no gate: on a sample of the images that the figure is about, one good model in twenty fails it by chance (on
    all of them none should), and a figure from elsewhere may be the wrong one.
    """
    against = found.get("against_reported")
    if against is None or against["inside"] is None:
        return Rung("reported", "classification", None, None, "not measured", (against or found)["reason"], gate=False)
    top1, (low, high), value = found["top1"], found["top1_interval"], against["value"]
    reach = high - top1 if value > top1 else top1 - low
    verdict = "pass" if against["inside"] else "fail"
    return Rung("reported", "classification", abs(value - top1), reach, verdict, against["reason"], gate=False)


def _accuracy(found: Report) -> Iterator[Rung]:
    """Yields the rungs of the accuracy: the order of the labels, the gate, and the reported figure, if there is one."""
    if order := found.get("label_order"):
        yield Rung("label_order", "classification", None, None, order["verdict"], order["reason"])
    yield Rung(
        "accuracy", "classification", found.get("top1"), found.get("minimum_top1"), found["verdict"], found["reason"]
    )
    if found.get("reported"):
        yield _reported(found)


def rungs(report: Report) -> list[Rung]:
    """Returns the rungs of a report in order; those that it has not come to are not measured."""
    found = [
        check(head, findings) if key in findings else Rung(key, head, None, None, "not measured", SKIPPED)
        for key, check in _OF_A_HEAD.items()
        for head, findings in report["modules"].items()
    ]
    if "features" in report:
        found.append(_features(report["features"]))
    found += _accuracy(report["accuracy"])
    return [rung if rung.verdict != "pass" else Rung(**vars(rung) | {"reason": ""}) for rung in found]


def failures(report: Report, gate: bool = True) -> list[str]:
    """Returns a sentence for each rung that failed: of those that stop a publication, or of those that do not."""
    return [rung.reason for rung in rungs(report) if rung.verdict == "fail" and rung.gate == gate]
