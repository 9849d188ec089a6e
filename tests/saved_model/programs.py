"""SavedModels that are programs: each reads, writes or calls something in a way of its own, made without TensorFlow."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.saved_model.graphs import DTYPES, write_graph
from tests.saved_model.models import edit

SECRET = "/etc/hostname"


def add_node(nodes: Any, op: str, *inputs: str, name: str = "", **strings: str | bytes) -> Any:
    """Adds a node to a graph or function; `strings` are its attributes. A name is made from its operation."""
    node = nodes.add(op=op, input=inputs, name=name or f"{op}_{len(nodes)}")
    for key, value in strings.items():
        node.attr[key].s = value if isinstance(value, bytes) else value.encode()
    return node


def add_text(nodes: Any, text: str = SECRET, name: str = "text") -> Any:
    """Adds a constant of a string."""
    node = add_node(nodes, "Const", name=name)
    node.attr["dtype"].type = DTYPES["string"]
    node.attr["value"].tensor.dtype = DTYPES["string"]
    node.attr["value"].tensor.string_val.append(text.encode())
    return node


def add_function(meta: Any, name: str, *arguments: str) -> Any:
    """Adds a function to the library of a meta graph."""
    function = meta.graph_def.library.function.add()
    function.signature.name = name
    for argument in arguments:
        function.signature.input_arg.add(name=argument, type=DTYPES["string"])
    return function


def call(meta: Any, function: str, *inputs: str) -> Any:
    """Lets the signature call a function."""
    node = add_node(meta.graph_def.node, "StatefulPartitionedCall", *inputs, name="call")
    node.attr["f"].func.name = function
    meta.signature_def["serving_default"].outputs["logits"].name = "call:0"
    return node


def reading_function(meta: Any, name: str = "f") -> Any:
    """Adds a function that reads SECRET."""
    function = add_function(meta, name)
    add_text(function.node_def)
    add_node(function.node_def, "ReadFile", "text:output:0")
    return function


def declare_asset(meta: Any, filename: str = "words.txt", tensor: str = "text:0") -> None:
    asset = meta.asset_file_def.add(filename=filename)
    asset.tensor_info.name = tensor


# Programs -------------------------------------------------------------------------------------------------------------
def reads(meta: Any) -> None:
    reading_function(meta)
    call(meta, "f")


def writes(meta: Any) -> None:
    function = add_function(meta, "f")
    add_text(function.node_def, "/tmp/evil")
    add_node(function.node_def, "WriteFile", "text:output:0", "text:output:0")
    call(meta, "f")


def writes_without_a_name(meta: Any) -> None:
    """Into the folder where it is run, as most operations do with an empty name."""
    function = add_function(meta, "f")
    add_text(function.node_def, "")
    add_node(function.node_def, "SaveV2", "text:output:0")
    call(meta, "f")


def dumps_without_a_folder(meta: Any) -> None:
    add_node(add_function(meta, "f").node_def, "DumpTensor", log_dir_path="", file_name="/tmp/evil")
    call(meta, "f")


def connects(meta: Any) -> None:
    add_node(meta.graph_def.node, "RpcClient", add_text(meta.graph_def.node, "evil.test:80").name, name="call")
    meta.signature_def["serving_default"].outputs["logits"].name = "call:0"


def reads_when_initialized(meta: Any) -> None:
    add_node(meta.graph_def.node, "ReadFile", add_text(meta.graph_def.node).name, name="read")
    meta.collection_def["legacy_init_op"].node_list.value.append("read")


def reads_in_a_local_variable(meta: Any) -> None:
    """Without an initializer of its own, TensorFlow runs those of the local variables."""
    add_node(meta.graph_def.node, "ReadFile", add_text(meta.graph_def.node).name, name="read")
    meta.collection_def["local_variables"].bytes_list.value.append(b"\x0a\x01v\x12\x04read")  # a VariableDef


def reads_in_a_table(meta: Any) -> None:
    nodes = meta.graph_def.node
    add_node(nodes, "InitializeTableFromTextFileV2", "table", add_text(nodes).name, name="fill")
    meta.collection_def["table_initializer"].node_list.value.append("fill")


def writes_when_restored(meta: Any) -> None:
    add_node(meta.graph_def.node, "WriteFile", add_text(meta.graph_def.node).name, "text", name="write")
    add_node(meta.graph_def.node, "NoOp", "^write", name="restore")
    meta.saver_def.restore_op_name, meta.saver_def.filename_tensor_name = "restore", "text2:0"


def restores_another_checkpoint(meta: Any) -> None:
    add_node(meta.graph_def.node, "RestoreV2", add_text(meta.graph_def.node).name, name="restore")
    meta.saver_def.restore_op_name, meta.saver_def.filename_tensor_name = "restore", "elsewhere:0"


def overwrites_its_asset(meta: Any) -> None:
    add_node(meta.graph_def.node, "WriteFile", add_text(meta.graph_def.node).name, "text", name="write")
    declare_asset(meta)
    meta.collection_def["legacy_init_op"].node_list.value.append("write")


def asset_above(meta: Any) -> None:
    declare_asset(meta, "../../../etc/hostname")


def asset_elsewhere(meta: Any) -> None:
    declare_asset(meta, SECRET)


def constant_called_an_asset(meta: Any) -> None:
    """A loader gives an asset's path to initializers, not to signatures."""
    add_node(meta.graph_def.node, "ReadFile", add_text(meta.graph_def.node).name, name="call")
    declare_asset(meta)
    meta.signature_def["serving_default"].outputs["logits"].name = "call:0"


