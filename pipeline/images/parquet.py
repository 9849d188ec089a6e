"""Labelled images in Parquet files, as Hugging Face has them (ILSVRC/imagenet-1k, cifar10), read with pyarrow.

A row has an image, a struct of its file's `bytes` and `path` or the bytes alone, and a label: the index of a class,
whose names stand in the file's metadata, or its name (pipeline.images.parquet_columns). Only labels and paths are read
beforehand. The bytes are read from front to back, a few rows at a time, so that the memory does not grow with a file.
"""

import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.fault import Fault
from pipeline.images.files import FilePlace, LabelledFile, file_state
from pipeline.images.labels import Label
from pipeline.images.layout import Source
from pipeline.images.parquet_columns import Columns, find_columns, find_label, plain_label
from pipeline.images.split import SPLIT_WORDS

_ROWS = 16  # that are read at once
# Bytes of rows that are kept for threads which are late: far more than the images decoded ahead of the model.
_KEPT = 64_000_000
_BUFFER = 1 << 20  # bytes of a column that are read at once; without a buffer it would be all of a row group


def _pyarrow() -> Any:
    try:
        import pyarrow.parquet
    except ImportError:
        raise Fault(
            f"Parquet files are read with pyarrow, which is not installed; run: {sys.executable} -m pip install pyarrow"
        ) from None
    return pyarrow


def _open(path: Path) -> Any:
    """Opens a Parquet file. Raises Fault when it is none."""
    with _naming(f"{path}: cannot be read as a Parquet file"):
        return _pyarrow().parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER)


@contextmanager
def _naming(problem: str) -> Iterator[None]:
    """Makes one sentence of what pyarrow raises for damaged files."""
    try:
        yield
    except (_pyarrow().ArrowException, OSError, ValueError, LookupError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)  # Arrow's go on with traces of C++
        raise Fault(f"{problem} ({reason}); get the file again") from None


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


@dataclass(frozen=True)
class _Piece:
    """Consecutive rows of a file's column of bytes; `start` is the first."""

    path: Path
    start: int
    values: Any  # pyarrow.Array

    def has(self, path: Path, row: int) -> bool:
        return self.path == path and self.start <= row < self.start + len(self.values)


class _Reader:
    """Reads images that threads ask for in about the order of the rows. One file is open at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pieces: list[_Piece] = []  # those read last
        self._coming: Iterator[_Piece] = iter(())
        self._path: Path | None = None
        self._next = self._end = 0  # the rows that `_coming` still has of the row group

    def read(self, path: Path, column: str, row: int) -> bytes:
        """Returns the bytes of a row. Raises Fault when the file cannot be read, or has none there."""
        with self._lock, _naming(f"{path}: row {row} cannot be read"):
            piece = self._find(path, column, row)
        value = piece.values[row - piece.start].as_py()
        if value is None:
            raise Fault(f"{path}: row {row} has no bytes; get the file again")
        return bytes(value)

    def _find(self, path: Path, column: str, row: int) -> _Piece:
        for piece in reversed(self._pieces):
            if piece.has(path, row):
                return piece
        if path != self._path or not self._next <= row < self._end:
            self._start(path, column, row)
        self._path = None  # until the row is found: after an error the next one starts anew
        for piece in self._coming:
            self._next = piece.start + len(piece.values)
            self._keep(piece)
            if piece.has(path, row):
                self._path = path
                return piece
        raise LookupError("the file has fewer rows than when it was listed")

    def _start(self, path: Path, column: str, row: int) -> None:
        """Goes to the start of the row group that has a row."""
        file = _open(path)
        group, start = 0, 0
        while row >= start + file.metadata.row_group(group).num_rows:
            start += file.metadata.row_group(group).num_rows
            group += 1
        self._path, self._next = path, start
        self._end = start + file.metadata.row_group(group).num_rows
        self._coming = _read_group(file, path, column, group, start)

    def _keep(self, piece: _Piece) -> None:
        self._pieces.append(piece)
        size = sum(piece.values.nbytes for piece in self._pieces)
        while size > _KEPT and len(self._pieces) > 1:
            size -= self._pieces.pop(0).values.nbytes


def _read_group(file: Any, path: Path, column: str, group: int, start: int) -> Iterator[_Piece]:
    for batch in file.iter_batches(batch_size=_ROWS, row_groups=[group], columns=[column], use_threads=False):
        values = batch.column(0)
        yield _Piece(path, start, values.flatten()[0] if "." in column else values)
        start += len(values)


def list_parquet(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the images of Parquet files. Those whose rows have no path of their own are called by their number.

    Raises:
        Fault: when pyarrow is missing, a file is damaged or has no images with labels, or an image has no class or one
            that the model lacks.
    """
    reader = _Reader()
    images: list[LabelledFile] = []
    for path in source.files:
        with _naming(f"{path}: cannot be read as a Parquet file"):
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
    file = _open(path)
    columns = find_columns(path, file.schema_arrow, labels)
    missing = _find_rows_without_bytes(file, columns)
    known: dict[int | str | None, int] = {}
    row = 0
    for batch in file.iter_batches(columns=columns.listed, use_threads=False):
        values = (
            _column(batch, column) for column in (columns.label, columns.path, columns.split if has_splits else None)
        )
        for value, name, split in zip(*values, strict=True):
            label = plain_label(value)
            where, place = f"{path}: row {row}", ParquetPlace(path, row, earlier + row, columns.bytes, reader)
            outside = _find_outside(where, path, name) if row in missing else None
            file_name = PurePosixPath(name.replace("\\", "/")).name if name else ""
            if label not in known:
                known[label] = find_label(where, label, columns)
            yield LabelledFile(file_name, known[label], outside or place, SPLIT_WORDS.get(str(split).lower()))
            row += 1


def _column(batch: Any, column: str | None) -> list[Any]:
    """Returns the values of a column, or of a field of a struct such as "image.path"; None for a column of None."""
    if column is None:
        return [None] * batch.num_rows
    name, _, field = column.partition(".")
    values = batch.column(name).to_pylist()
    return [value and value[field] for value in values] if field else values


def _find_rows_without_bytes(file: Any, columns: Columns) -> set[int]:
    """Returns the rows without bytes, whose images lie in files of their own.

    The statistics of a row group say whether it has any. A column of nothing else has no type of bytes.
    """
    rows: set[int] = set()
    start = 0
    for group in range(file.metadata.num_row_groups):
        facts = file.metadata.row_group(group)
        chunks = {chunk.path_in_schema: chunk for chunk in map(facts.column, range(facts.num_columns))}
        chunk = chunks[columns.bytes]
        if chunk.physical_type != "BYTE_ARRAY" or (chunk.statistics is not None and chunk.statistics.null_count):
            for piece in _read_group(file, Path(), columns.bytes, group, start):
                rows |= {piece.start + at for at, is_null in enumerate(piece.values.is_null().to_pylist()) if is_null}
        start += facts.num_rows
    return rows


def _find_outside(where: str, table: Path, name: str | None) -> FilePlace:
    """Returns the file that a row without bytes names, below the table's folder or the one above."""
    for folder in (table.parent, table.parent.parent):
        if name and (folder / name).is_file():
            return FilePlace(folder / name)
    raise Fault(f"{where}: the image has no bytes, only the path {name!r}, where no file lies; get the whole data set")
