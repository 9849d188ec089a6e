"""Predictions: what is kept of logits, and files that tell whether they are whole."""

import os
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from pipeline.accuracy.predictions import NOTHING, Predictions, join, load_predictions, of_logits


def some(n: int, classes: int = 12, seed: int = 0) -> Predictions:
    """Returns the predictions of random logits."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(size=(n, classes)).astype(np.float32)
    return of_logits(logits, draw.integers(0, classes, n), range(classes), "softmax")


def equal(a: Predictions, b: Predictions) -> bool:
    return all(np.array_equal(getattr(a, field.name), getattr(b, field.name)) for field in fields(Predictions))


def test_logits_become_predictions() -> None:
    logits = np.log(np.array([[1, 2, 3, 4, 5, 6], [20, 1, 1, 1, 1, 1]], np.float32))
    predictions = of_logits(logits, np.array([5, 1]), [1, 3], "softmax")
    assert predictions.top5.tolist() == [[5, 4, 3, 2, 1], [0, 1, 2, 3, 4]]
    assert predictions.predicted.tolist() == [5, 0]
    assert predictions.right.tolist() == [True, False]
    assert predictions.confidence == pytest.approx([6 / 21, 20 / 25])
    assert predictions.restricted.tolist() == [3, 1]
    assert [getattr(predictions, field.name).dtype.name for field in fields(predictions)] == [
        "int32",
        "int32",
        "float32",
        "int32",
    ]


def test_a_sigmoid_gives_each_output_its_own_probability() -> None:
    predictions = of_logits(np.array([[0, 0], [-200, 200]], np.float32), np.array([0, 1]), [0, 1], "sigmoid")
    assert predictions.confidence.tolist() == [0.5, 1.0]


def test_large_logits_do_not_overflow() -> None:
    predictions = of_logits(np.array([[3e38, -3e38]], np.float32), np.array([0]), [0, 1], "softmax")
    assert predictions.confidence.tolist() == [1.0]


def test_an_unknown_activation_is_refused() -> None:
    with pytest.raises(ValueError, match="activation 'tanh'"):
        of_logits(np.zeros((1, 2), np.float32), np.array([0]), [0, 1], "tanh")


def test_of_equal_logits_the_lower_index_wins() -> None:
    predictions = of_logits(np.zeros((1, 8), np.float32), np.array([0]), [7, 2, 4], "softmax")
    assert predictions.top5.tolist() == [[0, 1, 2, 3, 4]]
    assert predictions.restricted.tolist() == [2]


def test_few_outputs_have_few_columns() -> None:
    predictions = of_logits(np.array([[1, 3, 2]], np.float32), np.array([0]), range(3), "softmax")
    assert predictions.top5.tolist() == [[1, 2, 0]]


@pytest.mark.parametrize("row", [[np.nan, 1, 2], [np.inf, 1, 2], [np.nan, np.inf, 2], [-np.inf] * 3])
def test_logits_that_are_not_numbers_are_never_right(row: list[float]) -> None:
    logits = np.array([row, [0, 1, 2]], np.float32)
    for label in range(3):
        predictions = of_logits(logits, np.array([label, 2]), range(3), "softmax")
        assert predictions.top5[0].tolist() == [NOTHING] * 3
        assert predictions.restricted.tolist() == [NOTHING, 2]
        assert predictions.right.tolist() == [False, True]
        assert predictions.confidence[0] == 0


def test_a_logit_of_minus_infinity_loses() -> None:
    predictions = of_logits(np.array([[0, -np.inf, 0]], np.float32), np.array([0]), range(3), "softmax")
    assert predictions.top5.tolist() == [[0, 2, 1]]
    assert predictions.confidence.tolist() == [0.5]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("label", np.zeros(3, np.int64)),
        ("top5", np.zeros((3, 6), np.int32)),
        ("top5", np.zeros(3, np.int32)),
        ("confidence", np.zeros(2, np.float32)),
        ("restricted", np.zeros(3, np.float32)),
    ],
)
def test_other_shapes_and_types_are_refused(name: str, value: np.ndarray) -> None:
    arrays = {field.name: getattr(some(3), field.name) for field in fields(Predictions)}
    with pytest.raises(ValueError, match="expected"):
        Predictions(**arrays | {name: value})


def test_join_keeps_the_order() -> None:
    whole = some(10)
    parts = [
        Predictions(*(getattr(whole, field.name)[start:end] for field in fields(Predictions)))
        for start, end in ((0, 4), (4, 4), (4, 10))
    ]
    assert equal(join(parts), whole)
    assert len(join(parts)) == 10


def test_files_come_back_and_stay_small(tmp_path: Path) -> None:
    path = tmp_path / "shards/0.npz"
    predictions = some(50_000, 1000 // 50)
    predictions.save(path)
    back = load_predictions(path)
    assert back is not None
    assert equal(back, predictions)
    assert path.stat().st_size <= 32 * 50_000 + 1500
    assert [entry.name for entry in path.parent.iterdir()] == ["0.npz"]


def test_a_missing_file_gives_none(tmp_path: Path) -> None:
    assert load_predictions(tmp_path / "none.npz") is None


def test_every_cut_and_every_flipped_byte_is_detected(tmp_path: Path) -> None:
    path = tmp_path / "0.npz"
    some(9).save(path)
    whole = path.read_bytes()
    back = load_predictions(path)
    assert back is not None
    assert equal(back, some(9))
    for place, byte in enumerate(whole):
        path.write_bytes(whole[:place])
        assert load_predictions(path) is None
        path.write_bytes(whole[:place] + bytes([byte ^ 0xFF]) + whole[place + 1 :])
        back = load_predictions(path)
        assert back is None or equal(back, some(9))  # times and comments of the archive may be anything


def test_another_archive_gives_none(tmp_path: Path) -> None:
    path = tmp_path / "0.npz"
    good = {field.name: getattr(some(3), field.name) for field in fields(Predictions)}
    for other in ({"label": good["label"]}, good | {"label": np.zeros(2, np.int32)}, good | {"top5": good["label"]}):
        np.savez(path, allow_pickle=False, **other)
        assert load_predictions(path) is None
    path.write_text("no archive")
    assert load_predictions(path) is None


def test_what_is_no_file_gives_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 30)
    for name in (".", "pipe", "huge"):
        assert load_predictions(tmp_path / name) is None
