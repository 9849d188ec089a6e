"""The forms of the ground truth of ImageNet's validation images, and the faults of each."""

import json
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.images import ground_truth, image_set
from pipeline.images.labels import UnknownClass
from pipeline.images.names import IMAGES
from tests import validation_set
from tests.validation_set import FORMS, LABELS, NUMBERS, TRUTH, name_of, write_flat, write_truth

EXPECTED = {name_of(number): TRUTH[number - 1] for number in NUMBERS}


def classes(images: image_set.ImageSet) -> dict[str, int]:
    return {example.name.split("/")[1]: example.label for example in images.examples}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_classes(form: str, tmp_path: Path) -> None:
    write_truth(tmp_path, form)
    assert classes(image_set.open_images(write_flat(tmp_path / "val"), LABELS)) == EXPECTED
    truth = ground_truth.find([tmp_path], LABELS)
    assert truth is not None
    assert list(truth.values()) == TRUTH
    assert (next(iter(truth)), truth[name_of(1)]) == (name_of(1), 65)


def test_the_truth_may_lie_among_the_images(tmp_path: Path) -> None:
    write_truth(write_flat(tmp_path / "val"), "files of the devkit")
    assert classes(image_set.open_images(tmp_path / "val", LABELS)) == EXPECTED


def test_the_numbers_of_the_devkit_are_not_indices(tmp_path: Path) -> None:
    """In the real devkit the first image has the number 490; its class's index is 65."""
    first = validation_set.devkit()["ILSVRC2012_validation_ground_truth.txt"].split()[0]
    assert first == b"490"


def test_images_without_a_truth_are_refused(tmp_path: Path) -> None:
    folder = write_flat(tmp_path / "val")
    with pytest.raises(Fault) as raised:
        image_set.open_images(folder, LABELS)
    for name in ("ILSVRC2012_validation_ground_truth.txt", "meta.mat", "LOC_val_solution.csv", "val_labels.txt"):
        assert name in str(raised.value)
    write_truth(tmp_path)
    (folder / "cat.jpeg").write_bytes(b"")
    with pytest.raises(Fault, match=r"no class is known of the image 'cat\.jpeg'; expected only ILSVRC2012_val_"):
        image_set.open_images(folder, LABELS)


def damaged(home: Path, form: str, name: str, old: bytes, new: bytes) -> str:
    """Writes a form of the truth with a fault in one of its files and returns the message."""
    write_truth(home, form)
    path = home / name
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new, 1) if old else new)
    with pytest.raises(Fault) as raised:
        ground_truth.find([home], LABELS)
    return str(raised.value)


NUMBERED, TEXT, KAGGLE = "ILSVRC2012_validation_ground_truth.txt", "val_labels.txt", "LOC_val_solution.csv"
SYNSETS = "imagenet_2012_validation_synset_labels.txt"


@pytest.mark.parametrize(
    ("form", "name", "old", "new", "message"),
    [
        ("files of the devkit", NUMBERED, b"490\n", b"1005\n", f"{NUMBERED}:1: expected the ILSVRC2012_ID of a class"),
        ("files of the devkit", NUMBERED, b"490\n", b"", f"{NUMBERED}: expected 50,000 lines, one for each"),
        ("files of the devkit", "meta.mat", b"", b"MATLAB", "meta.mat: not the devkit's meta.mat ("),
        ("packed devkit", "ILSVRC2012_devkit_t12.tar.gz", b"", b"no tar", "tar.gz: not a .tar, .tar.gz, "),
        ("Kaggle", KAGGLE, b",n", b";n", f"{KAGGLE}:2: expected <image>,<synset> and its boxes, got 'ILSVRC"),
        ("Kaggle", KAGGLE, b",n", b",x", f"{KAGGLE}:2: expected the key of one of the model's 1000 classes, got 'x"),
        ("synsets", SYNSETS, b"n", b"n00000001\nn", f"{SYNSETS}: expected 50,000 lines, one for each validation"),
        ("names and synsets", TEXT, b" n", b" x", f"{TEXT}:1: expected the key of one of the model's 1000 classes, or"),
        ("names and synsets", TEXT, b" n", b" 1000 n", f"{TEXT}:1: expected a synset on every line, or <file name>"),
        ("names and indices", "val.txt", b" 65\n", b" 1000\n", "val.txt:1: expected the key of one of the model's"),
    ],
)  # fmt: skip
def test_faults_are_named(form: str, name: str, old: bytes, new: bytes, message: str, tmp_path: Path) -> None:
    assert message in damaged(tmp_path, form, name, old, new)


def test_a_list_that_counts_the_images_is_refused(tmp_path: Path) -> None:
    """As val.txt in Kaggle's ImageSets/CLS-LOC."""
    write_flat(tmp_path / "val")
    (tmp_path / "val.txt").write_text("".join(f"{name_of(number)[:-5]} {number}\n" for number in range(1, IMAGES + 1)))
    with pytest.raises(
        Fault, match=r"val\.txt: its numbers count the images and name no classes; expected Kaggle's LOC"
    ):
        image_set.open_images(tmp_path, LABELS)