def two_lists_of_assets(meta: Any) -> None:
    """TensorFlow reads the list of TensorFlow 1 only where the other one is empty."""
    reads_when_initialized(meta)
    declare_asset(meta)
    meta.collection_def["saved_model_assets"].any_list.value.add().Pack(meta.asset_file_def[0])
    meta.asset_file_def[0].tensor_info.name = "another:0"


def packed_text(meta: Any) -> None:
    """TensorFlow reads tensor_content before string_val."""
    function = add_function(meta, "f")
    tensor = add_text(function.node_def, "").attr["value"].tensor
    tensor.tensor_content = bytes([len(SECRET)]) + SECRET.encode()
    add_node(function.node_def, "CacheDatasetV2", "data", "text:output:0")
    call(meta, "f")


def half_known_name(meta: Any) -> None:
    function = add_function(meta, "f")
    add_text(function.node_def, "")
    add_node(function.node_def, "StringJoin", "text:output:0", name="join")
    add_node(function.node_def, "Pack", "text:output:0", "join:output:0", name="names")
    add_node(function.node_def, "CacheDatasetV2", "data", "names:output:0")
    call(meta, "f")


def shadowed_operation(meta: Any) -> None:
    """A function called like an operation is called in its place."""
    add_function(meta, "Identity", "x")
    function = add_function(meta, "f")
    add_text(function.node_def, "")
    add_node(function.node_def, "Identity", "text:output:0", name="same")
    add_node(function.node_def, "CacheDatasetV2", "data", "same:output:0")
    call(meta, "f")


def function_handed_on(meta: Any) -> None:
    add_function(meta, "f")
    reading_function(meta, "g")
    call(meta, "f").attr["f"].func.attr["body"].func.name = "g"


def attribute_handed_on(meta: Any) -> None:
    function = add_function(meta, "f")
    add_node(function.node_def, "ImmutableConst").attr["memory_region_name"].placeholder = "name"
    call(meta, "f").attr["f"].func.attr["name"].s = SECRET.encode()


def another_of_its_interface(meta: Any) -> None:
    """TensorFlow's optimizer replaces a function by one for the device at hand."""
    for function in (add_function(meta, "f"), reading_function(meta, "g")):
        function.attr["api_implements"].s = b"lstm"
    call(meta, "f")


