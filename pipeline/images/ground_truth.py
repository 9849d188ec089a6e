"""Which class each of ImageNet's 50,000 validation images has: the files that say so, in the forms people have them.

The images are called ILSVRC2012_val_00000001.JPEG to ILSVRC2012_val_00050000.JPEG. Their classes stand in one of

    ILSVRC2012_validation_ground_truth.txt         of the devkit of 2012, with its meta.mat: a number per line
    ILSVRC2015_clsloc_validation_ground_truth.txt  of a later devkit, with its map_clsloc.txt, likewise
    LOC_val_solution.csv                           of Kaggle: a header, then <image>,<synset> and four numbers per box
    any of TEXT_FILES                              per line a synset, or <file name> and a synset or an index 0 to 999

The numbers are ILSVRC2012_ID, which follow no order of the synsets: 490 is n01751748, whose index is 65. meta.mat has
both; later devkits have numbers of their own, and a table of them. Forms of the devkits: their readme.txt; of Kaggle's
file: the page of the competition imagenet-object-localization-challenge; of the index form: val.txt of Caffe's ilsvrc12
auxiliary files.
"""

import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path

from pipeline.base.archives import read_files
from pipeline.base.fault import Fault, show_name
from pipeline.base.text import decode, read_bytes, read_lines, split_lines
from pipeline.images.labels import CLASSES, Label, UnknownClass, class_finder, class_index, imagenet_classes
from pipeline.images.matlab import DamagedTable, read_table
from pipeline.images.names import IMAGES, original_name, validation_name, validation_number

DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
META = "meta.mat"
KAGGLE = "LOC_val_solution.csv"
# The first is TensorFlow's (models/research/slim), the others are common names for it.
TEXT_FILES = (
    "imagenet_2012_validation_synset_labels.txt",
    "ILSVRC2012_val_labels.txt",
    "val_labels.txt",
    "validation_labels.txt",
    "val.txt",
    "val_map.txt",  # MLPerf's
    "val_list.txt",  # PaddleClas'
    "meta/val.txt",  # MMPretrain's
)
_LARGEST = 1 << 23  # bytes of a file of the devkit; the original ones have 0.2 MB
_NUMBERS = 10_000  # above every ILSVRC2012_ID; the devkit has 1,860 synsets
_LATER_TRUTH = "ILSVRC201?_clsloc_validation_ground_truth.txt"
_LATER_TABLE = "map_clsloc.txt"
_SYNSET = re.compile(r"n\d{8}")
_AGAIN = "get the file again"


def describe_files() -> str:
    """Returns the names of the files that find() looks for, for messages."""
    return f"{GROUND_TRUTH} with {META}, {DEVKIT}.tar.gz, {KAGGLE} or {', '.join(TEXT_FILES)}"


def find(folders: Sequence[Path], labels: Sequence[Label]) -> dict[str, int] | None:
    """Reads the first ground truth that lies in one of the folders, or in a devkit's folder there.

    Args:
        folders: where to look, in order.
        labels: the classes in the order of the logits, keyed by synset.

    Returns:
        The class's index by the image's original name (names.original_name); None where no ground truth lies there.

    Raises:
        Fault: when a file is not of its form.
    """
    index = class_index(labels)
    for folder in folders:
        for place in (folder, folder / "data", folder / DEVKIT / "data", folder / "devkit/data"):
            if (place / GROUND_TRUTH).is_file():
                return _read_devkit(place, index)
            if later := sorted(place.glob(_LATER_TRUTH)):
                return _read_later_devkit(later[-1], index)
        if (folder / f"{DEVKIT}.tar.gz").is_file():
            return _read_packed_devkit(folder / f"{DEVKIT}.tar.gz", index)
        if (folder / KAGGLE).is_file():
            return _read_kaggle(folder / KAGGLE, index)
        for name in TEXT_FILES:
            if (folder / name).is_file():
                return _read_text(folder / name, labels)
    return None


