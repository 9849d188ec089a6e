"""SavedModels of strangers: graphs that take all memory or time, what stands in place of files, and programs."""

import os
import tarfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pipeline.doctor
import pipeline.evaluate
from pipeline.base.crc32c import masked_crc
from pipeline.base.fault import Fault
from pipeline.saved_model import inspection
from pipeline.saved_model.graph import saved_model_class
from tests.hostile.attack import Attack, Fuzz, command
from tests.saved_model.bundles import Place, close_table, varints, write_block, write_index
from tests.saved_model.graphs import write_graph
from tests.saved_model.models import edit
from tests.saved_model.programs import add_function, add_node, add_text, call, reads, write_program

assert pipeline.doctor
assert pipeline.evaluate
DAMAGED = r"its saved_model\.pb \([\d,]+ bytes\) is cut short, damaged or not a SavedModel; get it again"
TOO_MUCH = r"what reads its graph took more than [89]\d\d MB of memory, so it is damaged or was made to do harm"


def doctor(path: Path) -> None:
    command("doctor", path)


def evaluate(path: Path) -> None:
    command("evaluate", path, "--images", path, "--range=0,1")


def _file(name: str, content: bytes) -> Callable[[Path], Path]:
    """Returns what writes a model with another file."""

    def make(folder: Path) -> Path:
        model = write_graph(folder / "model")
        (model / name).write_bytes(content)
        return model

    return make


def _edited(change: Callable[[Any], None]) -> Callable[[Path], Path]:
    """Returns what writes a model with a changed meta graph."""

    def make(folder: Path) -> Path:
        model = write_graph(folder / "model")
        edit(model, lambda message: change(message.meta_graphs[0]))
        return model

    return make


def _program(program: Callable[[Any], None]) -> Callable[[Path], Path]:
    return lambda folder: write_program(folder / "model", program)


# Sizes ----------------------------------------------------------------------------------------------------------------
def _with_holes(size: int, name: str, folder: Path) -> Path:
    """Writes a graph that has a size, and takes no place on the disk."""
    model = write_graph(folder / "model")
    (model / "saved_model.pb").unlink()
    with (model / name).open("wb") as stream:
        stream.truncate(size)
    return model


def _packed_graph(folder: Path) -> Path:
    """Packs 900 MB of zeros as a graph into an archive of 20 MB, which may unpack to so much."""
    path, size = folder / "model.tar.gz", 900_000_000
    info = tarfile.TarInfo("saved_model.pb")
    info.size = size
    packer = zlib.compressobj(1, wbits=31)
    with path.open("wb") as stream:
        stream.write(packer.compress(info.tobuf()))
        for _ in range(size // 1_000_000):
            stream.write(packer.compress(bytes(1_000_000)))
        stream.write(packer.compress(bytes(20_000)) + packer.flush() + os.urandom(20_000_000))
    return path


def _field(number: int, content: bytes) -> bytes:
    """Returns a field of a protobuf message that has a length."""
    size, length = len(content), b""
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def _tiny_nodes() -> bytes:
    """Returns a graph of 20 million nodes of two bytes each; a parsed one takes a hundred."""
    return b"\x08\x01" + _field(2, _field(2, _field(1, b"") * 20_000_000))


def _nested(depth: int) -> bytes:
    """Returns a meta graph of functions in attributes of functions."""
    inner = b""
    for _ in range(depth):
        inner = _field(2, _field(1, b"a") + _field(2, _field(10, inner)))
    return b"\x08\x01" + _field(2, _field(2, _field(1, _field(5, inner))))


def _two_functions(meta: Any) -> None:
    add_function(meta, "f")
    add_function(meta, "f")


def _long_chains(meta: Any) -> None:
    """Thousands of reads at the end of a chain of as many nodes: followed one by one, 16 million steps."""
    function = add_function(meta, "f")
    previous = add_text(function.node_def, "").name
    for number in range(4_000):
        previous = add_node(function.node_def, "Identity", previous, name=f"i{number}").name
    for number in range(4_000):
        add_node(function.node_def, "ReadFile", previous, name=f"r{number}")
    call(meta, "f")


def _long_names(meta: Any) -> None:
    meta.meta_info_def.tensorflow_version = "9" * 5000 + ".1"
    add_node(meta.graph_def.node, "x" * 3_000_000)


def _index(index: Callable[[], bytes]) -> Callable[[Path], Path]:
    return lambda folder: _file("variables/variables.index", index())(folder)


def _many_entries() -> bytes:
    """Returns an index of 32 MB of entries."""
    rows = varints(0, 0, 2) + b"\x08\x01" + (varints(0, 1, 0) + b"a") * 8_000_000
    content = rows + bytes(4) + bytes(1)  # no whole keys, no compression
    return close_table(content + masked_crc(content), [(0, len(content) - 1)])


def _many_blocks() -> bytes:
    """Returns an index of 150,000 blocks without entries."""
    empty = write_block([])
    handles = [(number * len(empty), len(empty) - 5) for number in range(150_000)]
    return close_table(empty * len(handles), handles)


def _one_block_often() -> bytes:
    """Returns an index whose block of 16 MB is to be read 100,000 times."""
    block = write_block([(0, b"", b"\x08\x01"), (0, b"a", _field(15, bytes(16_000_000)))])
    return close_table(block, [(0, len(block) - 5)] * 100_000)


def _cut_data(folder: Path) -> Path:
    model = write_graph(folder / "model")
    os.truncate(model / "variables/variables.data-00000-of-00001", 400)
    return model


# Files ----------------------------------------------------------------------------------------------------------------
def _pipe(name: str, folder: Path) -> Path:
    model = write_graph(folder / "model")
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).unlink(missing_ok=True)
    os.mkfifo(model / name)
    return model


