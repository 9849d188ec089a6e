"""Which columns of a Parquet file have the images and their classes.

Hugging Face's datasets write what each column is into the file's metadata, under the key "huggingface": an `Image`, or
a `ClassLabel` with the names of the classes. Other programs write nothing; then the columns' usual names tell.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault, list_names, show_name
from pipeline.base.files import Unreadable
from pipeline.base.json_files import parse_facts
from pipeline.images.labels import CLASSES, Label, UnknownClass, imagenet_classes, match_classes

_IMAGES = ("image", "img", "jpg", "jpeg", "png", "webp", "image_bytes", "bytes", "picture")
_BYTES = ("binary", "large_binary", "binary_view")  # Arrow's types
_LABELS = ("label", "labels", "fine_label", "cls", "class", "target", "wnid", "synset", "class_name", "coarse_label")


@dataclass(frozen=True)
class Columns:
    """The columns of a file; that of a field of a struct has a dot: image.bytes.

    Attributes:
        bytes: of the image files.
        path: of their names; None where there is none.
        label: of their classes.
        split: of the words for their splits; None where there is none.
        classes: the model's class of each label that is an index, or its name where the model lacks it.
        labels: the classes of the model.
    """

    bytes: str
    path: str | None
    label: str
    split: str | None
    classes: Sequence[int | str]
    labels: Sequence[Label]

    @property
    def listed(self) -> list[str]:
        """The columns that are read to list the images."""
        return [name for name in (self.label, self.path, self.split) if name]


def find_columns(path: Path, schema: Any, labels: Sequence[Label]) -> Columns:
    """Returns the columns of the images and their labels.

    Args:
        path: the file, for messages.
        schema: its pyarrow.Schema.
        labels: the classes of the model.

    Raises:
        Fault: when there are none, or the labels are numbers of unknown classes.
    """
    features = _read_features(schema)
    image = _find_image(schema, features)
    label = _find_label_column(schema, features, labels)
    if image is None or label is None:
        raise Fault(
            f"{path}: expected a column of images, such as {_IMAGES[0]!r} with their bytes, and one of their classes,"
            f" such as {_LABELS[0]!r}; got {list_names([*map(show_name, schema.names)])}"
        )
    is_struct = hasattr(schema.field(image).type, "fields")
    has_path = is_struct and schema.field(image).type.get_field_index("path") >= 0
    bytes_, name = (f"{image}.bytes", f"{image}.path" if has_path else None) if is_struct else (image, None)
    split = "split" if "split" in schema.names else None
    return Columns(bytes_, name, label, split, _classes_of(features.get(label), labels), labels)


def _read_features(schema: Any) -> dict[str, dict[str, Any]]:
    """Returns what Hugging Face's metadata say of each column; {} without any."""
    try:
        features = parse_facts((schema.metadata or {})[b"huggingface"])["info"]["features"]
    except (KeyError, TypeError, Unreadable):
        return {}
    named = features.items() if isinstance(features, dict) else ()
    return {name: feature for name, feature in named if isinstance(feature, dict)}


def _find_image(schema: Any, features: dict[str, dict[str, Any]]) -> str | None:
    stored = [field.name for field in schema if _has_bytes(field.type)]
    known = [name for name in stored if features.get(name, {}).get("_type") == "Image"]
    usual = [name for name in _IMAGES if name in (known or stored)]
    return next(iter(usual or known), None) or (stored[0] if len(stored) == 1 else None)


def _has_bytes(type_: Any) -> bool:
    """Whether a column is of bytes, or of structs with a field of bytes."""
    if hasattr(type_, "fields"):
        at = type_.get_field_index("bytes")
        return at >= 0 and str(type_.field(at).type) in (*_BYTES, "null")  # null: all images lie elsewhere
    return str(type_) in _BYTES


def _find_label_column(schema: Any, features: dict[str, dict[str, Any]], labels: Sequence[Label]) -> str | None:
    """Returns the column of the classes: of several, the first whose classes are the model's."""
    known = [name for name in schema.names if features.get(name, {}).get("_type") == "ClassLabel"]
    usual = [name for name in _LABELS if name in (known or schema.names)]
    candidates = [*usual, *(name for name in known if name not in usual)]
    fitting = [name for name in candidates if not _lacks(_classes_of(features.get(name), labels))]
    return next(iter(fitting or candidates), None)


def _classes_of(feature: dict[str, Any] | None, labels: Sequence[Label]) -> Sequence[int | str]:
    """Returns the model's classes for the indices 0, 1 and so on; without names, those of ImageNet-1k alone."""
    if feature and isinstance(feature.get("names"), list):
        return match_classes([str(name) for name in feature["names"]], labels)
    return imagenet_classes(labels)


def _lacks(classes: Sequence[int | str]) -> bool:
    return not classes or any(isinstance(label, str) for label in classes)


def plain_label(value: Any) -> int | str | None:
    """Returns a value of the column of labels as an index or a name, whatever type the file stores it as."""
    if isinstance(value, float):  # as pandas stores indices where one is missing
        return None if math.isnan(value) else int(value) if value.is_integer() else str(value)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if value is None or isinstance(value, int) else str(value)


def find_label(where: str, label: int | str | None, columns: Columns) -> int:
    """Returns the model's class of a row.

    Args:
        where: the file and row, for messages.
        label: the row's label, an index or a name.
        columns: of the file.

    Raises:
        Fault: when it has none, or one that the model lacks.
    """
    if label is None or label == -1:
        raise Fault(f"{where}: it has no class, as all images of ImageNet's test set; name another split or file")
    found: int | str = str(label)
    if isinstance(label, str):
        found = match_classes([label], columns.labels)[0]
    elif isinstance(label, int) and 0 <= label < len(columns.classes):
        found = columns.classes[label]
    if isinstance(found, int):
        return found
    raise UnknownClass(
        f"{where}: no class of the model's {len(columns.labels)} is called {show_name(found)!r}, the"
        f" {columns.label} there; expected its key or name, in the column or in the file's metadata, or an"
        f" index of ImageNet-1k, 0 to {CLASSES - 1}"
    )