def _read_devkit(folder: Path, index: dict[str, int]) -> dict[str, int]:
    if not (folder / META).is_file():
        raise Fault(
            f"{folder / GROUND_TRUTH}: its numbers mean nothing without the devkit's {META}, which is not beside it;"
            f" put it there (it lies in {DEVKIT}/data)"
        )
    synsets = _read_synsets(folder / META, read_bytes(folder / META))
    return _label_by_number(folder / GROUND_TRUTH, read_bytes(folder / GROUND_TRUTH), synsets, index)


def _read_later_devkit(path: Path, index: dict[str, int]) -> dict[str, int]:
    table = path.with_name(_LATER_TABLE)
    if not table.is_file():
        raise Fault(f"{path}: its numbers mean nothing without the devkit's {_LATER_TABLE}; put it there")
    rows = [line.split() for line in read_lines(table, _AGAIN)]
    synsets = {int(row[1]): row[0] for row in rows if len(row) == 3 and re.fullmatch("[0-9]{1,9}", row[1])}
    return _label_by_number(path, read_bytes(path), synsets, index)


def _read_packed_devkit(path: Path, index: dict[str, int]) -> dict[str, int]:
    names = [f"{DEVKIT}/data/{name}" for name in (GROUND_TRUTH, META)]
    contents = read_files(path, names, _LARGEST)
    if missing := [name for name in names if name not in contents]:
        raise Fault(f"{path}: not ImageNet's devkit: it has no {missing[0]}; get it again from image-net.org")
    truth, meta = (contents[name] for name in names)
    return _label_by_number(path / GROUND_TRUTH, truth, _read_synsets(path / META, meta), index)


def _read_synsets(where: Path, content: bytes) -> dict[int, str]:
    """Returns the synset of each ILSVRC2012_ID of the challenge's classes: the synsets of meta.mat without children."""
    synsets = {}
    try:
        for number, synset, children in read_table(content, "synsets", ("ILSVRC2012_ID", "WNID", "num_children")):
            if not (isinstance(number, int | float) and isinstance(synset, str) and number in range(_NUMBERS)):
                raise DamagedTable(f"{show_name(repr(synset))} has the number {number!r}")
            if children == 0:
                synsets[int(number)] = synset
    except DamagedTable as error:
        raise Fault(f"{where}: not the devkit's {META} ({error}); get the devkit from image-net.org") from None
    return synsets


def _label_by_number(where: Path, truth: bytes, synsets: dict[int, str], index: dict[str, int]) -> dict[str, int]:
    """Reads a devkit's ground truth, whose lines are numbers of classes in the order of the images."""
    lines = split_lines(truth, where, _AGAIN)
    by_text = {str(number): synset for number, synset in synsets.items()}
    for number, line in enumerate(lines, start=1):
        if line not in by_text:
            raise Fault(
                f"{where}:{number}: expected the ILSVRC2012_ID of a class, 1 to {len(synsets)}, got {show_name(line)!r}"
            )
    return _label_in_order(where, [by_text[line] for line in lines], index)


def _read_kaggle(path: Path, index: dict[str, int]) -> dict[str, int]:
    classes = {}
    try:
        rows = list(csv.reader(read_lines(path, _AGAIN)))
    except csv.Error as error:  # a field of more than 128 kB
        raise Fault(f"{path}: not Kaggle's table ({error}); {_AGAIN}") from None
    for number, row in enumerate(rows[1:], start=2):
        name, boxes = row if len(row) == 2 else ("", "")
        if not (name and boxes.strip()):
            got = show_name(",".join(row))
            raise Fault(f"{path}:{number}: expected <image>,<synset> and its boxes, got {got!r}")
        classes[original_name(name)] = _find_class(f"{path}:{number}", boxes.split()[0], index)
    return classes


