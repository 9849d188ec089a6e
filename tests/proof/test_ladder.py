"""ladder: the sentence of each rung that failed, from figures alone."""

import math
from dataclasses import replace
from typing import Any

import pytest

from pipeline.accuracy.statistics import against_reported, interval
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import Reported
from pipeline.facts.checks import LoaderCheck
from pipeline.facts.report import Report, Rung
from pipeline.proof import ladder
from tests.reports import not_measured, with_accuracy, with_checks, with_measured

REPORTED = Reported(0.8, "the paper")


def with_hits(report: Report, hits: int, difference: str | None = None) -> Report:
    """Returns the report of a model that is right on so many of 1,000 images, and is reported to reach 80 %."""
    report = with_measured(report, images=1000, top1=hits / 1000, top1_interval=interval(hits, 1000))
    assert report.accuracy.measured
    against = against_reported(report.accuracy.measured, REPORTED, difference)
    return with_accuracy(with_measured(report, against_reported=against), reported=REPORTED)


def reported_rung(report: Report) -> Rung:
    return next(rung for rung in ladder.rungs(report) if rung.rung == "reported")


def test_rungs_are_in_order_and_passed_ones_give_no_reason(report: Report) -> None:
    rungs = ladder.rungs(report)
    assert list(dict.fromkeys(rung.rung for rung in rungs)) == [
        "weights", "selftest", "session", "c_api", "preprocessing", "encoded", "parity", "tokens",
        "classes", "batch_sizes", "gradients", "fine_tuning", "features", "label_order", "accuracy",
    ]  # fmt: skip
    assert {rung.head for rung in rungs if rung.rung == "features"} == {None}
    assert {(rung.verdict, rung.reason) for rung in rungs} == {(Verdict.PASS, "")}
    assert ladder.failures(report) == []


def failed(report: Report, check: str, **changes: Any) -> str:
    """Returns the sentence of a report whose extractor failed a check."""
    before = getattr(report.modules[Head.FE], check)
    changed = replace(before, verdict=Verdict.FAIL, **changes)
    (sentence,) = ladder.failures(with_checks(report, Head.FE, **{check: changed}))
    return sentence


def test_each_failed_check_of_a_module_is_one_sentence(report: Report) -> None:
    assert failed(report, "encoded", max_rel=0.5) == (
        "fe: the signature serving_jpeg does not read images as Pillow does, or prepares them otherwise: relative error"
        " 5.0e-01 (limit 1e-05)"
    )
    assert failed(report, "tokens", max_rel=0.5) == (
        "fe: the tokens of TensorFlow and JAX differ: relative error 5.0e-01 (limit 1e-05)"
    )
    assert failed(report, "weights", different=("cls",)) == "fe: 1 variables differ from the checkpoint: cls"
    assert failed(report, "selftest", max_rel={"call": 0.0, "serving_images": math.nan}) == (
        "fe: the self-test fails (serving_images): relative error nan (limit 1e-05)"
    )
    assert failed(report, "session", max_rel={"serving_default": 0.5, "serving_images": 0.0}) == (
        "fe: in a session of TensorFlow 1: serving_default differs from the JAX model, relative error 5.0e-01 (limit"
        " 1e-05)"
    )
    assert failed(report, "c_api", max_rel={}, reason="Failed to bind all placeholders") == (
        "fe: in TensorFlow's C API, whose loader TensorFlow Serving uses: Failed to bind all placeholders"
    )
    assert failed(report, "preprocessing", max_rel=0.5) == (
        "fe: the signature serving_images does not prepare images as the protocol resize does: relative error 5.0e-01"
        " (limit 1e-05)"
    )
    assert failed(report, "batch_sizes", max_rel={"1": 0.0, "7": 0.5}) == (
        "fe: outputs for batches of 7 and 16 differ: relative error 5.0e-01 (limit 1e-05)"
    )
    assert failed(report, "gradients", max_rel=0.5, worst="cls") == (
        "fe: the gradient of cls differs from JAX's: relative error 5.0e-01 (limit 2e-04)"
    )
    assert failed(report, "fine_tuning", loss_before=1.0, loss_after=2.0) == (
        "fe: a step of gradient descent does not lower the loss: 1.0000 before, 2.0000 after"
    )
    assert failed(report, "fine_tuning", loss_before=1.0, loss_after=2.0, optimization_level=0) == (
        "fe: a step of gradient descent does not lower the loss: 1.0000 before, 2.0000 after, compiled at optimization"
        " level 0"
    )