def _device(name: str, folder: Path) -> Path:
    model = write_graph(folder / "model")
    (model / name).unlink()
    (model / name).symlink_to("/dev/zero")
    return model


def _link_to_secret(folder: Path) -> Path:
    model = write_graph(folder / "model")
    (model / "assets").mkdir()
    (model / "assets/words.txt").symlink_to("/etc/passwd")
    return model


def _named_in_latin_1(folder: Path) -> Path:
    """Writes a program into a folder whose name is not UTF-8."""
    return write_program(folder / os.fsdecode(b"mod\xe8le"), reads)


def _packed_program(folder: Path) -> Path:
    model = write_program(folder / "model", reads)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as archive:
        archive.add(model, ".")
    return folder / "model.tar.gz"


PROGRAM = "a model is a program, and this one reads files that are not its own: ReadFile /etc/hostname. Run it only if"
ATTACKS = (
    Attack("a graph of 3 GB", partial(_with_holes, 3_000_000_000, "saved_model.pb"), doctor, "more than the 2 GiB of"),
    Attack("a graph of 2 GB of nothing", partial(_with_holes, 2_000_000_000, "saved_model.pb"), doctor, TOO_MUCH),
    Attack("a packed graph of 900 MB", _packed_graph, doctor, r"took more than 8\d\d MB|cut short, damaged|so large"),
    Attack("tiny nodes", _file("saved_model.pb", _tiny_nodes()), doctor, TOO_MUCH),
    Attack(
        "many meta graphs", _file("saved_model.pb", b"\x08\x01" + _field(2, b"") * 9999), doctor, "9,999 meta graphs"
    ),
    Attack("nested functions", _file("saved_model.pb", _nested(3_000)), doctor, DAMAGED),
    Attack(
        "a text of 9 MB", partial(_with_holes, 9_000_000, "saved_model.pbtxt"), doctor, "at most 8,000,000 are read"
    ),
    Attack("two functions of a name", _edited(_two_functions), doctor, "has two functions called f, expected one"),
    Attack("long chains", _edited(_long_chains), doctor, "reads files that are not its own: ReadFile; run it only"),
    Attack("long names", _edited(_long_names), doctor, r"operations that TensorFlow .* lack: xxx"),
    Attack(
        "a pipe as variables", partial(_pipe, "variables/variables.index"), evaluate, "named pipe, a socket or a de"
    ),
    Attack(
        "a pipe as an asset", partial(_pipe, "assets/a"), evaluate, "named pipe, a socket or a device; expected a re"
    ),
    Attack(
        "a pipe to debug with", partial(_pipe, "debug/saved_model_debug_info.pb"), evaluate, "a named pipe, a socket"
    ),
    Attack("an endless graph", partial(_device, "saved_model.pb"), evaluate, "not a SavedModel; build the model in"),
    Attack("a large index", _file("variables/variables.index", bytes(40_000_000)), doctor, "at most 33,554,432 are"),
    Attack("many entries", _index(_many_entries), doctor, "damaged: more than 100,000 entries; get"),
    Attack("many blocks", _index(_many_blocks), doctor, "damaged: more than 100,000 blocks; get"),
    Attack("one block often", _index(_one_block_often), doctor, "damaged: its blocks overlap; get"),
    Attack("a cut index", _file("variables/variables.index", bytes(100)), evaluate, "it does not end as an index does"),
    Attack("cut variables", _cut_data, evaluate, "cut short: expected 1,000 bytes, got 400; get the whole model"),
    Attack("endless variables", partial(_device, "variables/variables.index"), evaluate, "a socket or a device"),
    Attack(
        "a link to a secret", _link_to_secret, evaluate, "through links: assets/words.txt -> /etc/passwd. Run it only"
    ),
    Attack("a program", _program(reads), evaluate, PROGRAM),
    Attack("a packed program", _packed_program, evaluate, PROGRAM),
    Attack("a program with an odd name", _named_in_latin_1, evaluate, PROGRAM),
)


