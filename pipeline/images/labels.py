"""Label files: a line `<key><tab><name>` per class, in the order of the logits; the key names the image folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault


@dataclass(frozen=True)
class Label:
    """A class: its key (for ImageNet the WordNet synset, such as n01440764) and its name for people."""

    key: str
    name: str


def class_index(labels: Sequence[Label]) -> dict[str, int]:
    """Returns the index of each class by its key."""
    return {label.key: index for index, label in enumerate(labels)}


def read(path: Path, classes: int | None = None) -> tuple[Label, ...]:
    """Reads a label file, of exactly `classes` lines if that is given.

    Raises:
        Fault: when the file is missing or not UTF-8, a line is malformed or repeats a key, or the number of lines is
            wrong.
    """
    if not path.is_file():
        raise Fault(f"{path}: the label file does not exist; correct its name, in model.labels or on the command line")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise Fault(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from None
    line_of_key: dict[str, int] = {}
    labels = []
    for number, line in enumerate(lines, start=1):
        key, tab, name = line.partition("\t")
        if not (key and tab and name):
            raise Fault(f"{path}:{number}: expected <key><tab><name>, got {line!r}")
        if key in line_of_key:
            raise Fault(f"{path}:{number}: the key {key!r} stands already on line {line_of_key[key]}")
        line_of_key[key] = number
        labels.append(Label(key, name))
    if classes is not None and len(labels) != classes:
        raise Fault(f"{path}: expected {classes} labels, as model.classes says, got {len(labels)}")
    return tuple(labels)
