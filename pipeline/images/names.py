"""What the file names of ImageNet's images say: their set, their number and their class.

    ILSVRC2012_val_00000293.JPEG            a validation image, as image-net.org and Kaggle have it
    ILSVRC2012_val_00000293_n02009229.JPEG  the same with its class, as Hugging Face has it
    n01440764_10026.JPEG                    a training image, of the class n01440764
    n01440764_10026_n01440764.JPEG          the same, as Hugging Face has it
    ILSVRC2012_test_00000001.JPEG           a test image, whose class nobody has published

People store them with other suffixes, such as .jpg or .png. An image has one name here, that of image-net.org.
"""

import re
from pathlib import Path

from pipeline.images.split import Split

IMAGES = 50_000  # for validation
_SUFFIX = r"\.(?i:jpe?g|jpe|jfif|png|webp|bmp|gif|tiff?)"
_VALIDATION = re.compile(rf"ILSVRC2012_val_(\d{{8}})(?:_(n\d{{8}}))?(?:{_SUFFIX})?")
_TRAINING = re.compile(rf"(n\d{{8}})_(\d+)(?:_(n\d{{8}}))?{_SUFFIX}")
_TEST = re.compile(rf"ILSVRC2012_test_\d{{8}}{_SUFFIX}")


# Sets of other images of ImageNet's classes, by the folder that their archives unpack to.
_VARIANTS = {"imagenet-a": "ImageNet-A", "imagenet-r": "ImageNet-R", "imagenet-sketch": "ImageNet-Sketch"}
_CORRUPTED = "imagenet-c"  # <corruption>/<severity>/<class folders>, with the names of validation images


def variant_of(folder: Path) -> str | None:
    """Returns the set of other images that a folder of class folders is by the names around it; None for any other."""
    parts = [part.lower().replace("_", "-") for part in folder.absolute().parts]
    if _CORRUPTED in parts and folder.name in tuple("12345"):
        return "ImageNet-C"
    return next((_VARIANTS[part] for part in reversed(parts) if part in _VARIANTS), None)


def validation_number(file: str) -> int | None:
    """Returns the number, 1 to 50,000, of a validation image's file name; None for any other name."""
    match = _VALIDATION.fullmatch(file)
    return int(match[1]) if match and 1 <= int(match[1]) <= IMAGES else None


def validation_name(number: int) -> str:
    """Returns the file name of a validation image, by its number from 1."""
    return f"ILSVRC2012_val_{number:08d}.JPEG"


def original_name(file: str) -> str:
    """Returns the name that image-net.org gave an image, or the same name where it is none of theirs."""
    if number := validation_number(file):
        return validation_name(number)
    match = _TRAINING.fullmatch(file)
    return f"{match[1]}_{match[2]}.JPEG" if match else file


def synset_in_name(file: str) -> str | None:
    """Returns the class that a file name ends with, as at Hugging Face, or that a training image's starts with."""
    if match := _VALIDATION.fullmatch(file):
        return match[2]
    match = _TRAINING.fullmatch(file)
    return match[3] or match[1] if match else None


def split_in_name(file: str) -> Split | None:
    """Returns the set of ImageNet that an image is of by its file name; None for any other name."""
    if validation_number(file):
        return Split.VALIDATION
    if _TRAINING.fullmatch(file):
        return Split.TRAIN
    return Split.TEST if _TEST.fullmatch(file) else None
