"""Files that the pipeline reads again, or that others write to a hub: indexes, reports, lock files."""

import functools
import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pipeline.site  # noqa: F401
from pipeline.checkpoints.lock_file import LockFile
from pipeline.facts.report import load_report
from pipeline.hub import website
from pipeline.hub.folder import read_index
from pipeline.pool import index
from tests.conftest import ROOT
from tests.damaged_json import DAMAGES
from tests.hostile.attack import Attack, Fuzz, command
from tests.pool.rows import HEADING, ROW, write_index
from tests.reports import REPORT
from tests.test_audit import publish

_DEMO = ROOT / "model_cards/demo/vit_demo.yaml"
_HANDLE = "vit-publisher/vit_demo_fe/2"
_TEMPORARY = tempfile.TemporaryDirectory()


# What commands do with them ------------------------------------------------------------------------------------------
def select(path: Path) -> None:
    command("select", ROOT / "model_cards/vit/collection.yaml", path.parent / "out", "--index", path)


def add(path: Path) -> None:
    cards = path.parent / "out"
    shutil.copytree(ROOT / "model_cards", cards)
    command("add", f"{_POOLED}.npz", "--index", path, "--cards", cards)


def check_hub(path: Path) -> None:
    command("audit", path.parent)


def read_entries(path: Path) -> None:
    """Does what publish, site and check-hub begin with; the attacks on an entry are many."""
    read_index(path.parent)


def copy_hub(path: Path) -> Path:
    hub = path.parent / "out"
    return Path(shutil.copytree(path.parent, hub, ignore=shutil.ignore_patterns("out"), dirs_exist_ok=True))


def render(path: Path) -> None:
    command("site", copy_hub(path))


def write_cards(path: Path) -> None:
    command("card", _DEMO, path, path.parent / "out")


def write_cards_with_lock(path: Path) -> None:
    command("card", _DEMO, path.parent / "report.json", path.parent / "out", "--lock", path)


# Files that are as they should be ------------------------------------------------------------------------------------
_POOLED = "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0--imagenet2012-steps_20k-lr_0.03-res_224"


@functools.cache
def _published() -> Path:
    """Publishes a hub once; returns the folder with it and with the member's outputs."""
    folder = Path(_TEMPORARY.name)
    with redirect_stdout(sys.stderr):  # the harness writes its results to stdout
        publish(folder / "artifacts/vit_demo", folder / "hub", REPORT)
    return folder


def write_hub(folder: Path) -> Path:
    """Writes a good hub into a folder, as older versions left it; returns its index."""
    shutil.copytree(_published() / "hub", folder, dirs_exist_ok=True)
    shutil.rmtree(folder / "index")
    return folder / "index.json"


def write_sharded_hub(folder: Path, name: str) -> Path:
    """Writes a good hub into a folder; returns the file of its index with this name, or the first shard."""
    shutil.copytree(_published() / "hub", folder, dirs_exist_ok=True)
    return folder / "index" / (name or min(path.name for path in (folder / "index").iterdir()))


def write_report(folder: Path) -> Path:
    return Path(shutil.copy(ROOT / "tests/data/report.json", folder / "report.json"))


def write_lock(folder: Path) -> Path:
    write_report(folder)
    path = folder / "checkpoints.lock"
    path.write_text(json.dumps({"vit_demo": {"arrays": "0" * 64, "files": {"a": "0" * 64}}}))
    return path


