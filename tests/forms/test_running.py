"""How fast a file is, whatever its runtime."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.forms.running import Order, Run, measure_run

IMAGES = np.zeros((2, 4, 4, 3), np.float32)


class Clocked:
    """A model that takes seconds of a clock of its own: those of each call in turn, the last of them from then on."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.sizes, self._seconds = 0.0, list[int](), seconds

    def __call__(self, images: np.ndarray) -> np.ndarray:
        self.now += self._seconds[min(len(self.sizes), len(self._seconds) - 1)]
        self.sizes.append(len(images))
        return images.mean(axis=(1, 2))


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[[Clocked], Run]:
    def run(model: Clocked) -> Run:
        monkeypatch.setattr("time.perf_counter", lambda: model.now)
        return measure_run(lambda: model, Order(Path("file"), IMAGES, (), (32,)), "1")

    return run


def test_a_first_call_does_not_count(measure: Callable[[Clocked], Run]) -> None:
    model = Clocked(0.5, 2.5, 0.25)
    run = measure(model)
    assert run.first_seconds == 0.5
    assert model.sizes == [1, 32, *[32] * 5]
    assert run.rates == {32: 32 / 0.25}


def test_there_are_as_many_calls_as_there_is_time_for(measure: Callable[[Clocked], Run]) -> None:
    model = Clocked(0.1, 0.1, 1.0, 2.0)
    assert measure(model).rates == {32: 32 / 1.5}  # the median of 1 and 2 seconds
    assert model.sizes == [1, 32, 32, 32]


def test_of_long_calls_the_first_one_counts_alone(measure: Callable[[Clocked], Run]) -> None:
    model = Clocked(0.5, 4.0, 1.0)
    assert measure(model).rates == {32: 32 / 4}
    assert model.sizes == [1, 32]
