"""The data sets that the pool's checkpoints were trained on, with their classes and references.

The classes are in the order of the code that trained the checkpoints:

- cifar100, oxford_iiit_pet, resisc45: the builders of TensorFlow Datasets;
- kitti: VTAB's task closest_vehicle_distance (google-research/task_adaptation, data/kitti.py), which "How to train your
  ViT?", section 3, calls Kitti-distance;
- ImageNet-21k: Google's list of 21,843 synsets (timm, data/_info/imagenet21k_goog_synsets.txt, with its names).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dataset:
    """A data set.

    Attributes:
        name: the name on pages.
        tag: TF-Hub's tag (tensorflow/tfhub.dev, tags/dataset.yaml).
        classes: the number of classes.
        labels: the label file, a path below model_cards/.
        source: where the order of the classes comes from.
        evaluation: the split that accuracies are measured on, in words that follow "images of".
        title, url: the reference.
        imagenet: whether IMAGENET= has images of it.
        note: a sentence on the classes for pages.
    """

    name: str
    tag: str
    classes: int
    labels: str
    source: str
    evaluation: str
    title: str
    url: str
    imagenet: bool = False
    note: str = ""


IMAGENET = Dataset(
    name="ImageNet-1k",
    tag="imagenet-ilsvrc-2012-cls",
    classes=1000,
    labels="vit/imagenet2012.tsv",
    source="the synsets of ILSVRC 2012, sorted",
    evaluation="the ImageNet-1k validation set",
    title="ImageNet Large Scale Visual Recognition Challenge 2012",
    url="https://www.image-net.org/challenges/LSVRC/2012/index.php",
    imagenet=True,
)
IMAGENET_21K = Dataset(
    name="ImageNet-21k",
    tag="imagenet-21k",
    classes=21_843,
    labels="labels/imagenet21k.tsv",
    source="Google's list of synsets, as timm has it",
    evaluation="a held-out part of ImageNet-21k",
    title="ImageNet: A large-scale hierarchical image database, Deng et al.",
    url="https://ieeexplore.ieee.org/document/5206848",
)
PRETRAINING = {"i1k": IMAGENET, "i21k": IMAGENET_21K, "i21k_30": IMAGENET_21K}
FINE_TUNING = {
    "imagenet2012": IMAGENET,
    "cifar100": Dataset(
        name="CIFAR-100",
        tag="cifar-100",
        classes=100,
        labels="labels/cifar100.tsv",
        source="TensorFlow Datasets' cifar100, the fine labels",
        evaluation="the CIFAR-100 test set",
        title="Learning Multiple Layers of Features from Tiny Images, Krizhevsky",
        url="https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "kitti": Dataset(
        name="Kitti-distance",
        tag="kitti",
        classes=4,
        labels="labels/kitti.tsv",
        source="VTAB's task closest_vehicle_distance (google-research/task_adaptation)",
        evaluation="the Kitti-distance test set of VTAB",
        title="A Large-scale Study of Representation Learning with the Visual Task Adaptation Benchmark, Zhai et al.",
        url="https://arxiv.org/abs/1910.04867",
        note="Its classes are the distance of the closest vehicle: up to 8 m, 8 to 20 m, more than 20 m, no vehicle.",
    ),
    "oxford_iiit_pet": Dataset(
        name="Oxford-IIIT Pet",
        tag="other",
        classes=37,
        labels="labels/oxford_iiit_pet.tsv",
        source="TensorFlow Datasets' oxford_iiit_pet",
        evaluation="the Oxford-IIIT Pet test set",
        title="Cats and Dogs, Parkhi et al.",
        url="https://www.robots.ox.ac.uk/~vgg/data/pets/",
    ),
    "resisc45": Dataset(
        name="RESISC45",
        tag="other",
        classes=45,
        labels="labels/resisc45.tsv",
        source="TensorFlow Datasets' resisc45",
        evaluation="the RESISC45 test set of VTAB",
        title="Remote Sensing Image Scene Classification: Benchmark and State of the Art, Cheng et al.",
        url="https://arxiv.org/abs/1703.00121",
    ),
}
