"""Reading the pool's index: columns and types, malformed files, and where an index is loaded from."""

import math
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.pool import index
from pipeline.pool.index import Row
from tests.conftest import serving_folder
from tests.pool.rows import HEADING, ROW, write_index


def line(**change: object) -> str:
    return ",".join(map(str, ROW._replace(**change)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "index.csv: the index is empty; expected a heading and a row per checkpoint"),
        (HEADING + "\n", "index.csv: the index has no rows"),
        (
            HEADING.replace("adapt_ds", "adapt_dataset") + "\n",
            "index.csv:1: the index lacks the column 'adapt_ds' (did you mean 'adapt_dataset'?): expected name, ds, ",
        ),
        (f"{HEADING}\n{line()}\n{line()},7\n", "index.csv:3: expected 21 fields, as in the heading, got 22"),
        (f"{HEADING}\n{line(adapt_resolution='big')}\n", "index.csv:2: adapt_resolution must be a number, got 'big'"),
        (f"{HEADING}\n{line(adapt_resolution=22.4)}\n", "adapt_resolution must be a whole number, got '22.4'"),
        (f"{HEADING}\n{line(adapt_resolution='')}\n", "index.csv:2: adapt_resolution must be a number, got ''"),
        (f"{HEADING}\n{line(name='')}\n", "index.csv:2: name must be a name, got ''"),
        (f"{HEADING}\n{line(adapt_final_test=80.462)}\n", "adapt_final_test must be an accuracy from 0 to 1"),
        (f"{HEADING}\n{line(params='inf')}\n", "index.csv:2: params must be a finite number, got 'inf'"),
        (f"{HEADING}\n{line()}\n{line()}\n", "index.csv:3: S_16--a is listed twice, first on line 2"),
        (f'{HEADING}\n"S/16\n', "index.csv:2: not valid CSV: unexpected end of data"),
        (b"name\xff\n", "index.csv:1: not UTF-8 text (invalid start byte at byte 4); save it as CSV in UTF-8"),
        (HEADING.replace(",", ";") + "\n", "index.csv:1: the fields are separated by ';'; expected commas, and points"),
        (HEADING.replace(",", "\t") + "\n", "index.csv:1: the fields are separated by '\\t'; expected commas"),
        (f"{HEADING}\n{line(name='x' + chr(0))}\n", "index.csv:2: not UTF-8 text (a zero at byte "),
        (f"{HEADING}\n{line(name='=cmd()')}\n", "index.csv:2: name must be a name of letters, digits,"),
        (f"{HEADING}\n{line(name='a' + chr(27))}\n", r"that begins with a letter or a digit, got 'a\x1b'"),
        (f"{HEADING}\n{line(infer_samples_per_sec='1e308')}\n", "must be a number from 0 to 1e+12, got '1e308'"),
        (f"{HEADING}\n{line(infer_samples_per_sec='1e10')}\n", "images per second, 0 or 0.001 to 1e+09, got '1e10'"),
        (f"{HEADING}\n{line(lr=-1)}\n", "index.csv:2: lr must be a number from 0 to 1e+12, got '-1'"),
        ("a," * 1001, "index.csv:1: the index has 1,002 columns; expected the 21 of the pool's"),
    ],
)  # fmt: skip
def test_a_malformed_index_is_refused_with_its_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "index.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(Fault) as raised:
        index.read(path)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    ("encoding", "end"), [("utf-8-sig", "\r\n"), ("utf-16", "\n"), ("utf-8", "\r"), ("utf-8", "\n\n")]
)
def test_an_index_of_any_spreadsheet_is_read(tmp_path: Path, encoding: str, end: str) -> None:
    path, name = tmp_path / "index.csv", "R+Ti/16, a=b"
    quoted = f'"{name}"'
    path.write_bytes(f"{HEADING}{end}{line(name=quoted)}{end}".encode(encoding))
    (row,) = index.read(path).rows
    assert row == ROW._replace(name=name)


def test_empty_fields_are_allowed_where_upstream_has_them(tmp_path: Path) -> None:
    row = ROW._replace(params="", infer_samples_per_sec="nan", best_val="NaN")  # type: ignore[arg-type]
    (read,) = index.read(write_index(tmp_path, row)).rows
    assert all(map(math.isnan, (read.params, read.infer_samples_per_sec, read.best_val)))
    assert read.adapt_final_test == 0.8
    assert read.adapt_resolution == 224


def test_columns_may_have_another_order_and_extra_columns(tmp_path: Path) -> None:
    fields = list(reversed(Row._fields))
    path = tmp_path / "index.csv"
    path.write_text(",".join([*fields, "more"]) + "\n" + ",".join([*map(str, reversed(ROW)), "x"]) + "\n")
    assert index.read(path, index.UPSTREAM) == index.Index((ROW,), index.UPSTREAM)


def test_upstreams_index_is_downloaded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    served, copy, cache = tmp_path / "vit_models/augreg", tmp_path / "copy/index.csv", tmp_path / "cache"
    served.mkdir(parents=True)
    write_index(served, ROW)
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "none")  # so that no other credentials are tried
    with serving_folder(tmp_path) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        assert index.load(None, copy, cache) == index.Index((ROW,), index.UPSTREAM)
    write_index(served, ROW._replace(adapt_final_test=0.7))
    assert index.load(None, copy, cache) == index.Index((ROW,), index.UPSTREAM)
    with serving_folder(tmp_path) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        (row,) = index.load(index.UPSTREAM, copy, cache).rows  # named explicitly, it is downloaded again
    assert row.adapt_final_test == 0.7
    assert index.load(None, copy, cache).rows == (row,)


def test_an_index_from_elsewhere_never_replaces_upstreams(tmp_path: Path) -> None:
    served, copy, cache = tmp_path / "served", tmp_path / "copy/index.csv", tmp_path / "cache"
    served.mkdir()
    write_index(served, ROW)
    with serving_folder(served) as address:
        loaded = index.load(f"{address}/index.csv?secret#1", copy, cache)
        assert loaded == index.Index((ROW,), f"{address}/index.csv")
        (served / "broken.csv").write_text("name\n")
        with pytest.raises(Fault, match=rf"^{address}/broken\.csv:1: the index lacks the column 'ds'"):
            index.load(f"{address}/broken.csv", copy, cache)
        with pytest.raises(Fault, match=r"gone\.csv: HTTP 404 .*; set INDEX=<a copy of index.csv, a file or URL>"):
            index.load(f"{address}/gone.csv", copy, cache)
    loaded = index.load(str(served / "index.csv"), copy, cache)
    assert loaded == index.Index((ROW,), "index.csv, an unverified copy of the pool's index")
    with pytest.raises(Fault, match=r"nowhere\.csv: no such index; set INDEX="):
        index.load("nowhere.csv", copy, cache)
    assert not copy.exists()
    with pytest.raises(
        Fault, match=r"^gs://vit_models/augreg/index\.csv: OFFLINE=1, and the cache .* does not have it"
    ):
        index.load(None, copy, cache, offline=True)


def test_a_damaged_copy_is_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    served, copy = tmp_path / "vit_models/augreg", tmp_path / "index.csv"
    served.mkdir(parents=True)
    write_index(served, ROW)
    copy.write_text("name\n")
    monkeypatch.setenv("CLOUDSDK_AUTH_ACCESS_TOKEN", "none")
    with serving_folder(tmp_path) as address:
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
        assert index.load(None, copy, tmp_path / "cache").rows == (ROW,)
    assert "index.csv:1: the index lacks the column 'ds'" in capsys.readouterr().err
    assert index.read(copy).rows == (ROW,)
