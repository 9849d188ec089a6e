"""What a LiteRT file was made from: module.json in the zip archive behind the model, read without flatbuffers."""

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from pipeline.base.fault import Fault
from pipeline.base.strict_json import STRICT, parse_json
from pipeline.base.zip_directory import DamagedZip, Packed, read_directory

SOURCE = "module.json"
_LARGEST = 1 << 16  # bytes of module.json


@dataclass(frozen=True)
class Source:
    """What a file was made from, the content of module.json.

    Attributes:
        module: the handle of the SavedModel; "" where none is known.
        content_sha256: the digest of its files.
        form: how the weights are stored.
        activation: what turns logits into probabilities, "softmax" or "sigmoid"; "" of a feature extractor.
    """

    module: str
    content_sha256: str
    form: str
    activation: str

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


def read_source(path: Path) -> Source:
    """Reads what a LiteRT file of this project was made from, and no more of the file.

    Raises:
        Fault: when it is damaged, or does not say.
    """
    try:
        with io.FileIO(path) as stream:
            entry = next((entry for entry in read_directory(stream) if entry.name == SOURCE), None)
            return parse_json(Source, _read_entry(stream, entry).decode())
    except (DamagedZip, ValueError) as error:  # json's and Unicode's errors are ValueErrors
        text = f"expected a LiteRT file that says in {SOURCE} what it was made from ({error})"
        raise Fault(f"{path}: {text}; make it again (make formats)") from None


def _read_entry(stream: io.FileIO, entry: Packed | None) -> bytes:
    """Returns a file of the archive, which this project does not compress."""
    if entry is None or entry.is_deflated or entry.size > _LARGEST:
        raise ValueError(f"there is none, or it is compressed, or has more than {_LARGEST:,} bytes")
    return os.pread(stream.fileno(), entry.length, entry.start)
