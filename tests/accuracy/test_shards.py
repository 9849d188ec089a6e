"""Classifying in shards: resumed runs, parts of several processes, and shards that do not count."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from pipeline.accuracy import classify, classifying
from pipeline.accuracy import shards as shards_module
from pipeline.accuracy.classify import Evaluated, Task
from pipeline.accuracy.classifying import classify_part, evaluate
from pipeline.accuracy.computed_by import describe_environment
from pipeline.accuracy.shards import IDLE, Part, Shards, Timing, name_folder, parse_part, remove_shards
from pipeline.base.fault import Fault
from tests.accuracy.test_classify import choose, colours, counting
from tests.conftest import ROOT, write_images
from tests.damaged_json import DAMAGES

BATCH, SHARD = 4, 2  # 30 images in four shards, the last of six images

# A process that classifies a part; its model says when it begins, and waits in its call number `sys.argv[4]`.
CHILD = f"""
import sys
from pathlib import Path
from pipeline.accuracy import classify, classifying
from pipeline.accuracy.shards import Shards, parse_part
from tests.accuracy.test_classify import choose, colours
classify.BATCH, classify.SHARD = {BATCH}, {SHARD}
calls = []
def predict(inputs):
    calls.append(inputs)
    if len(calls) == int(sys.argv[4]):
        print("waiting", flush=True)
        sys.stdin.read()
    return colours(inputs)
task = choose(Path(sys.argv[1]))
classifying.classify_part(task, predict, Shards(Path(sys.argv[2]), task, "model"), parse_part(sys.argv[3]), "test")
"""


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classify, "BATCH", BATCH)
    monkeypatch.setattr(classify, "SHARD", SHARD)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    write_images(tmp_path / "images", per_class=10)
    return tmp_path / "images"


def assert_same(evaluated: Evaluated, whole: Evaluated) -> None:
    """Asserts that two outcomes are equal, bit for bit, but for the rate."""
    for name in ("label", "top5", "confidence", "restricted"):
        got, expected = (getattr(each.predictions, name) for each in (evaluated, whole))
        assert (got.dtype, got.shape, got.tobytes()) == (expected.dtype, expected.shape, expected.tobytes())
    assert evaluated.damaged == whole.damaged


def run_part(task: Task, folder: Path, number: int, of: int, predict: classify.Predict = colours) -> int:
    return classify_part(task, predict, Shards(folder, task, "model"), Part(number, of), "test")


def start_part(images: Path, folder: Path, part: str, wait_in: int) -> subprocess.Popen[str]:
    """Starts a process that classifies a part, and waits in that call of its model."""
    command = [sys.executable, "-c", CHILD, str(images), str(folder), part, str(wait_in)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def wait_for(process: subprocess.Popen[str]) -> None:
    """Waits until a process waits itself."""
    assert process.stdout
    assert process.stdout.readline() == "waiting\n"


def test_a_stopped_run_is_resumed(images: Path, tmp_path: Path) -> None:
    whole = evaluate(choose(images), colours, "model", tmp_path / "whole", "test")
    calls, predict = counting(colours, stop_after=5)
    with pytest.raises(KeyboardInterrupt):
        evaluate(choose(images), predict, "model", tmp_path / "shards", "test")
    calls, predict = counting(colours)
    evaluated = evaluate(choose(images), predict, "model", tmp_path / "shards", "test")
    assert len(calls) == 4  # two shards of two batches were done, of eight batches
    for name in ("label", "top5", "confidence", "restricted"):
        np.testing.assert_array_equal(getattr(evaluated.predictions, name), getattr(whole.predictions, name))
    calls, predict = counting(colours)
    evaluate(choose(images), predict, "model", tmp_path / "shards", "test")
    assert calls == []


def test_only_shards_of_the_same_task_and_model_are_reused(images: Path, tmp_path: Path) -> None:
    evaluate(choose(images), colours, "model", tmp_path / "shards", "test")
    for task, model in ((choose(images), "another"), (choose(images, 20), "model")):
        calls, predict = counting(colours)
        evaluate(task, predict, model, tmp_path / "shards", "test")
        assert calls
    calls, predict = counting(colours)
    evaluate(choose(images), predict, "model", tmp_path / "shards", "test")
    assert calls == []  # the others have removed nothing


def test_a_damaged_shard_is_computed_again(images: Path, tmp_path: Path) -> None:
    evaluate(choose(images), colours, "model", tmp_path / "shards", "test")
    (shard,) = (tmp_path / "shards").glob("*/00002.npz")
    shard.write_bytes(shard.read_bytes()[:-20])
    calls, predict = counting(colours)
    evaluated = evaluate(choose(images), predict, "model", tmp_path / "shards", "test")
    assert len(calls) == 2  # that shard alone
    assert evaluated.predictions.right.all()


def test_images_that_were_replaced_are_classified_again(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message says to replace a damaged image; the shard that counts it is discarded."""
    monkeypatch.setattr(classifying, "DAMAGED_SHARE", 0.04)
    task = choose(images)
    path = images / task.chosen[-1].name
    whole = path.read_bytes()
    path.write_bytes(b"no image")
    assert evaluate(task, colours, "model", tmp_path / "shards", "test").damaged
    path.write_bytes(whole)
    calls, predict = counting(colours)
    evaluated = evaluate(choose(images), predict, "model", tmp_path / "shards", "test")
    assert evaluated.damaged == {}
    assert len(evaluated.predictions) == 30
    assert 0 < sum(calls) < 30  # the shards of the other images are kept


