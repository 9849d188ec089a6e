"""The layouts that labelled images come in, and where images of one lie."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from pipeline.images.split import Split


class Layout(StrEnum):
    """How images and their classes lie on disk, as reports name it."""

    CLASS_FOLDERS = "class folders"
    NUMBERED_FOLDERS = "ImageNet-V2 folders"
    VALIDATION_FOLDER = "official validation folder"
    VALIDATION_ARCHIVE = "official validation archive"
    TRAINING_FOLDER = "official training images in a folder"
    TRAINING_ARCHIVE = "official training images in an archive"
    FOLDERS_IN_ARCHIVE = "class folders in an archive"
    SHARDS = "WebDataset shards"
    TFDS = "TensorFlow Datasets"
    TINY_IMAGENET = "Tiny ImageNet"
    PARQUET = "Parquet files"


@dataclass(frozen=True)
class Source:
    """Images of one layout and split.

    Attributes:
        layout: how they lie there.
        path: the folder or file that has them, for messages.
        split: the part of the data set that they are by the names of folders and files; None where no name tells.
        files: the archives or tables, or the images of ImageNet's flat folders.
        truth: the folders in which a ground truth may lie, the nearest first.
        left_out: the other parts that lie there, for people, such as "the folder train".
    """

    layout: Layout
    path: Path
    split: Split | None = None
    files: tuple[Path, ...] = ()
    truth: tuple[Path, ...] = ()
    left_out: tuple[str, ...] = ()
