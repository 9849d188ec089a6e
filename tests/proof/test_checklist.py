"""checklist: one line per rung, with its figure and limit, or what failed and where."""

import re
from dataclasses import fields, replace

import pytest

from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.facts.accuracy import Reported
from pipeline.facts.checks import ModuleReport, TrainingChecks
from pipeline.facts.report import Report
from pipeline.proof import ladder
from pipeline.proof.checklist import Checklist
from tests.reports import not_measured

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def checklist() -> Checklist:
    return Checklist("validate m")


def climb(checklist: Checklist, report: Report, rung: str) -> None:
    module = report.modules[Head.FE]
    check = getattr(module, rung)
    assert checklist.climb(Head.FE, rung, lambda: check, module.blocks if rung == "parity" else None) is check


def lines(capsys: Capture) -> list[str]:
    """Returns the lines without their seconds."""
    return [re.sub(r"^validate m: +\d+\.\d s  ", "", line) for line in capsys.readouterr().err.splitlines()]


def test_each_rung_is_a_field_of_the_report_and_a_line_with_its_figure(
    checklist: Checklist, report: Report, capsys: Capture
) -> None:
    assert set(ladder.RUNGS) <= {field.name for field in fields(ModuleReport)}
    for rung in ("weights", "selftest", "preprocessing", "parity", "batch_sizes", "gradients", "fine_tuning"):
        climb(checklist, report, rung)
    printed = lines(capsys)
    assert printed[0] == "pass  fe weights                    all 102 arrays equal the checkpoint's, bit for bit"
    for line in printed[1:6]:
        assert re.fullmatch(r"pass  fe \w+ +relative error \d\.\de-\d\d \(limit \de-0\d\)", line)
    assert re.fullmatch(r"pass  fe fine_tuning +102 variables, loss \d\.\d{4} to \d\.\d{4}", printed[6])


def test_a_failed_rung_says_what_failed_and_where(checklist: Checklist, report: Report, capsys: Capture) -> None:
    module = report.modules[Head.FE]
    failed = replace(module.parity, verdict=Verdict.FAIL, max_rel=0.5)
    checklist.climb(Head.FE, "parity", lambda: failed, module.blocks)
    (line,) = lines(capsys)
    assert line == (
        "FAIL  fe parity                     TensorFlow and JAX differ: relative error 5.0e-01 (limit 1e-05); all"
        " blocks match up to Transformer/encoderblock_5, the error starts after it"
    )


def test_the_accuracy_is_shown_with_its_minimum(checklist: Checklist, report: Report, capsys: Capture) -> None:
    for rung, result in ladder.judge_accuracy(report.accuracy).items():
        checklist.show(rung, result)
    order, accuracy = lines(capsys)
    assert order.startswith("pass  label_order")
    assert re.search(r"top-1 \d\d\.\d\d % \(minimum 88\.00 %\) on 1,000 images$", accuracy)


def test_what_is_not_measured_says_why_and_what_stops_nothing_is_a_warning(
    checklist: Checklist, report: Report, capsys: Capture
) -> None:
    unmeasured = not_measured(report, "no images of cats", Reported(0.8, "the paper"))
    for rung, result in ladder.judge_accuracy(unmeasured.accuracy).items():
        checklist.show(rung, result)
    checklist.show("reported", ladder.Result(0.1, 0.05, Verdict.FAIL, "it is above", "", gate=False))
    assert lines(capsys) == [
        "-     accuracy                      not measured: no images of cats",
        "-     reported                      not measured: no images of cats",
        "warn  reported                      it is above",
    ]


def test_rungs_of_another_process_have_their_seconds(checklist: Checklist, report: Report, capsys: Capture) -> None:
    module = report.modules[Head.FE]
    assert module.gradients
    assert module.fine_tuning
    seconds = {"gradients": 31.26, "fine_tuning": 2.0}
    checklist.show_training(Head.FE, TrainingChecks(module.gradients, module.fine_tuning, seconds))
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("validate m:   31.3 s  pass  fe gradients ")
    assert second.startswith("validate m:    2.0 s  pass  fe fine_tuning ")


def test_the_bar_ends_with_the_last_line(report: Report) -> None:
    """The reference is a line, too."""
    assert Checklist("validate m", has_images=True).total == 1 + len(ladder.rungs(report))
