"""ladder: what each rung says, from figures alone."""

from typing import Any

import pytest

from pipeline.accuracy import statistics
from pipeline.proof import ladder

REPORTED = {"top1": 0.8, "source": "the paper"}


def report(hits: int | None, other: str | None = None) -> dict[str, Any]:
    """Returns a report of 1,000 images, or of none, for a model whose reported top-1 accuracy is 80 %."""
    accuracy: dict[str, Any] = {"reported": REPORTED}
    if hits is None:
        return {"modules": {}, "accuracy": accuracy | statistics.gate(None, 0.5, "no images at hand")}
    against = statistics.against_reported(hits, 1000, 0.8, "the paper", 1000, 1000, other)
    accuracy |= {"top1": hits / 1000, "top1_interval": statistics.interval(hits, 1000), "against_reported": against}
    return {"modules": {}, "accuracy": accuracy | {"minimum_top1": 0.5, "verdict": "pass", "reason": ""}}


def rung(found: dict[str, Any]) -> ladder.Rung:
    return next(rung for rung in ladder.rungs(found) if rung.rung == "reported")


@pytest.mark.parametrize(
    ("hits", "verdict"), [(700, "fail"), (760, "fail"), (790, "pass"), (800, "pass"), (860, "fail")]
)
def test_the_reported_figure_is_held_against_the_interval(hits: int, verdict: str) -> None:
    found = rung(report(hits))
    assert found.verdict == verdict
    assert found.value is not None
    assert found.tolerance is not None
    assert found.value == pytest.approx(abs(0.8 - hits / 1000))
    assert (found.value <= found.tolerance) == (verdict == "pass")


def test_a_reported_figure_outside_is_said_and_stops_nothing() -> None:
    found = report(700)
    assert ladder.failures(found) == []
    (sentence,) = ladder.failures(found, gate=False)
    assert sentence == "the reported 80.00 % lies above the 95 % interval of 1,000 images, 67.09 % to 72.76 %"


def test_a_figure_about_other_images_is_not_held_against() -> None:
    found = rung(report(700, "the images are ImageNet-V2"))
    assert (found.verdict, found.value) == ("not measured", None)
    assert found.reason == "the reported figure is not comparable, because the images are ImageNet-V2"


def test_without_images_nothing_is_held_against() -> None:
    assert rung(report(None)).reason == "no images at hand"


def test_no_rung_without_a_reported_figure() -> None:
    found = report(700)
    found["accuracy"]["reported"] = None
    assert [rung.rung for rung in ladder.rungs(found)] == ["accuracy"]
