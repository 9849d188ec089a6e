"""Which split images are of: by the names of folders, archives and tables, and by those of the images."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.images import image_set, split
from pipeline.images.labels import Label
from pipeline.images.split import Split
from tests.validation_set import LABELS, content_of, name_of, write_tar

TRAIN, VALIDATION, TEST = Split.TRAIN, Split.VALIDATION, Split.TEST
A, B = LABELS[0].key, LABELS[1].key
VEHICLES = [Label("car", "Car"), Label("train", "Train, steam train"), Label("strainer", "Strainer")]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("train", TRAIN),
        ("Training", TRAIN),
        ("train2017", TRAIN),
        ("train.X1", TRAIN),
        ("TrainImages", TRAIN),
        ("training-images", TRAIN),
        ("ILSVRC2012_img_train", TRAIN),
        ("val", VALIDATION),
        ("VALID", VALIDATION),
        ("validation", VALIDATION),
        ("val_images", VALIDATION),
        ("imagenet-val", VALIDATION),
        ("fashion_mnist_test", TEST),
        ("test", TEST),
        ("steam_train", None),
        ("train_and_val", None),
        ("trained_birds", None),
        ("strainer", None),
        ("electric_locomotive", None),
        ("trainspotting", None),
        ("images", None),
        ("valley", None),
        ("contest", None),
        ("ImageNet-val", VALIDATION),
        ("ImageNet_train", TRAIN),
        ("TinyImageNetVal", VALIDATION),
        ("train_full", TRAIN),
        ("val_sorted", VALIDATION),
        ("test_subset_256", TEST),
        ("eval", VALIDATION),
        ("network_train", None),
    ],
)
def test_folders_are_named_by_split(name: str, expected: Split | None) -> None:
    assert split.split_of_folder(name) is expected


@pytest.mark.parametrize(
    ("stem", "expected"),
    [
        ("imagenet1k-train-0000", TRAIN),
        ("cifar10-train-0001", TRAIN),
        ("train-00000-of-00294", TRAIN),
        ("validation-00000-of-00014-8a1f", VALIDATION),
        ("imagenet1k-validation-00", VALIDATION),
        ("test-00000-of-00028", TEST),
        ("bullet_train-0001", None),  # a class of ImageNet
        ("strainer-0001", None),
        ("0001", None),
        ("train-val-0001", None),
        ("train-station-0001", None),
        ("imagenet_train_blurred_01", TRAIN),
        ("train-00000-of-00001-b42a775f407cee45", TRAIN),
        ("train_00000_of_00010", TRAIN),
        ("train-part-001", TRAIN),
        ("train-ImageNet-000", TRAIN),
        ("train_shuffled_seed42", TRAIN),
    ],
)
def test_archives_and_tables_are_named_by_split(stem: str, expected: Split | None) -> None:
    names = {" ".join(split.words_of(name)) for label in LABELS for name in label.name.split(",")}
    assert split.split_of_file(stem, names) is expected


@pytest.mark.parametrize(
    ("name", "beside", "expected"),
    [
        ("cars_train", ["cars_test", "devkit"], TRAIN),
        ("seg_test", ["seg_train", "seg_pred"], TEST),
        ("steam_train", ["bullet_train", "steam_boat", "test"], None),
        ("steam_train", ["steam_train_and_test"], None),
        ("steam_train", ["steam_training"], None),
    ],
)
def test_names_that_differ_in_the_split_alone_tell_it(name: str, beside: list[str], expected: Split | None) -> None:
    assert split.split_of_folder(name, [name, *beside]) is expected


def put(folder: Path, *names: str) -> Path:
    """Writes a small picture to each path below a folder; each is another one."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content_of(number))
    return folder


def shard(path: Path, *files: str) -> Path:
    """Writes a WebDataset shard of images of the first class, with these original names."""
    content: dict[str, bytes] = {}
    for number, file in enumerate(files):
        content |= {
            f"{number}.jpg": content_of(number),
            f"{number}.json": f'{{"label": 0, "filename": "{file}"}}'.encode(),
        }
    return write_tar(path, content)


def shards_of_two_splits(home: Path) -> Path:
    shard(home / "imagenet1k-train-0000.tar", f"{A}/{A}_1.JPEG", f"{A}/{A}_2.JPEG")
    shard(home / "imagenet1k-validation-00.tar", f"{A}/{name_of(7)}")
    return home


