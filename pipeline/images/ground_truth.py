"""Which class each of ImageNet's 50,000 validation images is of: the files that say so, in the forms people have them.

The images are called ILSVRC2012_val_00000001.JPEG to ILSVRC2012_val_00050000.JPEG. What says their classes:

    ILSVRC2012_validation_ground_truth.txt  of the official devkit, with its meta.mat: a number per line
    LOC_val_solution.csv                    of Kaggle: a header, then <image>,<synset> and four numbers per box
    any of TEXT_FILES                       per line a synset, or <file name> and a synset or an index 0 to 999

The devkit's numbers are ILSVRC2012_ID, which follow no order of the synsets: 490 is n01751748, whose index is 65.
meta.mat has both. Forms of the devkit: its readme.txt; of Kaggle's file: the page of the competition
imagenet-object-localization-challenge; of the index form: val.txt of Caffe's ilsvrc12 auxiliary files.
"""

import io
import json
import re
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault
from pipeline.images.labels import Label

IMAGES = 50_000
DEVKIT = "ILSVRC2012_devkit_t12"
GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
KAGGLE = "LOC_val_solution.csv"
# The first is TensorFlow's (models/research/slim), the others are names people give such a file.
TEXT_FILES = (
    "imagenet_2012_validation_synset_labels.txt",
    "ILSVRC2012_val_labels.txt",
    "val_labels.txt",
    "validation_labels.txt",
    "val.txt",
)
_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
_SYNSET = re.compile(r"n\d{8}")


def number_of(name: str) -> int | None:
    """Returns the number, 1 to 50,000, of a validation image's file name; None for any other name."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found and 1 <= int(found[1]) <= IMAGES else None


def described() -> str:
    """Returns the files that find() looks for, in words."""
    return f"{GROUND_TRUTH} with meta.mat, {DEVKIT}.tar.gz, {KAGGLE} or {', '.join(TEXT_FILES)}"


def find(folders: Sequence[Path], labels: Sequence[Label]) -> dict[str, int] | None:
    """Reads the first ground truth that lies in one of the folders, or in a devkit's folder there.

    Args:
        folders: where to look, in order.
        labels: the classes in the order of the logits, keyed by synset.

    Returns:
        The class's index by the image's file name; None where no such file lies there.

    Raises:
        Fault: when a file is not of its form.
    """
    for folder in folders:
        for place in (folder, folder / "data", folder / DEVKIT / "data"):
            if (place / GROUND_TRUTH).is_file():
                return _devkit(place, labels)
        if (folder / f"{DEVKIT}.tar.gz").is_file():
            return _packed_devkit(folder / f"{DEVKIT}.tar.gz", labels)
        if (folder / KAGGLE).is_file():
            return _kaggle(folder / KAGGLE, labels)
        for name in TEXT_FILES:
            if (folder / name).is_file():
                return _text(folder / name, labels)
    return None


def _devkit(folder: Path, labels: Sequence[Label]) -> dict[str, int]:
    meta = folder / "meta.mat"
    if not meta.is_file():
        raise Fault(
            f"{folder / GROUND_TRUTH}: its numbers mean nothing without the devkit's meta.mat, which is not beside it;"
            f" put it there (it lies in {DEVKIT}/data)"
        )
    return _numbered(folder / GROUND_TRUTH, (folder / GROUND_TRUTH).read_bytes(), meta, meta.read_bytes(), labels)


def _packed_devkit(path: Path, labels: Sequence[Label]) -> dict[str, int]:
    try:
        with tarfile.open(path) as archive:
            members = [archive.extractfile(f"{DEVKIT}/data/{name}") for name in (GROUND_TRUTH, "meta.mat")]
            truth, meta = (member.read() if member else b"" for member in members)
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise Fault(f"{path}: not ImageNet's devkit ({error}); get it again from image-net.org") from None
    return _numbered(path / GROUND_TRUTH, truth, path / "meta.mat", meta, labels)


def _numbered(where: Path, truth: bytes, meta_path: Path, meta: bytes, labels: Sequence[Label]) -> dict[str, int]:
    synsets = _synsets(meta_path, meta)
    lines = truth.decode("utf-8", "replace").split()
    for number, line in enumerate(lines, start=1):
        if not line.isdecimal() or int(line) not in synsets:
            raise Fault(f"{where}:{number}: expected the ILSVRC2012_ID of a class, 1 to {len(synsets)}, got {line!r}")
    return _in_order(where, [synsets[int(line)] for line in lines], labels)


def _synsets(where: Path, content: bytes) -> dict[int, str]:
    """Returns the synset of each ILSVRC2012_ID of a class of the challenge: a synset of meta.mat without children."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        table: Any = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        rows = zip(table["ILSVRC2012_ID"], table["WNID"], table["num_children"], strict=True)
        return {int(number): str(synset) for number, synset, children in rows if children == 0}
    except (MatReadError, zlib.error, KeyError, TypeError, ValueError, NotImplementedError, OSError) as error:
        raise Fault(f"{where}: not the devkit's meta.mat ({error}); get the devkit from image-net.org") from None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()  # as Windows' editors mark it
    except UnicodeDecodeError as error:
        raise Fault(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); get the file again") from None


