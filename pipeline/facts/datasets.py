"""The names of well-known data sets of images, so that a text about another one than a model's is recognised."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class KnownDataset:
    """A data set.

    Attributes:
        name: the usual one.
        pattern: of the ways to write it, as a regular expression, in any case of letters.
        classes: the number of its classes; () where several are in use.
        part_of: the name of the data set that its images are from.
    """

    name: str
    pattern: str
    classes: tuple[int, ...] = ()
    part_of: str = ""


# More specific names first: "ImageNet" alone may mean any of its parts.
KNOWN = (
    KnownDataset("Fashion-MNIST", r"fashion[-_ ]?mnist", (10,)),
    KnownDataset("KMNIST", r"kmnist|kuzushiji[-_ ]?mnist", (10,)),
    KnownDataset("EMNIST", r"emnist"),
    KnownDataset("MNIST", r"mnist", (10,)),
    KnownDataset("CIFAR-100", r"cifar[-_ ]?100", (20, 100)),
    KnownDataset("CIFAR-10", r"cifar[-_ ]?10", (10,)),
    KnownDataset("SVHN", r"svhn|street view house numbers", (10,)),
    KnownDataset("STL-10", r"stl[-_ ]?10", (10,)),
    KnownDataset("ImageNet-21k", r"imagenet[-_ ]?(?:21|22)k", (10_450, 11_221, 19_167, 21_841, 21_843)),
    KnownDataset("ImageNet-1k", r"imagenet[-_ ]?1k|imagenet[-_ ]?2012|ilsvrc(?:[-_ ]?2012)?", (1000, 1001)),
    KnownDataset("Tiny ImageNet", r"tiny[-_ ]?imagenet", (200,)),
    KnownDataset("ImageNet-100", r"imagenet[-_ ]?100", (100,), "ImageNet-1k"),
    KnownDataset("ImageNet", r"imagenet"),
    KnownDataset("Imagenette", r"imagenette", (10,), "ImageNet-1k"),
    KnownDataset("Imagewoof", r"imagewoof", (10,), "ImageNet-1k"),
    KnownDataset("Places365", r"places[-_ ]?365", (365,)),
    KnownDataset("Food-101", r"food[-_ ]?101", (101,)),
    KnownDataset("Oxford-IIIT Pet", r"oxford[-_ ]iiit[-_ ]pets?", (37,)),
    KnownDataset("Oxford Flowers 102", r"(?:oxford[-_ ])?flowers[-_ ]?102", (102,)),
    KnownDataset("Stanford Cars", r"stanford[-_ ]cars", (196,)),
    KnownDataset("Stanford Dogs", r"stanford[-_ ]dogs", (120,)),
    KnownDataset("Caltech-101", r"caltech[-_ ]?101", (101, 102)),
    KnownDataset("Caltech-256", r"caltech[-_ ]?256", (256, 257)),
    KnownDataset("CUB-200", r"cub[-_ ]?200(?:[-_ ]2011)?", (200,)),
    KnownDataset("SUN397", r"sun[-_ ]?397", (397,)),
    KnownDataset("EuroSAT", r"eurosat", (10,)),
    KnownDataset("RESISC45", r"(?:nwpu[-_ ])?resisc[-_ ]?45", (45,)),
    KnownDataset("Kitti-distance", r"kitti[-_ ]distance", (4,)),
    KnownDataset("PatchCamelyon", r"patch[-_ ]?camelyon|pcam", (2,)),
    KnownDataset("iNaturalist", r"inaturalist|inat[-_ ]?20\d\d"),
    KnownDataset("JFT-300M", r"jft[-_ ]?300m"),
    KnownDataset("COCO", r"(?:ms[-_ ])?coco"),
    KnownDataset("CelebA", r"celeba"),
)
_BY_GROUP = {f"d{number}": known for number, known in enumerate(KNOWN)}
_ANY = re.compile(
    rf"(?<![^\W_])(?:{'|'.join(f'(?P<{group}>{known.pattern})' for group, known in _BY_GROUP.items())})"
    r"(?![^\W_]|-(?:like|style)\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Mention:
    """A data set that a text names, and from where to where."""

    known: KnownDataset
    start: int
    end: int


def mentions(text: str) -> list[Mention]:
    """Returns the well-known data sets that a text names, in order."""
    return [Mention(_BY_GROUP[str(match.lastgroup)], *match.span()) for match in _ANY.finditer(text)]


def is_same(mention: Mention, dataset: str) -> bool:
    """Whether a mention may mean a data set of this name; "ImageNet" may mean each of its parts."""
    names = {other.known.name for other in mentions(dataset)}
    if mention.known.name in names:
        return True
    whole = "ImageNet"
    return any(whole in (name, mention.known.name) and name.startswith(whole) for name in names) and (
        mention.known.name.startswith(whole)
    )


def is_other(text: str, dataset: str) -> bool:
    """Whether a text names another data set than this one or a part of it, as the images of an evaluation may be.

    Well-known names decide where both have one. Where one has, they must share a word; a text without any that tells
    data sets apart, such as "our test images", names none. Names that nobody knows are not compared: their authors may
    call one data set by several.
    """
    named, expected = mentions(text), mentions(dataset)
    if named and expected:
        names = {mention.known.name for mention in expected}
        return not any(is_same(mention, dataset) or mention.known.part_of in names for mention in named)
    if not named and not expected:
        return False
    words, others = _words_of(text), _words_of(dataset)
    return bool(words and others) and not any(_are_alike(word, other) for word in words for other in others)


# Words that do not tell data sets apart; those of _SPLIT do not either, with any ending.
_COMMON = frozenset({
    "all", "and", "another", "at", "by", "class", "classes", "cross", "data", "dataset", "datasets", "each", "every",
    "first", "fold", "folds", "for", "from", "half", "held", "holdout", "image", "images", "in", "its", "last", "my",
    "never", "new", "not", "of", "official", "on", "one", "or", "original", "other", "our", "out", "own", "paper",
    "part", "parts", "per", "cent", "percent", "photo", "photograph", "photographs", "photos", "picture", "pictures",
    "random", "randomly", "remaining", "rest", "same", "sample", "samples", "seen", "set", "sets", "some", "split",
    "splits", "subset", "ten", "that", "the", "their", "these", "those", "unseen", "val", "with",
})  # fmt: skip
_SPLIT = ("eval", "test", "train", "valid")


def _words_of(text: str) -> set[str]:
    """Returns the words that tell data sets apart, in lower case, without digits."""
    words = re.findall(r"[^\W\d_]{2,}", text.lower())
    return {word for word in words if word not in _COMMON and not word.startswith(_SPLIT)}


def _are_alike(word: str, other: str) -> bool:
    """Whether two words are the same, or one is the other with an ending, as "shape" and "shapes"."""
    short, long = sorted((word, other), key=len)
    return short == long or (len(short) > 2 and long.startswith(short))