PLACES: dict[str, tuple[Callable[[Path], object], dict[Split | None, tuple[Split | None, list[str]] | str]]] = {
    "shards": (
        shards_of_two_splits,
        {
            None: (VALIDATION, [f"{A}/{name_of(7)}"]),
            VALIDATION: (VALIDATION, [f"{A}/{name_of(7)}"]),
            TRAIN: (TRAIN, [f"{A}/{A}_1.JPEG", f"{A}/{A}_2.JPEG"]),
            TEST: "expected the split test, as SPLIT says, got validation (imagenet1k-validation-00.tar) and train",
        },
    ),
    "training shards": (
        lambda home: shard(home / "imagenet1k-train-0000.tar", "a.JPEG"),
        {
            None: "training images, by the name imagenet1k-train-0000.tar; a model does better on images that",
            TRAIN: (TRAIN, [f"{A}/a.JPEG"]),
        },
    ),
    "shards in folders": (
        lambda home: [shard(home / f"{part}/0.tar", f"{part}.JPEG") for part in ("train", "val")],
        {None: (VALIDATION, [f"{A}/val.JPEG"]), TRAIN: (TRAIN, [f"{A}/train.JPEG"])},
    ),
    "folders": (
        lambda home: put(home, f"train/{A}/1.jpg", f"Validation/{A}/2.jpg", f"test/{A}/3.jpg"),
        {
            None: (VALIDATION, [f"{A}/2.jpg"]),
            TRAIN: (TRAIN, [f"{A}/1.jpg"]),
            TEST: (TEST, [f"{A}/3.jpg"]),
        },
    ),
    "train and test": (
        lambda home: put(home, f"train/{A}/1.jpg", f"test/{A}/3.jpg"),
        {
            None: (TEST, [f"{A}/3.jpg"]),
            VALIDATION: "expected the split validation, as SPLIT says, got train (train) and test (test)",
        },
    ),
    "Imagenette": (  # its folders count more than ImageNet's names
        lambda home: put(home, f"train/{A}/{name_of(1)}", f"val/{A}/{A}_9.JPEG", f"val/{A}/{name_of(2)}"),
        {
            None: (VALIDATION, [f"{A}/{name_of(2)}", f"{A}/{A}_9.JPEG"]),
            TRAIN: (TRAIN, [f"{A}/{name_of(1)}"]),
        },
    ),
    "names of training images": (
        lambda home: put(home, f"{A}/{A}_9.JPEG", f"{B}/{B}_9.jpg"),
        {
            None: f"training images, by names such as {A}_9.JPEG; a model does better",
            VALIDATION: "training images, by names such as",
            TRAIN: (TRAIN, [f"{A}/{A}_9.JPEG", f"{B}/{B}_9.JPEG"]),
        },
    ),
    "names of both": (
        lambda home: put(home, f"{A}/{A}_9.JPEG", f"{A}/{name_of(3)}", f"{B}/{name_of(4)}"),
        {
            None: (VALIDATION, [f"{A}/{name_of(3)}", f"{B}/{name_of(4)}"]),
            TRAIN: (TRAIN, [f"{A}/{A}_9.JPEG"]),
            TEST: "expected the split test, as SPLIT says, got validation, by names such as ILSVRC2012_val_00000003",
        },
    ),
    "names that tell nothing": (
        lambda home: put(home, f"{A}/1.jpg", f"{A}/{B}_7.JPEG"),
        {
            None: (None, [f"{A}/1.jpg", f"{A}/{B}_7.JPEG"]),
            TEST: (TEST, [f"{A}/1.jpg", f"{A}/{B}_7.JPEG"]),
            TRAIN: (TRAIN, [f"{A}/1.jpg", f"{A}/{B}_7.JPEG"]),
        },
    ),
    "flat training images": (
        lambda home: put(home, f"{A}_9_{A}.JPEG"),
        {None: "training images, by the name n01440764_9_n01440764.JPEG", TRAIN: (TRAIN, [f"{A}/{A}_9.JPEG"])},
    ),
    "an archive of training images": (
        lambda home: write_tar(home / "train_images_0.tar", {f"{A}_9_{A}.JPEG": content_of(1)}),
        {None: "training images, by the name train_images_0.tar", TRAIN: (TRAIN, [f"{A}/{A}_9.JPEG"])},
    ),
    "flat test images": (
        lambda home: put(home, "ILSVRC2012_test_00000001.JPEG"),
        {None: "ImageNet's test images, such as ILSVRC2012_test_00000001.JPEG, whose classes are not published"},
    ),
    "folders that differ in the split": (
        lambda home: put(home, f"cars_train/{A}/1.jpg", f"cars_test/{A}/2.jpg"),
        {None: (TEST, [f"{A}/2.jpg"]), TRAIN: (TRAIN, [f"{A}/1.jpg"])},
    ),
    "shards that differ in the split": (
        lambda home: [shard(home / f"{part}-station-01.tar", f"{part}.JPEG") for part in ("train", "test")],
        {None: (TEST, [f"{A}/test.JPEG"]), TRAIN: (TRAIN, [f"{A}/train.JPEG"])},
    ),
    "shards of train stations": (
        lambda home: shard(home / "train-station-01.tar", "a.JPEG"),
        {None: (None, [f"{A}/a.JPEG"])},
    ),
    "training images beside those to evaluate on": (
        lambda home: put(home, f"train/{A}/1.jpg", f"eval/{A}/2.jpg"),
        {None: (VALIDATION, [f"{A}/2.jpg"])},
    ),
    "an archive of folders that differ in the split": (
        lambda home: write_tar(
            home / "a.tar",
            {f"x/{part}/{part}/{A}/{part}.jpg": content_of(1) for part in ("seg_train", "seg_test")},
        ),
        {None: (TEST, [f"{A}/seg_test.jpg"]), TRAIN: (TRAIN, [f"{A}/seg_train.jpg"])},
    ),
    "an archive with splits in a folder of training images": (
        lambda home: write_tar(home / "a.tar", {f"train/{part}/{A}/1.jpg": content_of(1) for part in ("train", "val")}),
        {
            None: (VALIDATION, [f"{A}/1.jpg"]),
            TEST: "as SPLIT says, got train (train in a.tar) and validation (validation in a.tar)",
        },
    ),
    "splits in the folders of classes": (
        lambda home: put(home, f"{A}/train/1.jpg", f"{A}/test/2.jpg", f"{B}/train/3.jpg"),
        {None: (TEST, [f"{A}/test/2.jpg"]), TRAIN: (TRAIN, [f"{A}/train/1.jpg", f"{B}/train/3.jpg"])},
    ),
    "an archive with splits in the folders of classes": (
        lambda home: write_tar(home / "a.tar", {f"{A}/{part}/1.jpg": content_of(1) for part in ("train", "val")}),
        {
            None: (VALIDATION, [f"{A}/val/1.jpg"]),
            TEST: "expected the split test, as SPLIT says, got train (train) and validation (val); correct",
        },
    ),
    "training images in the folders of classes": (
        lambda home: put(home, f"{A}/train/1.jpg", f"{B}/train/3.jpg"),
        {None: "training images, by the name train; a model does better"},
    ),
    "splits in the keys of shards": (
        lambda home: write_tar(
            home / "a.tar",
            {
                f"{part}/{n}.{kind}": data
                for n, part in enumerate(("train", "val"))
                for kind, data in (("jpg", content_of(n)), ("cls", b"0"))
            },
        ),
        {None: (VALIDATION, [f"{A}/1.jpg"]), TRAIN: (TRAIN, [f"{A}/0.jpg"])},
    ),
    "classes in the keys of shards": (
        lambda home: write_tar(
            home / "a.tar",
            {
                f"{part}/{n}.{kind}": data
                for n, part in enumerate(("train", "car"))
                for kind, data in (("jpg", content_of(n)), ("cls", b"0"))
            },
        ),
        {None: (None, [f"{A}/0.jpg", f"{A}/1.jpg"])},
    ),
    "kinds of a class": (
        lambda home: put(home, f"{A}/train/1.jpg", f"{A}/car/2.jpg", f"{B}/3.jpg"),
        {None: (None, [f"{A}/car/2.jpg", f"{A}/train/1.jpg", f"{B}/3.jpg"])},
    ),
    "two folders of a split": (
        lambda home: put(home, f"val.X/{A}/1.jpg", f"val.Y/{A}/2.jpg"),
        {None: "several folders of the split validation: val.X, val.Y; name one of them in IMAGENET="},
    ),
}


