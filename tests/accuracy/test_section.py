"""section: what the section `evaluation` refuses, and which heads no images can measure."""

from pathlib import Path

import pytest

from pipeline.accuracy.section import MULTI_LABEL, ONE_CLASS, Evaluation, images_of, why_unmeasurable
from pipeline.base.fault import Fault
from pipeline.facts.accuracy import Reported


@pytest.mark.parametrize("value", [-0.1, 1.1, 80.462])
def test_accuracies_are_fractions(value: float) -> None:
    with pytest.raises(Fault, match="must lie in 0 to 1"):
        Evaluation("d", value)
    with pytest.raises(Fault, match="must lie in 0 to 1"):
        Evaluation("d", 0.5, reported=Reported(value, "s"))


def test_one_class_and_several_classes_an_image_are_not_measured() -> None:
    several = Evaluation("things", 0.0, multi_label=True)
    assert why_unmeasurable(2, Evaluation("cats and dogs", 0.5)) is None
    assert why_unmeasurable(1, Evaluation("cats", 0.5)) == ONE_CLASS
    assert why_unmeasurable(10, several) == MULTI_LABEL
    assert images_of(several, Path("member"), Path("imagenet")) is None


def test_class_folders_say_one_class_an_image() -> None:
    with pytest.raises(Fault, match=r"evaluation\.images is for one class an image, got multi_label: true as well"):
        Evaluation("things", 0.0, images="images", multi_label=True)
