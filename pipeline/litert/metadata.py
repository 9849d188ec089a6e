"""What a LiteRT file says of itself, as Android's and MediaPipe's readers expect it.

It is a FlatBuffer in the model's buffer TFLITE_METADATA; the files that it names stand in a zip archive behind the
model. Field ids are those of tensorflow_lite_support/metadata/metadata_schema.fbs (tensorflow/tflite-support), the same
in mediapipe/tasks/metadata/metadata_schema.fbs (google-ai-edge/mediapipe). Only fields of its version 1.0.0 are used,
which every reader knows. MediaPipe reads the normalization of a float32 input from here, and refuses a file without it
(mediapipe/tasks/cc/vision/utils/image_tensor_specs.cc).
"""

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.forms.facts import Facts
from pipeline.forms.precision import Precision
from pipeline.litert.source import SOURCE, Source
from pipeline.litert.tables import Byte, Field, Fields, Floats, Number, Reader, write_buffer

BUFFER_NAME = "TFLITE_METADATA"
IDENTIFIER = b"M001"
LABELS = "labels.txt"  # a line per class, in the order of the logits

MEAN = STD = 127.5  # pixels of 0 to 255 become -1 to 1
_MIN_PARSER = "1.0.0"

# Values of the schema's enums and unions.
_DESCRIPTIONS, _TENSOR_AXIS_LABELS = 1, 2  # AssociatedFileType
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2  # ContentProperties
_NORMALIZATION_OPTIONS = 1  # ProcessUnitOptions
_RGB = 1  # ColorSpaceType


@dataclass(frozen=True)
class Metadata:
    """What a file says of itself.

    Attributes:
        name: for people, such as "ViT-S16 (image classifier)".
        description: a sentence or more.
        version: of the module, such as "2"; "" where none is known.
        author: the publisher.
        license: as an SPDX identifier.
        image_size: the side of the input, in pixels.
        output: the name of the output, "logits" or "features".
        labels: in the order of the logits; () for features, or classes without names.
        source: what it was made from.
    """

    name: str
    description: str
    version: str
    author: str
    license: str
    image_size: int
    output: str
    labels: tuple[str, ...]
    source: Source

    def __post_init__(self) -> None:
        if broken := [label for label in self.labels if not label.strip() or len(label.splitlines()) > 1]:
            raise Fault(f"{LABELS} has a line per class, and the label {broken[0]!r} is not one line; correct its name")

    def associated_files(self) -> dict[str, bytes]:
        """Returns the files of the zip archive by name."""
        source = {SOURCE: (json.dumps(asdict(self.source), indent=2) + "\n").encode()}
        return source | ({LABELS: "".join(f"{label}\n" for label in self.labels).encode()} if self.labels else {})


def metadata_of(facts: Facts, precision: Precision) -> Metadata:
    """Returns what the file of a precision says of a module."""
    is_classifier, publication = facts.head is Head.CLASSIFICATION, facts.publication
    source = Source(publication.handle, facts.content_sha256, precision, facts.activation if is_classifier else "")
    return Metadata(
        name=facts.name,
        description=_describe(facts, source),
        version=str(publication.version or ""),
        author=publication.author,
        license=publication.license,
        image_size=facts.image_size,
        output=facts.head.output,
        labels=facts.labels,
        source=source,
    )


def _describe(facts: Facts, source: Source) -> str:
    """Returns a description: what goes in, what comes out, and what the file was made from."""
    head, size = facts.head, facts.image_size
    weights = {
        "float32": "float32 weights",
        "float16": "float16 weights",
        "int8": "int8 weights, quantized activations (dynamic range)",
    }[source.form]
    output = {
        Head.CLASSIFICATION: f"a logit per class; {source.activation} gives probabilities",
        Head.FE: "the features of each image",
    }[head]
    return (
        f"{head.noun.capitalize()} with {weights}. Input `inputs`: RGB images of {size}x{size} pixels,"
        f" float32 in [-1, 1]: (pixel - {MEAN}) / {STD}. Output `{head.output}`: {output}. Made from"
        f" {source.module or 'a module without a handle'}, SHA-256 {source.content_sha256}."
    )