def _kaggle(path: Path, labels: Sequence[Label]) -> dict[str, int]:
    index = _index(labels)
    found = {}
    for number, line in enumerate(_lines(path)[1:], start=2):
        name, comma, boxes = line.partition(",")
        key = boxes.split(" ")[0]
        if not (comma and name and key):
            raise Fault(f"{path}:{number}: expected <image>,<synset> and its boxes, got {line!r}")
        found[f"{name}.JPEG"] = _class(f"{path}:{number}", key, index)
    return found


def _text(path: Path, labels: Sequence[Label]) -> dict[str, int]:
    lines = [line.split() for line in _lines(path) if line.strip()]
    if all(len(line) == 1 and _SYNSET.fullmatch(line[0]) for line in lines):
        return _in_order(path, [line[0] for line in lines], labels)
    index = _index(labels)
    found = {}
    for number, line in enumerate(lines, start=1):
        if len(line) != 2:
            raise Fault(
                f"{path}:{number}: expected a synset on every line, or <file name> and a synset or an index on every"
                f" line, got {' '.join(line)!r}"
            )
        found[Path(line[0]).name] = _class(f"{path}:{number}", line[1], index, len(labels))
    return found


def _in_order(where: Path, synsets: Sequence[str], labels: Sequence[Label]) -> dict[str, int]:
    # One line too few, and every image after it has the class of another.
    if len(synsets) != IMAGES:
        raise Fault(f"{where}: expected {IMAGES:,} lines, one for each validation image, got {len(synsets):,}")
    index = _index(labels)
    return {
        f"ILSVRC2012_val_{number:08d}.JPEG": _class(f"{where}:{number}", synset, index)
        for number, synset in enumerate(synsets, start=1)
    }


def _index(labels: Sequence[Label]) -> dict[str, int]:
    return {label.key: number for number, label in enumerate(labels)}


def _class(where: str, word: str, index: dict[str, int], numbers: int = 0) -> int:
    if word in index:
        return index[word]
    if word.isdecimal() and int(word) < numbers:
        return int(word)
    expected = f" or an index, 0 to {numbers - 1}" if numbers else ""
    raise Fault(f"{where}: expected the key of one of the model's {len(index)} classes{expected}, got {word!r}")


def reassessed(path: Path, classes: int) -> list[tuple[int, ...]]:
    """Reads the ReaL labels: for each validation image, in the order of the names, all classes that it shows.

    An image that the annotators agreed shows none of the classes has none, and does not count.

    Source: Beyer and others, Are we done with ImageNet? (arXiv 2006.07159); real.json of google-research/
    reassessed-imagenet, a list of 50,000 lists of indices 0 to 999.

    Raises:
        Fault: when it is anything else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Fault(f"{path}: the file of ReaL labels does not exist") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault(f"{path}: not valid JSON ({error}); get real.json again") from None
    if not isinstance(content, list) or len(content) != IMAGES:
        got = f"{len(content):,}" if isinstance(content, list) else type(content).__name__
        raise Fault(f"{path}: expected a list of {IMAGES:,} lists of classes, one for each validation image, got {got}")
    for number, entry in enumerate(content, start=1):
        if not isinstance(entry, list) or not all(type(one) is int and 0 <= one < classes for one in entry):
            raise Fault(f"{path}: image {number}: expected a list of indices 0 to {classes - 1}, got {entry!r}")
    return [tuple(entry) for entry in content]
