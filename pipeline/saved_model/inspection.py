"""Reads what a SavedModel of any origin needs and contains, without running it; faults.py beside it judges that.

Which TensorFlow runs a model depends on its XlaCallModule nodes (runtimes.py) and on its operations (operations.py).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.archives import EntryKind
from pipeline.base.fault import Fault
from pipeline.base.worker import Ended, Limits, Worker
from pipeline.saved_model import bundle, computation, graph, runtimes
from pipeline.saved_model.computation import Computation
from pipeline.saved_model.files import Files
from pipeline.saved_model.graph import Signature, Variables, attribute
from pipeline.saved_model.meta_graphs import MetaGraph, read_meta_graph
from pipeline.saved_model.opening import disk_usage, read_contents

# What may be a path; then whether it is that of a source file, or lies below a home or temporary folder. No part of a
# pattern matches what the next one does, so that each byte is looked at a few times, whatever the file holds.
_PATHS = re.compile(rb"/[\w.@+~/-]{2,4096}|\b[A-Za-z]:\\(?:[\w. -]{1,255}\\){1,100}[\w.-]{1,255}")
_SOURCE = re.compile(rb"(?:/[^/]+)+/[^/]+\.(?:py|ipynb|cc|cpp|h|npz|mlir)\b")
_PRIVATE = re.compile(rb"/(?:home|Users|root|tmp|mnt|content|workspace)/.{2,}")
_MAX_PATHS = 10

# Of reading a model: so much, and so much for each byte that its archive or graph takes on the disk. The content is in
# memory twice while it is unpacked, and once more when it is parsed; graphs without weights are of at most some 100 MB.
_SECONDS, _SECONDS_PER_MB = 60, 1
_MEMORY, _MEMORY_PER_BYTE = 800_000_000, 3

_worker = Worker()


@dataclass(frozen=True)
class Inspection:
    """What a SavedModel needs and contains.

    Attributes:
        files: the files of the folder or tarball.
        meta_graphs: in the order of the file; `signatures`, `variables` and the versions are those of `serving`.
        serving: the index of the meta graph that its users most likely want: that with the tag serve alone, then one
            with that tag among others, then one without tags, then the first.
        written_by: the version of the TensorFlow that wrote it.
        producer, min_consumer: that TensorFlow's GraphDef version, and the oldest that may read it.
        tensorflow: the oldest measured TensorFlow that runs every XlaCallModule node and has all operations of
            `serving`, see pipeline.saved_model.runtimes. For "2.14", older versions were not measured.
        newest_tensorflow: the newest one; None where that is the newest of the table.
        requirements: the properties that decide `tensorflow`, each with the oldest TensorFlow that supports it.
        platforms: those on which every XlaCallModule node runs, in lower case; None without such nodes.
        conventions: the calling conventions of the XlaCallModule nodes, ascending.
        disabled_checks: the safety checks that XlaCallModule nodes disable.
        token_effects: whether an XlaCallModule node has has_token_input_output set.
        computations: the distinct StableHLO modules.
        signatures: by name.
        variables: of `serving`.
        gradients: whether the gradients of the XlaCallModule nodes are saved; None without such nodes.
        paths: file names of other machines in saved_model.pb, at most _MAX_PATHS.
        empty_attributes: those without a value that TensorFlow's C++ loader refuses, see graph.find_empty_attributes().
        damage: what keeps TensorFlow from reading the files of the variables, "" if nothing, see bundle.find_damage().
    """

    files: Files
    meta_graphs: tuple[MetaGraph, ...]
    serving: int
    written_by: str
    producer: int
    min_consumer: int
    tensorflow: str
    newest_tensorflow: str | None
    requirements: dict[str, str]
    platforms: tuple[str, ...] | None
    conventions: tuple[int, ...]
    disabled_checks: tuple[str, ...]
    token_effects: bool
    computations: tuple[Computation, ...]
    signatures: dict[str, Signature]
    variables: Variables
    gradients: bool | None
    paths: tuple[str, ...]
    empty_attributes: tuple[str, ...]
    damage: str


def inspect_saved_model(path: Path) -> Inspection:
    """Reads a SavedModel's folder or archive; an archive is read as a stream, and its variables are not kept.

    It is read in a process of its own, since a few bytes of a hostile graph can take any memory, or end the parser.

    Raises:
        Fault: when it is missing, damaged, or not a SavedModel.
    """
    size = disk_usage(path)
    limits = Limits(_SECONDS + _SECONDS_PER_MB * size / 1e6, _MEMORY + _MEMORY_PER_BYTE * size)
    try:
        return _worker.call(limits, read_model, path)
    except Ended as reason:
        raise Fault(
            f"{path}: what reads its graph {reason}, so it is damaged or was made to do harm; get it again from an"
            " author whom you trust"
        ) from None


def read_model(path: Path) -> Inspection:
    """Reads a model as inspect_saved_model() does, in this process."""
    files, content, index = read_contents(path)
    saved_model = graph.parse(content, path, files.graph)
    metas = tuple(read_meta_graph(meta, files.has) for meta in saved_model.meta_graphs)
    number = _serving(metas)
    serving, message = metas[number], saved_model.meta_graphs[number]
    nodes = list(graph.find_xla_calls(saved_model))
    conventions = sorted({attribute(node, "version").i for node in nodes})
    computations = computation.read_all(sorted({attribute(node, "module").s for node in nodes}))
    requirements = _find_requirements(conventions, computations)
    requirements |= {f"the operation {name}": oldest for name, oldest in serving.newer_operations.items()}
    return Inspection(
        files=files,
        meta_graphs=metas,
        serving=number,
        written_by=serving.written_by,
        producer=serving.producer,
        min_consumer=serving.min_consumer,
        tensorflow=max(requirements.values(), key=runtimes.parse, default=runtimes.OLDEST),
        newest_tensorflow=min(serving.removed_operations.values(), key=runtimes.parse, default=None),
        requirements=requirements,
        platforms=_find_platforms(nodes),
        conventions=tuple(conventions),
        disabled_checks=tuple(sorted({check for node in nodes for check in _strings(node, "disabled_checks")})),
        token_effects=any(attribute(node, "has_token_input_output").b for node in nodes),
        computations=computations,
        signatures=serving.signatures,
        variables=graph.read_variables(message),
        gradients=graph.has_saved_gradients(message),
        paths=_find_paths(content),
        empty_attributes=tuple(one.text for one in graph.find_empty_attributes(saved_model) if one.is_refused),
        damage="" if index is None else bundle.find_damage(index, _sizes(files, path.is_dir())),
    )


def _sizes(files: Files, is_folder: bool) -> dict[str, int | None]:
    """Returns the bytes of each file by its name below the model's folder; an archive's links have none."""
    prefix = f"{files.root}/" if files.root else ""
    return {
        entry.name.removeprefix(prefix): None if entry.kind is EntryKind.LINK and not is_folder else entry.size
        for entry in files.entries
    }


def _serving(metas: Sequence[MetaGraph]) -> int:
    """Returns the index of the meta graph that a model's users most likely want."""
    ranks = [(meta.tags != ("serve",), "serve" not in meta.tags, bool(meta.tags)) for meta in metas]
    return ranks.index(min(ranks))


