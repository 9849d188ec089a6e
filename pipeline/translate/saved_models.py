"""Writes the plain twin of a SavedModel: ordinary TensorFlow operations in place of XlaCallModule nodes.

Objects, names, signatures and variables stay. write_bfloat16() writes a twin that computes in bfloat16.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from pipeline.base.fault import Fault
from pipeline.base.files import replacing_folder, share_file
from pipeline.saved_model.files import GRAPH_FILES, belongs_to_model, walk_model
from pipeline.saved_model.graph import find_empty_attributes, parse
from pipeline.translate.half_precision import HalfType
from pipeline.translate.plain_graphs import Differentiation, Rewriter


@dataclass(frozen=True)
class Twin:
    """What was written.

    Attributes:
        calls: the XlaCallModule nodes that were translated, without those of gradients.
        patterns: how often each pattern was recovered in them, by its name for people.
        gradients: how many of the calls have which gradient.
        source_bytes, graph_bytes: of the graph, before and after.
    """

    calls: int
    patterns: Mapping[str, int]
    gradients: Mapping[Differentiation, int]
    source_bytes: int
    graph_bytes: int


def write_plain(
    source: Path,
    target: Path,
    status: Callable[[str], None] = lambda activity: None,
    half: HalfType | None = None,
    own: Mapping[str, bytes] = MappingProxyType({}),
) -> Twin:
    """Writes the plain twin of a SavedModel; the same bytes each time.

    Args:
        source: the folder of a SavedModel with XlaCallModule nodes.
        target: a folder, which is replaced once the twin is whole. Its variables and assets are further names of the
            source's files where the file system has hard links.
        status: is told what is being done, in words.
        half: the type of 16 bits that the twin computes in, see pipeline.translate.half_precision; None for the
            source's own. Variables, inputs and outputs stay as they are.
        own: the content of files that the twin has in place of the source's, by name.

    Raises:
        Untranslatable: when an operation has no equal in TensorFlow, or a gradient would be another one.
        Fault: when the source is damaged, has no such nodes, or is the target.
    """
    if target.exists() and target.resolve() == source.resolve():
        raise Fault(f"{target}: it is the source, too; expected another folder for the plain SavedModel")
    name = next((each for each in GRAPH_FILES if (source / each).is_file()), None)
    if name is None:
        raise Fault(f"{source}: no {' or '.join(GRAPH_FILES)} in it; expected the folder of a SavedModel")
    content = (source / name).read_bytes()
    saved_model = parse(content, source, name)
    rewriter = Rewriter(str(source), status, half)
    for meta_graph in saved_model.meta_graphs:
        rewriter.rewrite(meta_graph)
    if not rewriter.gradients:
        raise Fault(f"{source}: it has no XlaCallModule nodes; expected a SavedModel that jax2tf wrote")
    if empty := [each.text for each in find_empty_attributes(saved_model) if each.is_refused]:
        raise Fault(f"{source}: TensorFlow's C++ loader refuses attributes without a value: {', '.join(empty)}")
    graph = saved_model.SerializeToString(deterministic=True)
    status("writing the files")
    with replacing_folder(target) as folder:
        _share_files(source, folder, own)
        (folder / GRAPH_FILES[0]).write_bytes(graph)
    calls, patterns = rewriter.gradients.total(), dict(rewriter.patterns)
    return Twin(calls, patterns, dict(rewriter.gradients), len(content), len(graph))


def _share_files(source: Path, folder: Path, own: Mapping[str, bytes]) -> None:
    """Gives the files of a model a second name in a folder, or copies them; but not its graph and its fingerprint."""
    for name, content in own.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    for path in walk_model(source):
        name = path.relative_to(source).as_posix()
        if not belongs_to_model(name) or name in (*GRAPH_FILES, "fingerprint.pb", *own) or not path.is_file():
            continue
        share_file(path, folder / name)
