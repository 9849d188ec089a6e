"""Predictions in shards on disk: several processes classify the images of a task at once, and a later one resumes.

A shard is a file of predictions, `<number>.npz`, and its record, `<number>.json`, which is written last and marks it as
whole. Both depend on the task, the model and the environment (pipeline.accuracy.computed_by) alone, but for the seconds
that it took: which process writes a shard, in which order and how often, makes no difference.
"""

import json
import re
import shutil
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.accuracy.classify import Task
from pipeline.accuracy.computed_by import describe_environment
from pipeline.accuracy.predictions import Predictions, load_predictions
from pipeline.base.fault import Fault
from pipeline.base.files import sha256_of, write_memory
from pipeline.base.json_files import recall_json

IDLE = 86_400  # seconds after the last write to a task's shards, when no process counts on them any more


@dataclass(frozen=True)
class Part:
    """A part of a task's shards, for one of several processes.

    Attributes:
        number: which part, from 1.
        of: how many parts there are.
    """

    number: int
    of: int

    def numbers(self, shards: int) -> range:
        """Returns the numbers of the part's shards, of so many; parts differ by one shard at most."""
        return range((self.number - 1) * shards // self.of, self.number * shards // self.of)


def parse_part(text: str) -> Part:
    """Parses "K/N", such as "3/8".

    Raises:
        Fault: when it has another form, or K is not 1 to N.
    """
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    number, of = map(int, match.groups()) if match else (0, 0)
    if not 1 <= number <= of:
        raise Fault(f"--part={text}: expected K/N, part K of N parts with K from 1 to N, such as 3/8")
    return Part(number, of)


@dataclass(frozen=True)
class Timing:
    """How fast images were classified, from file to logits.

    Attributes:
        images: how many were timed; not those of a process's first batch, for which the model is compiled.
        seconds: how long they took.
    """

    images: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Timing") -> "Timing":
        return Timing(self.images + other.images, self.seconds + other.seconds)

    @property
    def per_second(self) -> float | None:
        """Images per second; None where none were timed."""
        return self.images / self.seconds if self.images and self.seconds > 0 else None


@dataclass(frozen=True, eq=False)
class Shard:
    """A classified shard.

    Attributes:
        predictions: a row for each of its images that could be decoded, in order.
        damaged: what is wrong with each of the others, by name.
        timing: of the process that classified it.
    """

    predictions: Predictions
    damaged: dict[str, str]
    timing: Timing


@dataclass(frozen=True)
class _Record:
    """What stands beside a shard's predictions.

    Attributes:
        task: the key of its task and model.
        environment: what computed it, see describe_environment().
        files: the digest of the states of its image files.
        predictions: the SHA-256 of the file of predictions.
        damaged, timing: as in Shard.
    """

    task: str
    environment: str
    files: str
    predictions: str
    damaged: dict[str, str]
    timing: Timing


class Shards:
    """The shards of a task and a model on disk. Any number of processes, on any machines, may use them at once."""

    def __init__(self, folder: Path, task: Task, model: str) -> None:
        """Names the folder of the shards; nothing is read or written yet.

        Args:
            folder: of the shards of all tasks.
            task: the images.
            model: a digest of the model.
        """
        self._task, self._key = task, task.key(model)
        self.folder = folder / name_folder(task, model)

    def read(self, number: int) -> Shard | None:
        """Returns a shard; None for one that is missing, damaged, of other files, of another task or environment."""
        record = recall_json(self._path(number, "json"), _Record)
        if record is None or (record.task, record.environment) != (self._key, describe_environment()):
            return None
        if record.files != self._task.files_digest(number):
            return None
        predictions = load_predictions(self._path(number, "npz"))
        if predictions is None or sha256_of(self._path(number, "npz")) != record.predictions:
            return None
        names = [example for example in self._task.shard(number) if example.name not in record.damaged]
        if predictions.label.tolist() != [example.label for example in names]:
            return None  # the files were moved from another number
        return Shard(predictions, record.damaged, record.timing)

    def write(self, number: int, shard: Shard) -> None:
        """Writes a shard; its record last."""
        shard.predictions.save(self._path(number, "npz"))
        record = _Record(
            self._key,
            describe_environment(),
            self._task.files_digest(number),
            sha256_of(self._path(number, "npz")),
            shard.damaged,
            shard.timing,
        )
        write_memory(self._path(number, "json"), json.dumps(asdict(record)))

    def _path(self, number: int, kind: str) -> Path:
        return self.folder / f"{number:05}.{kind}"


def name_folder(task: Task, model: str) -> str:
    """Returns the name of the folder of a task's shards for a model."""
    return task.key(model)[:16]


def remove_shards(folder: Path, finished: str | None) -> None:
    """Removes the shards of a task that is reported, and those that nobody has written for a day.

    Others stay: another process may be classifying them.

    Args:
        folder: of the shards of all tasks.
        finished: the name of the task's folder, see name_folder(); None for no task.
    """
    with suppress(FileNotFoundError):
        for path in list(folder.iterdir()):
            with suppress(OSError):  # of another user, or a process writes there: the next report removes it
                _remove_finished(path, finished)
        with suppress(OSError):  # others stay in it
            folder.rmdir()


def _remove_finished(path: Path, finished: str | None) -> None:
    if path.name == finished or time.time() - _last_change((path, *path.glob("*"))) > IDLE:
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def _last_change(paths: Iterable[Path]) -> float:
    return max(path.lstat().st_mtime for path in paths)
