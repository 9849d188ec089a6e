"""png: files that every reader reads, and whose bytes no library decides."""

import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from pipeline.base import png


@pytest.mark.parametrize("shape", [(1, 1, 3), (37, 53, 3), (180, 150, 3)])
def test_pillow_reads_the_pixels(shape: tuple[int, int, int]) -> None:
    """The last image needs two stored blocks."""
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    with Image.open(io.BytesIO(png.encode(pixels))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), pixels)


def test_the_bytes_are_the_same_everywhere() -> None:
    content = png.encode(np.arange(27, dtype=np.uint8).reshape(3, 3, 3))
    assert hashlib.sha256(content).hexdigest() == "fd000674c357bc7b753022a4fa57a6b1c38e899ec1ae9d65c13167c09bf43a10"
