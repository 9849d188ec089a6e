"""NpzFile reads what NumPy writes, in every form, and turns each kind of damage into one sentence."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.base.fault import UnusableFile
from pipeline.base.npz_file import NpzFile
from tests.zips import Part, deflate, npy, write_zip


def read(path: Path) -> dict[str, np.ndarray]:
    with NpzFile(path, "where", "get it again") as file:
        return {name: file.read(name) for name in file.headers}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize(
    "value",
    [
        np.arange(700_000, dtype=np.float32),  # several pieces
        np.zeros(2_000_000, np.float32),  # which compresses to almost nothing
        np.float32(3),
        np.zeros((3, 0), np.float32),
        np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
        np.arange(6, dtype=">i8"),
        np.array(["a", "bc"]),
        np.array([True, False]),
        np.arange(4, dtype=np.float16).view("|V2"),
    ],
    ids=lambda value: f"{value.dtype} {value.shape}",
)
def test_what_numpy_writes_comes_back(save: Callable[..., None], value: Any, tmp_path: Path) -> None:
    save(tmp_path / "a.npz", **{"a/b": value, "é": np.int32(7)})
    arrays = read(tmp_path / "a.npz")
    assert list(arrays) == ["a/b", "é"]
    assert arrays["a/b"].dtype == value.dtype
    np.testing.assert_array_equal(arrays["a/b"], value)


@pytest.mark.parametrize(
    "header",
    [
        "{'shape': (3,), 'fortran_order': False, 'descr': '<f4'}",
        '{"descr":"<f4","fortran_order":False,"shape":(3,)}',
        "{'descr': '<f4', 'fortran_order': False, 'shape': ( 3L, ), }        ",
    ],
)
def test_headers_of_other_programs_are_read(header: str, tmp_path: Path) -> None:
    write_zip(tmp_path / "a.npz", [Part("a.npy", npy(header=header, values=np.ones(3, np.float32).tobytes()))])
    assert read(tmp_path / "a.npz")["a"].tolist() == [1, 1, 1]


def test_the_headers_are_known_before_values_are_read(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros((2, 3), np.float32), b=np.asfortranarray(np.ones((4, 5))))
    with NpzFile(tmp_path / "a.npz", "where", "get it again") as file:
        got = [(name, header.shape, str(header.dtype), header.is_fortran) for name, header in file.headers.items()]
    assert got == [("a", (2, 3), "float32", False), ("b", (4, 5), "float64", True)]


@pytest.mark.parametrize("size", [100, 2_000_000])
def test_a_file_that_becomes_shorter_while_it_is_read_is_refused(size: int, tmp_path: Path) -> None:
    """A mapped file would end the process by a signal."""
    np.savez(tmp_path / "a.npz", a=np.zeros(size, np.float32), b=np.zeros(100, np.float32))
    with NpzFile(tmp_path / "a.npz", "where", "get it again") as file:
        os.truncate(tmp_path / "a.npz", 400)
        with pytest.raises(UnusableFile, match=r"^where: not a whole \.npz file \(it became shorter while"):
            file.read("a")


def test_a_file_cut_behind_an_array_is_not_mapped(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(100, np.float32), b=np.zeros(100, np.float32))
    with NpzFile(tmp_path / "a.npz", "where", "get it again") as file:
        os.truncate(tmp_path / "a.npz", 700)
        with pytest.raises(UnusableFile, match="it became shorter while it was read"):
            file.read("a")


@pytest.mark.parametrize("method", [0, 8])
def test_a_wrong_checksum_is_found_by_every_way_to_read(method: int, tmp_path: Path) -> None:
    content = deflate(npy()) if method else npy()
    path = write_zip(tmp_path / "a.npz", [Part("a.npy", content, size=len(npy()), crc=5, method=method)])
    with NpzFile(path, "where", "get it again") as file:
        for way in (file.read, file.check, lambda name: list(file.pieces(name))):
            with pytest.raises(UnusableFile, match=r"\(Bad CRC-32: the array 'a' is damaged\); get it again$"):
                way("a")


def test_what_is_no_file_is_not_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "a.npz")
    with pytest.raises(UnusableFile, match=r"^where: not a file;"):
        read(tmp_path)
