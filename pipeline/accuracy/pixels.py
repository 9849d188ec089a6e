"""The numbers that a module takes for pixels, as RANGE= names them."""

import math
from dataclasses import dataclass

import numpy as np

from pipeline.base.fault import Fault

IMAGENET = "imagenet"
# torchvision's transforms.Normalize for its models of ImageNet, of pixels from 0 to 1.
_MEAN, _STD = np.array((0.485, 0.456, 0.406), np.float32), np.array((0.229, 0.224, 0.225), np.float32)


@dataclass(frozen=True)
class Pixels:
    """The range of pixels.

    Attributes:
        name: "-1,1" and so on, the two ends; or IMAGENET, for mean and standard deviation of torchvision's models.
    """

    name: str

    def convert(self, values: np.ndarray) -> np.ndarray:
        """Returns pixels of [-1, 1], float32 (..., 3), in this range."""
        if self.name == "-1,1":
            return values
        unit = (values + np.float32(1)) / np.float32(2)
        if self.name == "0,1":
            return unit
        if self.name == IMAGENET:
            return np.asarray((unit - _MEAN) / _STD)
        low, high = (np.float32(end) for end in self.name.split(","))
        return unit * (high - low) + low


SIGNED, UNIT, BYTES = Pixels("-1,1"), Pixels("0,1"), Pixels("0,255")


def parse_range(setting: str, text: str) -> Pixels:
    """Returns the range that a setting names.

    Args:
        setting: its name, for the message.
        text: two numbers with a comma between them, or IMAGENET.

    Raises:
        Fault: when it is neither.
    """
    if text == IMAGENET:
        return Pixels(IMAGENET)
    try:
        low, high = (float(end) for end in text.split(","))
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise Fault(
            f"{setting}={text}: expected the least and the greatest value of a pixel, such as -1,1 or 0,255, or"
            f" {IMAGENET} for the mean and the standard deviation of torchvision's models"
        )
    return Pixels(f"{low:g},{high:g}")