def function_of_an_object(meta: Any) -> None:
    reading_function(meta)
    meta.object_graph_def.nodes.add().bare_concrete_function.concrete_function_name = "f"


def function_in_a_dataset(meta: Any) -> None:
    reading_function(meta, "g")
    function = add_function(meta, "f")
    add_node(function.node_def, "MapDataset", "x").attr["f"].func.name = "g"
    call(meta, "f")


def called_in_two_ways(meta: Any) -> None:
    """Once with a harmless name, and once by an operation whose inputs are not followed."""
    function = add_function(meta, "f", "name")
    add_node(function.node_def, "CacheDatasetV2", "data", "name")
    call(meta, "f", add_text(meta.graph_def.node, "").name)
    branch = add_node(meta.graph_def.node, "StatelessIf", "x", "y", name="if")
    branch.attr["then_branch"].func.name = "f"
    meta.signature_def["serving_default"].outputs["more"].name = "if:0"


def hidden_graph(meta: Any) -> None:
    add_node(meta.graph_def.node, "DatasetFromGraph", "x", name="call")
    meta.signature_def["serving_default"].outputs["logits"].name = "call:0"


def asks_a_database(meta: Any) -> None:
    nodes = meta.graph_def.node
    add_node(nodes, "SqlDataset", "driver", add_text(nodes, "").name, "query", name="call")
    meta.signature_def["serving_default"].outputs["logits"].name = "call:0"


def calls_python(meta: Any) -> None:
    add_node(add_function(meta, "f").node_def, "EagerPyFunc")
    call(meta, "f")


READS = "reads files that are not its own: "
PROGRAMS: dict[Callable[[Any], None], str] = {
    reads: f"{READS}ReadFile {SECRET}",
    writes: "writes files: WriteFile /tmp/evil",
    writes_without_a_name: "writes files: SaveV2",
    dumps_without_a_folder: "writes files: DumpTensor",
    connects: "uses the network: RpcClient evil.test:80",
    reads_when_initialized: f"{READS}ReadFile {SECRET}",
    reads_in_a_local_variable: f"{READS}ReadFile {SECRET}",
    reads_in_a_table: f"{READS}InitializeTableFromTextFileV2 {SECRET}",
    writes_when_restored: f"writes files: WriteFile {SECRET}",
    restores_another_checkpoint: f"{READS}RestoreV2 {SECRET}",
    overwrites_its_asset: "writes files: WriteFile",
    asset_above: f"{READS}assets/../../../etc/hostname",
    asset_elsewhere: f"{READS}assets//etc/hostname",
    constant_called_an_asset: f"{READS}ReadFile {SECRET}",
    two_lists_of_assets: f"{READS}ReadFile {SECRET}",
    packed_text: "writes files: CacheDatasetV2",
    half_known_name: "writes files: CacheDatasetV2",
    shadowed_operation: "writes files: CacheDatasetV2",
    function_handed_on: f"{READS}ReadFile {SECRET}",
    attribute_handed_on: f"{READS}ImmutableConst",
    another_of_its_interface: f"{READS}ReadFile {SECRET}",
    function_of_an_object: f"{READS}ReadFile {SECRET}",
    function_in_a_dataset: f"{READS}ReadFile {SECRET}",
    called_in_two_ways: "writes files: CacheDatasetV2",
    hidden_graph: "runs code that its graph does not show: DatasetFromGraph",
    asks_a_database: f"{READS}SqlDataset",
    calls_python: "calls Python functions: EagerPyFunc in f",
}


def write_program(folder: Path, program: Callable[[Any], None]) -> Path:
    """Writes a model that takes images of 8 pixels and returns 1,000 numbers, with a program in it."""
    write_graph(folder)
    edit(folder, lambda message: program(message.meta_graphs[0]))
    return folder
