"""What an archive may be: the bounds for archives of strangers, and the two reasons to stop reading."""

from pathlib import Path

# Entries of an archive of a model, and folders that are made for it, which take long to make and to remove. Models have
# some hundreds of files at most, and with the clone of a repository around them some thousands.
ENTRIES, FOLDERS = 10_000, 1_000
# Archives of images, which are only listed, have millions: ImageNet's training images as one WebDataset with .cls and
# .json beside them 3,843,501. But each of these has content: folders are one a class (21,843 in ImageNet-21k).
IMAGE_ENTRIES, WITHOUT_CONTENT = 5_000_000, 50_000
NAME = 1_024  # characters of a name; Hugging Face's cache has 250
DEPTH = 64  # parts of a name; folders that are deeper need as many open files to be removed
HEADER = 1 << 17  # bytes of the headers of one entry of a tar archive; long names and pax records are headers
RECORDS = 200  # of the pax headers of one entry; macOS and GNU tar write up to some twenty
DIRECTORY = 1 << 22  # bytes of the directory of a .zip: 400 for each of ENTRIES
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

    def expect(self, count: int) -> None:
        """Raises TooLargeError when so many bytes are more than there may be."""
        if count > self._left:
            raise TooLargeError(f"a content of more than {RATIO} times its own size")

    def spend(self, count: int) -> None:
        """Counts unpacked bytes; raises TooLargeError when there are too many."""
        self.expect(count)
        self._left -= count
