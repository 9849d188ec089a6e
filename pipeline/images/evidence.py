"""Takes the images of one split, by what the folders of an archive and the images' own names tell.

What a folder, archive or table is called counts more than the names of its images: Imagenette's val has images of
ImageNet's training set. Where nothing around them tells the split, their names do.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.base.fault import Fault
from pipeline.images.files import LabelledFile
from pipeline.images.labels import Label
from pipeline.images.layout import Source
from pipeline.images.names import split_in_name, synset_in_name
from pipeline.images.split import Split, choose_split, refuse_training, split_of_folder

_Groups = dict[Split | None, list[LabelledFile]]


@dataclass(frozen=True)
class Chosen:
    """Images of one split.

    Attributes:
        files: the images, at least one.
        split: the part of the data set that they are; None where nothing tells.
        left_out: the others, for people.
    """

    files: Sequence[LabelledFile]
    split: Split | None
    left_out: tuple[str, ...] = ()


def take_split(
    path: Path, files: Sequence[LabelledFile], source: Source, wanted: Split | None, labels: Sequence[Label]
) -> Chosen:
    """Returns the images of the wanted split, or of the one to take where none is wanted.

    Args:
        path: what IMAGENET= names, for messages.
        files: all images that were listed, at least one.
        source: where they lie.
        wanted: the split that SPLIT= names, or None.
        labels: the classes of the model.

    Raises:
        Fault: when none is left: all are training images, or of another split than the wanted one.
    """
    by_split: _Groups = {}
    below = {} if source.split else _splits_below_classes(files)
    for file in files:
        split = file.split or source.split or below.get(_folder_below_class(file))
        by_split.setdefault(split, []).append(file)
    names = {split: _name_evidence(same[0], source) for split, same in by_split.items()}
    split = choose_split(path, names, wanted)
    if split is not None:
        return Chosen(by_split[split], split, _describe(by_split, {split}))
    chosen = _take_by_names(path, by_split[None], wanted, labels)
    return Chosen(chosen.files, chosen.split, _describe(by_split, {None}) + chosen.left_out)


def _name_evidence(file: LabelledFile, source: Source) -> str:
    """Returns what tells the split of an image, for messages."""
    if file.split:
        return f"{file.split} in {file.place.path.name}"
    return file.place.path.name if source.split else _folder_below_class(file)


def _folder_below_class(file: LabelledFile) -> str:
    folder, slash, _ = file.file.partition("/")
    return folder if slash else ""


def _splits_below_classes(files: Sequence[LabelledFile]) -> dict[str, Split]:
    """Returns the split of each folder in those of classes, as in cat/train/1.jpg; {} unless all of them are splits.

    A single one that is not, or an image beside them, shows that they are kinds of the class: vehicle/train.
    """
    names = set(map(_folder_below_class, files))
    splits = {name: split for name in names if (split := split_of_folder(name, names))}
    return splits if len(splits) == len(names) else {}


def _take_by_names(path: Path, files: Sequence[LabelledFile], wanted: Split | None, labels: Sequence[Label]) -> Chosen:
    """Returns the images of the split to take of those whose split nothing but their own names tells.

    Images of other names are of the split that SPLIT= says; without it they may be of any.
    """
    by_split: _Groups = {}
    for file in files:
        by_split.setdefault(_split_in_name(file, labels), []).append(file)
    training = by_split.get(Split.TRAIN, [])
    if training and wanted is Split.TRAIN:
        return Chosen(training, Split.TRAIN, _describe(by_split, {Split.TRAIN}))
    rest = [file for split, same in by_split.items() if split is not Split.TRAIN for file in same]
    if not rest:
        raise refuse_training(path, f"by names such as {training[0].file}")
    splits = set(by_split) - {Split.TRAIN}
    known = splits.pop() if len(splits) == 1 else None
    if wanted and known and wanted is not known:
        raise Fault(f"{path}: expected the split {wanted}, as SPLIT says, got {known}, by names such as {rest[0].file}")
    return Chosen(rest, known or wanted, _describe(by_split, set(by_split) - {Split.TRAIN}))


def _split_in_name(file: LabelledFile, labels: Sequence[Label]) -> Split | None:
    """Returns the set of ImageNet that an image is of by its name; None too where its class is not the name's."""
    name = PurePosixPath(file.file).name
    split = split_in_name(name)
    return None if split is Split.TRAIN and synset_in_name(name) != labels[file.label].key else split


def _describe(by_split: _Groups, taken: Collection[Split | None]) -> tuple[str, ...]:
    """Returns the images that are not taken, for people."""
    return tuple(
        f"{len(same):,} of {f'the split {split}' if split else 'no known split'}"
        for split, same in by_split.items()
        if split not in taken
    )