@pytest.mark.parametrize("damage", ["empty", "list", "empty object", "deep lists", "folder", "pipe", "link to nothing"])
@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_a_shard_that_is_no_shard_is_computed_again(damage: str, suffix: str, images: Path, tmp_path: Path) -> None:
    evaluate(choose(images), colours, "model", tmp_path / "shards", "test")
    (path,) = (tmp_path / "shards").glob(f"*/00000.{suffix}")
    DAMAGES[damage](path)
    calls, predict = counting(colours)
    evaluated = evaluate(choose(images), predict, "model", tmp_path / "shards", "test")
    assert len(calls) == 2
    assert evaluated.predictions.right.all()


@pytest.mark.parametrize("suffixes", [["npz"], ["json"], ["npz", "json"]])
def test_a_shard_of_other_images_is_computed_again(suffixes: Sequence[str], images: Path, tmp_path: Path) -> None:
    """Its files are whole, but the predictions are those of another shard."""
    whole = evaluate(choose(images), colours, "model", tmp_path / "shards", "test")
    for suffix in suffixes:
        first, second = (next((tmp_path / "shards").glob(f"*/0000{number}.{suffix}")) for number in (0, 1))
        first.write_bytes(second.read_bytes())
    calls, predict = counting(colours)
    assert_same(evaluate(choose(images), predict, "model", tmp_path / "shards", "test"), whole)
    assert len(calls) == 2


@pytest.mark.parametrize("suffixes", [["npz"], ["npz", "json"]])
def test_a_shard_of_another_model_is_computed_again(suffixes: Sequence[str], images: Path, tmp_path: Path) -> None:
    """Somebody copied it into the folder; its images and labels are those of the shard that it replaces."""
    task, folder = choose(images), tmp_path / "shards"
    whole = evaluate(task, colours, "model", folder, "test")
    evaluate(task, lambda inputs: -colours(inputs), "another", folder, "test")
    for suffix in suffixes:
        name = f"00001.{suffix}"
        shutil.copyfile(folder / name_folder(task, "another") / name, folder / name_folder(task, "model") / name)
    calls, predict = counting(colours)
    assert_same(evaluate(task, predict, "model", folder, "test"), whole)
    assert len(calls) == 2


