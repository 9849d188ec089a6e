"""The index of the AugReg pool, index.csv: a row per fine-tuned checkpoint (51,509 of them), read and checked.

What the columns mean stands in vit_jax/checkpoint.py of google-research/vision_transformer (get_augreg_df).
"""

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from pipeline.base.fault import Fault, Forbidden, Unavailable, nearest, shown
from pipeline.base.files import replacing
from pipeline.download.address import is_remote, local_path, scheme_of

UPSTREAM = "gs://vit_models/augreg/index.csv"
SYNTHETIC = "synthetic"  # a further column, which marks a file as made up for tests and benchmarks


class Row(NamedTuple):
    """A row of the index. Accuracies lie in 0 to 1; what the index leaves empty is NaN.

    `params` is wrong for some rows upstream (110.95M for R50+L/32): count, don't quote. `infer_samples_per_sec` was
    measured upstream on a V100 with timm; it is missing for B/8.
    """

    name: str
    ds: str
    epochs: float
    lr: float
    aug: str
    wd: float
    do: float
    sd: float
    best_val: float
    final_val: float
    final_test: float
    adapt_ds: str
    adapt_lr: float
    adapt_steps: int
    adapt_resolution: int
    adapt_final_val: float
    adapt_final_test: float
    params: float
    infer_samples_per_sec: float
    filename: str
    adapt_filename: str


_TEXTS = {"name", "ds", "aug", "adapt_ds", "filename", "adapt_filename"}
_WHOLE = {"adapt_steps", "adapt_resolution"}
_ACCURACIES = {"best_val", "final_val", "final_test", "adapt_final_val", "adapt_final_test"}
_MAY_BE_EMPTY = _ACCURACIES | {"epochs", "params", "infer_samples_per_sec"}


@dataclass(frozen=True)
class Index:
    """An index, read and checked.

    Attributes:
        rows: in the file's order.
        origin: where it comes from, in words that may be published: the address it was had from; of a file on this
            machine its name only, and that it is the owner's.
        synthetic: whether the file says of itself that it is made up.
    """

    rows: tuple[Row, ...]
    origin: str
    synthetic: bool = False

    @property
    def cited(self) -> str:
        """What a figure of it is said to be from."""
        return "a made-up index" if self.synthetic else self.origin


def _value(column: str, text: str) -> Any:
    """Returns a field's value; raises ValueError with what was expected."""
    if column in _TEXTS:
        if not text:
            raise ValueError("a name")
        return text
    if text.lower() in ("", "nan"):
        if column not in _MAY_BE_EMPTY:
            raise ValueError("a number")
        return math.nan
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(value):
        raise ValueError("a finite number")
    if column in _WHOLE:
        if not value.is_integer():
            raise ValueError("a whole number")
        return int(value)
    if column in _ACCURACIES and not 0 <= value <= 1:
        raise ValueError("an accuracy from 0 to 1")
    return value


def _places(path: str, header: Sequence[str]) -> list[int]:
    """Returns where each of Row's columns stands; further columns are passed over."""
    if missing := [column for column in Row._fields if column not in header]:
        raise Fault(
            f"{path}:1: the index lacks the column {missing[0]!r}{nearest(missing[0], header)}: expected"
            f" {', '.join(Row._fields)}"
        )
    return [header.index(column) for column in Row._fields]


def _rows(path: str, reader: Any, header: Sequence[str]) -> Iterator[tuple[int, Row]]:
    # The same few thousand texts stand in 51,509 rows: each is checked once per column.
    columns: list[tuple[str, int, dict[str, Any]]] = [
        (column, place, {}) for column, place in zip(Row._fields, _places(path, header), strict=True)
    ]
    for fields in reader:
        line = reader.line_num
        if len(fields) != len(header):
            raise Fault(f"{path}:{line}: expected {len(header)} fields, as in the heading, got {len(fields)}")
        values = []
        for column, place, known in columns:
            text = fields[place]
            if text not in known:
                try:
                    known[text] = _value(column, text)
                except ValueError as expected:
                    raise Fault(f"{path}:{line}: {column} must be {expected}, got {text!r}") from None
            values.append(known[text])
        yield line, Row._make(values)


