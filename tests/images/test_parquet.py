"""Parquet files, as Hugging Face's datasets write them."""

import json
import os
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.base.fault import Fault
from pipeline.images import image_set, parquet
from pipeline.images.labels import Label
from pipeline.images.layout import Layout
from pipeline.images.split import Split
from tests.hostile.damage import damage
from tests.images.test_image_set import COLOURS
from tests.validation_set import LABELS, NUMBERS, TRUTH, content_of, name_of, write_sorted

NAMES = [label.name for label in LABELS]


def write(path: Path, columns: dict[str, Any], features: dict[str, Any] | None = None, **options: Any) -> Path:
    """Writes a table, with the metadata of Hugging Face's datasets if `features` are given."""
    table = pa.table(columns)
    if features is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def class_label(names: list[str]) -> dict[str, Any]:
    return {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}


def images(*numbers: int, path: str | None = "{}.png") -> list[dict[str, Any]]:
    return [{"bytes": content_of(n), "path": path.format(n) if path else None} for n in numbers]


def imagenet(home: Path) -> Path:
    """Writes the made-up validation set as the files of ILSVRC/imagenet-1k, with a file of each other split."""
    for part, numbers in enumerate((NUMBERS[:4], NUMBERS[4:])):
        named = [
            {"bytes": content_of(n), "path": f"{name_of(n)[:-5]}_{LABELS[TRUTH[n - 1]].key}.JPEG"} for n in numbers
        ]
        columns = {"image": named, "label": [TRUTH[n - 1] for n in numbers]}
        path = home / f"data/validation-0000{part}-of-00002.parquet"
        write(path, columns, class_label(NAMES), row_group_size=3)
    key = LABELS[0].key
    train = {"image": images(1, path=f"{key}_{{}}_{key}.JPEG"), "label": [0]}
    write(home / "data/train-00000-of-00001.parquet", train, class_label(NAMES))
    write(home / "data/test-00000-of-00001.parquet", {"image": images(2), "label": [-1]}, class_label(NAMES))
    (home / "README.md").write_text("---\n")
    return home


def test_imagenet_has_the_same_images_as_folders(tmp_path: Path) -> None:
    loaded = image_set.open_images(imagenet(tmp_path / "hf"), LABELS)
    assert (loaded.layout, loaded.split) == (Layout.PARQUET, Split.VALIDATION)
    assert loaded.left_out == ("test-00000-of-00001.parquet", "train-00000-of-00001.parquet")
    expected = image_set.open_images(write_sorted(tmp_path / "val"), LABELS)
    assert loaded.examples == expected.examples
    assert [loaded.read(example) for example in loaded.examples] == [expected.read(e) for e in expected.examples]
    assert set(image_set.choose(loaded, 5)) == set(image_set.choose(expected, 5))
    assert loaded.locate(loaded.examples[0]).endswith(f".parquet: {loaded.examples[0].name}")
    file = tmp_path / "hf/data/validation-00001-of-00002.parquet"
    assert len(image_set.open_images(file, LABELS).examples) == len(NUMBERS) - 4


def test_a_column_tells_the_splits_where_the_name_of_the_file_does_not(tmp_path: Path) -> None:
    columns = {"image": images(0, 1, 2), "label": ["red"] * 3, "split": ["train", "Val", None]}
    loaded = image_set.open_images(write(tmp_path / "all.parquet", columns), COLOURS)
    assert (loaded.split, [example.file for example in loaded.examples]) == (Split.VALIDATION, ["1.png"])
    assert loaded.left_out == ("1 of the split train", "1 of no known split")
    loaded = image_set.open_images(write(tmp_path / "test.parquet", columns), COLOURS)
    assert (loaded.split, len(loaded.examples)) == (Split.TEST, 3)


def test_other_splits_are_taken_when_asked_for(tmp_path: Path) -> None:
    imagenet(tmp_path)
    loaded = image_set.open_images(tmp_path, LABELS, split=Split.TRAIN)
    assert [example.name for example in loaded.examples] == [f"{LABELS[0].key}/{LABELS[0].key}_1.JPEG"]
    with pytest.raises(Fault, match=r"test-.*\.parquet: row 0: it has no class, as all images of ImageNet's test set"):
        image_set.open_images(tmp_path, LABELS, split=Split.TEST)
    train = tmp_path / "data/train-00000-of-00001.parquet"
    with pytest.raises(Fault, match=r"training images, by the name train-00000-of-00001\.parquet"):
        image_set.open_images(train, LABELS)


def test_images_are_read_in_the_order_of_the_rows(tmp_path: Path) -> None:
    """In another order, each would cost the reading of all rows before it."""
    loaded = image_set.open_images(imagenet(tmp_path), LABELS)
    chosen = image_set.choose(loaded, None)
    assert [example.file for example in chosen] == [name_of(number) for number in NUMBERS]


