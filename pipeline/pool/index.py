"""The index of the AugReg pool, index.csv: a row per fine-tuned checkpoint, 51,509 of them.

vit_jax/checkpoint.py of google-research/vision_transformer (get_augreg_df) documents the columns.
"""

import argparse
import csv
import functools
import io
import math
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.base.addresses import public_address
from pipeline.base.fault import Fault, Forbidden, Unavailable, escape_controls, nearest, show_name
from pipeline.base.files import Unreadable, expand_home, read_bounded, replacing
from pipeline.base.text import decode
from pipeline.download.address import is_remote, local_path, scheme_of

UPSTREAM = "gs://vit_models/augreg/index.csv"
LARGEST_DOWNLOAD = 1 << 28  # bytes; 51,509 rows have some 15 MB
# The pool's index has 15 MB, 51,509 rows and 21 columns. It is frozen. Twice as many fields take 0.4 GB.
_LARGEST = 32 << 20  # bytes
_MOST_FIELDS = 2_000_000
_MOST_COLUMNS = 1000
# The names go into Markdown, CSV and YAML, and onto terminals: none of the pool's begins as a formula does, and none
# has letters that mean something there.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+./=:, -]{0,249}")
SYNTHETIC = "synthetic"  # an extra column, which marks a file as made up for tests and benchmarks


class Row(NamedTuple):
    """A row of the index. Accuracies lie in 0 to 1; an empty field is NaN.

    `params` is wrong for some rows upstream (110.95M for R50+L/32), so don't publish it. `infer_samples_per_sec` was
    measured upstream on a V100 with timm at `adapt_resolution`; B/8 has none.
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


@dataclass(frozen=True)
class Index:
    """An index that was read and checked.

    Attributes:
        rows: in the order of the file.
        origin: where it comes from, fit to be published: the address of a download, the name of a local file.
        synthetic: whether the file declares itself made up.
    """

    rows: tuple[Row, ...]
    origin: str
    synthetic: bool = False

    @functools.cached_property
    def fine_tuned(self) -> dict[str, Row]:
        """The rows of fine-tuned checkpoints by name; of several rows the first."""
        return {row.adapt_filename: row for row in reversed(self.rows)}

    @functools.cached_property
    def pretrained(self) -> dict[str, Row]:
        """The first row of each pre-trained checkpoint, by name."""
        return {row.filename: row for row in reversed(self.rows)}

    @property
    def citation(self) -> str:
        """The source to name beside a figure from this index."""
        return "a made-up index" if self.synthetic else self.origin


_LARGEST_NUMBER = 1e12  # the largest of the pool are parameters, 3e8
_LEAST_RATE, _LARGEST_RATE = 1e-3, 1e9  # images per second; the fastest of the pool makes 3,597


# A parser returns a field's value, or raises ValueError with what was expected.
def _parse_text(text: str) -> str:
    if not _NAME.fullmatch(text):
        form = " of letters, digits, spaces and _+-./=:, that begins with a letter or a digit" if text else ""
        raise ValueError(f"a name{form}")
    return text


def _parse_number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ValueError("a number") from None
    if not math.isfinite(value):
        raise ValueError("a number" if text.lower() == "nan" else "a finite number")
    if not 0 <= value <= _LARGEST_NUMBER:
        raise ValueError(f"a number from 0 to {_LARGEST_NUMBER:g}")
    return value


def _parse_integer(text: str) -> int:
    value = _parse_number(text)
    if not value.is_integer():
        raise ValueError("a whole number")
    return int(value)


def _parse_optional_number(text: str) -> float:
    return math.nan if text.lower() in ("", "nan") else _parse_number(text)


def _parse_rate(text: str) -> float:
    rate = _parse_optional_number(text)
    if 0 < rate < _LEAST_RATE or rate > _LARGEST_RATE:  # both false for NaN
        raise ValueError(f"images per second, 0 or {_LEAST_RATE:g} to {_LARGEST_RATE:g}")
    return rate


def _parse_accuracy(text: str) -> float:
    value = _parse_optional_number(text)
    if value < 0 or value > 1:
        raise ValueError("an accuracy from 0 to 1")
    return value


_PARSERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(Row._fields, _parse_number),
    **dict.fromkeys(("name", "ds", "aug", "adapt_ds", "filename", "adapt_filename"), _parse_text),
    **dict.fromkeys(("adapt_steps", "adapt_resolution"), _parse_integer),
    **dict.fromkeys(("epochs", "params"), _parse_optional_number),
    "infer_samples_per_sec": _parse_rate,
    **dict.fromkeys(("best_val", "final_val", "final_test", "adapt_final_val", "adapt_final_test"), _parse_accuracy),
}


def _find_columns(label: str, header: Sequence[str]) -> list[int]:
    """Returns the position of each of Row's fields in the header, which may have other columns too."""
    if len(header) == 1 and (separator := re.search("[;\t|]", header[0])):
        raise Fault(f"{label}:1: the fields are separated by {separator[0]!r}; expected commas, and points in numbers")
    if len(header) > _MOST_COLUMNS:
        raise Fault(f"{label}:1: the index has {len(header):,} columns; expected the {len(Row._fields)} of the pool's")
    if missing := [column for column in Row._fields if column not in header]:
        raise Fault(
            f"{label}:1: the index lacks the column {missing[0]!r}{nearest(missing[0], header)}: expected"
            f" {', '.join(Row._fields)}"
        )
    return [header.index(column) for column in Row._fields]


