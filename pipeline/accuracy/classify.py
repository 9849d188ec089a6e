"""A classifier over labelled images: decoded ahead of the model, in shards that a killed run leaves to the next."""

import json
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import numpy as np

from pipeline.accuracy import predictions, statistics
from pipeline.accuracy.predictions import Predictions
from pipeline.base.fault import Fault
from pipeline.base.files import write_text
from pipeline.base.progress import Progress
from pipeline.images.decoding import decode
from pipeline.images.image_set import Example, ImageSet
from pipeline.model.preprocessing import Unfit, prepare

Predict = Callable[[np.ndarray], np.ndarray]  # float32 (n, size, size, 3) to logits, float32 (n, classes)

BATCH = 32  # images
SHARD = 32  # batches
AHEAD = 3  # batches that are decoded while the model computes one
DAMAGED_SHARE = 0.001  # of the images; more than that and the data set is not what its name says


@dataclass(frozen=True)
class Task:
    """What is to be classified.

    Attributes:
        images: where the images are.
        chosen: which of them, in order.
        size: the side of the model's input, in pixels.
        protocol: one of pipeline.model.protocols.PROTOCOLS.
        activation: what turns the logits into probabilities, "softmax" or "sigmoid".
        unit_range: whether the model takes [0, 1], as many of TensorFlow Hub do, and not [-1, 1].
    """

    images: ImageSet
    chosen: Sequence[Example]
    size: int
    protocol: str = "resize"
    activation: str = "softmax"
    unit_range: bool = False

    @property
    def present(self) -> Sequence[int]:
        """The classes that the chosen images are of, sorted."""
        return sorted({example.label for example in self.chosen})

    def key(self, model: str) -> str:
        """Returns a digest of the task and the model: what a shard must have in common with the run that takes it."""
        facts = [model, self.size, self.protocol, self.activation, self.unit_range, BATCH, SHARD]
        names = [(example.name, example.label) for example in self.chosen]
        return sha256(json.dumps([facts, names]).encode()).hexdigest()

    def files(self, shard: int) -> str:
        """Returns a digest of what the image files of a shard are like: one that was replaced since is another."""
        first = shard * SHARD * BATCH
        found = [self.images.places[example.name].state() for example in self.chosen[first : first + SHARD * BATCH]]
        return sha256(json.dumps(found).encode()).hexdigest()


@dataclass
class Evaluated:
    """What came of a task.

    Attributes:
        parts: a row for each image that could be decoded, in order.
        damaged: those that could not, by name, with what is wrong with each.
        rate: images per second from file to logits, the first batch aside; None where too few were left to do.
    """

    parts: list[Predictions] = field(default_factory=list)
    damaged: dict[str, str] = field(default_factory=dict)
    rate: float | None = None

    @property
    def predictions(self) -> Predictions:
        return predictions.joined(self.parts)


def inputs_of(task: Task, example: Example) -> np.ndarray:
    """Reads, decodes and prepares an image: float32 (size, size, 3), in the model's range.

    Raises:
        Fault: names the image that is damaged, or that the protocol can make nothing of.
    """
    where = task.images.locate(example)
    pixels = decode(task.images.read(example), where)
    try:
        values = prepare(pixels, task.size, task.protocol)
    except Unfit as reason:
        raise Fault(f"{where}: {reason}; replace or remove it") from None
    return (values + np.float32(1)) / np.float32(2) if task.unit_range else values