def test_a_class_in_a_name_that_the_model_lacks_is_named(tmp_path: Path) -> None:
    (tmp_path / f"{name_of(1)[:-5]}_{LABELS[9].key}.JPEG").write_bytes(b"")
    with pytest.raises(UnknownClass, match=rf"no class of the model's 3 is called '{LABELS[9].key}'"):
        image_set.open_images(tmp_path, LABELS[:3])


def test_the_numbers_of_the_devkit_without_meta_mat_are_refused(tmp_path: Path) -> None:
    write_truth(tmp_path, "files of the devkit")
    (tmp_path / "meta.mat").unlink()
    with pytest.raises(Fault, match="its numbers mean nothing without the devkit's"):
        ground_truth.find([tmp_path], LABELS)


def test_a_devkit_without_its_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").write_bytes(validation_set.packed({"readme.txt": b""}, "w:gz"))
    with pytest.raises(Fault, match="not ImageNet's devkit"):
        ground_truth.find([tmp_path], LABELS)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """ReaL labels: the second image shows nothing, the others two classes."""
    path = tmp_path / "real.json"
    content = [[label, (label + 1) % 1000] for label in TRUTH]
    content[1] = []
    path.write_text(json.dumps(content))
    return path


def test_real_labels_follow_the_number_in_the_name(real: Path, tmp_path: Path) -> None:
    images = image_set.open_images(validation_set.write_sorted(tmp_path / "val"), LABELS, real)
    for example in images.examples:
        second = example.name.endswith(name_of(2))
        assert example.real == (() if second else (example.label, (example.label + 1) % 1000))
    assert {example.real for example in image_set.open_images(tmp_path / "val", LABELS).examples} == {None}


def test_real_labels_for_another_set_are_refused(real: Path, tmp_path: Path) -> None:
    (tmp_path / "v2/7").mkdir(parents=True)
    (tmp_path / "v2/7/a.jpeg").write_bytes(b"")
    with pytest.raises(Fault, match=r"real\.json: ReaL labels are for ImageNet's validation images, which .*v2 is not"):
        image_set.open_images(tmp_path / "v2", LABELS, real)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[[1]]", "expected a list of 50,000 lists of classes, one for each validation image, got 1"),
        ('{"1": 2}', "got dict"),
        (json.dumps([[1000]] * 50_000), r"image 1: expected a list of indices 0 to 999, got \[1000\]"),
        (json.dumps([[True]] * 50_000), r"image 1: expected a list of indices 0 to 999, got \[True\]"),
        (json.dumps([7] * 50_000), "image 1: expected a list of indices 0 to 999, got 7"),
    ],
)
def test_malformed_real_labels_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text(text)
    with pytest.raises(Fault, match=message):
        ground_truth.read_real_labels(tmp_path / "real.json", LABELS)


def test_missing_real_labels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"real\.json: the file of ReaL labels does not exist"):
        ground_truth.read_real_labels(tmp_path / "real.json", LABELS)


@pytest.mark.parametrize("name", ["val.txt", "LOC_val_solution.csv"])
def test_a_file_in_another_encoding_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes("ILSVRC2012_val_00000001.JPEG n01440764 caf\xe9\n".encode("latin-1"))
    with pytest.raises(Fault, match=rf"{name}:1: not UTF-8 text \(.* at byte 42\); get the file again"):
        ground_truth.find([tmp_path], LABELS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \n", "\n\n\n"])
def test_a_ground_truth_of_any_system_is_read(encoding: str, end: str, tmp_path: Path) -> None:
    expected = {name_of(1): 0, name_of(2): 1}
    files = {
        "val.txt": ["ILSVRC2012_val_00000001.JPEG n01440764", "val/ILSVRC2012_val_00000002.jpg 1"],
        "LOC_val_solution.csv": [
            "ImageId,PredictionString",
            "ILSVRC2012_val_00000001,n01440764 1 2 3 4 ",
            '"ILSVRC2012_val_00000002","n01443537 1 2 3 4"',
        ],
    }
    for name, lines in files.items():
        path = tmp_path / name
        path.write_bytes(("".join(line + (end if end != "\n\n\n" else "\n") for line in lines) + end).encode(encoding))
        assert ground_truth.find([tmp_path], LABELS) == expected
        path.unlink()


def test_a_later_devkit_has_a_table_of_its_numbers(tmp_path: Path) -> None:
    """Its numbers are not those of 2012: map_clsloc.txt beside it says which class each is."""
    data = tmp_path / "ILSVRC/devkit/data"
    data.mkdir(parents=True)
    number_of = {label: (label * 7 + 3) % 1000 + 1 for label in range(1000)}
    (data / "map_clsloc.txt").write_text("".join(f"{LABELS[i].key} {n} some_name\n" for i, n in number_of.items()))
    truth = data / "ILSVRC2015_clsloc_validation_ground_truth.txt"
    truth.write_text("".join(f"{number_of[label]}\n" for label in TRUTH))
    write_flat(tmp_path / "ILSVRC/Data/CLS-LOC/val")
    assert classes(image_set.open_images(tmp_path / "ILSVRC", LABELS)) == EXPECTED
    (data / "map_clsloc.txt").unlink()
    with pytest.raises(Fault, match=r"its numbers mean nothing without the devkit's map_clsloc\.txt; put it there"):
        image_set.open_images(tmp_path / "ILSVRC", LABELS)
