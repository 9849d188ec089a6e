"""What every kind of file of weights gives: the names, shapes and types of its arrays, and their values."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.base.archive_bounds import NAME
from pipeline.base.fault import UnusableFile, show_name
from pipeline.base.zip_directory import ENTRIES

Shape = tuple[int, ...]
# Types whose values all are float32 values too.
NARROW = ("float16", "bfloat16")


@dataclass(frozen=True)
class Stored:
    """What a file says of an array.

    Attributes:
        shape: of the array.
        type: the name of its type as NumPy writes it, such as "float32", or "bfloat16".
    """

    shape: Shape
    type: str


class WeightsFile(ABC):
    """An open file; a context manager.

    Attributes:
        kind: what records call such a file, such as "safetensors".
        where: what messages call this one.
        stored: its arrays by name.
    """

    kind: str
    where: str
    stored: Mapping[str, Stored]

    @abstractmethod
    def read(self, name: str) -> np.ndarray:
        """Reads an array in its own type; bfloat16 in any type of two bytes.

        Raises:
            UnusableFile: when it is damaged.
        """

    @abstractmethod
    def close(self) -> None:
        """Closes the file."""

    def __enter__(self) -> "WeightsFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read_float32(self, name: str) -> np.ndarray:
        """Reads an array whose type is float32 or one of NARROW; the values are exact."""
        value = self.read(name)
        if self.stored[name].type != "bfloat16":
            return value.astype(np.float32, copy=False)
        bits = value.view(np.uint16).astype(np.uint32)  # the upper half of float32's
        bits <<= 16
        return bits.view(np.float32)

    def damage(self, reason: object) -> UnusableFile:
        """Returns the exception for a damaged file."""
        return UnusableFile(
            f"{self.where}: not a whole {self.kind} file ({show_name(str(reason))}); it is truncated or something else;"
            " download it again"
        )


def check_name(name: str) -> None:
    """Refuses the name of an array that no program gives.

    Raises:
        ValueError: when it is not printable or too long.
    """
    if not name.isprintable() or len(name) > NAME:
        raise ValueError(f"a name that is not printable, or longer than {NAME:,} characters: {show_name(name)!r}")


def check_count(count: int) -> None:
    """Refuses more arrays than any network has.

    Raises:
        ValueError: when there are more.
    """
    if count > ENTRIES:
        raise ValueError(f"more than {ENTRIES:,} arrays")
