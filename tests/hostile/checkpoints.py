"""Hostile checkpoints: .npz and safetensors files, which fetch copies from a source, and convert and validate read."""

import json
import math
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from safetensors.numpy import save

import pipeline.fetch  # noqa: F401 - so that a forked process has it
from pipeline.base.npz_file import NpzFile
from pipeline.checkpoints.arrays_of import plan_arrays
from pipeline.checkpoints.containers.opening import open_weights
from pipeline.model.vit.timm_layout import layout
from tests.hostile.attack import Attack, Fuzz, command
from tests.zips import Part, array, deflate, deflate_zeros, npy, write_zip

GOOD = array(np.ones(3, np.float32))
_LAYOUT = layout("Mini/8", (1, 5, 64), True, (3, 64))
_VALUES = 4 * sum(math.prod(tensor.shape) for tensor in _LAYOUT.values())
_MEMBER = "checkpoint: {name: a, sources: [%s]}\n"


def fetch(path: Path) -> None:
    """Fetches a checkpoint from a file beside its member's YAML file."""
    (path.parent / "out").mkdir(exist_ok=True)
    yaml = path.parent / "out/m.yaml"
    yaml.write_text(_MEMBER % f"../{path.name}")
    command("fetch", yaml, path.parent / "out/checkpoint.npz", "--lock", path.parent / "out/lock")


def archive(*parts: Part, **more: object) -> Callable[[Path], Path]:
    return lambda folder: write_zip(folder / "a.npz", parts, **more)  # type: ignore[arg-type]


def header(text: str) -> Callable[[Path], Path]:
    """An array with this header."""
    return archive(Part("cls.npy", npy(header=text)))


def values(descr: str = "'<f4'", shape: str = "(3,)") -> Callable[[Path], Path]:
    """An array of 12 bytes whose header says this."""
    return archive(Part("cls.npy", npy(descr, shape)))


def content(data: bytes, name: str = "a.npz") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def cut(folder: Path) -> Path:
    path = write_zip(folder / "a.npz", [Part("cls.npy", npy())])
    path.write_bytes(path.read_bytes()[:-30])
    return path


def link(target: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / "a.npz").symlink_to(target)
        return folder / "a.npz"

    return make


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "a.npz")
    return folder / "a.npz"


def bomb(folder: Path, size: int | None = None) -> Path:
    """4.7 GB of zeros in 5 MB; the directory says so, or says another size."""
    start = npy(shape="(1258291200,)", values=b"")
    total = len(start) + 4800 * 2**20
    packed = deflate_zeros(start, 4800)
    return write_zip(folder / "a.npz", [Part("cls.npy", packed, method=8, size=size or total)])


def many_bombs(folder: Path) -> Path:
    """The same in 300 arrays of 16 MB, none of them large."""
    start = npy(shape="(4194304,)", values=b"")
    packed = deflate_zeros(start, 16)
    parts = [Part(f"{number}.npy", packed, method=8, size=len(start) + 2**24) for number in range(300)]
    return write_zip(folder / "a.npz", parts)


def lying_bomb(folder: Path) -> Path:
    """The same, as three values."""
    start = npy(values=b"")
    return write_zip(folder / "a.npz", [Part("cls.npy", deflate_zeros(start, 4800), method=8, size=len(start) + 12)])


def columns(folder: Path) -> Path:
    """A gigabyte by columns, which must be turned as a whole, in a file that is large enough for it."""
    start = npy(header="{'descr': '<f4', 'fortran_order': True, 'shape': (16384, 16384)}", values=b"")
    turned = Part("a.npy", deflate_zeros(start, 1024), method=8, size=len(start) + 2**30)
    rest = Part("b.npy", npy(shape="(6000000,)", values=b""), hole=24_000_000, crc=0)
    return write_zip(folder / "a.npz", [turned, rest])


def tensors(text: str | bytes, data: bytes = bytes(12), length: int | None = None) -> Callable[[Path], Path]:
    """A safetensors file whose header is a text."""
    raw = text.encode() if isinstance(text, str) else text
    return content(struct.pack("<Q", len(raw) if length is None else length) + raw + data, "a.safetensors")


def tensor(shape: object = (3,), offsets: object = (0, 12), dtype: str = "F32", name: str = "cls_token") -> str:
    return json.dumps({name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}})


