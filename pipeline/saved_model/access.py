"""Finds the nodes of a SavedModel that read or write files or use the network, and the files that they name.

A file that belongs to the model (an asset, such as the vocabulary of a lookup table) is no access. Which inputs and
attributes name a file is from TensorFlow's own definitions of its operations.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.base.fault import show_name
from pipeline.saved_model.graph import attribute, read_assets


class Kind(StrEnum):
    """What a node does outside of its process, in words for a person."""

    READ = "reads files that are not its own"
    WRITE = "writes files"
    NETWORK = "uses the network"


# The input that names the file or address, by operation.
_INPUTS: Mapping[Kind, Mapping[str, int]] = {
    Kind.READ: {
        **dict.fromkeys(("ReadFile", "MatchingFiles", "MatchingFilesDataset", "ExperimentalMatchingFilesDataset"), 0),
        **dict.fromkeys(("TextLineDataset", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2"), 0),
        **dict.fromkeys(("TFRecordDataset", "TFRecordDatasetV2", "LMDBDataset", "ExperimentalLMDBDataset"), 0),
        **dict.fromkeys(("CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset", "LoadDataset"), 0),
        **dict.fromkeys(("SnapshotChunkDataset", "SnapshotDatasetReader", "ListSnapshotChunksDataset"), 0),
        **dict.fromkeys(("Restore", "RestoreSlice", "RestoreV2", "LoadAndRemapMatrix", "GenerateVocabRemapping"), 0),
        **dict.fromkeys(("InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "InitializeTRTResource"), 1),
        **dict.fromkeys(("SqlDataset", "ExperimentalSqlDataset"), 1),
    },
    Kind.WRITE: {
        **dict.fromkeys(("WriteFile", "Save", "SaveSlices", "SaveV2"), 0),
        **dict.fromkeys(("MergeV2Checkpoints", "SaveDataset", "SaveDatasetV2", "CacheDataset", "CacheDatasetV2"), 1),
        **dict.fromkeys(("SnapshotDataset", "SnapshotDatasetV2", "DistributedSave", "SerializeTRTResource"), 1),
        **dict.fromkeys(("DatasetToTFRecord", "ExperimentalDatasetToTFRecord"), 1),
        **dict.fromkeys(("CreateSummaryFileWriter", "CreateSummaryDbWriter"), 1),
    },
    Kind.NETWORK: {
        **dict.fromkeys(("RpcServer", "RpcClient"), 0),
        **dict.fromkeys(("RegisterDataset", "RegisterDatasetV2"), 1),
        **dict.fromkeys((f"DataServiceDataset{version}" for version in ("", "V2", "V3", "V4")), 2),
    },
}
# The attribute that does.
_ATTRIBUTES: Mapping[Kind, Mapping[str, str]] = {
    Kind.READ: {
        "ImmutableConst": "memory_region_name",
        "RecordInput": "file_pattern",
        "Skipgram": "filename",
        "FixedUnigramCandidateSampler": "vocab_file",
    },
    Kind.WRITE: {"DumpTensor": "log_dir_path", "CalibrationStatisticsSaver": "output_file_path"},
}
_READERS = ("TextLineReader", "FixedLengthRecordReader", "TFRecordReader", "LMDBReader", "WholeFileReader")
_CALLS = ("PartitionedCall", "StatefulPartitionedCall")
_PASSING = (
    "Identity",
    "ExpandDims",
    "Reshape",
    "Pack",
)  # the strings of an output are those of the first or all inputs

ASSET = None  # stands for a file of the model among names


@dataclass(frozen=True)
class Access:
    """A use of files or the network: its kind, and the node's operation with the files that it names, if constant."""

    kind: Kind
    text: str


