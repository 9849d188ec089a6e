"""Writes the LiteRT files of a module from what the converter made of its plain twin."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.base.files import replacing
from pipeline.forms.facts import Facts
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.litert.forms import file_name
from pipeline.litert.metadata import metadata_of, write_metadata
from pipeline.litert.packing import add_metadata


def write_files(converted: Path, target: Path, facts: Facts, precisions: Sequence[Precision] = OF_FILES) -> None:
    """Writes LiteRT files with their metadata; the same module gives the same bytes.

    Args:
        converted: a folder with a file named after each precision, as pipeline.litert.converting.convert_to() returns.
        target: the folder for the files.
        facts: what the files say.
        precisions: which files to write.

    Raises:
        Fault: when a file has other signatures than the module's; none is written then.
    """
    contents = {precision: _with_metadata(converted / precision, facts, precision) for precision in precisions}
    for precision, content in contents.items():
        with replacing(target / file_name(precision)) as stream:
            stream.write(content)


def _with_metadata(file: Path, facts: Facts, precision: Precision) -> bytes:
    metadata = metadata_of(facts, precision)
    content, associated = write_metadata(metadata), metadata.associated_files()
    return add_metadata(file.read_bytes(), metadata.output, content, associated)