def batches(task: Task, chosen: Sequence[Example]) -> Iterator[tuple[np.ndarray, list[Example], dict[str, str]]]:
    """Yields inputs (BATCH, size, size, 3), the examples of their first rows, and what is wrong with damaged ones.

    The rows beyond the examples are zero, so that the model is compiled for one shape. Decoding is AHEAD of the caller.
    """
    parts = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
    waiting: deque[list[Future]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for number, part in enumerate(parts):
                for later in parts[number + len(waiting) : number + AHEAD]:
                    waiting.append([pool.submit(inputs_of, task, example) for example in later])
                inputs = np.zeros((BATCH, task.size, task.size, 3), np.float32)
                good: list[Example] = []
                damaged: dict[str, str] = {}
                for example, future in zip(part, waiting.popleft(), strict=True):
                    try:
                        inputs[len(good)] = future.result()
                    except Fault as fault:
                        damaged[example.name] = str(fault)
                    else:
                        good.append(example)
                yield inputs, good, damaged
        finally:
            pool.shutdown(cancel_futures=True)


def _finished(folder: Path, task: Task) -> Evaluated:
    """Returns what the shards in a folder hold, up to the first that is missing, damaged, or of other files."""
    found = Evaluated()
    while (number := len(found.parts)) * SHARD * BATCH < len(task.chosen):
        part = predictions.load(folder / f"{number:05}.npz")
        try:
            facts = json.loads((folder / f"{number:05}.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            return found
        if part is None or facts["files"] != task.files(number):
            return found
        found.parts.append(part)
        found.damaged |= facts["damaged"]
    return found


def _keep(folder: Path, number: int, part: Predictions, damaged: dict[str, str], files: str) -> None:
    """Writes a shard; its .npz last, which is the sign that it is whole."""
    write_text(folder / f"{number:05}.json", json.dumps({"damaged": damaged, "files": files}))
    part.save(folder / f"{number:05}.npz")


def evaluate(task: Task, predict: Predict, model: str, shards: Path, label: str) -> Evaluated:
    """Classifies the images of a task, from where an earlier run of the same task was stopped.

    Args:
        task: what is to be classified.
        predict: the model.
        model: a digest of it.
        shards: the folder for what is done; those of other tasks in it are removed. The caller removes it in the end.
        label: the first words of progress lines.

    Raises:
        Fault: when more than DAMAGED_SHARE of the images are damaged; the message names the first.
    """
    folder = shards / task.key(model)[:16]
    for other in shards.glob("*"):
        if other != folder:
            shutil.rmtree(other)
    folder.mkdir(parents=True, exist_ok=True)
    found, allowed = _finished(folder, task), int(DAMAGED_SHARE * len(task.chosen))
    done = min(len(found.parts) * SHARD * BATCH, len(task.chosen))
    hits = sum(int(part.right.sum()) for part in found.parts)
    seen = sum(map(len, found.parts))
    present = task.present
    parts: list[Predictions] = []
    damaged: dict[str, str] = {}
    started, timed = 0.0, 0
    with Progress(label, len(task.chosen), "images", done=done) as progress:
        for number, (inputs, good, bad) in enumerate(batches(task, task.chosen[done:]), start=1):
            damaged |= bad
            for problem in bad.values():
                print(f"{label}: left out: {problem}", file=sys.stderr, flush=True)
            if (count := len(found.damaged) + len(damaged)) > allowed:
                first = next(iter((found.damaged | damaged).values()))
                raise Fault(
                    f"{first}; {count} of the first {min(done + number * BATCH, len(task.chosen))} images are damaged,"
                    f" of {len(task.chosen)} at most {allowed} may be"
                )
            truth = np.array([example.label for example in good], np.int32)
            part = predictions.of_logits(predict(inputs)[: len(good)], truth, present, task.activation)
            parts.append(part)
            hits, seen = hits + int(part.right.sum()), seen + len(good)
            if number == 1:
                started = time.perf_counter()  # the first batch is compiled for
            else:
                timed += len(good)
            low, high = statistics.interval(hits, seen) if seen else (0.0, 1.0)
            progress.advance(len(good) + len(bad), f"top-1 {hits / max(seen, 1):.2%} ({low:.2%} to {high:.2%})")
            if number % SHARD == 0 or done + number * BATCH >= len(task.chosen):
                shard = len(found.parts)
                _keep(folder, shard, predictions.joined(parts), damaged, task.files(shard))
                found.parts.append(predictions.joined(parts))
                found.damaged |= damaged
                parts, damaged = [], {}
        if timed:
            found.rate = timed / (time.perf_counter() - started)
    return found
