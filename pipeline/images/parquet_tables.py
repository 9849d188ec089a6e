"""What pyarrow reads of Parquet files. Damage may end the process, so pipeline.images.parquet runs this in another one.

Only labels and paths are read beforehand. The bytes are read from front to back, a few rows at a time, so that the
memory does not grow with a file.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.extras import install_line
from pipeline.base.fault import Fault, escape
from pipeline.images.labels import Label
from pipeline.images.parquet_columns import Columns, find_columns

_ROWS = 16  # that are read at once
_BUFFER = 1 << 20  # bytes of a column that are read at once; without a buffer it would be all of a row group


def import_pyarrow() -> Any:
    """Returns the module pyarrow. Raises Fault where it is not installed."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise Fault(
            f"Parquet files are read with pyarrow, which is not installed; run: {install_line('parquet')}"
        ) from None
    return pyarrow


def _open(path: Path) -> Any:
    """Opens a Parquet file. Raises Fault when it is none."""
    with _naming(f"{path}: cannot be read as a Parquet file"):
        return import_pyarrow().parquet.ParquetFile(path, pre_buffer=False, buffer_size=_BUFFER)


@contextmanager
def _naming(problem: str) -> Iterator[None]:
    """Makes one sentence of what pyarrow raises for damaged files."""
    try:
        yield
    except (import_pyarrow().ArrowException, OSError, ValueError, LookupError) as error:
        reason = next(iter(str(error).splitlines()), type(error).__name__)  # Arrow's go on with traces of C++
        raise Fault(f"{problem} ({escape(reason[:300])}); get the file again") from None


# Labels ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Table:
    """All of a file but the images.

    Attributes:
        columns: which columns have what.
        rows: the label, path and split of each, as the file stores them; None where there is none.
        without_bytes: the rows whose images lie in files of their own.
    """

    columns: Columns
    rows: Sequence[tuple[Any, Any, Any]]
    without_bytes: frozenset[int]


def read_table(path: Path, labels: Sequence[Label]) -> Table:
    """Reads a file.

    Args:
        path: the file.
        labels: the classes of the model.

    Raises:
        Fault: when it is damaged, or has no images with labels.
    """
    with _naming(f"{path}: cannot be read as a Parquet file"):
        file = _open(path)
        columns = find_columns(path, file.schema_arrow, labels)
        missing = _find_rows_without_bytes(file, columns)
        names = (columns.label, columns.path, columns.split)
        rows = [
            row
            for batch in file.iter_batches(columns=columns.listed, use_threads=False)
            for row in zip(*(_column(batch, name) for name in names), strict=True)
        ]
        return Table(columns, rows, frozenset(missing))


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
            for first, values in _read_group(file, columns.bytes, group, start):
                rows |= {first + at for at, is_null in enumerate(values.is_null().to_pylist()) if is_null}
        start += facts.num_rows
    return rows


def _read_group(file: Any, column: str, group: int, start: int) -> Iterator[tuple[int, Any]]:
    """Yields the values of a row group's column, each piece with its first row."""
    for batch in file.iter_batches(batch_size=_ROWS, row_groups=[group], columns=[column], use_threads=False):
        values = batch.column(0)
        yield start, values.flatten()[0] if "." in column else values
        start += len(values)


# Images ---------------------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Piece:
    """Consecutive rows of a file's column of bytes; `start` is the first."""

    path: Path
    start: int
    values: Sequence[bytes | None]

    @property
    def size(self) -> int:
        """The bytes of all rows."""
        return sum(len(value) for value in self.values if value)

    def has(self, path: Path, row: int) -> bool:
        """Whether a row of a file is among these."""
        return self.path == path and self.start <= row < self.start + len(self.values)


def cut(pieces: list[Piece], size: int) -> None:
    """Removes the first pieces until the rest has at most `size` bytes; the last one stays."""
    total = sum(piece.size for piece in pieces)
    while total > size and len(pieces) > 1:
        total -= pieces.pop(0).size


class _Cursor:
    """Goes through the rows of one file at a time."""

    def __init__(self) -> None:
        self._coming: Iterator[tuple[int, Any]] = iter(())
        self._path: Path | None = None
        self._next = self._end = 0  # the rows that `_coming` still has of the row group

    def read(self, path: Path, column: str, row: int, kept: int) -> list[Piece]:
        if path != self._path or not self._next <= row < self._end:
            self._start(path, column, row)
        self._path = None  # until the row is found: after an error the next one starts anew
        pieces: list[Piece] = []
        for start, values in self._coming:
            self._next = start + len(values)
            pieces.append(Piece(path, start, values.to_pylist()))
            cut(pieces, kept)
            if pieces[-1].has(path, row):
                self._path = path
                return pieces
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
        self._coming = _read_group(file, column, group, start)


_cursor = _Cursor()


def read_pieces(path: Path, column: str, row: int, kept: int) -> list[Piece]:
    """Returns the rows from where the last call ended, or from the start of a row group, to a row.

    Args:
        path: the file.
        column: of the bytes.
        row: the last one that is needed.
        kept: how many bytes of the rows before it are returned at most.

    Raises:
        Fault: when the file cannot be read.
    """
    with _naming(f"{path}: row {row} cannot be read"):
        return _cursor.read(path, column, row, kept)