def _read_text(path: Path, labels: Sequence[Label]) -> dict[str, int]:
    lines = [line.split() for line in read_lines(path, _AGAIN)]
    if all(len(line) == 1 and _SYNSET.fullmatch(line[0]) for line in lines):
        return _label_in_order(path, [line[0] for line in lines], class_index(labels))
    find, classes = class_finder(labels), {}
    for number, line in enumerate(lines, start=1):
        if len(line) != 2:
            raise Fault(
                f"{path}:{number}: expected a synset on every line, or <file name> and a synset or an index on every"
                f" line, got {show_name(' '.join(line))!r}"
            )
        name, class_ = line
        label = find(class_)
        if label is None and all(map(_counts_images, lines)):
            raise Fault(
                f"{path}: its numbers count the images and name no classes; expected Kaggle's {KAGGLE} in its place"
            )
        if label is None:
            raise UnknownClass(
                f"{path}:{number}: expected the key of one of the model's {len(labels)} classes, or for ImageNet-1k an"
                f" index, 0 to {CLASSES - 1}, got {show_name(class_)!r}"
            )
        classes[original_name(Path(name).name)] = label
    return classes


def _counts_images(line: Sequence[str]) -> bool:
    """Whether a line has an image and its number, as in val.txt of Kaggle's ImageSets/CLS-LOC."""
    return len(line) == 2 and line[1] == str(validation_number(Path(line[0]).name))


def _label_in_order(where: Path, synsets: Sequence[str], index: dict[str, int]) -> dict[str, int]:
    """Returns the classes of images 1 to 50,000 from their synsets in that order."""
    # With one line missing, every later image would get the class of the next.
    if len(synsets) != IMAGES:
        raise Fault(f"{where}: expected {IMAGES:,} lines, one for each validation image, got {len(synsets):,}")
    return {
        validation_name(number): _find_class(f"{where}:{number}", synset, index)
        for number, synset in enumerate(synsets, start=1)
    }


def _find_class(where: str, word: str, index: dict[str, int]) -> int:
    """Returns the index of the class that a key names."""
    if word in index:
        return index[word]
    raise UnknownClass(f"{where}: expected the key of one of the model's {len(index)} classes, got {show_name(word)!r}")


def read_real_labels(path: Path, labels: Sequence[Label]) -> list[tuple[int, ...]]:
    """Reads the ReaL labels: for each validation image, in the order of the names, all classes that it shows.

    An image has none where the annotators agreed that it shows no class of ImageNet; it does not count then.

    Source: Beyer and others, Are we done with ImageNet? (arXiv 2006.07159); real.json of google-research/
    reassessed-imagenet, a list of 50,000 lists of indices 0 to 999.

    Raises:
        Fault: when the file is anything else, or the classes are not ImageNet-1k's.
    """
    classes = imagenet_classes(labels)
    if not classes:
        raise Fault(f"{path}: ReaL labels are for the {CLASSES} classes of ImageNet-1k, the model has {len(labels)}")
    try:
        content = json.loads(decode(read_bytes(path), path, "get real.json again"))
    except FileNotFoundError:
        raise Fault(f"{path}: the file of ReaL labels does not exist") from None
    except (ValueError, RecursionError) as error:  # ValueError is also of a number of thousands of digits
        raise Fault(f"{path}: not valid JSON ({error}); get real.json again") from None
    if not isinstance(content, list) or len(content) != IMAGES:
        got = f"{len(content):,}" if isinstance(content, list) else type(content).__name__
        raise Fault(f"{path}: expected a list of {IMAGES:,} lists of classes, one for each validation image, got {got}")
    for number, entry in enumerate(content, start=1):
        if not isinstance(entry, list) or not all(type(label) is int and 0 <= label < CLASSES for label in entry):
            raise Fault(
                f"{path}: image {number}: expected a list of indices 0 to {CLASSES - 1}, got {show_name(repr(entry))}"
            )
    return [tuple(classes[label] for label in entry) for entry in content]
