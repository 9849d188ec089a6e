"""Tells what kind of file a checkpoint is from its first bytes, and what to do with those that cannot be read.

Reads the head of a file, its last bytes, and a zip archive's directory, whatever the size; it opens no pickle. Imports
neither TensorFlow nor JAX.
"""

import io
import re
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.zip_directory import DamagedZip, read_directory

CONVERT = "docs/members.md, 'Checkpoints of other programs', shows how to save its parameters in a file that is read"
_UNPACK = "unpack it, and name the file inside"
_PAGE = "open the address in a browser, and name the address of the file itself (Hugging Face: /resolve/, not /blob/)"
_FROM_JAX = "it is not JAX parameters: name the checkpoint that it was made from"
_HEAD, _FOOTER = 4096, 8  # bytes


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Attributes:
        what: what it is, with its article.
        advice: what to do with such a file.
    """

    what: str
    advice: str


NPZ = Kind("an .npz archive", "give it a name that ends in .npz")
SAFETENSORS = Kind("a safetensors file", "give it a name that ends in .safetensors")
MSGPACK = Kind("a msgpack file, such as Flax writes", "name it in checkpoint.sources, and fetch it")
ORBAX = Kind("a folder of Orbax, with arrays of TensorStore", "name it in checkpoint.sources, and fetch it")
READ = (NPZ, SAFETENSORS, MSGPACK, ORBAX)
_PICKLE = Kind("a Python pickle, such as PyTorch's .pth and .bin files, which could run code", CONVERT)
_TORCH = Kind("a file of PyTorch (.pth, .pt or .bin: a pickle, which could run code)", CONVERT)
_KERAS = Kind("a model of Keras (.keras)", _FROM_JAX)
_TAR = Kind("a tar archive", _UNPACK)
_ZIP = Kind("a zip archive of other files", _UNPACK)
_EMPTY = Kind("empty", "download it again")
_ZEROS = Kind("a file of zeros, as an interrupted download leaves", "download it again")
_LFS = Kind("a Git LFS pointer, not the file it stands for", "run git lfs pull in its clone")
_SAVED_MODEL = Kind("a TensorFlow SavedModel", "make doctor and make evaluate read it; " + _FROM_JAX)
_ONNX = Kind("an ONNX model", _FROM_JAX)
_TF_CHECKPOINT = Kind("a TensorFlow checkpoint (.index and .data files)", _FROM_JAX)
_FOLDER = Kind("a folder", "name a file in it")

_STARTS = {
    b"\x93NUMPY": Kind("an .npy file, a single array", "save all parameters with np.savez, each under its path"),
    b"\x89HDF\r\n\x1a\n": Kind("an HDF5 file (.h5), such as Keras writes", _FROM_JAX),
    b"\x1f\x8b": Kind("compressed with gzip", _UNPACK),
    b"BZh": Kind("compressed with bzip2", _UNPACK),
    b"\xfd7zXZ\x00": Kind("compressed with xz", _UNPACK),
    b"\x28\xb5\x2f\xfd": Kind("compressed with zstd", _UNPACK),
    b"GGUF": Kind("a GGUF file of quantized weights", _FROM_JAX),
    b"version https://git-lfs.github.com/spec/": _LFS,
}
# After white space and a byte order mark, in lower case.
_TEXTS = {
    b"<!doctype html": Kind("an HTML page, such as a login or an error", _PAGE),
    b"<html": Kind("an HTML page, such as a login or an error", _PAGE),
    b"<?xml": Kind("an XML text, such as the error of a storage server", _PAGE),
    b"<error": Kind("an XML text, such as the error of a storage server", _PAGE),
    b"{": Kind("a JSON text, such as an error or the index of a split checkpoint", "name the file of the weights"),
}


def identify(path: Path) -> Kind | None:
    """Returns what a file or folder is, or None if that cannot be told.

    A truncated file is told by its beginning, except for a zip archive, whose directory is at its end.

    Raises:
        OSError: when it cannot be read.
    """
    if path.is_dir():
        return _identify_folder(path)
    if re.search(r"\.data-\d+-of-\d+$", path.name):
        return _TF_CHECKPOINT
    with path.open("rb") as stream:
        head = stream.read(_HEAD)
        stream.seek(-min(_FOOTER, path.stat().st_size), 2)
        footer = stream.read()
    if not head.strip(b"\0"):
        return _ZEROS if head else _EMPTY
    if head.startswith(b"PK"):
        return _identify_zip(path)
    return _identify_start(head) or _identify_text(head) or _identify_binary(head, footer)


def describe_other(path: Path, expected: Kind) -> str | None:
    """Returns what is wrong with a file that is of another kind than `expected`, or None if it may be of that kind."""
    kind = identify(path)
    if kind is None or kind == expected:
        return None
    return f"it is {kind.what}, expected {expected.what} of float32 arrays; {kind.advice}"


def describe_unreadable(path: Path) -> str | None:
    """Returns what is wrong with a file of a kind that holds no weights that are read, or None if it may be another."""
    kind = identify(path)
    if kind is None or kind in READ:
        return None
    return (
        f"it is {kind.what}, expected an .npz, safetensors or msgpack file or a folder of Orbax with the weights;"
        f" {kind.advice}"
    )


def _identify_folder(path: Path) -> Kind:
    """Returns what a folder is by the files in it."""
    names = {file.name for file in path.iterdir()}
    if "saved_model.pb" in names:
        return _SAVED_MODEL
    # A step of orbax.CheckpointManager has the trees in folders of their own.
    if names & {"_METADATA", "_CHECKPOINT_METADATA", "manifest.ocdbt", "_sharding"} or any(
        path.glob("*/_CHECKPOINT_METADATA")
    ):
        return ORBAX
    return _TF_CHECKPOINT if any(name.endswith(".index") for name in names) else _FOLDER


def _identify_zip(path: Path) -> Kind | None:
    """Returns what a zip archive is by the names in its directory; None for one that has none, such as half a file."""
    try:
        with io.FileIO(path) as stream:
            names = [entry.name for entry in read_directory(stream)]
    except DamagedZip:
        return None
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return _TORCH
    if "model.weights.h5" in names:
        return _KERAS
    return NPZ if not names or any(name.endswith(".npy") for name in names) else _ZIP


def _identify_start(head: bytes) -> Kind | None:
    """Returns what a file is by a fixed beginning."""
    if re.match(rb"\x80[\x02-\x05]", head):  # the protocol's number
        return _PICKLE
    if head[257:262] == b"ustar":
        return _TAR
    return next((kind for start, kind in _STARTS.items() if head.startswith(start)), None)


def _identify_text(head: bytes) -> Kind | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    return next((kind for start, kind in _TEXTS.items() if text.startswith(start)), None)


def _identify_binary(head: bytes, footer: bytes) -> Kind | None:
    """Returns what a file is by the form of its first fields.

    safetensors: the length of a JSON header as 8 bytes. msgpack: a map whose first key is a text. SavedModel and ONNX:
    a number (the schema's 1, or the version of ONNX's format, from 3), then a message or a text. TensorFlow's .index
    ends in the magic number of a table.
    """
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < 2**30:
        return SAFETENSORS
    if re.match(rb"([\x81-\x8f]|\xde..|\xdf....)([\xa1-\xbf]|\xd9.|\xda..)[ -~]", head, re.DOTALL):
        return MSGPACK
    if head.startswith(b"\x08\x01\x12"):
        return _SAVED_MODEL
    if re.match(rb"\x08[\x03-\x1f][\x12\x1a\x3a\x42]", head):
        return _ONNX
    return _TF_CHECKPOINT if footer == bytes.fromhex("57fb808b247547db") else None
