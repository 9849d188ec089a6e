"""ImageNet's images as they are distributed: all in one folder or archive, with their classes elsewhere.

ILSVRC2012_val_00000001.JPEG            its class stands in a ground truth (pipeline.images.ground_truth)
ILSVRC2012_val_00000001_n01751748.JPEG  as Hugging Face has it: its class stands in its name
n01440764_10026.JPEG                    a training image, whose class starts its name
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.images import ground_truth
from pipeline.images.files import FilePlace, LabelledFile, Place
from pipeline.images.labels import Label, UnknownClass, class_index
from pipeline.images.layout import Source
from pipeline.images.names import original_name, synset_in_name


def list_flat_folder(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists images of ImageNet that lie in one folder.

    Raises:
        Fault: when there is no ground truth, or an image is not of the set.
    """
    return label_images(source.path, {path.name: FilePlace(path) for path in source.files}, source.truth, labels)


def label_images(
    where: Path, files: Mapping[str, Place], truth: Iterable[Path], labels: Sequence[Label]
) -> list[LabelledFile]:
    """Returns images of ImageNet with the classes that their names or a ground truth give them.

    Args:
        where: what holds the images, for messages.
        files: the places by file name.
        truth: the folders in which to look for the ground truth.
        labels: the classes.

    Raises:
        Fault: when there is no ground truth, or it lacks an image, or an image is of a class that the model lacks.
    """
    index = class_index(labels)
    synsets = {name: synset_in_name(name) for name in files}
    classes = ground_truth.find(tuple(truth), labels) if None in synsets.values() else {}
    if classes is None:
        raise Fault(
            f"{where}: these are ImageNet's validation images without their classes; put one of these files beside"
            f" them: {ground_truth.describe_files()}"
        )
    images = []
    for name, place in files.items():
        label = index.get(synsets[name] or "", classes.get(original_name(name)))
        if label is None and synsets[name]:
            raise UnknownClass(f"{where}: {name}: no class of the model's {len(labels)} is called {synsets[name]!r}")
        if label is None:
            raise Fault(
                f"{where}: no class is known of the image {name!r}; expected only ILSVRC2012_val_<8 digits>.JPEG, all"
                " of them in the ground truth"
            )
        images.append(LabelledFile(name, label, place))
    return images
