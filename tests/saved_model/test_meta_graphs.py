"""Several meta graphs, operations that TensorFlow lacks, devices, Python functions, and access to files."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.fault import Fault
from pipeline.doctor import diagnose, render_text
from pipeline.saved_model.faults import find_faults
from pipeline.saved_model.graph import saved_model_class
from pipeline.saved_model.inspection import inspect_saved_model
from pipeline.saved_model.meta_graphs import short_name
from pipeline.saved_model.remote import Downloads
from tests.saved_model.bundles import Place, write_index
from tests.saved_model.models import faults_of


class Graph:
    """A SavedModel that a test makes by hand, written without TensorFlow.

    The signature of each meta graph returns the output of the function f, whose nodes the test adds.
    """

    def __init__(self, *tags: Sequence[str]) -> None:
        self.message = saved_model_class()()
        for names in tags or (("serve",),):
            self.add_meta_graph(names)

    def add_meta_graph(self, tags: Sequence[str]) -> None:
        meta = self.message.meta_graphs.add()
        meta.meta_info_def.tags.extend(tags)
        meta.graph_def.node.add(name="call", op="PartitionedCall").attr["f"].func.name = "__inference_f_12"
        meta.signature_def["serving_default"].outputs["y"].name = "call:0"
        meta.graph_def.library.function.add().signature.name = "__inference_f_12"

    def add(self, op: str, *inputs: str, meta: int = 0, function: int = 0, **strings: str) -> Any:
        """Adds a node to a function of a meta graph and returns it; `strings` are its attributes."""
        nodes = self.message.meta_graphs[meta].graph_def.library.function[function].node_def
        node = nodes.add(name=f"node{len(nodes)}", op=op, input=inputs)
        for name, value in strings.items():
            node.attr[name].s = value.encode()
        return node

    def add_text(self, text: str) -> str:
        """Adds a constant to f and returns its tensor's name."""
        node = self.add("Const")
        node.attr["value"].tensor.string_val.append(text.encode())
        return f"{node.name}:output:0"

    @property
    def meta(self) -> Any:
        return self.message.meta_graphs[0]

    def faults(self, folder: Path) -> dict[str, str]:
        """Writes the model and returns its faults by kind."""
        (folder / "saved_model.pb").write_bytes(self.message.SerializeToString())
        return faults_of(folder)


# Tags -----------------------------------------------------------------------------------------------------------------
def test_several_meta_graphs_need_tags(tmp_path: Path) -> None:
    text = Graph(["serve"], ["serve", "gpu"]).faults(tmp_path)["tags"]
    assert "tf.saved_model.load and hub.load refuse it without tags, since it has 2 meta graphs" in text
    assert "; pass tags=['serve'] or tags=['serve', 'gpu']; keras.layers.TFSMLayer cannot load it" in text


def test_hub_load_passes_the_tags_of_a_tf1_hub_module(tmp_path: Path) -> None:
    (tmp_path / "tfhub_module.pb").write_bytes(b"\x08\x03")
    text = Graph(["train"], []).faults(tmp_path)["tags"]
    assert "tf.saved_model.load refuses it without tags" in text
    assert "pass tags=['train'] or tags=[] (hub.load passes tags=[] by itself, because of tfhub_module.pb)" in text


@pytest.mark.parametrize(
    ("tags", "serving"),
    [([["serve"]], 0), ([["serve", "tpu"], ["serve"]], 1), ([["train"], []], 1), ([["a"], ["gpu", "serve"]], 1)],
)
def test_the_meta_graph_that_users_want(tmp_path: Path, tags: list[list[str]], serving: int) -> None:
    graph = Graph(*tags)
    graph.message.meta_graphs[serving].meta_info_def.tensorflow_version = "1.15"
    found = graph.faults(tmp_path)
    assert set(found) == ({"tags"} if len(tags) > 1 else set())
    model = inspect_saved_model(tmp_path)
    assert (model.serving, model.written_by) == (serving, "1.15")
    assert [list(meta.tags) for meta in model.meta_graphs] == tags


def test_equal_tags_hide_a_meta_graph(tmp_path: Path) -> None:
    graph = Graph(["serve", "gpu"], ["gpu", "serve"])
    with pytest.raises(AssertionError):  # two findings of one kind
        graph.faults(tmp_path)
    model = inspect_saved_model(tmp_path)
    texts = [finding.text for finding in find_faults(model)]
    assert texts[1].endswith("several meta graphs have tags=['serve', 'gpu']; only the first can be loaded")