def write_metadata(metadata: Metadata) -> bytes:
    """Returns the FlatBuffer, a table ModelMetadata."""
    source: Fields = {0: SOURCE, 1: "What this file was made from.", 2: Byte(_DESCRIPTIONS)}
    subgraph: Fields = {0: "serving_default", 2: [_input_fields(metadata)], 3: [_output_fields(metadata)]}
    root: Fields = {
        0: metadata.name,
        1: metadata.description,
        2: metadata.version,
        3: [subgraph],
        4: metadata.author,
        5: metadata.license,
        6: [source],
        7: _MIN_PARSER,
    }
    return write_buffer(root, IDENTIFIER)


def _input_fields(metadata: Metadata) -> Fields:
    """Returns the fields of a TensorMetadata: an RGB image, how it is normalized, and its range."""
    size: Fields = {0: Number(metadata.image_size), 1: Number(metadata.image_size)}
    image: Fields = {0: Byte(_RGB), 1: size}
    normalization: Fields = {0: Floats((MEAN,)), 1: Floats((STD,))}
    side = metadata.image_size
    return {
        0: "inputs",
        1: f"RGB images, float32 (n, {side}, {side}, 3) in [-1, 1], resized by bilinear interpolation.",
        3: {0: Byte(_IMAGE_PROPERTIES), 1: image},
        4: [{0: Byte(_NORMALIZATION_OPTIONS), 1: normalization}],
        5: {0: Floats((1.0,)), 1: Floats((-1.0,))},
    }


def _output_fields(metadata: Metadata) -> Fields:
    """Returns the fields of a TensorMetadata: numbers, and the labels of the last axis."""
    labels: Fields = {0: LABELS, 1: "The classes in the order of the logits.", 2: Byte(_TENSOR_AXIS_LABELS)}
    fields: dict[int, Field] = {0: metadata.output, 3: {0: Byte(_FEATURE_PROPERTIES), 1: {}}}
    if metadata.source.activation:
        fields[1] = f"Logits; {metadata.source.activation} gives probabilities."
    return fields | ({6: [labels]} if metadata.labels else {})


# Reading --------------------------------------------------------------------------------------------------------------
def read_metadata(file: bytes, name: str) -> Metadata:
    """Returns what a LiteRT file of this project says of itself.

    Args:
        file: its content.
        name: what to call it in messages.

    Raises:
        Fault: when it is no LiteRT file, or has no such metadata.
    """
    try:
        return _read_root(Reader(_find_buffer(file)), read_associated_files(file))
    except (struct.error, LookupError, ValueError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise Fault(
            f"{name}: expected a LiteRT file with the metadata that this project writes ({BUFFER_NAME}, {SOURCE}), got"
            f" {len(file):,} bytes without ({type(error).__name__}); write it again"
        ) from None


def _find_buffer(file: bytes) -> bytes:
    """Returns the metadata's FlatBuffer; ids of tensorflow/lite/schema/schema.fbs (Model, Metadata, Buffer)."""
    if file[4:8] != b"TFL3":
        raise ValueError("no LiteRT file")
    model = Reader(file)
    (index,) = (each.number(1) for each in model.tables(6) if each.text(0) == BUFFER_NAME)
    content = model.tables(4)[index].content(0)
    if content[4:8] != IDENTIFIER:
        raise ValueError("another metadata schema")
    return content


def read_associated_files(file: bytes) -> Mapping[str, bytes]:
    """Returns the files of the zip archive behind the model by name.

    Raises:
        zipfile.BadZipFile: when there is none.
    """
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def _read_root(root: Reader, files: Mapping[str, bytes]) -> Metadata:
    (subgraph,) = root.tables(3)
    (image,), (output,) = subgraph.tables(2), subgraph.tables(3)
    (unit,) = image.tables(4)
    mean, std = (unit.table(1).floats(slot) for slot in (0, 1))
    if (mean, std) != ((MEAN,), (STD,)):
        raise ValueError(f"another normalization, {mean} and {std}")
    size = image.table(3).table(1).table(1)
    labels = [file.text(0) for file in output.tables(6) if file.byte(2) == _TENSOR_AXIS_LABELS]
    return Metadata(
        name=root.text(0),
        description=root.text(1),
        version=root.text(2),
        author=root.text(4),
        license=root.text(5),
        image_size=size.number(0),
        output=output.text(0),
        labels=tuple(files[labels[0]].decode().split("\n")[:-1]) if labels else (),
        source=Source(**json.loads(files[SOURCE])),
    )
