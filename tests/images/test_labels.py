"""Label files."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from pipeline.base.fault import Fault
from pipeline.images import ground_truth, image_set, labels
from tests.validation_set import LABELS, content_of, name_of, write_tar

ROOT = Path(__file__).parents[2]


def test_labels_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "l.tsv").write_text("b\tBee, insect\na\tAnt\n")
    assert labels.read(tmp_path / "l.tsv", 2) == (labels.Label("b", "Bee, insect"), labels.Label("a", "Ant"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tA\n", ": expected 2 labels, as model.classes says, got 1"),
        ("", ": the label file is empty; expected a line <key><tab><name> per class"),
        (" \n\n", ": the label file is empty"),
        ("a\tA\nb B\n", ":2: expected <key><tab><name>, got 'b B'"),
        ("a\tA\n\tB\n", ":2: expected <key><tab><name>"),
        ("a\tA\na\tB\n", ":2: the key 'a' stands already on line 1"),
    ],
)
def test_faults_are_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "l.tsv"
    path.write_text(text)
    with pytest.raises(Fault) as raised:
        labels.read(path, 2)
    assert str(raised.value).startswith(f"{path}{message}")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", " \n", "\t \r\n"])
def test_a_file_of_any_editor_is_read(encoding: str, end: str, tmp_path: Path) -> None:
    """With the marks, line ends and spaces that editors leave; U+2028 and NEL in a name are no line ends."""
    text = f"b\tBee,\u2028insect{end}a \tAnt\x85\x0c{end}{end}{end}"
    (tmp_path / "l.tsv").write_bytes(text.encode(encoding))
    if encoding == "utf-16-le":  # without a mark, nothing says so
        with pytest.raises(Fault, match=r"l\.tsv:\d+: not UTF-8 text .*; save it as UTF-8$"):
            labels.read(tmp_path / "l.tsv", 2)
        return
    assert labels.read(tmp_path / "l.tsv", 2) == (labels.Label("b", "Bee, insect"), labels.Label("a", "Ant"))


def test_an_empty_line_between_classes_is_refused(tmp_path: Path) -> None:
    """It may stand for a class, and the later ones are moved without it."""
    (tmp_path / "l.tsv").write_text("a\tA\n\nb\tB\n")
    with pytest.raises(Fault, match=r":2: expected <key><tab><name>, got ''"):
        labels.read(tmp_path / "l.tsv")


def test_kaggles_synset_mapping_is_a_label_file(tmp_path: Path) -> None:
    (tmp_path / "LOC_synset_mapping.txt").write_text("n01440764 tench, Tinca tinca\nn01443537 goldfish\n")
    read = labels.read(tmp_path / "LOC_synset_mapping.txt")
    assert read == (labels.Label("n01440764", "tench, Tinca tinca"), labels.Label("n01443537", "goldfish"))


def test_a_key_is_the_same_with_composed_letters(tmp_path: Path) -> None:
    (tmp_path / "l.tsv").write_text("cafe\u0301\tCoffee\n")
    assert labels.read(tmp_path / "l.tsv")[0].key == "caf\u00e9"


IMAGENET = labels.read(ROOT / "model_cards/vit/imagenet2012.tsv", 1000)


def test_classes_are_matched_by_key_name_or_synonym() -> None:
    names = ["n01440764", "goldfish, Carassius auratus", "Tinca tinca", "Golden_Retriever", "bullet-train", "robot"]
    assert labels.match_classes(names, IMAGENET) == [0, 1, 0, 207, 466, "robot"]


def test_of_two_classes_of_a_name_the_one_at_its_place_counts() -> None:
    assert IMAGENET[134].name == IMAGENET[517].name == "crane"
    assert labels.match_classes(["crane"], IMAGENET) == ["crane"]
    names = [label.name for label in IMAGENET]
    assert labels.match_classes(names, IMAGENET) == list(range(1000))
    worded = ["shark (great white)" if number == 2 else name for number, name in enumerate(names)]
    assert labels.match_classes(worded, IMAGENET) == list(range(1000))
    assert labels.match_classes(sorted(worded), IMAGENET).count("shark (great white)") == 1  # in another order: unknown


def test_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="the label file does not exist"):
        labels.read(tmp_path / "l.tsv", 2)


def test_imagenets_thousand_classes_are_in_synset_order() -> None:
    """The logits of the pool are ordered by WordNet synset (ILSVRC 2012's sorted folder names)."""
    keys = [label.key for label in labels.read(ROOT / "model_cards/vit/imagenet2012.tsv", 1000)]
    assert keys == sorted(keys)
    assert (keys[0], keys[207], keys[999]) == ("n01440764", "n02099601", "n15075141")


def test_a_label_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.tsv").write_bytes(b"n07920052\tcaf\xe9\n")
    with pytest.raises(Fault, match=r"labels\.tsv:\d+: not UTF-8 text .* at byte 13\); save it as UTF-8"):
        labels.read(tmp_path / "labels.tsv")


def write_table(path: Path) -> None:
    pyarrow.parquet.write_table(pyarrow.table({"image": [content_of(1)], "label": [5]}), path)


def write_folder(folder: Path) -> None:
    folder.mkdir()
    (folder / "a.jpeg").write_bytes(content_of(1))


# One image of ImageNet's class 5.
WITH_INDEX: dict[str, Callable[[Path], object]] = {
    "ImageNet-V2": lambda home: write_folder(home / "5"),
    "an archive of ImageNet-V2": lambda home: write_tar(home / "a.tar", {"v2/5/a.jpeg": content_of(1)}),
    "shards": lambda home: write_tar(home / "a.tar", {"a.jpg": content_of(1), "a.cls": b"5"}),
    "Parquet": lambda home: write_table(home / "a.parquet"),
    "val.txt": lambda home: (
        (home / name_of(1)).write_bytes(content_of(1)) and (home / "val.txt").write_text(f"{name_of(1)} 5\n")
    ),
}


@pytest.mark.parametrize("layout", WITH_INDEX)
def test_an_index_of_imagenet_follows_the_sorted_synsets(layout: str, tmp_path: Path) -> None:
    """Not the order of the model's outputs; and it says nothing of other classes, however many."""
    WITH_INDEX[layout](tmp_path)
    for names in (LABELS, (*LABELS[3:], *LABELS[:3])):
        (example,) = image_set.open_images(tmp_path, names).examples
        assert names[example.label] == LABELS[5]
    for names in (LABELS[:900], (*LABELS, labels.Label("n00000001", "another"))):
        with pytest.raises(Fault):
            image_set.open_images(tmp_path, names)


def test_real_labels_follow_the_sorted_synsets(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text(json.dumps([[5, 0]] * 50_000))
    rotated = (*LABELS[3:], *LABELS[:3])
    assert ground_truth.read_real_labels(tmp_path / "real.json", rotated)[0] == (2, 997)
    with pytest.raises(Fault, match="ReaL labels are for the 1000 classes of ImageNet-1k, the model has 999"):
        ground_truth.read_real_labels(tmp_path / "real.json", LABELS[1:])
