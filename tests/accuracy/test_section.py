"""section: what the section `evaluation` refuses."""

import pytest

from pipeline.accuracy.section import Evaluation
from pipeline.base.fault import Fault
from pipeline.facts.accuracy import Reported


@pytest.mark.parametrize("value", [-0.1, 1.1, 80.462])
def test_accuracies_are_fractions(value: float) -> None:
    with pytest.raises(Fault, match="must lie in 0 to 1"):
        Evaluation("d", value)
    with pytest.raises(Fault, match="must lie in 0 to 1"):
        Evaluation("d", 0.5, reported=Reported(value, "s"))