# Attacks -------------------------------------------------------------------------------------------------------------
def damaged(make: Callable[[Path], Path], damage: Callable[[Path], None]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = make(folder)
        damage(path)
        return path

    return write


def with_entry(key: str, value: Any) -> Callable[[Path], Path]:
    """Writes a hub whose index has another value in the entry of a module."""

    def write(folder: Path) -> Path:
        path = write_hub(folder)
        document = json.loads(path.read_text())
        document["modules"][_HANDLE][key] = value
        path.write_text(json.dumps(document))
        return path

    return write


def with_handle(handle: str) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = write_hub(folder)
        document = json.loads(path.read_text())
        document["modules"][handle] = document["modules"].pop(_HANDLE)
        path.write_text(json.dumps(document))
        return path

    return write


def write_malformed_entries(folder: Path) -> Path:
    path = write_hub(folder)
    path.write_text(json.dumps({"modules": {f"a/b/{number}": {} for number in range(1, 1001)}, "collections": {}}))
    return path


def write_many_entries(folder: Path) -> Path:
    path = write_hub(folder)
    path.write_text(json.dumps({"modules": {str(number): {} for number in range(30_000)}, "collections": {}}))
    return path


def with_report(*keys: str | int, value: Any) -> Callable[[Path], Path]:
    """Writes a report with another value below these keys."""

    def write(folder: Path) -> Path:
        path = write_report(folder)
        report = inner = json.loads(path.read_text())
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        path.write_text(json.dumps(report))
        return path

    return write


def index_csv(content: Callable[[], bytes]) -> Callable[[Path], Path]:
    def write(folder: Path) -> Path:
        path = folder / "index.csv"
        path.write_bytes(content())
        return path

    return write


def with_row(**change: object) -> Callable[[Path], Path]:
    """Writes an index with a good row and one with other values, whose text is quoted as CSV needs."""

    def write(folder: Path) -> Path:
        quoted = {column: f'"{value}"' if isinstance(value, str) else value for column, value in change.items()}
        return write_index(folder, ROW, ROW._replace(adapt_filename="S_16--b")._replace(**quoted))  # type: ignore[arg-type]

    return write


def _many_rows(count: int) -> bytes:
    """Returns an index whose values are all different, and whose last row is wrong."""
    head = ",".join(map(str, ROW[:-1]))
    rows = [f"{head.replace('1508.35', str(number / 7))},S_16--{number}" for number in range(count)]
    return "\n".join([HEADING, *rows, head.replace("S/16", "=", 1) + ",S_16--x", ""]).encode()


def index_csv_of_a_row(folder: Path) -> Path:
    return write_index(folder, ROW)


_NAMES = {
    "escape codes": "\x1b[2J",
    "backspace": "a\bb",
    "formula": "=cmd()",
    "plus": "+1",
    "minus": "-1+2",
    "at": "@SUM(A1)",
    "tab": "\t=1",
    "return": "\r=1",
    "line end": "a\n| b",
    "cell": "a|b",
    "HTML": "a<script>",
    "code": "a`b",
    "link": "[a](http://b)",
    "right to left": "a\u202eb",
    "long": "a" * 100_000,
    "beyond csv": "a" * 200_000,
}
_ONE_ROW = ",".join(map(str, ROW))
_AUDITED = (
    "null",
    "not UTF-8",
    "deep value",
    "pipe",
    "link to itself",
)  # each takes half a second: check-hub reads the whole hub
_INDEX_DAMAGES = [
    Attack(
        f"index.json, {name}",
        damaged(write_hub, damage),
        check_hub if name in _AUDITED else read_entries,
        r"index\.json.*(restore it|lead in a circle)",
    )
    for name, damage in DAMAGES.items()
]
_ENTRIES: list[tuple[str, Any]] = [
    ("title", None), ("title", 7), ("files", []), ("files", {}), ("files", [None]), ("files", [{"path": "a"}]),
    ("files", [{"path": "../../etc/passwd", "size": 1, "sha256": "0" * 64}]),
    ("files", [{"path": "/etc/passwd", "size": 1, "sha256": "0" * 64}]),
    ("files", [{"path": f"{_HANDLE}.tar.gz", "size": -1, "sha256": "0" * 64}]),
    ("files", [{"path": f"{_HANDLE}.tar.gz", "size": 1, "sha256": "\x1b[2J"}]),
    ("image_size", True), ("image_size", -1), ("parameters", "1"), ("weights", {}), ("weights", "sure"),
    ("measured", []), ("measured", {"top1": 2.0, "interval": [0, 1], "images": 1, "dataset": "x"}),
    ("measured", {"top1": 0.5, "interval": [0], "images": 1, "dataset": "x"}),
    ("quoted", {"top1": -1, "source": "x"}),
]  # fmt: skip
_REPORTS: list[tuple[tuple[str | int, ...], Any]] = [
    (("schema",), {}), (("schema",), 9), (("schema",), True), (("model",), []), (("modules",), {}),
    (("plots", 0, "file"), "../../../evil.svg"), (("plots", 0, "file"), "a/b.svg"), (("\x1b[2J",), "x" * 100_000),
    (("checkpoint", "bytes"), 10**30), (("ladder",), 7), (("accuracy",), None),
]  # fmt: skip
ATTACKS = (
    *_INDEX_DAMAGES,
    *(
        Attack(f"entry {number}, {key}", with_entry(key, value), read_entries, f"entry {_HANDLE} is malformed")
        for number, (key, value) in enumerate(_ENTRIES)
    ),
    *(
        Attack(f"handle {number}", with_handle(handle), render, "is no handle")
        for number, handle in enumerate(("../../a/b/1", "a/b/" + "9" * 5000, "a" * 300 + "/b/1", "a\x1b/b/1"))
    ),
    Attack("many malformed entries", write_malformed_entries, check_hub, "990 more entries are malformed"),
    Attack("many entries", write_many_entries, check_hub, "30,000 modules, at most 20,000 can be read"),
    Attack("website of a damaged index", damaged(write_hub, DAMAGES["deep value"]), render, "nested more than"),
    *(
        Attack(f"report {number}: {keys}", with_report(*keys, value=value), load_report, r"report\.json.*make validate")
        for number, (keys, value) in enumerate(_REPORTS)
    ),
    *(
        Attack(
            f"report.json, {name}", damaged(write_report, DAMAGES[name]), write_cards, r"report\.json.*make validate"
        )
        for name in ("not UTF-8", "null", "deep lists", "huge integer", "folder")
    ),
    *(
        Attack(f"card of {keys}", with_report(*keys, value=value), write_cards, f"it lacks {'.'.join(keys)}")
        for keys, value in (
            (("features",), None),
            (("modules", "fe", "gradients"), None),
            (("modules", "fe", "fine_tuning"), None),
            (("modules", "fe", "c_api"), None),
            (("modules", "fe", "batch_sizes", "max_rel"), {}),
            (("modules", "classification", "gradients", "max_rel"), None),
            (("modules", "classification", "parity", "argmax_agreement"), None),
        )
    ),
    *(
        Attack(f"lock, {name}", damaged(write_lock, DAMAGES[name]), write_cards_with_lock, "restore the committed file")
        for name in ("cut", "other values", "repeated keys", "pipe", "link to nothing")
    ),
    *(
        Attack(f"name, {name}", with_row(name=value), select, r"index\.csv:\d+: (name must be a name|not valid CSV)")
        for name, value in _NAMES.items()
    ),
    Attack("formula as a file", with_row(adapt_filename="=cmd()"), select, "adapt_filename must be a name"),
    Attack("row of add", with_row(filename="@a"), add, "filename must be a name"),
    *(
        Attack(
            f"rate {rate}", with_row(infer_samples_per_sec=rate), select, r"index\.csv:3: infer_samples_per_sec must be"
        )
        for rate in ("1e308", "1e-300", "-1", "inf", "9" * 5000, "x")
    ),
    *(
        Attack(f"accuracy {value}", with_row(adapt_final_test=value), select, "adapt_final_test must be")
        for value in ("1e308", "-0.1", "inf", "9" * 5000)
    ),
    *(
        Attack(
            f"resolution {value}", with_row(adapt_resolution=value), select, r"index\.csv:3: adapt_resolution must be"
        )
        for value in ("1e300", "-224", "nan", "")
    ),
    Attack("row twice", index_csv(lambda: f"{HEADING}\n{_ONE_ROW}\n{_ONE_ROW}\n".encode()), select, "listed twice"),
    Attack("zero byte", index_csv(lambda: f"{HEADING}\n{_ONE_ROW}\0\n".encode()), select, "a zero at byte"),
    Attack("not UTF-8", index_csv(lambda: HEADING.encode() + b"\n\xff\n"), select, r"index\.csv:2: not UTF-8"),
    Attack("many columns", index_csv(lambda: b"a," * 2_100_000), select, "more than 2,000,000 fields"),
    Attack("some columns", index_csv(lambda: b"a," * 500_000), select, "500,001 columns"),
    Attack("one long row", index_csv(lambda: HEADING.encode() + b"\n" + b"a" * 1_000_000), select, "field larger"),
    Attack(
        "one row of 40 MB",
        index_csv(lambda: HEADING.encode() + b"\n" + b"a" * 40_000_000),
        select,
        "more than 33,554,432 bytes",
    ),
    Attack("many letters", index_csv(lambda: "\U0001f600".encode() * 1_000_000), select, "field larger"),
    Attack("many rows", index_csv(lambda: _many_rows(20_000)), select, r"index\.csv:20002: name must be a name"),
    Attack("many unknown rows", index_csv(lambda: b"\n" * 2_000_001), select, "more than 2,000,000 fields"),
    *(
        Attack(
            f"index.csv, {name}",
            damaged(index_csv_of_a_row, DAMAGES[name]),
            select,
            r"index\.csv.*(expected a|MB|no such)",
        )
        for name in ("folder", "pipe", "huge", "link to nothing")
    ),
)


# Damaged at random; the readers come first, since nearly every damaged file ends there.
def read_hub(path: Path) -> None:
    index = read_index(path.parent)
    copy = copy_hub(path)
    website.build(copy, index)
    shutil.rmtree(copy)  # it lies in the hub


def read_sharded_hub(path: Path) -> None:
    read_index(path.parent.parent)


def read_table(path: Path) -> None:
    index.read(path)
    select(path)


def read_report(path: Path) -> None:
    load_report(path)
    write_cards(path)


def read_lock(path: Path) -> None:
    LockFile(path)
    write_cards_with_lock(path)


FUZZES = (
    Fuzz("index.json", lambda folder: [write_hub(folder)], read_hub, json.loads),
    Fuzz("index/root.json", lambda folder: [write_sharded_hub(folder, "root.json")], read_sharded_hub, json.loads),
    Fuzz("a shard", lambda folder: [write_sharded_hub(folder, "")], read_sharded_hub, json.loads),
    Fuzz("index.csv", lambda folder: [index_csv_of_a_row(folder)], read_table),
    Fuzz("report.json", lambda folder: [write_report(folder)], read_report, json.loads),
    Fuzz("lock file", lambda folder: [write_lock(folder)], read_lock, json.loads),
)
