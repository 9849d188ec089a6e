"""Which part of a data set images are of, as the names of folders and files tell it, and which part to take."""

import argparse
import re
from collections.abc import Collection, Iterable, Mapping
from enum import StrEnum
from pathlib import Path, PurePosixPath

from pipeline.base.fault import Fault


class Split(StrEnum):
    """A part of a data set, as reports name it."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SPLIT_WORDS = {
    word: split
    for split, words in {
        Split.TRAIN: "train training trainset",
        Split.VALIDATION: "val valid validation valset eval evaluation",
        Split.TEST: "test testing testset",
    }.items()
    for word in words.split()
}
# Words beside a split that say nothing of the content: val_images, ILSVRC2012_img_val, train_00000_of_00010.
_NEUTRAL = frozenset(
    word
    for words in (
        "image images img imgs jpg jpeg png px data dataset set split folder flat",
        "shard shards wds webdataset parquet of part parts partial chunk chunks file files batch",
        "subset sample samples small full all raw original sorted shuffled seed resized cropped clean new final",
        "imagenet net ilsvrc imagenette imagewoof tiny mini cifar fashion mnist",  # ImageNet is two words
    )
    for word in words.split()
)
_NUMBERS = re.compile(r"-\d+-of-\d+.*")  # of a table, and the hash behind them


def parse_split(text: str) -> Split:
    """Returns the split that SPLIT= names, in any of its usual words.

    Raises:
        Fault: for any other word.
    """
    if text.lower() not in SPLIT_WORDS:
        raise Fault(f"SPLIT={text}: expected {', '.join(Split)}")
    return SPLIT_WORDS[text.lower()]


def add_split(parser: argparse.ArgumentParser) -> None:
    """Adds the option --split, which make's SPLIT= sets."""
    parser.add_argument(
        "--split",
        type=parse_split,
        metavar="SPLIT",
        help=f"which images to use, {', '.join(Split)} (default: validation, or test where there is no other)",
    )


def words_of(name: str) -> list[str]:
    """Returns the words of a file or folder name, in lower case and without digits: "val2017.X1" has val and x."""
    parts = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    return re.findall(r"[^\W\d_]+", parts.lower())


def split_of_folder(name: str, siblings: Iterable[str] = ()) -> Split | None:
    """Returns the split that a folder is of by its name.

    Args:
        name: its name. train, val_images and ILSVRC2012_img_val are of a split; steam_train is not, unless
        siblings: the names beside it, have a steam_test.
    """
    words = words_of(name)
    if len(_splits_of(words)) == 1 and not _without_neutral([word for word in words if word not in SPLIT_WORDS]):
        return _splits_of(words).pop()
    return _split_among(name, siblings)


def splits_of_folders(folders: Iterable[PurePosixPath]) -> dict[PurePosixPath, Split | None]:
    """Returns the split of each folder of an archive, and of those above: by its own name, or that of one above."""
    every = {place for folder in folders for place in (folder, *folder.parents)}
    beside: dict[PurePosixPath, list[str]] = {}
    for place in every:
        beside.setdefault(place.parent, []).append(place.name)
    splits: dict[PurePosixPath, Split | None] = {}
    for place in sorted(every, key=lambda place: len(place.parts)):
        splits[place] = split_of_folder(place.name, beside[place.parent]) or splits.get(place.parent)
    return splits


def split_of_file(stem: str, classes: Collection[str], siblings: Iterable[str] = ()) -> Split | None:
    """Returns the split of an archive or table by its name.

    Args:
        stem: its name, without the suffix. cifar10-train-0001 is of a split; train-station-0001 is not, unless
        classes: the names of classes, as words joined by spaces; bullet_train-0001 is of a class, not of a split.
        siblings: the names beside it, have a test-station-0001.
    """
    words = words_of(_NUMBERS.sub("", stem))
    splits = _splits_of(words)
    is_of_something = bool(words) and words[0] in SPLIT_WORDS and len(_without_neutral(words)) > 1  # "train station"
    if len(splits) == 1 and not is_of_something and " ".join(words) not in classes:
        return splits.pop()
    return _split_among(stem, siblings)


def _split_among(name: str, siblings: Iterable[str]) -> Split | None:
    """Returns the split of a name that differs from another one in the word for the split alone."""
    splits = _splits_of(words_of(name))
    if len(splits) != 1:
        return None
    (split,) = splits
    form = _form(name)
    others = (_splits_of(words_of(other)) for other in siblings if _form(other) == form)
    return split if any(len(other) == 1 and other != splits for other in others) else None


def _form(name: str) -> list[str]:
    return ["" if word in SPLIT_WORDS else word for word in words_of(_NUMBERS.sub("", name))]


def _splits_of(words: Iterable[str]) -> set[Split]:
    return {SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS}


def _without_neutral(words: Iterable[str]) -> list[str]:
    return [word for word in words if word not in _NEUTRAL and len(word) > 1]


def choose_split(where: Path, names: Mapping[Split | None, str], wanted: Split | None) -> Split | None:
    """Returns the split to take of those that there are: the wanted one, else validation, test, or the unnamed one.

    Args:
        where: what has them, for messages.
        names: the file or folder that names each split, for messages; None stands for images of which no name tells.
        wanted: what SPLIT= names, if it is set.

    Raises:
        Fault: when the wanted one is missing, or all images are for training.
    """
    if set(names) == {None}:
        return None
    for split in [wanted] if wanted else [Split.VALIDATION, Split.TEST, None]:
        if split in names:
            return split
    if wanted:
        there = " and ".join(f"{split or 'images of no split'} ({name})" for split, name in names.items())
        raise Fault(f"{where}: expected the split {wanted}, as SPLIT says, got {there}; correct SPLIT or IMAGENET")
    raise refuse_training(where, f"by the name {names[Split.TRAIN]}")


def refuse_training(where: Path, reason: str) -> Fault:
    """Returns the fault of training images that SPLIT=train does not ask for."""
    return Fault(
        f"{where}: training images, {reason}; a model does better on images that it was trained on: use validation"
        " or test images, or set SPLIT=train to measure on these"
    )