def _parse_rows(label: str, reader: Any, header: Sequence[str]) -> Iterator[tuple[int, Row]]:
    """Yields each row and its line; `reader` is of the csv module."""
    # A column repeats a few texts in 51,509 rows, so each is parsed once.
    columns = [
        (column, position, functools.cache(_PARSERS[column]))
        for column, position in zip(Row._fields, _find_columns(label, header), strict=True)
    ]
    for fields in filter(None, reader):  # empty lines aside
        line = reader.line_num
        if len(fields) != len(header):
            raise Fault(f"{label}:{line}: expected {len(header)} fields, as in the heading, got {len(fields)}")
        values = []
        for column, position, parse in columns:
            try:
                values.append(parse(fields[position]))
            except ValueError as expected:
                raise Fault(
                    f"{label}:{line}: {column} must be {expected}, got '{show_name(fields[position])}'"
                ) from None
        yield line, Row._make(values)


def _parse(label: str, text: str, origin: str) -> Index:
    if text.count(",") + text.count("\n") > _MOST_FIELDS:
        raise Fault(f"{label}: the index has more than {_MOST_FIELDS:,} fields; the pool's has 1,100,000")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines: dict[str, int] = {}
    rows = []
    try:
        header = next(reader, None)
        if not header:
            raise Fault(f"{label}: the index is empty; expected a heading and a row per checkpoint")
        for line, row in _parse_rows(label, reader, header):
            if (first := lines.setdefault(row.adapt_filename, line)) != line:
                raise Fault(f"{label}:{line}: {row.adapt_filename} is listed twice, first on line {first}")
            rows.append(row)
    except csv.Error as error:
        raise Fault(f"{label}:{reader.line_num}: not valid CSV: {error}") from None
    if not rows:
        raise Fault(f"{label}: the index has no rows")
    return Index(tuple(rows), origin, SYNTHETIC in header)


def _origin_of_file(path: Path) -> str:
    """Returns the origin of a user's file: its name, without its folder, which is private."""
    name = "".join(letter if letter.isprintable() else "?" for letter in path.name)
    return f"{name}, an unverified copy of the pool's index"


def read(path: Path, origin: str | None = None, label: str | None = None) -> Index:
    """Reads and checks index.csv.

    Args:
        path: the file.
        origin: see Index; None for a file of the user's.
        label: the file's name in messages; None for its path.

    Raises:
        Fault: with file and line, for a missing column, a row of another length, a value of another type or a
            checkpoint listed twice; also when the file is missing, empty or not UTF-8 text.
    """
    label = label or str(path)
    try:
        text = decode(read_bounded(path, _LARGEST), Path(label), "save it as CSV in UTF-8")
    except FileNotFoundError:
        raise Fault(f"{label}: no such index; set INDEX=<file or URL of index.csv>") from None
    except Unreadable as reason:
        raise Fault(f"{label}: {reason}; set INDEX=<file or URL of index.csv>") from None
    return _parse(label, text, origin or _origin_of_file(path))


def _download(address: str, copy: Path, downloads: Path, offline: bool) -> Index:
    from pipeline.download import obtain, retry  # their HTTP client is slow to import, and a local file needs none

    try:
        access = obtain.Access(downloads, offline, retry.Policy(largest=LARGEST_DOWNLOAD))
        with obtain.obtain_file(address, access, "index") as download:
            index = read(download.path, public_address(address), public_address(address))
            if address == UPSTREAM:
                with replacing(copy) as stream:
                    stream.write(download.path.read_bytes())
            return index
    except Unavailable as reason:
        refused = address == UPSTREAM and isinstance(reason, Forbidden)
        closed = "; the pool's bucket has been closed to anonymous readers since February 2026" if refused else ""
        raise Fault(
            f"{public_address(address)}: {reason}{closed}; set INDEX=<a copy of index.csv, a file or URL>"
        ) from None


def add_options(parser: argparse.ArgumentParser) -> None:
    """Adds the options that choose_source() takes: --index and --checkpoints."""
    parser.add_argument("--index", help=f"a file or URL of the pool's index (default: --kept, else {UPSTREAM})")
    parser.add_argument("--checkpoints", help="a folder of checkpoints, which may have index.csv; not for a URL")


def choose_source(index: str | None, checkpoints: str | None) -> str | None:
    """Returns the setting INDEX, else index.csv in the folder CHECKPOINTS where there is one, else None."""
    beside = f"{checkpoints}/index.csv"
    return index or (beside if checkpoints and Path(beside).is_file() else None)


def load(source: str | None, copy: Path, downloads: Path, offline: bool = False) -> Index:
    """Loads an index from a local file or by download.

    Only upstream's index is copied to `copy`; an index from another source is never used in its place.

    Args:
        source: a path or address; None for upstream's index, from `copy` if that exists.
        copy: the local copy of upstream's index.
        downloads: the folder of the cache, see pipeline.download.cache.
        offline: whether to use no network.

    Raises:
        Fault: when the index cannot be downloaded, or is malformed as read() says.
    """
    if source:
        scheme_of(source, "INDEX")
        if not is_remote(source):
            return read(expand_home(local_path(source)))
    elif copy.exists():
        try:
            return read(copy, UPSTREAM)
        except Fault as fault:
            print(f"{escape_controls(str(fault))}; it counts as missing and is downloaded again", file=sys.stderr)
    return _download(source or UPSTREAM, copy, downloads, offline)
