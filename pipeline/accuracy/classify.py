"""Classifies labelled images: decodes ahead of the model, in shards that a later run resumes from."""

import io
import json
import os
import shutil
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.accuracy import predictions, statistics
from pipeline.accuracy.pixels import SIGNED, Pixels
from pipeline.accuracy.predictions import Predictions
from pipeline.base.fault import Fault, escape
from pipeline.base.files import write_memory
from pipeline.base.json_files import recall_json
from pipeline.base.progress import Progress
from pipeline.images.decoding import decoded
from pipeline.images.image_set import Example, ImageSet
from pipeline.model.preprocessing import UnsuitableImage, prepare

# Images, float32 (n, size, size, 3), or files, bytes (n,), to logits, float32 (n, classes).
Predict = Callable[[np.ndarray], np.ndarray]

BATCH = 32  # images
SHARD = 32  # batches
AHEAD = 3  # batches that are decoded while the model computes one
DAMAGED_SHARE = 0.001  # of the images; with more, the data set is not what its name says


@dataclass(frozen=True)
class Task:
    """Images to classify, and how.

    Attributes:
        images: where the images are.
        chosen: which of them, in order.
        size: the side of the model's input, in pixels.
        protocol: one of pipeline.model.protocols.PROTOCOLS.
        activation: what turns the logits into probabilities, "softmax" or "sigmoid".
        pixels: the range that the model takes; None for a model that takes image files.
    """

    images: ImageSet
    chosen: Sequence[Example]
    size: int
    protocol: str = "resize"
    activation: str = "softmax"
    pixels: Pixels | None = SIGNED

    @property
    def present(self) -> Sequence[int]:
        """The classes of the chosen images, sorted."""
        return sorted({example.label for example in self.chosen})

    def key(self, model: str) -> str:
        """Returns a digest of the task and the model; shards are valid for one key."""
        facts = [model, self.size, self.protocol, self.activation, self.pixels and self.pixels.name, BATCH, SHARD]
        names = [(example.name, example.label) for example in self.chosen]
        return sha256(json.dumps([facts, names]).encode()).hexdigest()

    def shard(self, number: int) -> Sequence[Example]:
        """Returns the images of a shard, from 0."""
        first = number * SHARD * BATCH
        return self.chosen[first : first + SHARD * BATCH]

    def files_digest(self, shard: int) -> str:
        """Returns a digest of the states of a shard's image files; it changes when a file is replaced."""
        states = [self.images.places[example.name].state() for example in self.shard(shard)]
        return sha256(json.dumps(states).encode()).hexdigest()


@dataclass(frozen=True)
class Evaluated:
    """The outcome of a task.

    Attributes:
        predictions: a row for each image that could be decoded, in order.
        damaged: what is wrong with each of the others, by name.
        rate: images per second from file to logits, without the first batch; None where too few were left to do.
    """

    predictions: Predictions
    damaged: dict[str, str]
    rate: float | None = None


@dataclass(frozen=True, eq=False)
class Batch:
    """Prepared images.

    Attributes:
        inputs: float32 (BATCH, size, size, 3), or files, bytes (BATCH,); the rows beyond the examples are blank(), so
            that the model is compiled for one shape.
        examples: the images of the first rows.
        damaged: what is wrong with the images that could not be prepared, by name.
    """

    inputs: np.ndarray
    examples: Sequence[Example]
    damaged: Mapping[str, str]


def blank(task: Task) -> np.ndarray:
    """Returns a batch of nothing: float32 zeros (BATCH, size, size, 3), or bytes (BATCH,), a black image's file."""
    if task.pixels is None:
        return np.array([encode_png(np.zeros((8, 8, 3), np.uint8))] * BATCH, object)
    return np.zeros((BATCH, task.size, task.size, 3), np.float32)


def prepare_image(task: Task, example: Example) -> np.ndarray:
    """Reads, decodes and prepares an image: float32 (size, size, 3), in the model's range.

    Raises:
        Fault: names an image that is damaged, or that does not fit the protocol.
    """
    where = task.images.locate(example)
    if task.pixels is None:
        raise ValueError("the model takes image files")
    with decoded(task.images.read(example), where) as pixels:
        try:
            return task.pixels.convert(prepare(pixels, task.size, task.protocol))
        except UnsuitableImage as reason:
            raise Fault(f"{where}: {reason}; replace or remove it") from None