def many_tensors(folder: Path) -> Path:
    """A header of 90 MB, which the library allows."""
    entry = '"%07d":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}'
    return tensors("{" + ",".join(entry % number for number in range(1_500_000)) + "}", b"")(folder)


def packed(
    name: bytes = b"cls", shape: bytes = b"\x91\x03", kind: bytes = b"float32", length: int | None = None
) -> bytes:
    """A msgpack of Flax with one array of three values."""
    size = struct.pack(">L", 12 if length is None else length)
    array = b"\x93" + shape + bytes([0xA0 + len(kind)]) + kind + b"\xc6" + size + bytes(12)
    return b"\x81" + bytes([0xA0 + len(name)]) + name + b"\xc7" + bytes([len(array), 1]) + array


def orbax(
    array: dict[str, object], metadata: str = '{"tree_metadata": {}}', link: bool = False
) -> Callable[[Path], Path]:
    """A folder of Orbax with one array, whose description these fields change."""

    def make(folder: Path) -> Path:
        place = folder / "a.npz"
        (place / "cls").mkdir(parents=True)
        (place / "_METADATA").write_text(metadata)
        fields = {
            "zarr_format": 2,
            "dtype": "<f4",
            "compressor": None,
            "fill_value": None,
            "filters": None,
            "order": "C",
        }
        if array:
            (place / "cls/.zarray").write_text(json.dumps(fields | array))
        if link:
            (place / "cls/0").symlink_to("/dev/zero")
        return place

    return make