def _find_requirements(conventions: Sequence[int], computations: Sequence[Computation]) -> dict[str, str]:
    """Returns the oldest TensorFlow that supports each property of the XlaCallModule nodes."""
    requirements = {f"calling convention {number}": runtimes.for_convention(number) for number in conventions}
    for module in computations:
        requirements |= module.requirements()
    return requirements


def _find_platforms(nodes: Sequence[Any]) -> tuple[str, ...] | None:
    # Before calling convention 6 an empty list means that nothing is checked.
    platforms = [set(map(str.lower, names)) for node in nodes if (names := _strings(node, "platforms"))]
    return tuple(sorted(set.intersection(*platforms))) if platforms else None


def _strings(node: Any, name: str) -> list[str]:
    return [value.decode(errors="replace") for value in attribute(node, name).list.s]


def _find_paths(content: bytes) -> tuple[str, ...]:
    paths: set[str] = set()
    for match in _PATHS.finditer(content):
        if path := _private_path(match[0]):
            paths.add(path.decode(errors="replace"))
        if len(paths) == _MAX_PATHS:
            break
    return tuple(sorted(paths))


def _private_path(text: bytes) -> bytes:
    """Returns the part of what may be a path that tells of its author's machine, or nothing."""
    if not text.startswith(b"/"):  # of Windows
        return text
    for part in text[1:].split(b"//"):
        if source := _SOURCE.match(b"/" + part):
            return source[0]
    private = _PRIVATE.search(text)
    return private[0] if private else b""
