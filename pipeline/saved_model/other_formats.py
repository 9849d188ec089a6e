"""Recognizes files that people take for a SavedModel, by their content: what each is, and how to get a SavedModel.

The content decides, not the name: a login page is saved as model.tar.gz, and a pointer of Git LFS has the name of its
file. Only what has no mark of its own is known by its name.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from pipeline.base.fault import show_name

HEAD = 512  # bytes of a file that tell what it is
_TABLE_END = b"\x57\xfb\x80\x8b\x24\x75\x47\xdb"  # TensorFlow's tsl/lib/io/format.h, kTableMagicNumber

_EXPORT = "build the model in its own library, load them, and export it as a SavedModel"
_KERAS = "export it with Keras: keras.saving.load_model({name!r}).export('<folder>')"
_DOWNLOAD = "download it again, from the address of the file itself, and with a login if it needs one"
_UNPACK = "unpack it and name the folder"


@dataclass(frozen=True)
class OtherFormat:
    """What a file is in place of a SavedModel.

    Attributes:
        what: "a TensorFlow Lite model", for "it is ...".
        advice: what to do.
        member: the file that is that, of a folder or archive without a SavedModel; "" for a file itself.
    """

    what: str
    advice: str
    member: str = ""

    def sentence(self, where: object, expected: str = "a SavedModel") -> str:
        """Returns what to say of a file, folder or archive in place of what was expected."""
        if self.member:
            return f"{where}: no SavedModel in it, but {show_name(self.member)}, {self.what}; {self.advice}"
        return f"{where}: it is {self.what}, not {expected}; {self.advice}"


# Placeholders ---------------------------------------------------------------------------------------------------------
def recognize_placeholder(head: bytes) -> OtherFormat | None:
    """Recognizes what stands in place of a file: a pointer of Git LFS, a web page, a server's error."""
    text = head.decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if pointer := _find_pointer(text):
        return pointer
    if re.match(r"(<!--.*?-->\s*)?<(!doctype html|html|head|body)\b", text, re.IGNORECASE | re.DOTALL):
        title = re.search(r"<title[^>]*>([^<]{1,80})", text, re.IGNORECASE)
        named = f" ({show_name(' '.join(title[1].split()))!r})" if title else ""
        return OtherFormat(f"a web page{named}", _DOWNLOAD)
    if text.startswith(("<?xml", "<Error>")):
        code = re.search(r"<Code>(\w{1,40})</Code>", text)
        return OtherFormat(f"a server's answer in XML{f' ({code[1]})' if code else ''}", _DOWNLOAD)
    if re.match(r'\{\s*"(error|message|detail|code|errors)"', text):
        return OtherFormat(f"a server's answer ({show_name(' '.join(text.split()))})", _DOWNLOAD)
    return None


def _find_pointer(text: str) -> OtherFormat | None:
    """Recognizes a pointer of Git LFS, or of its predecessors."""
    if not re.match(r"version https?://[\w./-]*(git-lfs|hawser|git-media)", text):
        return None
    size = re.search(r"^size (\d{1,15})$", text, re.MULTILINE)
    of = f" to a file of {int(size[1]):,} bytes" if size else ""
    return OtherFormat(f"a pointer of Git LFS{of}", "get the file: git lfs pull in its clone, or download it")


def recognize_wrong_file(name: str, head: bytes) -> OtherFormat | None:
    """Recognizes what stands in place of a SavedModel's file: a placeholder, or a frozen graph as saved_model.pb.

    Args:
        name: its path below the model's folder; assets may be web pages or JSON.
        head: its first HEAD bytes.
    """
    if name.startswith("assets"):
        return _find_pointer(head.decode("utf-8", "replace"))
    is_frozen = name == "saved_model.pb" and _find_graph(name, head, b"") is _FROZEN
    return _FROZEN if is_frozen else recognize_placeholder(head)


