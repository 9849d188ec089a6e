"""Tiny ImageNet's validation images: val/images/val_0.JPEG and so on, whose classes stand in val/val_annotations.txt.

Its lines are <file name><tab><synset><tab> and the four numbers of a box. Its training images lie in class folders.
"""

from collections.abc import Sequence

from pipeline.base.fault import Fault
from pipeline.base.text import read_lines
from pipeline.images.files import FilePlace, LabelledFile, list_images
from pipeline.images.labels import Label, UnknownClass, class_index
from pipeline.images.layout import Source

ANNOTATIONS = "val_annotations.txt"


def list_tiny_imagenet(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the images of a folder with annotations.

    Raises:
        Fault: when a line is malformed, or an image has no class or one that the model lacks.
    """
    index, path = class_index(labels), source.path / ANNOTATIONS
    classes: dict[str, int] = {}
    for number, line in enumerate(read_lines(path, "get the file again"), start=1):
        name, _, rest = line.partition("\t")
        synset = rest.partition("\t")[0]
        if synset not in index:
            raise UnknownClass(
                f"{path}:{number}: expected <file name> and the key of a class of the model, got {line!r}"
            )
        classes[name] = index[synset]
    images = []
    for name, image in list_images(source.path):
        if image.name not in classes:
            raise Fault(f"{path}: it has no line for {name}; get the data set again")
        images.append(LabelledFile(image.name, classes[image.name], FilePlace(image)))
    return images