def stages(count: int, digits: int = 1) -> Callable[[Path], Path]:
    """A ResNet of many stages, or of one with a long number."""
    shapes = {f"patch_embed.backbone.stages.{number}{'1' * digits}.blocks.0.x": [0] for number in range(count)}
    shapes |= {"cls_token": [1, 1, 0], "patch_embed.proj.weight": [0, 1, 1, 1]} | {"pos_embed": [0]}
    entries = {name: {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for name, shape in shapes.items()}
    return tensors(json.dumps(entries), b"")


_DAMAGED, _HEADER = r"a\.npz: the array 'cls' is damaged: ", "as NumPy writes it"
_ZIP = r"a\.npz: not a whole \.npz file \("
_PACK = r"a\.msgpack: not a whole msgpack file \("
_EXTRA = Part("x", b"", extra=struct.pack("<2H", 2, 0) * 16_000)

ATTACKS = tuple(
    Attack(name, make, fetch, sentence)
    for name, make, sentence in (
        # The archive.
        ("cut", cut, _ZIP),
        ("no directory", content(b"PK\x03\x04" + bytes(1000)), _ZIP + "File is not a zip file"),
        ("empty archive cut", content(b"PK\x05\x06"), _ZIP),
        ("directory of 8 GB", archive(Part("cls.npy", npy()), directory=8 << 30), _ZIP),
        ("directory beyond its file", archive(Part("cls.npy", npy()), directory=1 << 62), _ZIP),
        ("directory of 4 MB", archive(*[_EXTRA] * 30), _ZIP + "a directory of 1,92"),
        ("slow extra fields", archive(*[_EXTRA] * 16), _ZIP + "it holds 'x' twice"),
        (
            "9,000 arrays",
            archive(*(Part(f"{number}.npy", b"") for number in range(9_000))),
            _ZIP + "9,000 entries, at most 5,000 are allowed",
        ),
        ("comment for a directory", archive(comment=b"PK\x05\x06" * 9), _ZIP),
        ("twice", archive(Part("cls.npy", npy()), Part("cls.npy", npy())), _ZIP + r"it holds 'cls\.npy' twice"),
        ("long name", archive(Part("a" * 60_000 + ".npy", npy())), _ZIP + "an entry's name is not printable, or"),
        ("control characters", archive(Part("\x1b[2J.npy", npy())), _ZIP + "an entry's name is not printable, or"),
        ("name that ends early", archive(Part("cls.npy\0.txt", npy())), _ZIP + "an entry's name is not printable"),
        ("other name inside", archive(Part("cls.npy", npy(), local="abc.npy")), r"'cls\.npy' points elsewhere"),
        ("place beyond", archive(Part("cls.npy", npy(), offset=2**32 - 2)), _ZIP),
        ("place in itself", archive(Part("cls.npy", npy(), offset=5)), r"'cls\.npy' points elsewhere"),
        (
            "overlap",
            archive(Part("a.npy", npy() + b"PK\x03\x04"), Part("b.npy", npy(), offset=0, local="a.npy")),
            _ZIP + r"the directory's entry 'b\.npy' points elsewhere",
        ),
        (
            "entry in an entry",
            lambda folder: write_zip(
                folder / "a.npz",
                [Part("a.npy", npy() + inner(folder)), Part("b.npy", npy(), offset=35 + len(npy()))],
            ),
            _ZIP + r"'b\.npy' overlaps another entry",
        ),
        ("encrypted", archive(Part("cls.npy", npy(), flags=1)), _ZIP + r"'cls\.npy' is encrypted"),
        ("LZMA", archive(Part("cls.npy", npy(), method=14)), "compressed by the method 14, expected deflate"),
        ("unknown method", archive(Part("cls.npy", npy(), method=99)), "compressed by the method 99, expected deflate"),
        ("wrong CRC", archive(Part("cls.npy", npy(), crc=1)), _ZIP + "Bad CRC-32: the array 'cls' is damaged"),
        ("claims 16 EB", archive(Part("cls.npy", npy(), size=2**64 - 1)), _ZIP),
        ("no deflate", archive(Part("cls.npy", b"\xff" * 99, method=8, size=200)), "the array 'cls' is damaged: "),
        ("bomb", bomb, _ZIP + r"it unpacks to 5,033,\d+,\d+ bytes, at most 3\d\d,"),
        ("300 bombs", many_bombs, _ZIP + r"it unpacks to 5,033,\d+,\d+ bytes, at most 3\d\d,"),
        ("bomb that claims less", lying_bomb, "the array 'cls' is damaged: it has more bytes than the directory"),
        ("bomb by columns", columns, r"'a' is stored by columns or big-endian, which is read up to 500,000,000 bytes"),
        (
            "unpacks to less",
            archive(Part("cls.npy", deflate(npy()), method=8, size=len(npy()) + 4)),
            "the array 'cls' is damaged: it has 16 bytes, expected 12 for its shape",
        ),
        # Its arrays.
        ("text", archive(Part("cls.npy", npy()), Part("readme.txt", b"hello")), "the entry 'readme.txt' is no array"),
        ("no array", archive(Part("cls.npy", b"hello")), _DAMAGED + r"no \.npy header of version 1 or 2"),
        ("version 9", archive(Part("cls.npy", b"\x93NUMPY\x09\x00" + bytes(99))), _DAMAGED + "no .npy header"),
        (
            "header of 800 MB",
            archive(Part("cls.npy", b"\x93NUMPY\x02\x00" + struct.pack("<L", 800_000_000), hole=800_000_000, crc=0)),
            _DAMAGED + "a header of 800,000,000 bytes, at most 10,000 are allowed",
        ),
        ("nested tuples", header("(" * 9_000), _HEADER),
        ("deeply nested shape", values(shape="(" * 4_000 + ")" * 4_000), _HEADER),
        ("negations", values(shape="(" + "-" * 9_000 + "1,)"), _HEADER),
        ("spaces", header("{" + " " * 9_900), _HEADER),
        ("tabs in a shape", values(shape="(" + "\t" * 9_000 + "x"), _HEADER),
        ("unfinished text", header("{'descr': '"), _HEADER),
        ("code", header("{'descr': __import__('os').system('touch /tmp/evil')}"), _HEADER),
        ("no shape", header("{'descr': '<f4', 'fortran_order': False, 'order': (3,)}"), _HEADER),
        ("shape twice", header("{'descr': '<f4', 'shape': (1,), 'shape': (3,)}"), _HEADER),
        ("pickle", archive(Part("cls.npy", array(np.array([{}], object)))), "the array 'cls' is a pickle, which could"),
        ("pickled type", values("'|O'"), "the array 'cls' is a pickle"),
        ("structures", values("[('a', '<f4')]"), _DAMAGED + "an array of structures, expected plain numbers"),
        ("structure as text", values("'<f4,<f4'"), _DAMAGED + "the type '<f4,<f4', expected plain numbers"),
        ("array of arrays", values("'(1000000000,)f4'"), _DAMAGED + "the type"),
        ("texts", values("'<U2147483647'"), _DAMAGED + "the type '<U2147483647', expected plain numbers"),
        ("times", values("'<M8[ns]'"), _DAMAGED + "the type"),
        ("no bytes", values("'|S0'"), _DAMAGED + "the type"),
        ("unknown type", values("'<f3'"), _DAMAGED + "the type '<f3', which NumPy does not have"),
        ("negative shape", values(shape="(-1, 3)"), _HEADER),
        ("fraction", values(shape="(3.0,)"), _HEADER),
        ("other shape", values(shape="(4,)"), _DAMAGED + "it has 12 bytes, expected 16 for its shape"),
        ("huge shape", values(shape="(9223372036854775807, 9)"), _DAMAGED + "the shape"),
        ("empty and huge", values(shape="(9223372036854775807, 9223372036854775807, 0)"), _DAMAGED + "the shape"),
        ("number of 5,000 digits", values(shape="(" + "9" * 5_000 + ",)"), _DAMAGED + "the shape"),
        ("1,000 axes", values(shape="(" + "1," * 1_000 + ")"), _DAMAGED + "the shape"),
        # No file.
        ("pipe", pipe, "no such file"),
        ("folder", lambda folder: [(folder / "a.npz").mkdir(), folder / "a.npz"][1], "it is a folder, expected"),
        # msgpack.
        (
            "msgpack: 4 billion values",
            content(b"\x81\xa1a\xdd" + b"\xff" * 4 + bytes(300_000), "a.msgpack"),
            _PACK + "mor",
        ),
        ("msgpack: nested", content(b"\x81\xa1a" * 99_999, "a.msgpack"), _PACK + "more than 64 maps within each other"),
        ("msgpack: lists", content(b"\x81\xa1a" + b"\x91" * 99_999, "a.msgpack"), _PACK + "more than 64 lists within"),
        (
            "msgpack: 4 GB of name",
            content(b"\x81\xdb" + b"\xff" * 4 + b"a" * 99, "a.msgpack"),
            _PACK + "a name of 4,294",
        ),
        (
            "msgpack: beyond the file",
            content(packed(length=2**32 - 1), "a.msgpack"),
            _PACK + ".* has 4,294,967,295 bytes",
        ),
        ("msgpack: huge shape", content(packed(shape=b"\x92" + b"\xcf" + b"\x7f" * 8 + b"\x09"), "a.msgpack"), _PACK),
        (
            "msgpack: negative",
            content(packed(shape=b"\x91\xff"), "a.msgpack"),
            _PACK + ".* shape of other things than siz",
        ),
        (
            "msgpack: objects",
            content(packed(kind=b"object"), "a.msgpack"),
            _PACK + ".* is of the unknown type 'object'",
        ),
        ("msgpack: twice", content(b"\x82" + packed()[1:] * 2, "a.msgpack"), _PACK + "it holds 'cls' twice"),
        ("msgpack: control characters", content(packed(name=b"\x1b[2J"), "a.msgpack"), "a name that is not printable"),
        ("msgpack: cut", content(packed()[:-1], "a.msgpack"), _PACK),
        ("msgpack: more bytes", content(packed() + b"\0", "a.msgpack"), _PACK + "bytes follow its end"),
        # Orbax.
        ("orbax: empty", orbax({}), r"its 0 arrays are of no known layout"),
        (
            "orbax: a chunk of 16 TB",
            orbax({"shape": [1], "chunks": [1 << 42]}),
            "not a whole Orbax file .a chunk of 17,5",
        ),
        ("orbax: huge shape", orbax({"shape": [1 << 40], "chunks": [1]}), "not a whole Orbax file .it unpacks to 4,39"),
        ("orbax: a link", orbax({}, link=True), "not a whole Orbax file .*is a link, a pipe or a device"),
        ("orbax: metadata", orbax({}, metadata="[" * 99_999), "not a whole Orbax file .its _METADATA is none of Orbax"),
        ("endless zeros", link("/dev/zero"), "no such file"),
        ("link to itself", link("a.npz"), "no such file|in a circle"),
        ("pickle in place of it", content(pickle.dumps({"a": 1})), "it is a Python pickle"),
        # safetensors.
        (
            "safetensors: 16 EB of header",
            tensors("{}", length=2**64 - 1),
            "a header of 18,446,744,073,709,",
        ),
        ("safetensors: longer than the file", tensors("{}", length=3_000_000), "a header of 3,000,000 bytes"),
        ("safetensors: 90 MB of header", many_tensors, "a header of [0-9,]+ bytes, at most 4,194,304"),
        (
            "safetensors: nested",
            tensors('{"a":' * 99_999 + "1" + "}" * 99_999),
            "its header: (it is nested|not valid JSON|not UTF-8)",
        ),
        ("safetensors: lists", tensors('{"a":' + "[" * 99_999), "its header: (it is nested|not valid JSON|not UTF-8)"),
        (
            "safetensors: long integer",
            tensors('{"a":' + "1" * 99_999 + "}"),
            "its header: (it is nested|not valid JSON|not UTF-8)",
        ),
        ("safetensors: not UTF-8", tensors(b'{"\xff": 1}'), "its header: (it is nested|not valid JSON|not UTF-8)"),
        (
            "safetensors: twice",
            tensors(tensor()[:-1] + "," + tensor()[1:]),
            "the key 'cls_token' stands twice in one object",
        ),
        ("safetensors: beyond the file", tensors(tensor(offsets=(0, 2**63))), "not a whole safetensors file"),
        ("safetensors: backwards", tensors(tensor(offsets=(12, 0))), "not a whole safetensors file"),
        (
            "safetensors: overlap",
            tensors(tensor()[:-1] + "," + tensor(name="b")[1:]),
            "not a whole safetensors file",
        ),
        ("safetensors: overflow", tensors(tensor((2**32, 2**32, 2**32))), "not a whole safetensors file"),
        (
            "safetensors: empty, huge",
            tensors(tensor((2**62, 2, 0), (0, 0)), b""),
            "its 1 arrays are of no known layout",
        ),
        ("safetensors: negative", tensors(tensor((-3,))), "not a whole safetensors file"),
        ("safetensors: unknown type", tensors(tensor(dtype="F33")), "not a whole safetensors file"),
        ("safetensors: bytes", tensors(tensor((12,), dtype="F8_E4M3")), "its 1 arrays are of no known layout"),
        ("safetensors: control characters", tensors(tensor(name="\x1b[2J")), "a name that is not printable"),
        ("safetensors: long name", tensors(tensor(name="a" * 99_999)), "a name that is not printable, or longer"),
        ("safetensors: 4,000 stages", stages(4_000), "it has the layout of timm, but|of no known layout"),
        ("safetensors: long stage", stages(1, 5_000), "longer than 1,024 characters"),
    )
)


def inner(folder: Path) -> bytes:
    """Returns an archive's first entry, to lie in another entry."""
    path = write_zip(folder / "inner", [Part("b.npy", npy())])
    data = path.read_bytes()
    path.unlink()
    return data[: data.index(b"PK\x01\x02")]


def read_npz(path: Path) -> None:
    """Reads every array, as convert does where they fit the model."""
    with NpzFile(path, str(path), "get it again") as file:
        for name in file.headers:
            file.read(name).sum(dtype=np.float64)


def small_npz(folder: Path) -> list[Path]:
    paths = [folder / "stored.npz", folder / "packed.npz"]
    arrays = {"cls": np.arange(40, dtype=np.float32), "head/bias": np.ones((2, 3), np.float32)}
    np.savez(paths[0], allow_pickle=False, **arrays)
    np.savez_compressed(paths[1], allow_pickle=False, **arrays)
    return paths


def small_header(folder: Path) -> list[Path]:
    """The header of timm's smallest model, which the values follow that are added when it is read."""
    shapes = {name: tensor.shape for name, tensor in _LAYOUT.items()}
    whole = save({name: np.zeros(shape, np.float32) for name, shape in shapes.items()})
    path = folder / "header"
    path.write_bytes(whole[: 8 + int.from_bytes(whole[:8], "little")])
    return [path]


def convert_tensors(path: Path) -> None:
    """Converts a file of timm with this header and values of zero, as many as Mini/8 has."""
    (path.parent / "out").mkdir(exist_ok=True)
    file = path.parent / "out/a.safetensors"
    file.write_bytes(path.read_bytes() + bytes(_VALUES))
    with open_weights(file, str(file)) as weights:
        plan_arrays(weights, None, is_own=False).read(weights)


FUZZES = (
    Fuzz("npz: read", small_npz, read_npz),
    Fuzz("npz: fetch", small_npz, fetch),
    Fuzz("safetensors", small_header, convert_tensors),
)