def _read(path: str, stream: IO[str], origin: str) -> Index:
    reader = csv.reader(stream, strict=True)
    try:
        header = next(reader, None)
        if not header:
            raise Fault(f"{path}: the index is empty; expected a heading and a row per checkpoint")
        seen: dict[str, int] = {}
        rows = []
        for line, row in _rows(path, reader, header):
            if (first := seen.setdefault(row.adapt_filename, line)) != line:
                raise Fault(f"{path}:{line}: {row.adapt_filename} stands already on line {first}")
            rows.append(row)
    except csv.Error as error:
        raise Fault(f"{path}:{reader.line_num}: not valid CSV: {error}") from None
    if not rows:
        raise Fault(f"{path}: the index has no rows")
    return Index(tuple(rows), origin, SYNTHETIC in header)


def _own(path: Path) -> str:
    """Returns the origin of a file of this machine: its folder is nobody's business, its content its owner's word."""
    name = "".join(letter if letter.isprintable() else "?" for letter in path.name)
    return f"{name}, a copy of the pool's index as its owner says"


def _public(address: str) -> str:
    """Returns the origin of a download: its address without what may be secret, a password or a signature."""
    parts = urlsplit(shown(address))
    # Only in these two is what follows `?` no part of the name (pipeline.download.address).
    return urlunsplit(parts._replace(query="", fragment="")) if parts.scheme in ("http", "https") else shown(address)


def read(path: Path, origin: str | None = None, place: str | None = None) -> Index:
    """Reads and checks index.csv.

    Args:
        path: the file.
        origin: see Index; None for a file that the user brought.
        place: what messages call the file; None for its path.

    Raises:
        Fault: names file and line of a missing column, a row of another length, a value of another type, a checkpoint
            that stands twice; or that the file is missing, empty or no UTF-8 text.
    """
    place = place or str(path)
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return _read(place, stream, origin or _own(path))
    except FileNotFoundError:
        raise Fault(f"{place}: no such index; say INDEX=<file or URL of index.csv>") from None
    except IsADirectoryError:
        raise Fault(f"{place}: a folder; say INDEX=<file or URL of index.csv>") from None
    except UnicodeDecodeError as error:
        raise Fault(f"{place}: not UTF-8 text ({error.reason} at byte {error.start})") from None


def _download(address: str, kept: Path, downloads: Path, offline: bool) -> Index:
    from pipeline.download import obtain  # its HTTP client takes a while to import, and a local file needs none

    try:
        with obtain.obtain_file(address, obtain.Access(downloads, offline), "index") as found:
            index = read(found.path, _public(address), shown(address))
            if address == UPSTREAM:
                with replacing(kept) as stream:
                    stream.write(found.path.read_bytes())
            return index
    except Unavailable as reason:
        refused = address == UPSTREAM and isinstance(reason, Forbidden)
        closed = "; the pool's bucket is closed to anonymous readers since February 2026" if refused else ""
        raise Fault(f"{shown(address)}: {reason}{closed}; say INDEX=<a copy of index.csv, a file or URL>") from None


def obtain(source: str | None, kept: Path, downloads: Path, offline: bool = False) -> Index:
    """Returns the index: a file of this machine, or a download. Upstream's is kept; no other is ever taken for it.

    Args:
        source: a path or address; None for upstream's, from `kept` if it is there, else from its address.
        kept: where upstream's index is kept.
        downloads: the folder of the cache, see pipeline.download.cache.
        offline: whether to do without any network.

    Raises:
        Fault: when it cannot be had, which says how to name another; or it is malformed, see read().
    """
    if source:
        scheme_of(source, "INDEX")
        if not is_remote(source):
            return read(local_path(source).expanduser())
    elif kept.exists():
        return read(kept, UPSTREAM)
    return _download(source or UPSTREAM, kept, downloads, offline)