@pytest.mark.parametrize(("place", "wanted"), [(name, wanted) for name, (_, by) in PLACES.items() for wanted in by])
def test_one_split_is_taken(place: str, wanted: Split | None, tmp_path: Path) -> None:
    make, by_split = PLACES[place]
    make(tmp_path / "here")
    expected = by_split[wanted]
    if isinstance(expected, str):
        with pytest.raises(Fault) as raised:
            image_set.open_images(tmp_path / "here", LABELS, split=wanted)
        assert expected in str(raised.value)
    else:
        loaded = image_set.open_images(tmp_path / "here", LABELS, split=wanted)
        assert (loaded.split, sorted(example.name for example in loaded.examples)) == (expected[0], sorted(expected[1]))


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    assert image_set.open_images(shards_of_two_splits(tmp_path / "a"), LABELS).left_out == (
        "imagenet1k-train-0000.tar",
    )
    put(tmp_path / "b", f"train/{A}/1.jpg", f"val/{A}/2.jpg")
    assert image_set.open_images(tmp_path / "b", LABELS).left_out == ("the folder train",)
    put(tmp_path / "d", *(f"train.X{number}/{A}/1.jpg" for number in (1, 2, 3)), f"val.X/{A}/2.jpg")
    assert image_set.open_images(tmp_path / "d", LABELS).left_out == ("the folder train.X1 and 2 more",)
    put(tmp_path / "c", f"{A}/{A}_9.JPEG", f"{A}/{name_of(3)}")
    assert image_set.open_images(tmp_path / "c", LABELS).left_out == ("1 of the split train",)


