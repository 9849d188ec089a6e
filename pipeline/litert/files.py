"""Writes the LiteRT files of a module from its plain twin."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import replacing
from pipeline.base.heads import Head
from pipeline.litert.converting import convert
from pipeline.litert.forms import Form
from pipeline.litert.metadata import Metadata, Source, describe, write_metadata
from pipeline.litert.packing import add_metadata
from pipeline.litert.quality import BARS, Bar, Examples, Quality, check, compare
from pipeline.litert.running import run_file


@dataclass(frozen=True)
class Facts:
    """What the files say of the module.

    Attributes:
        head: which of the two modules.
        handle: of the published version, such as "publisher/vit_s16_classification/2"; "" where none is known.
        content_sha256: the digest of the SavedModel's files.
        title: a short name, such as "ViT-S16".
        version: of the module; 0 where none is known.
        author: the publisher's name.
        license: as an SPDX identifier.
        image_size: the side of the input, in pixels.
        labels: names in the order of the logits; () for features, or classes without names.
        activation: what turns logits into probabilities, "softmax" or "sigmoid"; of a classifier only.
    """

    head: Head
    handle: str
    content_sha256: str
    title: str
    version: int
    author: str
    license: str
    image_size: int
    labels: tuple[str, ...] = ()
    activation: str = "softmax"

    def metadata(self, form: Form) -> Metadata:
        """Returns what the file of a form says."""
        is_classifier = self.head is Head.CLASSIFICATION
        source = Source(self.handle, self.content_sha256, form, self.activation if is_classifier else "")
        return Metadata(
            name=f"{self.title} ({self.head.noun})",
            description=describe(self.head, form, self.image_size, source),
            version=str(self.version or ""),
            author=self.author,
            license=self.license,
            image_size=self.image_size,
            output=self.head.output,
            labels=self.labels,
            source=source,
        )


def write_files(
    plain: Path,
    target: Path,
    facts: Facts,
    examples: Examples,
    forms: Sequence[Form] = tuple(Form),
    bars: Mapping[Form, Bar] = BARS,
) -> dict[Form, Quality]:
    """Writes LiteRT files of a module; the same module gives the same bytes.

    Args:
        plain: the module's plain twin, a SavedModel of ordinary TensorFlow operations.
        target: the folder for Form.file of each form.
        facts: what the files say.
        examples: what quantized files are tried on.
        forms: which files to write.
        bars: what each quantized form must keep.

    Returns:
        What was measured of each quantized file.

    Raises:
        Fault: when LiteRT lacks an operation, or a quantized file is outside its bar; nothing is written then.
    """
    with tempfile.TemporaryDirectory() as folder:
        convert(plain, Path(folder), tuple(dict.fromkeys((Form.FLOAT32, *forms))))
        try:
            return write_converted(Path(folder), target, facts, examples, forms, bars)
        except Fault as fault:
            raise Fault(f"{plain}: {fault}") from None


def write_converted(
    converted: Path,
    target: Path,
    facts: Facts,
    examples: Examples,
    forms: Sequence[Form] = tuple(Form),
    bars: Mapping[Form, Bar] = BARS,
) -> dict[Form, Quality]:
    """Does what write_files() does after the conversion.

    Args:
        converted: a folder with a file named after each form, float32 among them; they get their metadata.
        target, facts, examples, forms, bars: as for write_files().
    """
    for form in dict.fromkeys((Form.FLOAT32, *forms)):
        file, metadata = converted / form, facts.metadata(form)
        described = add_metadata(
            file.read_bytes(), metadata.output, write_metadata(metadata), metadata.associated_files()
        )
        file.write_bytes(described)
    qualities = _measure(converted, facts.head, examples, [form for form in forms if form is not Form.FLOAT32])
    for form, quality in qualities.items():
        check(form.file, quality, bars[form])
    for form in forms:
        with replacing(target / form.file) as stream:
            stream.write((converted / form).read_bytes())
    return qualities


def _measure(folder: Path, head: Head, examples: Examples, forms: Sequence[Form]) -> dict[Form, Quality]:
    """Compares the file of each form with that of float32."""
    if not forms:
        return {}
    outputs = {form: run_file(folder / form, examples.images, rounds=0).outputs for form in (Form.FLOAT32, *forms)}
    whole = (folder / Form.FLOAT32).stat().st_size
    return {
        form: compare(
            head,
            outputs[form],
            outputs[Form.FLOAT32],
            (folder / form).stat().st_size / whole,
            examples.labels,
        )
        for form in forms
    }
