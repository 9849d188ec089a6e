"""The digest of arrays: equal for the same weights in any container, different for any other ones."""

import hashlib
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.checkpoints.digest import arrays_digest, write_npz

Arrays = dict[str, np.ndarray]
EMPTY = np.zeros(0, np.float32)


def example() -> Arrays:
    values = np.random.default_rng(0).standard_normal((6, 4), dtype=np.float32)
    return {"b/kernel": values, "gn_root/scale": np.ones((1, 1, 1, 3), np.float32), "a": np.full((), 7, np.float32)}


def digest_of(folder: Path, content: Arrays) -> str:
    np.savez(folder / "x.npz", allow_pickle=True, **content)
    return arrays_digest(folder / "x.npz", "x.npz")


def test_the_digest_is_computed_as_documented(tmp_path: Path) -> None:
    content = example()
    expected = b"vit-publisher arrays 1\n"
    for name, shape in (("a", ""), ("b/kernel", "6,4"), ("gn_root/scale", "3")):
        for part in (name.encode(), b"<f4", shape.encode(), content[name].tobytes()):
            expected += struct.pack("<Q", len(part)) + part
    assert digest_of(tmp_path, content) == hashlib.sha256(expected).hexdigest()


@pytest.mark.parametrize(
    "same",
    [
        lambda a: dict(reversed(list(a.items()))),
        lambda a: a | {"b/kernel": np.asfortranarray(a["b/kernel"])},
        lambda a: a | {"b/kernel": a["b/kernel"].astype(">f4")},
        lambda a: a | {"b/kernel": np.asfortranarray(a["b/kernel"].astype(">f4"))},
        lambda a: a | {"gn_root/scale": a["gn_root/scale"].reshape(-1)},
        lambda a: a | {"pre_logits/kernel": EMPTY, "pre_logits": EMPTY.reshape(0, 3)},
    ],
)
def test_the_same_weights_in_another_form_give_the_same_digest(
    tmp_path: Path, same: Callable[[Arrays], Arrays]
) -> None:
    assert digest_of(tmp_path, same(example())) == digest_of(tmp_path, example())


@pytest.mark.parametrize(
    "other",
    [
        lambda a: a | {"b/kernel": a["b/kernel"].T},
        lambda a: a | {"b/kernel": a["b/kernel"].reshape(4, 6)},
        lambda a: a | {"b/kernel": a["b/kernel"].view(np.int32)},
        lambda a: a | {"b/kernel": -a["b/kernel"]},
        lambda a: a | {"b/kernel": a["b/kernel"].reshape(1, 1, 6, 4)},
        lambda a: a | {"c": EMPTY},
        lambda a: a | {"pre_logits/kernel": np.zeros(1, np.float32)},
        lambda a: {name.replace("b/", "c/"): value for name, value in a.items()},
        lambda a: {name: value for name, value in a.items() if name != "a"},
    ],
)
def test_other_weights_give_another_digest(tmp_path: Path, other: Callable[[Arrays], Arrays]) -> None:
    assert digest_of(tmp_path, other(example())) != digest_of(tmp_path, example())


def test_compression_does_not_change_the_digest(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "small.npz", allow_pickle=False, **example())
    assert arrays_digest(tmp_path / "small.npz", "") == digest_of(tmp_path, example())


def test_written_arrays_have_the_same_bytes_every_time(tmp_path: Path) -> None:
    for name, content in (("a.npz", example()), ("b.npz", dict(reversed(list(example().items()))))):
        with (tmp_path / name).open("wb") as stream:
            write_npz(stream, content)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert arrays_digest(tmp_path / "a.npz", "") == digest_of(tmp_path, example())


def refused(path: Path) -> str:
    with pytest.raises(Fault) as raised:
        arrays_digest(path, "where")
    return str(raised.value)


def test_a_pickle_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", allow_pickle=True, a=np.array([{}], dtype=object))
    assert "where: the array 'a' is a pickle" in refused(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["readme.txt"], "the entry 'readme.txt' is no array"),
        (["a.npy"], "the array 'a' is damaged: no .npy header"),
        (["a.npy", "a.npy"], "holds 'a.npy' twice"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_entry_that_is_no_array_is_refused(tmp_path: Path, names: list[str], message: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in names:
            archive.writestr(name, b"hello")
    assert message in refused(tmp_path / "x.npz")


@pytest.mark.parametrize("change", [-4, 4])
def test_an_array_of_the_wrong_length_is_refused(tmp_path: Path, change: int) -> None:
    np.save(tmp_path / "a.npy", np.ones(10, np.float32))
    content = (tmp_path / "a.npy").read_bytes()
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", content[:change] if change < 0 else content + bytes(change))
    assert f"damaged: it has {40 + change} bytes, expected 40 for its shape" in refused(tmp_path / "x.npz")