# Files ----------------------------------------------------------------------------------------------------------------
_MAGIC: tuple[tuple[int, bytes, OtherFormat], ...] = (
    (4, b"TFL3", OtherFormat("a TensorFlow Lite model", "get the SavedModel that it was made from")),
    (0, b"\x28\xb5\x2f\xfd", OtherFormat("a file packed with zstd", f"{_UNPACK}: tar --zstd -xf")),
    (0, b"7z\xbc\xaf\x27\x1c", OtherFormat("a 7z archive", _UNPACK)),
    (0, b"Rar!\x1a\x07", OtherFormat("a RAR archive", _UNPACK)),
    (0, b"\x04\x22\x4d\x18", OtherFormat("a file packed with lz4", _UNPACK)),
    (0, b"LZIP", OtherFormat("a file packed with lzip", _UNPACK)),
    (0, b"\x1f\x9d", OtherFormat("a file packed with compress", _UNPACK)),
    (0, b"\x93NUMPY", OtherFormat("an array of NumPy (.npy)", _EXPORT.replace("them", "it"))),
    (0, b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46", OtherFormat("weights of PyTorch", f"{_EXPORT}, such as through ONNX")),
)
_TFJS = OtherFormat("a TensorFlow.js model", "get the SavedModel or Keras model that it was made from")
_ONNX = OtherFormat("an ONNX model", "convert it, for example with onnx2tf, which writes a SavedModel")
_TORCH = OtherFormat("a PyTorch model or its weights", f"{_EXPORT}, such as through ONNX and onnx2tf")
_ORBAX = OtherFormat("an Orbax checkpoint: weights alone", f"{_EXPORT}, with jax2tf")
_CHECKPOINT = OtherFormat("a TensorFlow checkpoint: weights alone", f"{_EXPORT} with tf.saved_model.save")
_FROZEN = OtherFormat(
    "a frozen graph (GraphDef) of TensorFlow 1",
    "import it with tf.graph_util.import_graph_def, and save it with tf.compat.v1.saved_model.simple_save, naming its"
    " input and its output",
)
_LONE = OtherFormat(
    "the graph of a SavedModel without its folder",
    "name that folder, with this file as saved_model.pb and with variables/ beside it",
)
_RENAMED = OtherFormat("the graph of a SavedModel under another name", "rename it saved_model.pb, beside variables/")
_NPZ = OtherFormat("arrays in an .npz: weights alone", f"{_EXPORT}; one of this project's checkpoints: docs/members.md")


def recognize(name: str, head: bytes, tail: bytes = b"") -> OtherFormat | None:
    """Returns what a file is, None if that is not known.

    Args:
        name: its name, for advice and for what has no mark.
        head: its first HEAD bytes.
        tail: its last 8 bytes.
    """
    if placeholder := recognize_placeholder(head):
        return placeholder
    if marked := next((other for offset, magic, other in _MAGIC if head[offset:].startswith(magic)), None):
        return marked
    return next((other for find in _FINDERS if (other := find(PurePosixPath(name).name, head, tail))), None)


def _find_hdf5(name: str, head: bytes, tail: bytes) -> OtherFormat | None:
    if not head.startswith(b"\x89HDF\r\n\x1a\n"):
        return None
    return OtherFormat("an HDF5 file, as Keras writes (.h5)", f"{_KERAS.format(name=name)}, if it holds a whole model")


def _find_safetensors(name: str, head: bytes, tail: bytes) -> OtherFormat | None:
    size = int.from_bytes(head[:8], "little")
    found = len(head) > 9 and 2 <= size < 1 << 27 and re.match(rb"\{\s*[\"}]", head[8:])
    return OtherFormat("weights in safetensors", _EXPORT) if found else None


def _find_checkpoint(name: str, head: bytes, tail: bytes) -> OtherFormat | None:
    found = tail == _TABLE_END or re.search(r"\.data-\d{5}-of-\d{5}$", name) or head.startswith(b"model_checkpoint_")
    return _CHECKPOINT if found else None


def _find_json(name: str, head: bytes, tail: bytes) -> OtherFormat | None:
    if re.match(rb'\s*\{.{0,400}"(modelTopology|weightsManifest|userDefinedMetadata)"', head, re.DOTALL):
        return _TFJS
    return OtherFormat("a JSON text", _DOWNLOAD) if re.match(rb"\s*[\[{]\s*[\"{\[]", head) else None


def _find_pickle(name: str, head: bytes, tail: bytes) -> OtherFormat | None:
    if re.match(rb"\x80[\x02-\x05][\x7d\x63\x95\x8a\x28\x5d]", head) and tail.endswith(b"."):
        return OtherFormat("a Python pickle", f"do not load one of a stranger; {_EXPORT}")
    return None


def _find_graph(name: str, head: bytes, tail: bytes) -> OtherFormat | None:
    """Recognizes messages of protobuf by their first fields: a GraphDef, a SavedModel, an ONNX model."""
    # GraphDef: field 1, a node, whose fields 1 and 2 are its name and its operation.
    if re.match(rb"\x0a.{1,4}?\x0a.[\w./-]+\x12.[A-Z]\w+", head, re.DOTALL):
        return _FROZEN
    if head.startswith(b"\x08\x01\x12"):
        return _LONE
    # ModelProto: the version of the format, 3 to 20 by now, and the name of the program that wrote it.
    is_onnx = re.match(rb"\x08[\x03-\x14](\x12[\x01-\x40][\w .+-]|\x3a|\x42)", head)
    return _ONNX if is_onnx or (name.endswith(".onnx") and head.startswith(b"\x08")) else None


def _find_msgpack(name: str, head: bytes, tail: bytes) -> OtherFormat | None:
    found = re.match(rb"(?:[\x81-\x8f]|\xde..)(?:[\xa1-\xbf]|\xd9.)[A-Za-z_][\w./-]+", head, re.DOTALL)
    return OtherFormat("weights of Flax (msgpack)", f"{_EXPORT}, with jax2tf") if found else None


_Finder = Callable[[str, bytes, bytes], OtherFormat | None]
_FINDERS: tuple[_Finder, ...] = (
    _find_hdf5, _find_safetensors, _find_checkpoint, _find_json, _find_pickle, _find_graph, _find_msgpack,
)  # fmt: skip


def recognize_file(path: Path) -> OtherFormat | None:
    """Returns what a file is, None if that is not known."""
    with path.open("rb") as stream:
        head = stream.read(HEAD)
        stream.seek(max(0, path.stat().st_size - len(_TABLE_END)))
        return recognize(path.name, head, stream.read())


# Folders and archives -------------------------------------------------------------------------------------------------
def recognize_content(where: str, names: Iterable[str], heads: Mapping[str, bytes]) -> OtherFormat | None:
    """Returns what a folder or archive without a SavedModel holds, None if that is not known.

    Args:
        where: the folder or archive.
        names: of all its files, with "/" between the parts of a path.
        heads: the first HEAD bytes of some of them.
    """
    files = {PurePosixPath(name).name for name in names}
    if renamed := next((name for name, head in sorted(heads.items()) if _find_graph(name, head, b"") is _LONE), None):
        return replace(_RENAMED, member=renamed)
    if {"config.json", "model.weights.h5"} <= files:
        return OtherFormat("a model of Keras 3", _KERAS.format(name=PurePosixPath(where).name))
    if files & {"_CHECKPOINT_METADATA", "manifest.ocdbt", "_sharding"}:
        return _ORBAX
    if any(name.endswith(".data-00000-of-00001") or name.endswith(".ckpt.index") for name in files):
        return _CHECKPOINT
    if "data.pkl" in files:
        return _TORCH
    if files and all(name.endswith(".npy") for name in files):
        return _NPZ
    for name, head in sorted(heads.items()):
        other = recognize(name, head)
        if other and not _is_beside_models(name, head):
            return replace(other, member=name)
    return None


def _is_beside_models(name: str, head: bytes) -> bool:
    """Whether a file is no model and no placeholder of one: a web page of that name, or JSON such as config.json."""
    if name.lower().endswith((".html", ".htm", ".xml", ".svg")):
        return _find_pointer(head.decode("utf-8", "replace")) is None
    return not recognize_placeholder(head) and _find_json(name, head, b"") not in (None, _TFJS)