# Operations -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("op", "kind", "message"),
    [
        ("MyCompany>FastErf", "operations", "2.14 to 2.21 lack: MyCompany>FastErf in f; import the library that"),
        ("SentencepieceOp", "operations", "lack: SentencepieceOp in f (from tensorflow_text);"),
        ("PyFunc", "python", "it calls Python functions of the process that saved it (PyFunc in f), which no other"),
        ("PyFuncStateless", "python", "(PyFuncStateless in f)"),
        ("EagerPyFunc", "python", "(EagerPyFunc in f)"),
        ("CudnnRNNV3", "devices", "it runs on GPUs only, because of CudnnRNNV3 in f"),
        ("TPUPartitionedCall", "devices", "it runs on TPUs only, because of TPUPartitionedCall in f, for which"),
        ("BoostedTreesPredict", "devices", "it runs neither on CPUs nor on GPUs, because of BoostedTreesPredict in f"),
        ("TfLiteSubgraphExecute", "tensorflow", "newer versions of TensorFlow lack TfLiteSubgraphExecute (up to 2.19)"),
    ],
)  # fmt: skip
def test_operations_that_do_not_run_everywhere(tmp_path: Path, op: str, kind: str, message: str) -> None:
    graph = Graph()
    graph.add(op)
    faults = graph.faults(tmp_path)
    assert set(faults) == {kind}
    assert message in faults[kind]


def test_operations_of_a_function_that_is_not_called(tmp_path: Path) -> None:
    """TensorFlow imports all functions of a model, and makes kernels only for what it runs."""
    graph = Graph()
    graph.meta.graph_def.library.function.add().signature.name = "gpu_lstm"
    for op in ("CudnnRNNV3", "PyFunc", "ReadFile"):
        graph.add(op, "x", function=1)
    assert graph.faults(tmp_path) == {}
    graph.add("Unknown", function=1)
    assert "lack: Unknown in gpu_lstm;" in graph.faults(tmp_path)["operations"]
    graph.add("gpu_lstm")  # a call by the function's name, which is no operation
    assert set(graph.faults(tmp_path)) == {"operations", "python", "devices", "access"}


