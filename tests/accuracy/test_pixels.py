"""The ranges of pixels."""

import numpy as np
import pytest

from pipeline.accuracy.pixels import parse_range
from pipeline.base.fault import Fault


@pytest.mark.parametrize(
    ("text", "black", "white"),
    [
        ("-1,1", (-1,) * 3, (1,) * 3),
        ("0,1", (0,) * 3, (1,) * 3),
        ("0,255", (0,) * 3, (255,) * 3),
        ("-128,127", (-128,) * 3, (127,) * 3),
        # As torchvision normalizes: (x - mean) / std.
        ("imagenet", (-2.1179, -2.0357, -1.8044), (2.2489, 2.4286, 2.6400)),
    ],
)
def test_black_and_white(text: str, black: tuple[float, ...], white: tuple[float, ...]) -> None:
    pixels = np.array([[-1, -1, -1], [1, 1, 1]], np.float32)
    converted = parse_range("RANGE", text).convert(pixels)
    assert converted.dtype == np.float32
    assert converted == pytest.approx(np.array([black, white]), abs=1e-4)


@pytest.mark.parametrize("text", ["", "1", "0,1,2", "1,0", "1,1", "nan,1", "0,inf", "a,b", "0;255", "ImageNet"])
def test_other_ranges_are_refused(text: str) -> None:
    with pytest.raises(Fault, match=f"^AGAINST_RANGE={text}: expected the least and the greatest value of a pixel"):
        parse_range("AGAINST_RANGE", text)


def test_ways_to_write_a_range() -> None:
    assert {parse_range("RANGE", text).name for text in ("0,255", "0.0,255.0", "0, 255", "0,2.55e2")} == {"0,255"}
