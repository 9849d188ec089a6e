"""Files of other kinds are named for what they are, from a few bytes of them."""

import io
import os
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from pipeline.checkpoints.file_kinds import (
    MSGPACK,
    NPZ,
    SAFETENSORS,
    Kind,
    describe_other,
    describe_unreadable,
    identify,
)
from pipeline.saved_model.graph import saved_model_class


def zipped(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "content")
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, a=np.zeros(3, np.float32))
    return buffer.getvalue()


def tarball() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("saved_model.pb"))
    return buffer.getvalue()


def npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def saved_model() -> bytes:
    message = saved_model_class()(saved_model_schema_version=1)
    message.meta_graphs.add().meta_info_def.tensorflow_version = "2.21.0"
    return bytes(message.SerializeToString())


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize 1200000000\n" % (b"0" * 64)
KINDS = [
    ("an HTML page, such as a login or an error", b"\xef\xbb\xbf\n <!DOCTYPE HTML>\n<html>"),
    ("an HTML page, such as a login or an error", b"<html><title>Sign in</title>"),
    ("an XML text, such as the error of a storage server", b"<?xml version='1.0'?><Error><Code>AccessDenied</Code>"),
    ("a JSON text, such as an error", b'{"error": "Repository not found"}'),
    ("a Git LFS pointer, not the file it stands for", LFS),
    ("a file of zeros, as an interrupted download leaves", bytes(10_000)),
    ("empty", b""),
    ("a file of PyTorch (.pth, .pt or .bin", zipped("archive/data.pkl", "archive/data/0", "archive/version")),
    ("a Python pickle, such as PyTorch's", pickle.dumps({"state_dict": 1}, protocol=2)),
    ("a Python pickle, such as PyTorch's", pickle.dumps({"state_dict": 1}, protocol=4)),
    ("a model of Keras (.keras)", zipped("metadata.json", "config.json", "model.weights.h5")),
    ("a zip archive of other files", zipped("vit/model.safetensors")),
    ("an HDF5 file (.h5), such as Keras writes", b"\x89HDF\r\n\x1a\n" + bytes(40)),
    ("an .npy file, a single array", npy()),
    ("a tar archive", tarball()),
    ("compressed with gzip", b"\x1f\x8b\x08\0"),
    ("compressed with xz", b"\xfd7zXZ\0"),
    ("a TensorFlow SavedModel", saved_model()),
    ("an ONNX model", b"\x08\x08\x12\x07pytorch\x1a\x052.4.0:\x01"),
    ("a TensorFlow checkpoint (.index and .data files)", b"\0\0\x06\x08\x01" + bytes.fromhex("57fb808b247547db")),
]


@pytest.mark.parametrize(("what", "content"), KINDS)
def test_other_kinds_are_named_with_what_to_do(what: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vit.npz"
    path.write_bytes(content)
    expected = "expected an .npz, safetensors or msgpack file or a folder of Orbax with the weights; "
    for problem, marker in (
        (describe_other(path, NPZ), "expected an .npz archive of float32 arrays; "),
        (describe_unreadable(path), expected),
    ):
        assert str(problem).startswith(f"it is {what}")
        _, advice = str(problem).split(f", {marker}")
        assert len(advice) > 10


PACKED = b"\x81\xa6params\x81\xa9embedding\x81\xa6kernel"


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (NPZ, npz()),
        (SAFETENSORS, save({"a": np.zeros(3, np.float32)})),
        (MSGPACK, PACKED),
        (MSGPACK, b"\xde\x00\x16\xa3opt\x01\xa6target\x81\xa6params"),
    ],
)
def test_the_kinds_that_are_read_are_told_apart(kind: Kind, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vit"
    path.write_bytes(content)
    assert identify(path) == kind
    assert describe_unreadable(path) is None
    assert (describe_other(path, NPZ) is None) == (kind == NPZ)


@pytest.mark.parametrize("content", [npz()[:-10], b"PK\x03\x04", b"not known", b"\x80", b"\x81", b"x" * 300])
def test_what_cannot_be_told_is_left_to_the_reader_of_the_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "vit.npz").write_bytes(content)
    assert identify(tmp_path / "vit.npz") is None


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("saved_model.pb", "a TensorFlow SavedModel"),
        ("_METADATA", "a folder of Orbax, with arrays of TensorStore"),
        ("ckpt-1.index", "a TensorFlow checkpoint (.index and .data files)"),
        ("model.safetensors", "a folder"),
    ],
)
def test_folders_are_named(name: str, what: str, tmp_path: Path) -> None:
    (tmp_path / name).touch()
    assert str(describe_other(tmp_path, NPZ)).startswith(f"it is {what}, expected ")


def test_the_data_of_a_tensorflow_checkpoint_are_told_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt.data-00000-of-00001"
    path.write_bytes(bytes(100))
    assert str(describe_other(path, NPZ)).startswith("it is a TensorFlow checkpoint (.index and .data files)")


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="reads Linux' /proc")
@pytest.mark.parametrize("start", [b"<html>", pickle.dumps({"a": 1}), npz()[:30], b"not known"])
def test_a_large_file_is_told_from_its_ends(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "vit.npz"
    path.write_bytes(start)
    os.truncate(path, 1_200_000_000)  # sparse: it takes no disk
    before = bytes_read()
    identify(path)
    assert bytes_read() - before < 1_000_000


def bytes_read() -> int:
    """Returns how many bytes this process has read (proc(5))."""
    return int(Path("/proc/self/io").read_text().split()[1])
