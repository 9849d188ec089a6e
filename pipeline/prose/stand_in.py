"""Reports with figures that nobody measured, so that pages can be tried before there is a report.

They are never written: what a page says in words does not depend on the figures, and only the words are judged.
"""

from collections.abc import Sequence
from dataclasses import replace

from pipeline.accuracy.section import Evaluation
from pipeline.base.heads import Head
from pipeline.base.verdict import Verdict
from pipeline.base.verification import Verification
from pipeline.facts.accuracy import Accuracy, AgainstReported, Calibration, ClassName, Confusion, LabelOrder, Measured
from pipeline.facts.checks import (
    BatchSizes,
    BlockTrace,
    Comparison,
    FineTuningCheck,
    GradientCheck,
    ModuleReport,
    Needs,
    SelfTestReplay,
    WeightsCheck,
)
from pipeline.facts.report import CheckpointFacts, Environment, ModelFacts, Report
from pipeline.images.labels import Label, has_background
from pipeline.model.facts import describe_model
from pipeline.model.section import Model

_DIGEST = "0" * 64
_COMPARED = Comparison(1, 1.0, 1.0, 1.0, 1.0, Verdict.PASS, 1.0)


def stand_in_report(model: Model, evaluation: Evaluation, names: Sequence[Label], is_measured: bool) -> Report:
    """Returns a report of a member that has not been made.

    Args:
        model, evaluation: its sections.
        names: the labels in the order of the logits; may be empty.
        is_measured: whether its accuracy is measured; of one that is not, the weights are not verified either.
    """
    verification = Verification.PINNED if is_measured else Verification.UNVERIFIED
    accuracy = Accuracy(
        dataset=evaluation.dataset,
        expected_dataset=evaluation.dataset,
        minimum_top1=0.0,
        verdict=Verdict.PASS,
        reason=f"no images of {evaluation.dataset}",
        reported=evaluation.reported,
    )
    return Report(
        checkpoint=CheckpointFacts("stand-in.npz", _DIGEST, _DIGEST, 1, verification),
        model=ModelFacts(**describe_model(model), has_background=has_background(names)),
        environment=Environment("1", "1", "1", "1", "1", "x86_64"),
        parity_inputs="images",
        modules={head: _module(model.classes if head is Head.CLASSIFICATION else 1) for head in Head},
        features=_COMPARED,
        accuracy=replace(accuracy, measured=_measured(model, evaluation, names)) if is_measured else accuracy,
    )


def _module(output_width: int) -> ModuleReport:
    return ModuleReport(
        content_sha256=_DIGEST,
        bytes=1,
        output_width=output_width,
        needs=Needs("2", ("cpu",), (1,), ("1",), ()),
        weights=WeightsCheck(1, 1, (), Verdict.PASS),
        selftest=SelfTestReplay({"call": 1.0}, 1.0, Verdict.PASS),
        preprocessing=_COMPARED,
        parity=_COMPARED,
        batch_sizes=BatchSizes(1, {"1": 1.0}, 1.0, Verdict.PASS),
        blocks=BlockTrace(),
        gradients=GradientCheck(1, 1, 1.0, "a", 1.0, Verdict.PASS),
        fine_tuning=FineTuningCheck(1, (), 1.0, 1.0, Verdict.PASS),
    )


def _measured(model: Model, evaluation: Evaluation, names: Sequence[Label]) -> Measured:
    first, last = (
        ClassName(index, names[index].key, names[index].name) if names else ClassName(index)
        for index in (0, model.classes - 1)
    )
    reported = evaluation.reported
    return Measured(
        images=1,
        classes=model.classes,
        outputs=model.classes,
        top1=1.0,
        top1_interval=(1.0, 1.0),
        top5=1.0,
        top5_interval=(1.0, 1.0),
        calibration=Calibration(1.0, ()),
        confusions=(Confusion(first, last, 1, 1),),
        not_numbers=0,
        layout="images",
        protocol=evaluation.protocol,
        manifest_sha256=_DIGEST,
        damaged={},
        training_images=0,
        images_per_second=1.0,
        label_order=LabelOrder(Verdict.PASS, "", 1, 1.0, {}),
        against_reported=AgainstReported(reported.top1, reported.source, True, "as reported") if reported else None,
    )
