"""What an archive may be: the bounds for archives of strangers, and the two reasons to stop reading."""

from pathlib import Path

# The largest honest archives that are read to be unpacked: Imagenette's has 13,410 entries; models have at most some
# hundreds, and with the clone of a repository around them some thousands.
ENTRIES = 50_000
# Archives of images, which are only listed, have millions: ImageNet's training images as one WebDataset with .cls and
# .json beside them 3,843,501. But each of these has content: folders are one a class (21,843 in ImageNet-21k).
IMAGE_ENTRIES, WITHOUT_CONTENT = 5_000_000, 100_000
NAME = 1_024  # characters of a name; Hugging Face's cache has 250
DEPTH = 64  # parts of a name; folders that are deeper need as many open files to be removed
HEADER = 1 << 17  # bytes of the headers of one entry of a tar archive; long names and pax records are headers
DIRECTORY = 1 << 23  # bytes of the directory of a .zip: 160 for each of ENTRIES
DICTIONARY = 1 << 28  # bytes that xz may need to unpack; `xz -9` needs 65 MiB
STREAM = 1_000  # bytes that a bzip2 or xz stream has at the least, past the first STREAM; pbzip2's have 100,000
# An archive may unpack to so many bytes, or so many times its own size; trained weights shrink by a third at best.
FREE, RATIO = 100_000_000, 50


class TooLargeError(Exception):
    """An archive exceeds a bound; the text, after "it has", says which."""


class DamagedError(Exception):
    """An archive is cut short or damaged; the text says how that shows."""


class Budget:
    """How many bytes an archive may still unpack to."""

    def __init__(self, path: Path) -> None:
        self._left = FREE + RATIO * path.stat().st_size

    def spend(self, count: int) -> None:
        """Counts unpacked bytes; raises TooLargeError when there are too many."""
        self._left -= count
        if self._left < 0:
            raise TooLargeError(f"a content of more than {RATIO} times its own size")