def test_a_shard_of_another_environment_is_computed_again(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another checkout or machine wrote it, for the same task and model."""
    with monkeypatch.context() as context:
        context.setattr(shards_module, "describe_environment", lambda: "tensorflow 1.0")
        run_part(choose(images), tmp_path / "shards", 1, 2, lambda inputs: -colours(inputs))
    run_part(choose(images), tmp_path / "shards", 2, 2)
    calls, predict = counting(colours)
    assert evaluate(choose(images), predict, "model", tmp_path / "shards", "test").predictions.right.all()
    assert len(calls) == 4  # the two shards of the other environment
    (folder,) = (tmp_path / "shards").iterdir()
    assert {json.loads(path.read_text())["environment"] for path in folder.glob("*.json")} == {describe_environment()}


# Parts ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("of", [1, 2, 3, 4, 9])
def test_parts_in_any_order_give_what_one_process_gives(of: int, images: Path, tmp_path: Path) -> None:
    task, folder = choose(images), tmp_path / "parts"
    whole = evaluate(task, colours, "model", tmp_path / "whole", "test")
    numbers = list(range(1, of + 1))
    random.Random(of).shuffle(numbers)
    assert sum(run_part(task, folder, number, of) for number in numbers) == 30
    assert run_part(task, folder, 1, of, counting(colours, 0)[1]) == len(
        task.chosen[: 30 if of == 1 else 8 * (4 // of)]
    )
    calls, predict = counting(colours)
    assert_same(evaluate(task, predict, "model", folder, "test"), whole)
    assert calls == []
    ours, theirs = (
        {path.name: path.read_bytes() for path in each.glob("*/*.npz")} for each in (folder, tmp_path / "whole")
    )
    assert ours == theirs


def test_parts_cover_all_shards_and_differ_by_one_at_most() -> None:
    for shards in (0, 1, 7, 196):
        for of in (1, 2, 7, 8, 300):
            parts = [Part(number, of).numbers(shards) for number in range(1, of + 1)]
            assert [number for part in parts for number in part] == list(range(shards))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("text", ["", "3", "0/4", "5/4", "1/0", "-1/4", "1/4/2", "1.5/4", "a/b", "1/4\n", "²/4"])
def test_a_part_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Fault, match="expected K/N, part K of N parts with K from 1 to N, such as 3/8"):
        parse_part(text)
    assert parse_part("4/4") == Part(4, 4)


def test_a_part_that_was_killed_is_done_again_alone(images: Path, tmp_path: Path) -> None:
    folder, task = tmp_path / "parts", choose(images)
    whole = evaluate(task, colours, "model", tmp_path / "whole", "test")
    process = start_part(images, folder, "1/2", wait_in=4)  # in the last batch of its two shards
    wait_for(process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    run_part(task, folder, 2, 2)
    calls, predict = counting(colours)
    run_part(task, folder, 1, 2, predict)
    assert len(calls) == 2  # the shard that it had not finished
    assert_same(evaluate(task, counting(colours, 0)[1], "model", folder, "test"), whole)
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]


@pytest.mark.long
def test_two_processes_classify_the_same_part_at_once(images: Path, tmp_path: Path) -> None:
    folder, task = tmp_path / "parts", choose(images)
    whole = evaluate(task, colours, "model", tmp_path / "whole", "test")
    processes = [start_part(images, folder, "1/1", wait_in=1) for _ in range(2)]
    for process in processes:
        wait_for(process)  # both have found no shard
    for process in processes:
        process.communicate("")
        assert process.returncode == 0
    assert_same(evaluate(task, counting(colours, 0)[1], "model", folder, "test"), whole)


def test_images_that_the_parts_found_damaged_count_together(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part has fewer than may be."""
    monkeypatch.setattr(classifying, "DAMAGED_SHARE", 0.04)  # one of the 30
    task = choose(images)
    for position in (0, 29):
        task.images.places[task.chosen[position].name].path.write_bytes(b"no image")
    assert run_part(task, tmp_path / "shards", 1, 2) + run_part(task, tmp_path / "shards", 2, 2) == 30
    with pytest.raises(Fault, match=r"; 2 of 30 images so far are damaged, at most 1 of 30 may be"):
        evaluate(task, colours, "model", tmp_path / "shards", "test")


def test_a_part_with_too_many_damaged_images_stops(images: Path, tmp_path: Path) -> None:
    task = choose(images)
    task.images.places[task.chosen[29].name].path.write_bytes(b"no image")
    run_part(task, tmp_path / "shards", 1, 2)
    with pytest.raises(Fault, match=r"; 1 of \d+ images so far are damaged, at most 0 of 30 may be"):
        run_part(task, tmp_path / "shards", 2, 2)


def test_the_rate_is_that_of_all_processes_together(images: Path, tmp_path: Path) -> None:
    task, folder = choose(images), tmp_path / "shards"
    run_part(task, folder, 1, 2)
    run_part(task, folder, 2, 2)
    shards = Shards(folder, task, "model")
    timings = [shard.timing for number in range(4) if (shard := shards.read(number))]
    assert [timing.images for timing in timings] == [4, 8, 4, 6]  # without the first batch of each process
    total = sum(timings, Timing())
    assert evaluate(task, colours, "model", folder, "test").rate == 22 / total.seconds
    assert Timing().per_second is None


# What is left over ---------------------------------------------------------------------------------------------------
def test_shards_that_another_process_may_need_stay(images: Path, tmp_path: Path) -> None:
    folder, task, fewer = tmp_path / "shards", choose(images), choose(images, 20)
    for each, model in ((task, "model"), (fewer, "model"), (task, "old")):
        evaluate(each, colours, model, folder, "test")
    old = folder / name_folder(task, "old")
    for path in (*old.iterdir(), old):
        os.utime(path, (path.stat().st_mtime - IDLE - 60,) * 2)
    remove_shards(folder, name_folder(task, "model"))
    assert [path.name for path in folder.iterdir()] == [name_folder(fewer, "model")]
    remove_shards(folder, name_folder(fewer, "model"))
    assert not folder.exists()
    remove_shards(folder, None)


def test_what_cannot_be_removed_keeps_nothing_else(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A root may remove anything, so the first removal of each kind fails by hand."""
    folder, tasks = tmp_path / "shards", [choose(images, number) for number in (10, 20, 30)]
    for task in tasks:
        evaluate(task, colours, "model", folder, "test")
        for path in (folder / name_folder(task, "model")).iterdir():
            os.utime(path, (path.stat().st_mtime - IDLE - 60,) * 2)
        os.utime(folder / name_folder(task, "model"), (0, 0))
    kept = next(folder.iterdir())
    rmdir = os.rmdir

    def refuse(path: str | Path, **options: int | None) -> None:
        if Path(path).name == kept.name:
            raise PermissionError(13, "denied", str(path))
        rmdir(path, **options)

    monkeypatch.setattr(os, "rmdir", refuse)
    remove_shards(folder, None)
    assert list(folder.iterdir()) == [kept]