# Damage ---------------------------------------------------------------------------------------------------------------
def _write_models(folder: Path) -> list[Path]:
    """Writes a model of TensorFlow's operations, small enough for each byte to be hit."""
    models = [write_program(folder / program.__name__, program) for program in (reads, _long_attributes)]
    text = folder / "text"
    write_graph(text)
    from google.protobuf import text_format

    message = saved_model_class().FromString((text / "saved_model.pb").read_bytes())
    (text / "saved_model.pbtxt").write_text(text_format.MessageToString(message))
    (text / "saved_model.pb").unlink()
    return [*(model / "saved_model.pb" for model in models), text / "saved_model.pbtxt"]


def _long_attributes(meta: Any) -> None:
    meta.meta_info_def.tensorflow_version = "2.21.0"
    meta.object_graph_def.nodes.add().variable.shape.dim.add(size=3)
    node = add_node(meta.graph_def.node, "Const", name="c", text="/home/ann/model.py")
    node.attr["shape"].shape.dim.add(size=4)
    node.attr["f"].func.name = "g"
    meta.graph_def.node.add(op="VariableV2", name="v")


def _inspect(folder: Path) -> None:
    """Reads a model as doctor does, in this process, which is one to be ended anyway."""
    from pipeline.saved_model.faults import find_faults, find_publication_faults

    model = inspection.read_model(folder)
    print(
        pipeline.doctor.render_text(
            pipeline.doctor.Diagnosis(model, find_faults(model), find_publication_faults(model))
        )
    )


def _read_variables(folder: Path) -> None:
    """Reads a model as evaluate does."""
    if damage := inspection.read_model(folder).damage:
        raise Fault(damage)


def _write_index(folder: Path) -> list[Path]:
    """Writes a model of a few variables in two shards."""
    model = write_graph(folder / "model")
    places = [Place(f"layer{number}/kernel".encode(), 40, 40 * number, number % 2) for number in range(8)]
    (model / "variables/variables.index").write_bytes(write_index(places, shards=2))
    for shard in range(2):
        (model / f"variables/variables.data-{shard:05}-of-00002").write_bytes(bytes(320))
    return [model / "variables/variables.index"]


FUZZES = (
    Fuzz("saved_model.pb", _write_models, lambda path: _inspect(path.parent)),
    Fuzz("variables.index", _write_index, lambda path: _read_variables(path.parents[1])),
)
