"""Classifies the images of a task, or a part of them, shard by shard; merges the shards into one outcome."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from pipeline.accuracy import classify, predictions, statistics
from pipeline.accuracy.classify import Batch, Evaluated, Predict, Task, batches, without_places
from pipeline.accuracy.predictions import Predictions
from pipeline.accuracy.shards import Part, Shard, Shards, Timing
from pipeline.base.fault import Fault
from pipeline.base.progress import Progress

DAMAGED_SHARE = 0.001  # of the images; with more, the data set is not what its name says


class Clock:
    """Times batches, without the first, for which the model is compiled."""

    def __init__(self) -> None:
        self._last: float | None = None

    def count(self, images: int) -> Timing:
        """Returns the timing of a batch that was just classified."""
        now, last = time.perf_counter(), self._last
        self._last = now
        return Timing() if last is None else Timing(images, now - last)


class Tally:
    """What was classified so far, of the shards that one process is for."""

    def __init__(self, task: Task, label: str, shards: Iterable[Shard]) -> None:
        self._task, self._label = task, label
        self._damaged: dict[str, str] = {}
        self._right = self._classified = 0
        for shard in shards:
            self._add(shard.predictions, shard.damaged)
        self._refuse_damaged()

    def add(self, batch: Predictions, damaged: Mapping[str, str]) -> None:
        """Adds a batch, and prints what is wrong with its damaged images.

        Raises:
            Fault: when more than DAMAGED_SHARE of the task's images are damaged; the message names the first.
        """
        for problem in damaged.values():
            print(f"{self._label}: left out: {problem}", file=sys.stderr, flush=True)
        self._add(batch, damaged)
        self._refuse_damaged()

    def _add(self, part: Predictions, damaged: Mapping[str, str]) -> None:
        self._damaged |= damaged
        self._right += int(part.right.sum())
        self._classified += len(part)

    def _refuse_damaged(self) -> None:
        total, count = len(self._task.chosen), len(self._damaged)
        if count > (allowed := int(DAMAGED_SHARE * total)):
            seen, first = self._classified + count, next(iter(self._damaged.values()))
            raise Fault(f"{first}; {count} of {seen} images so far are damaged, at most {allowed} of {total} may be")

    @property
    def text(self) -> str:
        """The top-1 accuracy so far, for progress lines."""
        low, high = statistics.interval(self._right, self._classified) if self._classified else (0.0, 1.0)
        return f"top-1 {self._right / max(self._classified, 1):.2%} ({low:.2%} to {high:.2%})"


@dataclass(frozen=True)
class _Run:
    """One process's work: how batches are classified, and what counts them."""

    task: Task
    present: Sequence[int]
    predict: Predict
    tally: Tally
    clock: Clock
    advance: Callable[[int, str], None]

    def classify(self, batch: Batch) -> Shard:
        """Returns the predictions of a batch, as those of a shard of its own."""
        truth = np.array([example.label for example in batch.examples], np.int32)
        logits = self.predict(batch.inputs)[: len(truth)]
        rows = predictions.of_logits(logits, truth, self.present, self.task.activation)
        self.tally.add(rows, batch.damaged)
        timing = self.clock.count(len(truth))
        self.advance(len(truth) + len(batch.damaged), self.tally.text)
        return Shard(rows, without_places(self.task, batch.damaged), timing)

    def classify_shard(self, number: int, stream: Iterator[Batch]) -> Shard:
        """Returns a shard, whose batches come next in the stream."""
        count = -(-len(self.task.shard(number)) // classify.BATCH)
        return _join([self.classify(batch) for batch in islice(stream, count)])


def _join(parts: Sequence[Shard]) -> Shard:
    """Returns parts, one after the other, as one; there must be a part."""
    damaged: dict[str, str] = {}
    timing = Timing()
    for part in parts:
        damaged |= part.damaged
        timing += part.timing
    return Shard(predictions.join([part.predictions for part in parts]), damaged, timing)


def classify_shards(
    task: Task, predict: Predict, shards: Shards, numbers: Sequence[int], label: str
) -> dict[int, Shard]:
    """Classifies shards, and writes each; those that are on disk already are read.

    Args:
        task: the images.
        predict: the model.
        shards: where they lie.
        numbers: which of them, in ascending order.
        label: the first words of progress lines.

    Returns:
        All of them by number.

    Raises:
        Fault: when more than DAMAGED_SHARE of the task's images are damaged; the message names the first.
    """
    done = {number: shard for number in numbers if (shard := shards.read(number)) is not None}
    missing = [number for number in numbers if number not in done]
    tally = Tally(task, label, done.values())
    images = [example for number in missing for example in task.shard(number)]
    total = sum(len(task.shard(number)) for number in numbers)
    with (
        Progress(label, total, "images", done=total - len(images)) as progress,
        closing(batches(task, images)) as ready,
    ):
        run = _Run(task, task.present, predict, tally, Clock(), progress.advance)
        for number in missing:
            done[number] = run.classify_shard(number, ready)
            shards.write(number, done[number])
    return done


def classify_part(task: Task, predict: Predict, shards: Shards, part: Part, label: str) -> int:
    """Classifies a part of a task for a later evaluate() with the same folder; returns the number of its images.

    See classify_shards() for the arguments and Faults. The limit for damaged images is that of the whole task.
    """
    done = classify_shards(task, predict, shards, part.numbers(task.shards), label)
    return sum(len(shard.predictions) + len(shard.damaged) for shard in done.values())


def evaluate(task: Task, predict: Predict, model: str, folder: Path, label: str) -> Evaluated:
    """Classifies the images of a task, but for the shards that other processes or an earlier run have classified.

    The outcome is the same, bit for bit, whoever classified which shard, if all machines compute the same logits;
    only the rate is measured.

    Args:
        task: the images; at least one.
        predict: the model.
        model: a digest of it.
        folder: the folder for Shards, which the caller removes in the end.
        label: the first words of progress lines.

    Raises:
        Fault: when more than DAMAGED_SHARE of the images are damaged; the message names the first.
    """
    done = classify_shards(task, predict, Shards(folder, task, model), range(task.shards), label)
    whole = _join([done[number] for number in sorted(done)])
    return Evaluated(whole.predictions, whole.damaged, whole.timing.per_second)
