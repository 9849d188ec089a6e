"""Labelled images in Parquet files, as Hugging Face has them (ILSVRC/imagenet-1k, cifar10), read with pyarrow.

A row has an image, a struct of its file's `bytes` and `path` or the bytes alone, and a label: the index of a class,
whose names stand in the file's metadata, or its name (pipeline.images.parquet_columns). pyarrow runs in a process
of its own, since some damaged files end it (pipeline.images.parquet_tables).
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ParamSpec, TypeVar

from pipeline.base.fault import Fault, show_name
from pipeline.base.worker import Ended, Limits, Worker
from pipeline.images.files import FilePlace, LabelledFile, file_state
from pipeline.images.labels import Label
from pipeline.images.layout import Source
from pipeline.images.parquet_columns import find_label, plain_label
from pipeline.images.parquet_tables import Piece, cut, import_pyarrow, read_pieces, read_table
from pipeline.images.split import SPLIT_WORDS

P = ParamSpec("P")
T = TypeVar("T")

# Bytes of rows that are kept for threads which are late: far more than the images decoded ahead of the model.
_KEPT = 64_000_000
# Of a call: those of the largest shards are read in some seconds, and rows of _KEPT bytes are in memory a few times.
_LIMITS = Limits(seconds=300, memory=800_000_000)

_worker = Worker()


def _run(problem: str, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Runs a function of parquet_tables in a process of its own, which damage may end; raises Fault then."""
    try:
        return _worker.call(_LIMITS, function, *args, **kwargs)
    except Ended as reason:
        raise Fault(f"{problem} (pyarrow {reason}); get the file again") from None


@dataclass(frozen=True)
class ParquetPlace:
    """The bytes of an image in a row of a Parquet file.

    Attributes:
        path: the file.
        row: of the file, from 0.
        number: of the row in all files, from 0; the order in which to read images.
        column: of the bytes.
        reader: reads it.
    """

    path: Path
    row: int
    number: int
    column: str
    reader: "_Reader"

    @property
    def is_file(self) -> bool:
        return False

    def state(self) -> tuple[int, int, int]:
        return (self.number, *file_state(self.path))

    def read(self) -> bytes:
        return self.reader.read(self.path, self.column, self.row)


class _Reader:
    """Reads images that threads ask for in about the order of the rows."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: list[Piece] = []  # those read last

    def read(self, path: Path, column: str, row: int) -> bytes:
        """Returns the bytes of a row. Raises Fault when the file cannot be read, or has none there."""
        with self._lock:
            piece = next((piece for piece in reversed(self._pieces) if piece.has(path, row)), None)
            if piece is None:
                self._pieces += _run(f"{path}: row {row} cannot be read", read_pieces, path, column, row, _KEPT)
                cut(self._pieces, _KEPT)
                piece = self._pieces[-1]
        value = piece.values[row - piece.start]
        if value is None:
            raise Fault(f"{path}: row {row} has no bytes; get the file again")
        return value


def list_parquet(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the images of Parquet files. Those whose rows have no path of their own are called by their number.

    Raises:
        Fault: when pyarrow is missing, a file is damaged or has no images with labels, or an image has no class or one
            that the model lacks.
    """
    import_pyarrow()  # where it is missing, that is said here
    reader = _Reader()
    images: list[LabelledFile] = []
    for path in source.files:
        images += _list_file(path, source.split is None, labels, reader, len(images))
    counts = Counter((image.label, image.file) for image in images)
    if all(image.file for image in images) and max(counts.values(), default=1) == 1:
        return images
    return [replace(image, file=f"{source.split or 'row'}-{number:05d}") for number, image in enumerate(images)]


def _list_file(
    path: Path, has_splits: bool, labels: Sequence[Label], reader: _Reader, earlier: int
) -> Iterator[LabelledFile]:
    """Yields the images of a file.

    Args:
        path: the file.
        has_splits: whether a column may tell the split of each image, as where the name of the file tells none.
        labels: the classes of the model.
        reader: reads the images.
        earlier: the number of rows in the files before it.
    """
    table = _run(f"{path}: cannot be read as a Parquet file", read_table, path, labels)
    columns = table.columns
    known: dict[int | str | None, int] = {}
    for row, (value, stored_path, split) in enumerate(table.rows):
        label, name = plain_label(value), str(stored_path or "")
        where, place = f"{path}: row {row}", ParquetPlace(path, row, earlier + row, columns.bytes, reader)
        outside = _find_outside(where, path, name) if row in table.without_bytes else None
        file_name = PurePosixPath(name.replace("\\", "/")).name if name else ""
        if label not in known:
            known[label] = find_label(where, label, columns)
        part = SPLIT_WORDS.get(str(split).lower()) if has_splits else None
        yield LabelledFile(file_name, known[label], outside or place, part)


def _find_outside(where: str, table: Path, name: str) -> FilePlace:
    """Returns the file that a row without bytes names, below the table's folder or the one above."""
    for folder in (table.parent, table.parent.parent):
        if name and os.path.isfile(folder / name):  # noqa: PTH113 - no error for what is no name of a file
            return FilePlace(folder / name)
    raise Fault(
        f"{where}: the image has no bytes, only the path {show_name(name)!r}, where no file lies; get the whole data"
        " set"
    )