def test_the_folder_that_tells_the_split_is_named(tmp_path: Path) -> None:
    put(tmp_path, f"train/lists/{A}/1.jpg")
    with pytest.raises(Fault, match=f"{tmp_path.name}: training images, by the name train; a model"):
        image_set.open_images(tmp_path, LABELS)
    with pytest.raises(Fault, match="lists: training images, by the name train; a model"):
        image_set.open_images(tmp_path / "train", LABELS)


@pytest.mark.parametrize("name", ["train", "Training", "train/../train"])
def test_the_name_of_the_place_counts(name: str, tmp_path: Path) -> None:
    put(tmp_path / "train", f"{A}/1.jpg")
    put(tmp_path / "Training", f"{A}/1.jpg")
    with pytest.raises(
        Fault, match=r"ing images, by the name .rain.*: use validation or test images, or set SPLIT=train to"
    ):
        image_set.open_images(tmp_path / name, LABELS)
    with pytest.raises(Fault, match=r"expected the split test, as SPLIT says, got train"):
        image_set.open_images(tmp_path / name, LABELS, split=TEST)


@pytest.mark.parametrize("place", ["training-images/mine", "train/mine", "bullet train", "strainer", "training/val"])
def test_words_elsewhere_do_not_count(place: str, tmp_path: Path) -> None:
    put(tmp_path / place, "car/1.jpg", "train/2.jpg", "train/train_3.jpg", "strainer/training.jpg")
    loaded = image_set.open_images(tmp_path / place, VEHICLES)
    assert sorted(example.label for example in loaded.examples) == [0, 1, 1, 2]
    assert loaded.split is (VALIDATION if place.endswith("val") else None)


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    put(tmp_path / "flat", "train/1.jpg")
    assert [example.name for example in image_set.open_images(tmp_path / "flat", VEHICLES).examples] == ["train/1.jpg"]
    put(tmp_path / "split", "train/train/1.jpg", "test/train/2.jpg", "test/car/3.jpg")
    loaded = image_set.open_images(tmp_path / "split", VEHICLES)
    assert (loaded.split, len(loaded.examples)) == (TEST, 2)
    deep = put(tmp_path / "deep", "car/1.jpg", "train/steam/2.jpg", "train/diesel/3.jpg")
    loaded = image_set.open_images(deep, VEHICLES)
    assert sorted(example.name for example in loaded.examples) == [
        "car/1.jpg",
        "train/diesel/3.jpg",
        "train/steam/2.jpg",
    ]


def test_the_folder_of_a_single_archive_may_name_its_split(tmp_path: Path) -> None:
    for folder in ("train", "training-images"):
        shard(tmp_path / folder / "0001.tar", "a.JPEG")
    with pytest.raises(Fault, match=r"0001\.tar: training images, by the name train/0001\.tar"):
        image_set.open_images(tmp_path / "train/0001.tar", LABELS)
    assert image_set.open_images(tmp_path / "training-images/0001.tar", LABELS).split is None


def test_the_folder_of_one_class_is_not_a_set(tmp_path: Path) -> None:
    put(tmp_path, f"{A}/{name_of(1)}", "train/1.jpg")
    for folder, labels in ((A, LABELS), ("train", VEHICLES)):
        with pytest.raises(Fault, match=rf"{folder}: the folder of one class; name the folder that holds those of all"):
            image_set.open_images(tmp_path / folder, labels)


def test_the_words_of_the_setting() -> None:
    assert [split.parse_split(word) for word in ("train", "val", "Validation", "test")] == [
        TRAIN, VALIDATION, VALIDATION, TEST
    ]  # fmt: skip
    with pytest.raises(Fault, match="SPLIT=all: expected train, validation, test"):
        split.parse_split("all")


def test_the_folders_beside_the_place_may_tell_its_split(tmp_path: Path) -> None:
    put(tmp_path, f"steam_train/{A}/1.jpg", f"cars_train/{A}/1.jpg", f"cars_test/{A}/2.jpg")
    assert image_set.open_images(tmp_path / "steam_train", LABELS).split is None
    with pytest.raises(Fault, match="cars_train: training images, by the name cars_train"):
        image_set.open_images(tmp_path / "cars_train", LABELS)