def test_names_of_strangers_do_not_reach_the_terminal_as_they_are(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("\x1b[2JUnknown\n" + "x" * 1000)
    text = graph.faults(tmp_path)["operations"]
    assert "lack: \\x1b[2JUnknown\\nxxx" in text
    assert len(text) < 500 + len(str(tmp_path))


def test_faults_of_one_meta_graph_name_its_tags(tmp_path: Path) -> None:
    graph = Graph(["serve"], ["serve", "tpu"])
    graph.add("TPUPartitionedCall", meta=1)
    assert "with tags=['serve', 'tpu'], it runs on TPUs only" in graph.faults(tmp_path)["devices"]
    graph.add("TPUPartitionedCall")
    assert "saved_model.pb" not in graph.faults(tmp_path)["devices"]
    assert ": it runs on TPUs only" in graph.faults(tmp_path)["devices"]


def test_xla_has_operations_without_a_kernel(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("XlaSetBound")
    assert "neither on CPUs nor on GPUs" in graph.faults(tmp_path)["devices"]
    graph.meta.graph_def.node[0].attr["_XlaMustCompile"].b = True
    assert graph.faults(tmp_path) == {}


def test_a_newer_tensorflow_may_have_the_operation(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("Brandnew")
    graph.meta.meta_info_def.tensorflow_version = "3.0.0-rc1"
    assert "; use TensorFlow 3.0, which wrote it, and import" in graph.faults(tmp_path)["operations"]
    graph.meta.meta_info_def.tensorflow_version = "2.21.0"
    assert "; import the library" in graph.faults(tmp_path)["operations"]


def test_what_doctor_prints_of_python_functions(tmp_path: Path) -> None:
    """Another signature may run anywhere, and a model with faults keeps not every rule."""
    graph = Graph()
    graph.add("PyFunc")
    graph.faults(tmp_path)
    text = render_text(diagnose(str(tmp_path), Downloads(tmp_path)))
    assert "platforms                 any, but its Python functions only in the process that saved it\n" in text
    assert text.endswith("to publish it with this project:\n  it keeps every rule, but for the faults")


def test_new_operations_decide_the_oldest_tensorflow(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("DecodeWebP")
    assert graph.faults(tmp_path) == {}
    model = inspect_saved_model(tmp_path)
    assert (model.tensorflow, model.newest_tensorflow) == ("2.20", None)
    graph.add("TfLiteSubgraphExecute")
    graph.faults(tmp_path)
    assert inspect_saved_model(tmp_path).newest_tensorflow == "2.19"


@pytest.mark.parametrize(
    ("name", "expected"),
    [("__inference_f_12", "f"), ("__inference_call_fn_12_3", "call_fn_12"), ("f", "f"), ("", "")],
)
def test_names_of_functions_are_those_of_python(name: str, expected: str) -> None:
    assert short_name(name) == expected


# Access ---------------------------------------------------------------------------------------------------------------
READS, WRITES, NETWORK = "it reads files that are not its own: ", "it writes files: ", "it uses the network: "


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda graph: graph.add("ReadFile", graph.add_text("/etc/hostname")), f"{READS}ReadFile /etc/hostname;"),
        (lambda graph: graph.add("ReadFile", "x"), f"{READS}ReadFile;"),
        (lambda graph: graph.add("WriteFile", graph.add_text("/tmp/a")), f"{WRITES}WriteFile /tmp/a;"),
        (lambda graph: graph.add("SaveV2", graph.add_text("/tmp/a")), f"{WRITES}SaveV2 /tmp/a;"),
        (lambda graph: graph.add("TFRecordDatasetV2", graph.add_text("gs://a/b")), f"{READS}TFRecordDatasetV2 gs://a/b;"),
        (lambda graph: graph.add("WholeFileReaderV2"), f"{READS}WholeFileReaderV2;"),
        (lambda graph: graph.add("ImmutableConst", memory_region_name="/dev/mem"), f"{READS}ImmutableConst /dev/mem;"),
        (lambda graph: graph.add("PrintV2", output_stream="file:///tmp/a"), f"{WRITES}PrintV2 file:///tmp/a;"),
        (lambda graph: graph.add("CacheDataset", "x", graph.add_text("/tmp/c")), f"{WRITES}CacheDataset /tmp/c;"),
        (lambda graph: graph.add("DecodeProtoV2", descriptor_source="/a.pb"), f"{READS}DecodeProtoV2 /a.pb;"),
        (lambda graph: graph.add("RpcClient", graph.add_text("a.test:80")), f"{NETWORK}RpcClient a.test:80;"),
    ],
)  # fmt: skip
def test_access_to_files_and_the_network(tmp_path: Path, change: Callable[[Graph], Any], message: str) -> None:
    graph = Graph()
    change(graph)
    faults = graph.faults(tmp_path)
    assert set(faults) == {"access"}
    assert message in faults["access"]


def test_debug_operations_write_to_their_addresses(tmp_path: Path) -> None:
    graph = Graph()
    graph.add("DebugIdentityV2").attr["debug_urls"].list.s.append(b"grpc://a.test:80")
    assert f"{NETWORK}DebugIdentityV2 grpc://a.test:80;" in graph.faults(tmp_path)["access"]


@pytest.mark.parametrize(
    "change",
    [
        lambda graph: graph.add("PrintV2", output_stream="stderr"),
        lambda graph: graph.add("DecodeProtoV2", descriptor_source="local://"),
        lambda graph: graph.add("CacheDataset", "x", graph.add_text("")),  # in memory
        lambda graph: graph.meta.graph_def.node.add(name="save", op="SaveV2", input=["call"]),  # not in a signature
    ],
)
def test_no_access(tmp_path: Path, change: Callable[[Graph], Any]) -> None:
    graph = Graph()
    change(graph)
    assert graph.faults(tmp_path) == {}


@pytest.mark.parametrize("is_old", [False, True])
def test_assets_belong_to_the_model(tmp_path: Path, is_old: bool) -> None:
    """f reads the file that the initializer calls it with, a constant that stands for an asset."""
    graph = Graph()
    graph.meta.signature_def["__saved_model_init_op"].CopyFrom(graph.meta.signature_def.pop("serving_default"))
    graph.meta.graph_def.library.function[0].signature.input_arg.add(name="path")
    graph.add("ReadFile", "path")
    graph.meta.graph_def.node[0].input.append("vocabulary")
    node = graph.meta.graph_def.node.add(name="vocabulary", op="Const")
    node.attr["value"].tensor.string_val.append(b"/home/ann/vocabulary.txt")
    assert "ReadFile /home/ann/vocabulary.txt" in graph.faults(tmp_path)["access"]
    asset = graph.meta.asset_file_def.add(filename="vocabulary.txt")
    asset.tensor_info.name = "vocabulary:0"
    if is_old:  # as TensorFlow 1 writes it
        graph.meta.collection_def["saved_model_assets"].any_list.value.add().Pack(asset)
        del graph.meta.asset_file_def[:]
    faults = graph.faults(tmp_path)
    assert set(faults) == {"files"}
    assert "assets/ lacks vocabulary.txt, which it reads when it is loaded" in faults["files"]
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets/vocabulary.txt").write_text("a\n")
    assert graph.faults(tmp_path) == {}


def test_functions_that_call_each_other_end(tmp_path: Path) -> None:
    """Each calls the other with its own argument, as nothing but an attack does."""
    graph = Graph()
    library = graph.meta.graph_def.library
    library.function.add().signature.name = "g"
    for function, called in zip(library.function, ("g", "__inference_f_12"), strict=True):
        function.signature.input_arg.add(name="path")
        for number in range(20):
            function.node_def.add(name=f"call{number}", op=called, input=["path"])
    graph.add("ReadFile", "path")
    assert f"{READS}ReadFile;" in graph.faults(tmp_path)["access"]


def test_damaged_assets_are_a_damaged_model(tmp_path: Path) -> None:
    graph = Graph()
    graph.meta.collection_def["saved_model_assets"].any_list.value.add().value = b"\xff"
    with pytest.raises(Fault, match=r"its saved_model\.pb \([\d,]+ bytes\) is cut short, damaged or not a SavedModel"):
        graph.faults(tmp_path)


def test_captured_inputs_are_followed(tmp_path: Path) -> None:
    """As for a function of a loaded object that no signature calls."""
    graph = Graph()
    function = graph.meta.graph_def.library.function.add()
    function.signature.name = "g"
    for name in ("x", "path"):
        function.signature.input_arg.add(name=name)
    graph.add("ReadFile", "path", function=1)
    graph.meta.object_graph_def.nodes.add().asset.asset_file_def_index = 0
    graph.meta.object_graph_def.concrete_functions["g"].bound_inputs.append(0)
    assert graph.faults(tmp_path) == {}
    graph.meta.object_graph_def.nodes[0].constant.operation = "nowhere"
    assert f"{READS}ReadFile;" in graph.faults(tmp_path)["access"]


def test_a_graph_without_signatures_may_run_anything_but_its_saver(tmp_path: Path) -> None:
    graph = Graph()
    graph.meta.signature_def.clear()
    nodes, saver = graph.meta.graph_def.node, graph.meta.saver_def
    nodes.add(name="save/save", op="SaveV2")
    nodes.add(name="save/control", op="Identity", input=["^save/save"])
    saver.save_tensor_name = "save/control:0"
    assert graph.faults(tmp_path) == {}
    nodes.add(name="read", op="PyFunc")
    assert "(PyFunc)" in graph.faults(tmp_path)["python"]


# Variables ------------------------------------------------------------------------------------------------------------
def test_variables_of_tensorflow_1(tmp_path: Path) -> None:
    graph = Graph()
    node = graph.meta.graph_def.node.add(name="v", op="VariableV2")
    node.attr["dtype"].type = 1
    node.attr["shape"].shape.dim.add(size=3)
    graph.meta.collection_def["trainable_variables"].bytes_list.value.append(b"v")
    assert "1 variables are declared, but variables/variables.index is missing" in graph.faults(tmp_path)["variables"]
    assert vars(inspect_saved_model(tmp_path).variables) == {"count": 1, "bytes": 12, "trainable": 1}
    (tmp_path / "variables").mkdir()
    places = [Place(name, size=12, shard=shard) for shard, name in enumerate((b"a", b"b", b"c"))]
    (tmp_path / "variables/variables.index").write_bytes(write_index(places, shards=3))
    (tmp_path / "variables/variables.data-00001-of-00003").write_bytes(bytes(12))
    text = graph.faults(tmp_path)["variables"]
    assert ": variables/variables.data-00000-of-00003, variables/variables.data-00002-of-00003 is missing;" in text


def test_sizes_that_no_machine_has_are_shown_all_the_same(tmp_path: Path) -> None:
    """Their product has millions of digits."""
    graph = Graph()
    variable = graph.meta.object_graph_def.nodes.add().variable
    variable.dtype = 1
    for _ in range(200_000):
        variable.shape.dim.add(size=2**62)
    assert set(graph.faults(tmp_path)) == {"variables"}
    assert "9,223,372,036,854.8 MB" in render_text(diagnose(str(tmp_path), Downloads(tmp_path)))