@pytest.mark.parametrize("kept", [1, 64_000_000])
def test_threads_get_the_right_bytes_in_any_order(kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_KEPT", kept)
    count = 150
    content = [bytes([number]) * (number + 1) for number in range(count)]
    for part in range(2):
        rows = [{"bytes": data, "path": f"{n}.png"} for n, data in enumerate(content) if n % 2 == part]
        columns = {"image": rows, "label": [n % 3 for n in range(count // 2)]}
        write(tmp_path / f"{part}.parquet", columns, class_label([label.key for label in COLOURS]), row_group_size=20)
    loaded = image_set.open_images(tmp_path, COLOURS)
    asked = [*loaded.examples, *loaded.examples]
    random.Random(0).shuffle(asked)
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(loaded.read, asked))
    assert read == [content[int(example.file.removesuffix(".png"))] for example in asked]


COLOUR_KEYS = [label.key for label in COLOURS]
TABLES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, list[str]]] = {
    "cifar10's names": (
        {"img": images(1, 2), "label": [0, 2]},
        {"img": {"_type": "Image"}, "label": {"names": COLOUR_KEYS, "_type": "ClassLabel"}},
        ["red/1.png", "blue/2.png"],
    ),
    "names of classes in another order": (
        {"image": images(1, 2), "label": [0, 2]}, class_label(["Blue", "RED", "green"]), ["blue/1.png", "green/2.png"]
    ),
    "cifar100's two labels": (
        {"img": images(1), "coarse_label": [1], "fine_label": [2]},
        {
            "img": {"_type": "Image"},
            "coarse_label": {"names": COLOUR_KEYS, "_type": "ClassLabel"},
            "fine_label": {"names": ["crimson", "navy", "lime"], "_type": "ClassLabel"},
        },
        ["green/1.png"],
    ),
    "no paths": (
        {"image": images(1, 2, path=None), "label": [1, 0]}, class_label(COLOUR_KEYS),
        ["green/row-00000", "red/row-00001"],
    ),
    "one path for all": (
        {"image": images(1, 2, path="image.png"), "label": [1, 1]}, class_label(COLOUR_KEYS),
        ["green/row-00000", "green/row-00001"],
    ),
    "texts": ({"image": images(1), "label": ["Green"], "caption": ["x"]}, None, ["green/1.png"]),
    "floats": ({"image": images(1), "label": [2.0]}, class_label(COLOUR_KEYS), ["blue/1.png"]),
    "names as bytes": ({"image": images(1), "label": [b"red"]}, None, ["red/1.png"]),
    "bytes alone": ({"jpg": [content_of(1)], "cls": ["blue"]}, None, ["blue/row-00000"]),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_other_data_sets(name: str, tmp_path: Path) -> None:
    columns, features, expected = TABLES[name]
    write(tmp_path / "0000.parquet", columns, features)
    loaded = image_set.open_images(tmp_path, COLOURS)
    assert sorted(example.name for example in loaded.examples) == sorted(expected)
    first = next(example for example in loaded.examples if example.name == expected[0])
    assert loaded.read(first) == content_of(1)


@pytest.mark.parametrize(
    ("columns", "features", "message"),
    [
        ({"text": ["a"], "label": [1]}, None, "expected a column of images, such as 'image' with their bytes, and one"),
        ({"image": images(1)}, None, "one of their classes, such as 'label'; got image"),
        ({"image": images(1), "label": [1]}, None, "row 0: no class of the model's 3 is called '1', the label there"),
        ({"image": images(1), "label": [float("nan")]}, class_label(COLOUR_KEYS), "row 0: it has no class"),
        ({"image": images(1), "label": [[0, 1]]}, class_label(COLOUR_KEYS), r"row 0: .* is called '\[0, 1\]'"),
        ({"image": images(1), "label": [0.5]}, class_label(COLOUR_KEYS), r"row 0: .* is called '0\.5'"),
        ({"image": images(1), "label": [None]}, class_label(COLOUR_KEYS), "row 0: it has no class"),
        ({"image": images(1), "label": [3]}, class_label(["red", "green", "blue", "pink"]), "is called 'pink'"),
        (
            {"image": [*images(1), {"bytes": None, "path": "/me/1.png"}], "label": [1, 1]},
            class_label(COLOUR_KEYS),
            "row 1: the image has no bytes, only the path '/me/1.png', where no file lies; get the whole data set",
        ),
        (
            {"image": [{"bytes": None, "path": "/me/1.png"}], "label": [1]},
            class_label(COLOUR_KEYS),
            "row 0: the image has no bytes, only the path '/me/1.png'",
        ),
        (
            {"image": [*images(1), {"bytes": None, "path": "a" * 5000}], "label": [1, 1]},
            class_label(COLOUR_KEYS),
            r"row 1: the image has no bytes, only the path 'a{9,99}\.\.\.",
        ),
        ({"image": images(1), "label": ["a" * 5000]}, None, r"is called 'a{9,99}\.\.\."),
    ],
)
def test_tables_without_images_or_classes_are_refused(
    columns: dict[str, Any], features: dict[str, Any] | None, message: str, tmp_path: Path
) -> None:
    write(tmp_path / "0000.parquet", columns, features)
    with pytest.raises(Fault, match=rf"0000\.parquet: .*{message}"):
        image_set.open_images(tmp_path, COLOURS)


def test_images_may_lie_beside_the_table(tmp_path: Path) -> None:
    rows = [*images(1), {"bytes": None, "path": "images/2.png"}]
    write(tmp_path / "data/0000.parquet", {"image": rows, "label": [0, 1]}, class_label(COLOUR_KEYS))
    (tmp_path / "images").mkdir()
    (tmp_path / "images/2.png").write_bytes(content_of(2))
    loaded = image_set.open_images(tmp_path / "data", COLOURS)
    assert {example.name: loaded.read(example) for example in loaded.examples} == {
        "red/1.png": content_of(1), "green/2.png": content_of(2)
    }  # fmt: skip


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "0000.parquet", {"image": images(*range(40)), "label": [0] * 40}, class_label(COLOUR_KEYS))
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    with pytest.raises(Fault, match=r"0000\.parquet: cannot be read as a Parquet file \(.*\); get the file again"):
        image_set.open_images(tmp_path, COLOURS)
    path.write_bytes(whole)
    loaded = image_set.open_images(tmp_path, COLOURS)
    path.write_bytes(b"\xff" * 2000 + whole[2000:])
    with pytest.raises(Fault, match=r"0000\.parquet: row \d+ cannot be read \(.*\); get the file again"):
        [loaded.read(example) for example in loaded.examples]
    path.write_bytes(whole)
    assert {loaded.read(example) for example in loaded.examples} == {content_of(number) for number in range(40)}
    path.unlink()
    loaded = image_set.open_images(write(path, {"image": images(1), "label": [0]}, class_label(COLOUR_KEYS)), COLOURS)
    path.unlink()
    with pytest.raises(Fault, match=r"0000\.parquet: cannot be read as a Parquet file \(.*No such file"):
        loaded.read(loaded.examples[0])


def test_damage_is_read_or_refused_in_a_sentence(tmp_path: Path) -> None:
    """Some damage ends pyarrow's process: one footer in some thousands."""
    columns = {"image": images(*range(20)), "label": [0] * 20}
    path = write(tmp_path / "0000.parquet", columns, class_label(COLOUR_KEYS))
    whole = path.read_bytes()
    faults: list[str] = []
    for number in range(100):
        path.write_bytes(damage(whole, random.Random(number)))
        try:
            loaded = image_set.open_images(tmp_path, COLOURS)
            assert all(isinstance(loaded.read(example), bytes) for example in loaded.examples)
        except Fault as fault:
            faults.append(str(fault))
    assert len(faults) > 20
    assert not [fault for fault in faults if "\n" in fault]


def test_a_process_that_ends_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "0000.parquet", {"image": images(1), "label": [0]}, class_label(COLOUR_KEYS))
    loaded = image_set.open_images(tmp_path, COLOURS)
    monkeypatch.setattr(parquet, "read_pieces", abort)
    with pytest.raises(Fault, match=r"0000\.parquet: row 0 cannot be read \(pyarrow ended by SIGABRT\); get the file"):
        loaded.read(loaded.examples[0])
    monkeypatch.undo()
    assert loaded.read(loaded.examples[0]) == content_of(1)


def abort(*arguments: object) -> None:
    os.abort()


def test_a_file_that_is_replaced_by_a_shorter_one_is_named(tmp_path: Path) -> None:
    columns = {"image": images(*range(40)), "label": [0] * 40}
    path = write(tmp_path / "0000.parquet", columns, class_label(COLOUR_KEYS))
    loaded = image_set.open_images(tmp_path, COLOURS)
    write(path, {"image": images(1), "label": [0]}, class_label(COLOUR_KEYS))
    last = image_set.choose(loaded, None)[-1]
    with pytest.raises(Fault, match=r"0000\.parquet: row 39 cannot be read \(.*\); get the file again"):
        loaded.read(last)


def test_without_pyarrow_the_install_line_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "0000.parquet", {"image": images(1), "label": [0]}, class_label(COLOUR_KEYS))
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(Fault, match=r'read with pyarrow, which is not installed; run: pip install "\.\[parquet\]"'):
        image_set.open_images(tmp_path, [Label("red", "Red")])