def test_a_failed_parity_names_the_block_where_the_error_starts(report: Report) -> None:
    sentence = "fe: TensorFlow and JAX differ: relative error 5.0e-01 (limit 1e-05)"
    assert failed(report, "parity", max_rel=0.5) == (
        f"{sentence}; all blocks match up to Transformer/encoderblock_5, the error starts after it"
    )
    blocks = report.modules[Head.FE].blocks
    errors = [(path, 0.1 if number == 3 else error) for number, (path, error) in enumerate(blocks.max_rel)]
    traced = with_checks(report, Head.FE, blocks=replace(blocks, max_rel=tuple(errors)))
    assert failed(traced, "parity", max_rel=0.5) == (
        f"{sentence}; the error starts between Transformer/encoderblock_1 and Transformer/encoderblock_2, whose"
        " relative error is 1.0e-01"
    )
    untraced = with_checks(report, Head.FE, blocks=replace(blocks, max_rel=(), reason="it has no blocks"))
    assert failed(untraced, "parity", max_rel=0.5) == f"{sentence}; no block can be named: it has no blocks"


def test_another_class_is_counted(report: Report) -> None:
    parity = replace(report.modules[Head.CLASSIFICATION].parity, verdict=Verdict.FAIL, argmax_agreement=0.75)
    (sentence,) = ladder.failures(with_checks(report, Head.CLASSIFICATION, parity=parity))
    assert ", another class for 25.0% of the inputs; " in sentence


def test_a_loader_that_is_missing_is_not_measured_and_stops_nothing(report: Report) -> None:
    check = LoaderCheck({}, 1e-5, Verdict.NOT_MEASURED, reason="the tensorflow package has no libtensorflow_cc.so.2")
    without = with_checks(report, Head.FE, c_api=check)
    (rung,) = (rung for rung in ladder.rungs(without) if rung.verdict is not Verdict.PASS)
    assert (rung.rung, rung.value, rung.verdict) == ("c_api", None, Verdict.NOT_MEASURED)
    assert rung.reason.endswith(": the tensorflow package has no libtensorflow_cc.so.2")
    assert ladder.failures(without) == []


def test_tokens_have_a_limit_of_their_own(report: Report) -> None:
    """Of the same error, what is beyond its limit is named, not what is larger."""
    errors = {"serving_default": 4e-5, "serving_tokens": 9e-5}
    check = LoaderCheck(errors, 5e-5, Verdict.PASS, tokens_tolerance=1e-4)
    assert ladder.judge("c_api", check).figure == "relative error 9.0e-05 (limit 1e-04)"
    for wrong, sentence in (
        ({"serving_default": 6e-5}, "serving_default differs from the JAX model, relative error 6.0e-05 (limit 5e-05)"),
        ({"serving_tokens": 2e-4}, "serving_tokens differs from the JAX model, relative error 2.0e-04 (limit 1e-04)"),
    ):
        failed = LoaderCheck(errors | wrong, 5e-5, Verdict.FAIL, tokens_tolerance=1e-4)
        assert ladder.judge("c_api", failed).reason.endswith(f": {sentence}")
    one = LoaderCheck({"serving_tokens": 9e-5}, 5e-5, Verdict.FAIL)
    assert one.limit("serving_tokens") == 5e-5


def test_checks_that_were_not_reached_are_not_measured(report: Report) -> None:
    without = with_checks(report, Head.FE, gradients=None, fine_tuning=None)
    skipped = [rung for rung in ladder.rungs(without) if rung.verdict is Verdict.NOT_MEASURED]
    assert [(rung.rung, rung.head, rung.reason) for rung in skipped] == [
        ("gradients", Head.FE, "an earlier check failed"),
        ("fine_tuning", Head.FE, "an earlier check failed"),
    ]
    assert "features" not in {rung.rung for rung in ladder.rungs(replace(report, features=None))}


@pytest.mark.parametrize(
    ("hits", "verdict"), [(700, "fail"), (760, "fail"), (790, "pass"), (800, "pass"), (860, "fail")]
)
def test_the_reported_accuracy_is_compared_with_the_interval(report: Report, hits: int, verdict: str) -> None:
    rung = reported_rung(with_hits(report, hits))
    assert rung.verdict == verdict
    assert rung.value is not None
    assert rung.tolerance is not None
    assert rung.value == pytest.approx(abs(0.8 - hits / 1000))
    assert (rung.value <= rung.tolerance) == (verdict == "pass")


def test_a_reported_accuracy_outside_the_interval_stops_nothing(report: Report) -> None:
    report = with_hits(report, 700)
    assert ladder.failures(report) == []
    (sentence,) = ladder.failures(report, gate=False)
    assert sentence == "the reported 80.00 % is above the 95 % interval of 1,000 images, 67.09 % to 72.76 %"


def test_a_reported_accuracy_on_other_images_is_not_compared(report: Report) -> None:
    rung = reported_rung(with_hits(report, 700, "the images are ImageNet-V2"))
    assert (rung.verdict, rung.value) == ("not measured", None)
    assert rung.reason == "the reported figure is not comparable, because the images are ImageNet-V2"


def test_without_images_nothing_is_compared(report: Report) -> None:
    assert reported_rung(not_measured(report, "no images of cats", REPORTED)).reason == "no images of cats"
