"""Label files."""

from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.images import labels

ROOT = Path(__file__).parents[2]


def test_labels_are_read_in_order(tmp_path: Path) -> None:
    (tmp_path / "l.tsv").write_text("b\tBee, insect\na\tAnt\n")
    assert labels.read(tmp_path / "l.tsv", 2) == (labels.Label("b", "Bee, insect"), labels.Label("a", "Ant"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tA\n", ": expected 2 labels, as model.classes says, got 1"),
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
    with pytest.raises(Fault, match=r"labels\.tsv: not UTF-8 text .* at byte 13\); save it as UTF-8"):
        labels.read(tmp_path / "labels.tsv")
