"""Names what a SavedModel does beside computing: a model is a program, and one of a stranger may do anything.

It is read from the model's files, as doctor does it; nothing is run.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pipeline.base.fault import Fault, list_names, show_name
from pipeline.saved_model.access import Kind
from pipeline.saved_model.faults import describe_python_calls
from pipeline.saved_model.files import belongs_to_model, walk_model
from pipeline.saved_model.inspection import Inspection, inspect_saved_model

# Custom calls of jaxlib's own kernels, which TensorFlow lacks: it refuses them, or they are for other devices.
_KERNELS = re.compile(r"lapack_\w+|(cu|hip)[a-z]*_\w+|__(cublas|cudnn|cusolver|cufft|onednn)\$.+|tpu_custom_call")


def inspect_named(folder: Path, name: str) -> Inspection:
    """Returns what is read from a model's files; a Fault calls the folder by the name that a person gave."""
    try:
        return inspect_saved_model(folder)
    except Fault as fault:
        raise Fault(str(fault).replace(str(folder), name)) from None


def refuse_untrusted(where: str, model: Inspection, number: int, folder: Path) -> None:
    """Refuses to run a model that does more than to compute.

    Args:
        where: its name, for the message.
        model: what was read from its files.
        number: of the meta graph that is to be run.
        folder: its files.

    Raises:
        Fault: names what it does, and how to run it all the same, if that is possible.
    """
    if uses := model.meta_graphs[number].python_calls:  # no trust brings them back
        raise Fault(f"{where}: it cannot be run here: {describe_python_calls(uses)}")
    if deeds := list(find_deeds(model, number, folder)):
        raise Fault(
            f"{where}: a model is a program, and this one {'; it '.join(deeds)}. Run it only if you expect that and"
            " trust its author: pass TRUST=1"
        )


def find_deeds(model: Inspection, number: int, folder: Path) -> Iterator[str]:
    """Yields what a meta graph does beside computing, as verbs: "writes files: WriteFile /tmp/a"."""
    meta = model.meta_graphs[number]
    for kind in Kind:
        if texts := [access.text for access in meta.accesses if access.kind is kind]:
            yield f"{kind}: {list_names(texts, 3)}"
    if links := list(_leaving_links(folder)):
        yield f"{Kind.READ}, through links: {list_names(links, 3)}"
    if meta.python_calls:
        yield f"calls Python functions: {list_names([str(use) for use in meta.python_calls], 3)}"
    calls = sorted({call for module in model.computations for call in module.foreign_calls()})
    if foreign := [show_name(call) for call in calls if not _KERNELS.fullmatch(call)]:
        yield f"calls functions outside of TensorFlow: {list_names(foreign, 3)}"
    if problems := [module.problem for module in model.computations if module.problem]:
        yield f"has StableHLO that cannot be read, and so cannot be checked ({show_name(problems[0])})"


def _leaving_links(folder: Path) -> Iterator[str]:
    """Yields the assets that lead out of the model's folder, other than into the files of a cache of Hugging Face."""
    roots = [Path(os.path.realpath(folder))]
    for above in folder.absolute().parents:
        if above.name == "snapshots":
            roots.append(Path(os.path.realpath(above.parent / "blobs")))
    for path in walk_model(folder):
        name = path.relative_to(folder).as_posix()
        real = Path(os.path.realpath(path))
        if belongs_to_model(name) and name.startswith("assets") and not any(map(real.is_relative_to, roots)):
            yield f"{show_name(name)} -> {show_name(str(real))}"
