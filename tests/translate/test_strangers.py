"""Strangers' functions are translated right, or refused by the name of what cannot be translated."""

import numpy as np
import pytest

from pipeline.translate.reading import read
from pipeline.translate.refusal import Untranslatable
from tests.translate.comparing import Translated
from tests.translate.modules import serialize
from tests.translate.strangers import STRANGERS, Stranger

pytestmark = pytest.mark.slow

TRANSLATED = [each for each in STRANGERS if not each.refused]
REFUSED = [each for each in STRANGERS if each.refused]


@pytest.mark.parametrize("stranger", TRANSLATED, ids=lambda each: each.name)
def test_a_function_is_translated(stranger: Stranger) -> None:
    translated = Translated(stranger.function, stranger.arguments, stranger.shapes, stranger.tolerance)
    translated.compare(*stranger.arguments)


@pytest.mark.parametrize("stranger", REFUSED, ids=lambda each: each.name)
def test_a_function_is_refused_by_name(stranger: Stranger) -> None:
    with pytest.raises(Untranslatable, match=stranger.refused):
        read(serialize(stranger.function, stranger.arguments, stranger.shapes))


def test_most_functions_are_translated() -> None:
    assert len(TRANSLATED) >= 0.85 * len(STRANGERS) >= 22


@pytest.mark.parametrize(
    "name", ["masked_attention", "convolutional", "largest", "sorted_", "embedded", "along_an_axis"]
)
def test_free_sizes_may_be_zero_and_one(name: str) -> None:
    (stranger,) = (each for each in TRANSLATED if each.name == name)
    translated = Translated(stranger.function, stranger.arguments, stranger.shapes)
    for size in (1, 0):
        free = [shape is not None for shape in stranger.shapes] + [False] * len(stranger.arguments)
        translated.compare(*(x[:size] if is_free else x for x, is_free in zip(stranger.arguments, free, strict=False)))


def test_several_free_sizes_are_free_of_each_other() -> None:
    (stranger,) = (each for each in TRANSLATED if each.name == "two_free_sizes")
    translated = Translated(stranger.function, stranger.arguments, stranger.shapes)
    for shape in ((3, 1, 8), (1, 7, 8), (4, 4, 8)):
        translated.compare(np.linspace(-1, 1, np.prod(shape), dtype=np.float32).reshape(shape))
