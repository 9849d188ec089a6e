"""Which class each of ImageNet's 50,000 validation images has: the files that say so, in the forms people have them.

The images are called ILSVRC2012_val_00000001.JPEG to ILSVRC2012_val_00050000.JPEG. Their classes stand in one of

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
from pipeline.images.labels import Label, class_index

IMAGES = 50_000
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
)
_NAME = re.compile(r"ILSVRC2012_val_(\d{8})\.JPEG")
_SYNSET = re.compile(r"n\d{8}")


def validation_number(name: str) -> int | None:
    """Returns the number, 1 to 50,000, of a validation image's file name; None for any other name."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match and 1 <= int(match[1]) <= IMAGES else None


def describe_files() -> str:
    """Returns the names of the files that find() looks for, for messages."""
    return f"{GROUND_TRUTH} with {META}, {DEVKIT}.tar.gz, {KAGGLE} or {', '.join(TEXT_FILES)}"


def find(folders: Sequence[Path], labels: Sequence[Label]) -> dict[str, int] | None:
    """Reads the first ground truth that lies in one of the folders, or in a devkit's folder there.

    Args:
        folders: where to look, in order.
        labels: the classes in the order of the logits, keyed by synset.

    Returns:
        The class's index by the image's file name; None where no ground truth lies there.

    Raises:
        Fault: when a file is not of its form.
    """
    index = class_index(labels)
    for folder in folders:
        for place in (folder, folder / "data", folder / DEVKIT / "data"):
            if (place / GROUND_TRUTH).is_file():
                return _read_devkit(place, index)
        if (folder / f"{DEVKIT}.tar.gz").is_file():
            return _read_packed_devkit(folder / f"{DEVKIT}.tar.gz", index)
        if (folder / KAGGLE).is_file():
            return _read_kaggle(folder / KAGGLE, index)
        for name in TEXT_FILES:
            if (folder / name).is_file():
                return _read_text(folder / name, index)
    return None


def _read_devkit(folder: Path, index: dict[str, int]) -> dict[str, int]:
    if not (folder / META).is_file():
        raise Fault(
            f"{folder / GROUND_TRUTH}: its numbers mean nothing without the devkit's {META}, which is not beside it;"
            f" put it there (it lies in {DEVKIT}/data)"
        )
    synsets = _read_synsets(folder / META, (folder / META).read_bytes())
    return _label_by_number(folder / GROUND_TRUTH, (folder / GROUND_TRUTH).read_bytes(), synsets, index)


def _read_packed_devkit(path: Path, index: dict[str, int]) -> dict[str, int]:
    try:
        with tarfile.open(path) as archive:
            members = [archive.extractfile(f"{DEVKIT}/data/{name}") for name in (GROUND_TRUTH, META)]
            truth, meta = (member.read() if member else b"" for member in members)
    except (KeyError, tarfile.TarError, EOFError, OSError) as error:
        raise Fault(f"{path}: not ImageNet's devkit ({error}); get it again from image-net.org") from None
    return _label_by_number(path / GROUND_TRUTH, truth, _read_synsets(path / META, meta), index)


def _read_synsets(where: Path, content: bytes) -> dict[int, str]:
    """Returns the synset of each ILSVRC2012_ID of the challenge's classes: the synsets of meta.mat without children."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        table: Any = loadmat(io.BytesIO(content), squeeze_me=True)["synsets"]
        rows = zip(table["ILSVRC2012_ID"], table["WNID"], table["num_children"], strict=True)
        return {int(number): str(synset) for number, synset, children in rows if children == 0}
    except (MatReadError, zlib.error, KeyError, TypeError, ValueError, NotImplementedError, OSError) as error:
        raise Fault(f"{where}: not the devkit's {META} ({error}); get the devkit from image-net.org") from None


def _label_by_number(where: Path, truth: bytes, synsets: dict[int, str], index: dict[str, int]) -> dict[str, int]:
    """Reads the devkit's ground truth, whose lines are ILSVRC2012_ID in the order of the images."""
    lines = truth.decode("utf-8", "replace").split()
    for number, line in enumerate(lines, start=1):
        if not line.isdecimal() or int(line) not in synsets:
            raise Fault(f"{where}:{number}: expected the ILSVRC2012_ID of a class, 1 to {len(synsets)}, got {line!r}")
    return _label_in_order(where, [synsets[int(line)] for line in lines], index)


def _read_kaggle(path: Path, index: dict[str, int]) -> dict[str, int]:
    classes = {}
    for number, line in enumerate(_read_lines(path)[1:], start=2):
        name, comma, boxes = line.partition(",")
        synset = boxes.split(" ")[0]
        if not (comma and name and synset):
            raise Fault(f"{path}:{number}: expected <image>,<synset> and its boxes, got {line!r}")
        classes[f"{name}.JPEG"] = _find_class(f"{path}:{number}", synset, index)
    return classes


def _read_text(path: Path, index: dict[str, int]) -> dict[str, int]:
    lines = [line.split() for line in _read_lines(path) if line.strip()]
    if all(len(line) == 1 and _SYNSET.fullmatch(line[0]) for line in lines):
        return _label_in_order(path, [line[0] for line in lines], index)
    classes = {}
    for number, line in enumerate(lines, start=1):
        if len(line) != 2:
            raise Fault(
                f"{path}:{number}: expected a synset on every line, or <file name> and a synset or an index on every"
                f" line, got {' '.join(line)!r}"
            )
        name, class_ = line
        classes[Path(name).name] = _find_class(f"{path}:{number}", class_, index, allow_index=True)
    return classes


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()  # editors on Windows write a byte order mark
    except UnicodeDecodeError as error:
        raise Fault(f"{path}: not UTF-8 text ({error.reason} at byte {error.start}); get the file again") from None


def _label_in_order(where: Path, synsets: Sequence[str], index: dict[str, int]) -> dict[str, int]:
    """Returns the classes of images 1 to 50,000 from their synsets in that order."""
    # With one line missing, every later image would get the class of the next.
    if len(synsets) != IMAGES:
        raise Fault(f"{where}: expected {IMAGES:,} lines, one for each validation image, got {len(synsets):,}")
    return {
        f"ILSVRC2012_val_{number:08d}.JPEG": _find_class(f"{where}:{number}", synset, index)
        for number, synset in enumerate(synsets, start=1)
    }


def _find_class(where: str, word: str, index: dict[str, int], allow_index: bool = False) -> int:
    """Returns the index of the class that a key names or, if allowed, an index."""
    if word in index:
        return index[word]
    if allow_index and word.isdecimal() and int(word) < len(index):
        return int(word)
    expected = f" or an index, 0 to {len(index) - 1}" if allow_index else ""
    raise Fault(f"{where}: expected the key of one of the model's {len(index)} classes{expected}, got {word!r}")


def read_real_labels(path: Path, classes: int) -> list[tuple[int, ...]]:
    """Reads the ReaL labels: for each validation image, in the order of the names, all classes that it shows.

    An image has none where the annotators agreed that it shows no class of ImageNet; it does not count then.

    Source: Beyer and others, Are we done with ImageNet? (arXiv 2006.07159); real.json of google-research/
    reassessed-imagenet, a list of 50,000 lists of indices 0 to 999.

    Raises:
        Fault: when the file is anything else.
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
        if not isinstance(entry, list) or not all(type(label) is int and 0 <= label < classes for label in entry):
            raise Fault(f"{path}: image {number}: expected a list of indices 0 to {classes - 1}, got {entry!r}")
    return [tuple(entry) for entry in content]
