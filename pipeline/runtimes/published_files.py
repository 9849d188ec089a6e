"""Is a published file of a format what its module's entry says? It is read without TensorFlow, onnx and flatbuffers."""

from collections.abc import Iterator
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.facts.formats import FormatName
from pipeline.litert.source import read_source
from pipeline.onnx_form.properties import read_properties
from pipeline.saved_model.files import find_packing_faults, find_unsafe_names
from pipeline.saved_model.inspection import inspect_saved_model

_REPAIR = "raise module.version and publish it again"


def find_format_problems(path: Path, name: FormatName, handle: str, content: str | None) -> Iterator[str]:
    """Yields what is wrong with the file that a format is loaded from, each a sentence that begins with the path.

    Args:
        path: the file.
        name: the format.
        handle: of the module.
        content: the digest of the files in the module's tarball; None where that cannot be read.
    """
    try:
        if path.suffix == ".tflite":
            source = read_source(path)
            yield from _other_source(path, source.module, source.content_sha256, handle, content)
        elif path.suffix == ".onnx":
            properties = read_properties(path)
            made_from = properties.get("content_sha256", "")
            yield from _other_source(path, properties.get("handle", ""), made_from, handle, content)
        else:
            yield from _packing_problems(path, name)
    except Fault as fault:
        yield str(fault)


def _other_source(path: Path, module: str, made_from: str, handle: str, content: str | None) -> Iterator[str]:
    if module != handle:
        other = module or "a module without a handle"
        yield f"{path}: says that it was made from {other}, not from {handle}; {_REPAIR}"
    if content is not None and made_from != content:
        text = f"made from a SavedModel of content {made_from or 'unknown'}, the tarball of {handle} has {content}"
        yield f"{path}: {text}; {_REPAIR}"


def _packing_problems(path: Path, name: FormatName) -> Iterator[str]:
    """Yields the rules for tarballs that the SavedModel of a format breaks."""
    inspection = inspect_saved_model(path)
    for finding in (*find_unsafe_names(inspection.files), *find_packing_faults(inspection.files)):
        text = finding.text.removeprefix(f"{path}: ")
        yield f"{path}: the tarball of {name} breaks a rule for published files: {text}"
    if inspection.empty_attributes:
        text = "loads in TensorFlow's Python loader only, not in TensorFlow Serving, Java, Go or C"
        yield f"{path}: the tarball of {name} {text}: make doctor names the cause; {_REPAIR}"