class Names:
    """Finds the strings that reach an input of a node, through functions and their captured inputs."""

    def __init__(self, meta_graph: Any, functions: Mapping[str, Sequence[Any]]) -> None:
        self._functions = functions
        self._nodes = {name: {node.name: node for node in nodes} for name, nodes in functions.items()}
        self._arguments = {
            function.signature.name: [argument.name for argument in function.signature.input_arg]
            for function in meta_graph.graph_def.library.function
        }
        self._assets = set(read_assets(meta_graph))
        self._objects = meta_graph.object_graph_def
        self._callers: dict[str, list[tuple[str, Any]]] = {}
        for function, nodes in functions.items():
            for node in nodes:
                called = attribute(node, "f").func.name if node.op in _CALLS else node.op
                if called in self._arguments:
                    self._callers.setdefault(called, []).append((function, node))

    def reaching(self, function: str, tensor: str) -> set[str | None]:
        """Returns the constant strings that reach a tensor of a function, ASSET among them for a file of the model.

        Nothing is returned for a name that a caller gives or that is computed.
        """
        found: set[str | None] = set()
        seen: set[tuple[str, str]] = set()
        waiting = [(function, tensor)]
        while waiting:
            place = waiting.pop()
            if place not in seen:
                seen.add(place)
                strings, sources = self._step(*place)
                found |= strings
                waiting += sources
        return found

    def _step(self, function: str, tensor: str) -> tuple[set[str | None], list[tuple[str, str]]]:
        """Returns the strings of a tensor, and the tensors that it takes its strings from."""
        name = tensor.partition(":")[0]
        node = self._nodes[function].get(name)
        if node is None:
            return self._of_argument(function, name)
        if node.op == "Const":
            is_asset = not function and name in self._assets
            return {ASSET} if is_asset else _strings(attribute(node, "value").tensor), []
        if node.op in _PASSING:
            inputs = node.input if node.op == "Pack" else node.input[:1]
            return set(), [(function, source) for source in inputs if not source.startswith("^")]
        return set(), []

    def _of_argument(self, function: str, name: str) -> tuple[set[str | None], list[tuple[str, str]]]:
        arguments = self._arguments.get(function, [])
        if name not in arguments:
            return set(), []
        index = arguments.index(name)
        strings, sources = self._captured(function, index - len(arguments))
        callers = [(caller, node.input) for caller, node in self._callers.get(function, [])]
        return strings, [*sources, *((caller, inputs[index]) for caller, inputs in callers if index < len(inputs))]

    def _captured(self, function: str, index: int) -> tuple[set[str | None], list[tuple[str, str]]]:
        """Returns the string that a function's argument holds if it is one of its captured inputs, the last ones.

        Args:
            function: its name.
            index: of the argument, from the end: -1 for the last.
        """
        concrete = self._objects.concrete_functions
        bound = list(concrete[function].bound_inputs) if function in concrete else []
        if -index > len(bound) or not 0 <= bound[index] < len(self._objects.nodes):
            return set(), []
        captured = self._objects.nodes[bound[index]]
        if captured.HasField("asset"):
            return {ASSET}, []
        return set(), [("", captured.constant.operation)] if captured.HasField("constant") else []


def _strings(tensor: Any) -> set[str | None]:
    return {value.decode(errors="replace") for value in tensor.string_val}


def find_access(function: str, node: Any, names: Names) -> Iterator[Access]:
    """Yields what a node of a function does with files or the network."""
    for kind, inputs in _INPUTS.items():
        if (index := inputs.get(node.op)) is not None and index < len(node.input):
            found = names.reaching(function, node.input[index])
            if not found or found - {ASSET, ""}:
                yield _access(kind, node.op, *sorted(name for name in found if name))
    if node.op.removesuffix("V2") in _READERS:
        yield _access(Kind.READ, node.op)
    for kind, name in _named_by_attributes(node):
        yield _access(kind, node.op, name)


def _access(kind: Kind, *words: str) -> Access:
    return Access(kind, " ".join(map(show_name, words)))


def _named_by_attributes(node: Any) -> Iterator[tuple[Kind, str]]:
    """Yields the files and addresses that a node's attributes name."""
    for kind, attributes in _ATTRIBUTES.items():
        if (attribute_name := attributes.get(node.op)) and (name := _text(node, attribute_name)):
            yield kind, name
    if node.op == "PrintV2" and (stream := _text(node, "output_stream")).startswith("file:"):
        yield Kind.WRITE, stream
    if node.op in ("DecodeProtoV2", "EncodeProto"):
        source = _text(node, "descriptor_source")
        if source and not source.startswith(("local://", "bytes://")):
            yield Kind.READ, source
    for url in attribute(node, "debug_urls").list.s:
        yield Kind.NETWORK if url.startswith(b"grpc") else Kind.WRITE, url.decode(errors="replace")


def _text(node: Any, name: str) -> str:
    return attribute(node, name).s.decode(errors="replace")