def prepare_file(task: Task, example: Example) -> bytes:
    """Reads an image for a model that takes files: a JPEG or PNG as it is, any other as a PNG of its upright pixels.

    Raises:
        Fault: names an image that is damaged.
    """
    data = task.images.read(example)
    with decoded(data, task.images.locate(example)) as pixels:
        return data if data.startswith((b"\xff\xd8\xff", b"\x89PNG")) else encode_png(pixels)


def encode_png(pixels: np.ndarray) -> bytes:
    """Returns a PNG of uint8 (height, width, 3) pixels."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", compress_level=1)
    return out.getvalue()


def batches(task: Task, chosen: Sequence[Example]) -> Iterator[Batch]:
    """Yields the chosen images in batches of BATCH; decoding is AHEAD of the caller."""
    prepare_one = prepare_image if task.pixels else prepare_file
    parts = [chosen[start : start + BATCH] for start in range(0, len(chosen), BATCH)]
    waiting: deque[list[Future]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for number, part in enumerate(parts):
                for later in parts[number + len(waiting) : number + AHEAD]:
                    waiting.append([pool.submit(prepare_one, task, example) for example in later])
                yield _collect(task, part, waiting.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


def _collect(task: Task, examples: Sequence[Example], futures: Sequence[Future]) -> Batch:
    """Waits for the images of a batch."""
    inputs = blank(task)
    good: list[Example] = []
    damaged: dict[str, str] = {}
    for example, future in zip(examples, futures, strict=True):
        try:
            inputs[len(good)] = future.result()
        except Fault as fault:
            damaged[example.name] = str(fault)
        else:
            good.append(example)
    return Batch(inputs, good, damaged)


@dataclass(frozen=True)
class _Record:
    """What stands beside a shard: what is wrong with its damaged images, by name, and the digest of its files."""

    damaged: dict[str, str]
    files: str


class Shards:
    """The predictions of a task, written to disk after every SHARD batches, for a later run to resume from.

    A shard is a file of predictions, `<number>.npz`, and a record of its damaged images, `<number>.json`.
    """

    def __init__(self, folder: Path, task: Task, model: str) -> None:
        """Reads the shards of earlier runs, up to the first that is missing, damaged, or of other files.

        Args:
            folder: of all shards; those of other tasks are removed.
            task: the task.
            model: a digest of the model.
        """
        self._task, self._folder = task, folder / task.key(model)[:16]
        for other in folder.glob("*"):
            if other != self._folder:
                shutil.rmtree(other) if other.is_dir() and not other.is_symlink() else other.unlink()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._parts: list[Predictions] = []  # of whole shards
        self._batches: list[Predictions] = []  # of the shard that is not whole yet
        self._damaged_here: dict[str, str] = {}  # in that shard
        self.damaged: dict[str, str] = {}
        while self.images < len(task.chosen) and self._read(len(self._parts)):
            pass

    @property
    def images(self) -> int:
        """How many images the whole shards have, damaged ones included."""
        return min(len(self._parts) * SHARD * BATCH, len(self._task.chosen))

    @property
    def predictions(self) -> Predictions:
        """The predictions of all batches; there must be one."""
        return predictions.join([*self._parts, *self._batches])

    @property
    def score(self) -> tuple[int, int]:
        """How many images are right, and how many were classified."""
        parts = [*self._parts, *self._batches]
        return sum(int(part.right.sum()) for part in parts), sum(map(len, parts))

    def add(self, batch: Predictions, damaged: Mapping[str, str]) -> None:
        """Adds the predictions of a batch and what is wrong with its damaged images."""
        self._batches.append(batch)
        self._damaged_here |= damaged
        self.damaged |= damaged
        if len(self._batches) == SHARD or self.images + len(self._batches) * BATCH >= len(self._task.chosen):
            self._write(len(self._parts))

    def _read(self, number: int) -> bool:
        """Reads a shard; returns whether it is whole, and of today's files."""
        part = predictions.load_predictions(self._folder / f"{number:05}.npz")
        record = recall_json(self._folder / f"{number:05}.json", _Record)
        if part is None or record is None or record.files != self._task.files_digest(number):
            return False
        examples = self._task.shard(number)
        if part.label.tolist() != [example.label for example in examples if example.name not in record.damaged]:
            return False  # damaged, and still well-formed
        self._parts.append(part)
        self.damaged |= record.damaged
        return True

    def _write(self, number: int) -> None:
        """Writes the batches as a shard; its .npz last, which marks it as whole."""
        part = predictions.join(self._batches)
        record = _Record(self._damaged_here, self._task.files_digest(number))
        write_memory(self._folder / f"{number:05}.json", json.dumps(asdict(record)))
        part.save(self._folder / f"{number:05}.npz")
        self._parts.append(part)
        self._batches, self._damaged_here = [], {}


