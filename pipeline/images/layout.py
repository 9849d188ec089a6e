"""The layouts that labelled images come in."""

from enum import StrEnum


class Layout(StrEnum):
    """How images and their classes lie on disk, as reports name it."""

    CLASS_FOLDERS = "class folders"
    NUMBERED_FOLDERS = "ImageNet-V2 folders"
    VALIDATION_FOLDER = "official validation folder"
    VALIDATION_ARCHIVE = "official validation archive"
    SHARDS = "WebDataset shards"
    TFDS = "TensorFlow Datasets"
