"""Finds the nodes of a SavedModel that read or write files or use the network, and the files that they name.

Reading a file that belongs to the model (an asset, such as the vocabulary of a lookup table) is no access. Which inputs
and attributes name a file is from TensorFlow's own definitions of its operations.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pipeline.base.fault import list_names, show_name
from pipeline.saved_model.graph import attribute
from pipeline.saved_model.origins import Origins


class Kind(StrEnum):
    """What a node does outside of its process, in words for a person."""

    READ = "reads files that are not its own"
    WRITE = "writes files"
    NETWORK = "uses the network"
    HIDDEN = "runs code that its graph does not show"


# The input that names the file or address, by operation.
_INPUTS: Mapping[Kind, Mapping[str, int]] = {
    Kind.READ: {
        **dict.fromkeys(("ReadFile", "MatchingFiles", "MatchingFilesDataset", "ExperimentalMatchingFilesDataset"), 0),
        **dict.fromkeys(("TextLineDataset", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2"), 0),
        **dict.fromkeys(("TFRecordDataset", "TFRecordDatasetV2", "LMDBDataset", "ExperimentalLMDBDataset"), 0),
        **dict.fromkeys(("CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset", "LoadDataset"), 0),
        **dict.fromkeys(("SnapshotChunkDataset", "SnapshotDatasetReader", "ListSnapshotChunksDataset"), 0),
        **dict.fromkeys(("Restore", "RestoreSlice", "RestoreV2", "DTensorRestoreV2", "LoadAndRemapMatrix"), 0),
        **dict.fromkeys(("InitializeTableFromTextFile", "InitializeTableFromTextFileV2", "InitializeTRTResource"), 1),
        **dict.fromkeys(("GenerateVocabRemapping",), 0),
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
# Of these an empty name is none; the others go on with it, and write into the folder where they are run.
_NAMELESS = ("CacheDataset", "CacheDatasetV2", "FixedUnigramCandidateSampler")
_STREAMS = ("", "stdout", "stderr", "log(info)", "log(warning)", "log(error)")  # of PrintV2, which are no files
# Whatever their inputs are: a query of SQL names files itself, and code outside of the graph may do anything.
_ALWAYS: Mapping[Kind, tuple[str, ...]] = {
    Kind.READ: (
        *("TextLineReader", "FixedLengthRecordReader", "TFRecordReader", "LMDBReader", "WholeFileReader"),
        *("TextLineReaderV2", "FixedLengthRecordReaderV2", "TFRecordReaderV2", "WholeFileReaderV2"),
        *("SqlDataset", "ExperimentalSqlDataset"),
    ),
    Kind.NETWORK: ("FileSystemSetConfiguration",),
    Kind.HIDDEN: ("DatasetFromGraph", "MlirPassthroughOp", "XlaCustomCall", "XlaCustomCallV2"),
}


@dataclass(frozen=True)
class Access:
    """A use of files or the network: its kind, and the node's operation with the files that it names, if constant."""

    kind: Kind
    text: str


def find_access(function: str, node: Any, origins: Origins) -> Iterator[Access]:
    """Yields what a node of a function does with files or the network."""
    for kind, inputs in _INPUTS.items():
        if (index := inputs.get(node.op)) is not None and index < len(node.input):
            origin = origins.of(function, node.input[index])
            is_known = origin.is_complete and origin.strings <= _no_file(node)
            if not is_known or (origin.is_own and kind is not Kind.READ):
                yield _access(kind, node.op, *sorted(origin.strings))
    for kind, operations in _ALWAYS.items():
        if node.op in operations:
            yield _access(kind, node.op)
    for kind, name in _named_by_attributes(node):
        yield _access(kind, node.op, name)


def _no_file(node: Any) -> set[str]:
    """Returns the names that stand for no file."""
    return {""} if node.op in _NAMELESS else set()


def _access(kind: Kind, operation: str, *names: str) -> Access:
    return Access(kind, f"{show_name(operation)} {list_names([show_name(name) for name in names if name], 3)}".rstrip())


def _named_by_attributes(node: Any) -> Iterator[tuple[Kind, str]]:
    """Yields the files and addresses that a node's attributes name, "" for one that the function's caller gives."""
    for kind, attributes in _ATTRIBUTES.items():
        if attribute_name := attributes.get(node.op):
            yield from ((kind, name) for name in _texts(node, attribute_name, without=_no_file(node)))
    if node.op == "PrintV2":
        yield from ((Kind.WRITE, name) for name in _texts(node, "output_stream", without=_STREAMS))
    if node.op in ("DecodeProtoV2", "EncodeProto"):
        names = _texts(node, "descriptor_source", without=("", "local://"))
        yield from ((Kind.READ, name) for name in names if not name.startswith("bytes://"))
    for url in _texts(node, "debug_urls", without=()):
        yield Kind.NETWORK if url.startswith("grpc") else Kind.WRITE, url


def _texts(node: Any, name: str, without: Collection[str]) -> list[str]:
    """Returns the strings of an attribute but for some, and "" for one that the caller of the function gives."""
    value = attribute(node, name)
    if value.WhichOneof("value") == "placeholder":
        return [""]
    values = value.list.s if value.HasField("list") else [value.s] if value.HasField("s") else []
    texts = [text.decode(errors="replace") for text in values]
    return [text for text in texts if text not in without]
