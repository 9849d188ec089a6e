"""Writes the LiteRT files of a module from its plain twin."""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import replacing
from pipeline.forms.facts import Facts
from pipeline.forms.precision import OF_FILES, Precision
from pipeline.forms.quality import BARS, Bar, Examples, Quality, check, measure
from pipeline.litert.converting import convert
from pipeline.litert.forms import file_name
from pipeline.litert.metadata import metadata_of, write_metadata
from pipeline.litert.packing import add_metadata
from pipeline.litert.running import RUNNER


def write_files(
    plain: Path,
    target: Path,
    facts: Facts,
    examples: Examples | None,
    precisions: Sequence[Precision] = OF_FILES,
    bars: Mapping[Precision, Bar] = BARS,
) -> dict[Precision, Quality]:
    """Writes LiteRT files of a module; the same module gives the same bytes.

    Args:
        plain: the module's plain twin, a SavedModel of ordinary TensorFlow operations.
        target: the folder for the files.
        facts: what the files say.
        examples: what quantized files are tried on; None leaves that to the caller.
        precisions: which files to write.
        bars: what each quantized file must keep.

    Returns:
        What was measured of each quantized file; {} without examples.

    Raises:
        Fault: when LiteRT lacks an operation, or a quantized file is outside its bar; nothing is written then.
    """
    with tempfile.TemporaryDirectory() as folder:
        convert(plain, Path(folder), tuple(dict.fromkeys((Precision.FLOAT32, *precisions))))
        try:
            return write_converted(Path(folder), target, facts, examples, precisions, bars)
        except Fault as fault:
            raise Fault(f"{plain}: {fault}") from None


def write_converted(
    converted: Path,
    target: Path,
    facts: Facts,
    examples: Examples | None,
    precisions: Sequence[Precision] = OF_FILES,
    bars: Mapping[Precision, Bar] = BARS,
) -> dict[Precision, Quality]:
    """Does what write_files() does after the conversion.

    Args:
        converted: a folder with a file named after each precision, float32 among them; they get their metadata.
        target, facts, examples, precisions, bars: as for write_files().
    """
    files = {precision: converted / precision for precision in dict.fromkeys((Precision.FLOAT32, *precisions))}
    for precision, file in files.items():
        metadata = metadata_of(facts, precision)
        content, associated = write_metadata(metadata), metadata.associated_files()
        file.write_bytes(add_metadata(file.read_bytes(), metadata.output, content, associated))
    qualities = measure(RUNNER, files, facts.head, examples) if examples else {}
    for precision, quality in qualities.items():
        check(file_name(precision), quality, bars[precision])
    for precision in precisions:
        with replacing(target / file_name(precision)) as stream:
            stream.write(files[precision].read_bytes())
    return qualities
