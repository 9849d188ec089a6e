"""Label files: a line `<key><tab><name>` per class, in the order of the logits; the key names the image folder."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.fault import Fault, show_name
from pipeline.base.text import read_bytes, split_lines

# LOC_synset_mapping.txt of Kaggle and synset_words.txt of Caffe have a space where our files have a tab.
_SYNSET_LINE = re.compile(r"(n\d{8}) (.+)")
_SYNSET = re.compile(r"n\d{8}")
_LARGEST = 4_000_000  # bytes; ImageNet-21k's 21,843 classes with all their names take 1 MB
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")  # a terminal obeys them
CLASSES = 1000  # of ImageNet-1k, the only classes that an index alone names
BACKGROUND = "background"  # the key of a first output that stands for none of the classes


class UnknownClass(Fault):
    """Images are of a class that the labels do not have, or of none that they tell."""


@dataclass(frozen=True)
class Label:
    """A class: its key (for ImageNet the WordNet synset, such as n01440764) and its name for people."""

    key: str
    name: str


def class_index(labels: Sequence[Label]) -> dict[str, int]:
    """Returns the index of each class by its key."""
    return {label.key: index for index, label in enumerate(labels)}


def has_background(labels: Sequence[Label]) -> bool:
    """Whether the first of several labels is called a background, as models of 1,001 classes have it."""
    return len(labels) > 1 and labels[0].key.strip("_").casefold() == BACKGROUND


def imagenet_classes(labels: Sequence[Label]) -> Sequence[int]:
    """Returns the model's class of each index of ImageNet-1k, 0 to 999; () where its classes are others.

    ImageNet's indices follow the sorted synsets. The model's outputs need not, and may begin with a background.
    """
    if has_background(labels):
        return [1 + class_ for class_ in imagenet_classes(labels[1:])]
    if len(labels) != CLASSES:
        return ()
    index = class_index(labels)
    return [index[key] for key in sorted(index)] if all(map(_SYNSET.fullmatch, index)) else range(CLASSES)


def class_finder(labels: Sequence[Label]) -> Callable[[str], int | None]:
    """Returns a function that finds a class by its key or, for ImageNet-1k, by its index; None stands for no class."""
    index, imagenet = class_index(labels), imagenet_classes(labels)

    def find(word: str) -> int | None:
        if (key := normalize(word)) in index:
            return index[key]
        is_number = word.isdecimal() and len(word) < 10  # int() refuses thousands of digits
        return imagenet[int(word)] if is_number and int(word) < len(imagenet) else None

    return find


def read(path: Path, classes: int | None = None) -> tuple[Label, ...]:
    """Reads a label file, of exactly `classes` lines if that is given.

    Raises:
        Fault: when the file is missing, empty or not text, a line is malformed or repeats a key, or the number of lines
            is wrong.
    """
    if not path.is_file():
        raise Fault(f"{path}: the label file does not exist; correct its name, in model.labels or on the command line")
    line_of_key: dict[str, int] = {}
    labels = []
    for number, line in enumerate(split_lines(read_bytes(path, _LARGEST), path, "save it as UTF-8"), start=1):
        label = _parse_line(line)
        if label is None:
            raise Fault(f"{path}:{number}: expected <key><tab><name>, got {show_name(repr(line))}")
        if control := _CONTROL.search(f"{label.key}{label.name}"):
            raise Fault(f"{path}:{number}: a label has the character U+{ord(control[0]):04X}; remove it")
        if label.key in line_of_key:
            shown = show_name(repr(label.key))
            raise Fault(f"{path}:{number}: the key {shown} stands already on line {line_of_key[label.key]}")
        line_of_key[label.key] = number
        labels.append(label)
    if not labels:
        raise Fault(f"{path}: the label file is empty; expected a line <key><tab><name> per class")
    if classes is not None and len(labels) != classes:
        raise Fault(f"{path}: expected {classes} labels, as model.classes says, got {len(labels)}")
    return tuple(labels)


def _parse_line(line: str) -> Label | None:
    """Returns the label of a line, or None for a line of another form."""
    if "\t" not in line and (match := _SYNSET_LINE.fullmatch(line)):
        return Label(match[1], match[2])
    key, _, name = (part.strip() for part in line.partition("\t"))
    return Label(normalize(key), name) if key and name else None


def match_classes(names: Sequence[str], labels: Sequence[Label]) -> list[int | str]:
    """Returns the index of each class that a data set names; the name itself where the model has no such class.

    A data set calls a class by its key, by its name, or by the first or another of the names that commas separate.
    Several classes of a model may have a name, as ImageNet has two cranes: then it is that at the name's own place.
    Where most names of as many classes stand at the model's own places, so do the others, which are worded otherwise.

    Args:
        names: the classes in the order of the data set's own indices.
        labels: the classes of the model.
    """
    if has_background(labels) and not any(normalize(name) == labels[0].key for name in names):
        return [class_ if isinstance(class_, str) else 1 + class_ for class_ in match_classes(names, labels[1:])]
    index = class_index(labels)
    by_name: dict[str, list[int]] = {}
    for number, label in enumerate(labels):
        words = [label.name, *label.name.split(",")]
        for word in dict.fromkeys(map(_fold, words)):
            by_name.setdefault(word, []).append(number)
    classes: list[int | str] = []
    for place, name in enumerate(names):
        numbers = [index[normalize(name)]] if normalize(name) in index else by_name.get(_fold(name), [])
        own = [number for number in numbers if number == place] or numbers
        classes.append(own[0] if len(own) == 1 else name)
    at_own_place = sum(number == place for place, number in enumerate(classes))
    known = sum(isinstance(number, int) for number in classes)
    if len(names) == len(labels) and at_own_place == known > len(names) / 2:
        return list(range(len(names)))
    return classes


def _fold(name: str) -> str:
    """Returns a class's name in lower case, with one space for each space, hyphen or underscore."""
    return " ".join(re.split(r"[\s_-]+", normalize(name).casefold().strip()))


def normalize(name: str) -> str:
    """Returns a name with each accented letter as one character: file systems differ in this."""
    return unicodedata.normalize("NFC", name)