def evaluate(task: Task, predict: Predict, model: str, shards: Path, label: str) -> Evaluated:
    """Classifies the images of a task, resuming from where an earlier run of it stopped.

    Args:
        task: the images.
        predict: the model.
        model: a digest of it.
        shards: the folder for Shards, which the caller removes in the end.
        label: the first words of progress lines.

    Raises:
        Fault: when more than DAMAGED_SHARE of the images are damaged; the message names the first.
    """
    done = Shards(shards, task, model)
    start, rate = done.images, Rate()
    present = task.present
    with Progress(label, len(task.chosen), "images", done=start) as progress:
        for number, batch in enumerate(batches(task, task.chosen[start:]), start=1):
            for problem in batch.damaged.values():
                print(f"{label}: left out: {problem}", file=sys.stderr, flush=True)
            _refuse_damaged({**done.damaged, **batch.damaged}, min(start + number * BATCH, len(task.chosen)), task)
            truth = np.array([example.label for example in batch.examples], np.int32)
            logits = predict(batch.inputs)[: len(truth)]
            damaged = without_places(task, batch.damaged)
            done.add(predictions.of_logits(logits, truth, present, task.activation), damaged)
            rate.add(len(truth))
            progress.advance(len(batch.examples) + len(batch.damaged), _running_top1(*done.score))
    return Evaluated(done.predictions, done.damaged, rate.per_second)


def without_places(task: Task, damaged: Mapping[str, str]) -> dict[str, str]:
    """Returns what is wrong with images, by name, without the folders in which they lie: reports are published."""
    reasons = {}
    for example in (example for example in task.chosen if example.name in damaged):
        text, path = damaged[example.name], task.images.places[example.name].path
        for place in (task.images.locate(example), escape(str(path)), str(path)):
            text = text.replace(place, example.name)
        reasons[example.name] = text
    return reasons


class Rate:
    """Measures images per second, without the first batch, for which the model is compiled."""

    def __init__(self) -> None:
        self._started: float | None = None
        self._seconds, self._images = 0.0, 0

    def add(self, images: int) -> None:
        """Counts the images of a batch that was just classified."""
        now = time.perf_counter()
        if self._started is None:
            self._started = now
        else:
            self._seconds, self._images = now - self._started, self._images + images

    @property
    def per_second(self) -> float | None:
        """The rate; None before the second batch."""
        return self._images / self._seconds if self._images else None


def _refuse_damaged(damaged: Mapping[str, str], seen: int, task: Task) -> None:
    """Raises Fault when more images are damaged than DAMAGED_SHARE allows, of `seen` so far."""
    total = len(task.chosen)
    allowed = int(DAMAGED_SHARE * total)
    if len(damaged) > allowed:
        first = next(iter(damaged.values()))
        raise Fault(
            f"{first}; {len(damaged)} of the first {seen} images are damaged, at most {allowed} of {total} may be"
        )


def _running_top1(hits: int, images: int) -> str:
    """Returns the top-1 accuracy so far, for progress lines."""
    low, high = statistics.interval(hits, images) if images else (0.0, 1.0)
    return f"top-1 {hits / max(images, 1):.2%} ({low:.2%} to {high:.2%})"
