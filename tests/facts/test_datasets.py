"""The names of data sets in texts."""

import pytest

from pipeline.facts.datasets import KNOWN, is_other, is_same, mentions
from pipeline.pool import datasets as pool


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Fashion-MNIST, fashion_mnist and MNIST", ["Fashion-MNIST", "Fashion-MNIST", "MNIST"]),
        ("cifar10 or CIFAR-100", ["CIFAR-10", "CIFAR-100"]),
        ("ILSVRC 2012 or imagenet2012", ["ImageNet-1k", "ImageNet-1k"]),
        ("ImageNet-21k or ImageNet-V2", ["ImageNet-21k", "ImageNet"]),
        ("ImageNet-like photographs, XMNIST, cocoa", []),
    ],
)  # fmt: skip
def test_names_are_found_in_a_text(text: str, names: list[str]) -> None:
    assert [mention.known.name for mention in mentions(text)] == names


def test_each_name_is_found_by_its_own_pattern() -> None:
    assert [mention.known.name for known in KNOWN for mention in mentions(known.name)] == [
        known.name for known in KNOWN
    ]


@pytest.mark.parametrize(
    ("named", "dataset", "expected"),
    [
        ("Fashion-MNIST", "the Fashion-MNIST test set", True),
        ("MNIST", "Fashion-MNIST", False),
        ("ImageNet", "ImageNet-1k", True),
        ("ImageNet-1k", "ImageNet", True),
        ("ImageNet-21k", "ImageNet-1k", False),
        ("CIFAR-10", "ImageNet", False),
        ("ImageNet", "CIFAR-10", False),
    ],
)
def test_imagenet_may_mean_each_of_its_parts(named: str, dataset: str, expected: bool) -> None:
    assert is_same(mentions(named)[0], dataset) is expected


@pytest.mark.parametrize(
    ("text", "dataset", "expected"),
    [
        ("the shapes test set", "Fashion-MNIST", True),
        ("the Fashion-MNIST test set", "Shapes", True),
        ("noise", "ImageNet-1k", True),
        ("the MNIST test set", "Fashion-MNIST", True),
        ("the ImageNet validation set", "ImageNet-1k", False),
        ("photographs of our garden", "ImageNet-1k", True),
        ("our test images", "ImageNet-1k", False),
        ("the first 100 test images of each class", "Fashion-MNIST", False),
        ("the official test split", "Food-101", False),
        ("20 % of the images, held out at random", "EuroSAT", False),
        ("5-fold cross-validation", "EuroSAT", False),
        ("10,000 images not seen in training", "MNIST", False),
        ("Testbilder", "MNIST", False),
        ("Imagenette", "ImageNet-1k", False),  # ten of its classes
        ("the ImageNet-1k validation set", "Imagenette", True),
        ("Tiny ImageNet", "ImageNet-1k", True),  # of 64x64 pixels
        ("the Oxford-IIIT Pet test set", "Pets", False),
        ("the pictures of our shop", "Store photographs", False),  # nobody knows either name
        ("clothes like those of Fashion-MNIST", "Fashion-MNIST", False),
    ],
)
def test_another_data_set_is_told_by_the_names_that_are_known(text: str, dataset: str, expected: bool) -> None:
    assert is_other(text, dataset) is expected


def test_the_pool_names_each_data_set_consistently() -> None:
    for dataset in (*pool.PRETRAINING.values(), *pool.FINE_TUNING.values()):
        assert not is_other(dataset.evaluation, dataset.name)
        (mention,) = mentions(dataset.name)
        assert dataset.classes in mention.known.classes
