"""Images for tests: two photographs, and noise.

The photographs are scikit-image's chelsea, a cat (by Stefan van der Walt), and coffee (by Rachel Michetti), both CC0.
"""

from pathlib import Path

import numpy as np

from pipeline.images.decoding import decode

PHOTOGRAPHS = Path(__file__).parent / "data/photographs"


def photograph(name: str) -> np.ndarray:
    """Returns uint8 (height, width, 3) of "chelsea" or "coffee"."""
    return decode((PHOTOGRAPHS / f"{name}.jpg").read_bytes(), name)


def noise(width: int, height: int) -> np.ndarray:
    """Returns random pixels, uint8 (height, width, 3), the same for the same size."""
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, 3), np.uint8)
