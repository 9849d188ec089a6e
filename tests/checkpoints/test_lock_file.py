"""The lock file: what it records, what it refuses, and several processes that write it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.checkpoints.lock_file import LockFile, Pin, WrongDigest
from tests.conftest import ROOT

ONE, TWO, THREE = ("1" * 64, "2" * 64, "3" * 64)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "collection/checkpoints.lock"


def test_a_missing_file_pins_nothing(path: Path) -> None:
    lock = LockFile(path)
    assert lock.pin_of("a") == Pin()
    lock.check_file("a", "u", ONE)
    lock.check_arrays("a", "u", ONE)
    assert not path.parent.exists()


def test_a_recorded_download_is_checked_from_then_on(path: Path) -> None:
    lock = LockFile(path)
    lock.record("a", "u", ONE, TWO)
    assert json.loads(path.read_text()) == {"a": {"arrays": TWO, "files": {"u": ONE}}}
    for read in (lock, LockFile(path)):
        assert read.pin_of("a") == Pin(TWO, {"u": ONE})
        read.check_file("a", "another source", THREE)
        with pytest.raises(WrongDigest, match=f"^u: wrong sha256: {path} has {ONE}, got {THREE}"):
            read.check_file("a", "u", THREE)
        with pytest.raises(
            WrongDigest, match=f"^here: other weights than {path} has for a: .*is {ONE}, expected {TWO}"
        ):
            read.check_arrays("a", "here", ONE)


def test_what_others_record_meanwhile_is_kept_and_checked(path: Path) -> None:
    first, second, third = LockFile(path), LockFile(path), LockFile(path)
    first.record("a", "u", ONE, TWO)
    second.record("b", "u", ONE, TWO)
    second.record("a", "v", THREE, TWO)
    before = path.read_text()
    assert LockFile(path).pins == {"a": Pin(TWO, {"u": ONE, "v": THREE}), "b": Pin(TWO, {"u": ONE})}
    for source, sha256, arrays in (("u", THREE, TWO), ("w", ONE, THREE)):
        with pytest.raises(WrongDigest):
            third.record("a", source, sha256, arrays)
    assert path.read_text() == before


def test_nothing_is_written_when_nothing_is_new(path: Path) -> None:
    LockFile(path).record("a", "u", ONE, TWO)
    path.write_text(path.read_text().replace("\n", "\n\n"))  # as a person might have left it
    before = path.read_text()
    LockFile(path).record("a", "u", ONE, TWO)
    assert path.read_text() == before


def test_a_pin_without_arrays_stays_without(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(json.dumps({"a": {"files": {"u": ONE}}}))
    LockFile(path).record("b", "u", ONE, TWO)
    assert json.loads(path.read_text())["a"] == {"files": {"u": ONE}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<<<<<<< ours\n{}", "checkpoints.lock:1: not valid JSON (Expecting value); restore the committed file"),
        ("[]", "checkpoints.lock: expected a mapping of checkpoints"),
        ('{"a": {"arrays": "xyz"}}', "the digests of 'a' must be 64 hexadecimal digits in lower case, got 'xyz'"),
        ('{"a": {"files": {"u": 7}}}', "the digests of 'a' must be 64 hexadecimal digits in lower case, got 7"),
        ('{"a": {"sha256": "0"}}', "'a' must have the keys 'arrays' and 'files', got {'sha256': '0'}"),
        ('{\n"a": 7', "checkpoints.lock:2: not valid JSON (Expecting ',' delimiter)"),
        ('{"a": 7}', "'a' must have the keys 'arrays' and 'files', got 7"),
    ],
)
def test_a_broken_file_is_refused(path: Path, text: str, message: str) -> None:
    path.parent.mkdir()
    path.write_text(text)
    with pytest.raises(Fault) as raised:
        LockFile(path)
    assert message in str(raised.value)


def test_reading_it_needs_neither_numpy_nor_an_http_client() -> None:
    """Every make reads it."""
    code = "import sys, pipeline.checkpoints.lock_file; print({'numpy', 'requests', 'yaml'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_file_with_a_byte_order_mark_is_read(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("\ufeff" + json.dumps({"a": {"files": {"u": ONE}}}), encoding="utf-8")
    assert LockFile(path).pin_of("a").files == {"u": ONE}
