"""Labelled images to classify: the task, its shards, and batches that are decoded ahead of the model."""

import io
import json
import os
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256

import numpy as np
from PIL import Image

from pipeline.accuracy.pixels import SIGNED, Pixels
from pipeline.accuracy.predictions import Predictions
from pipeline.base.fault import Fault, escape
from pipeline.images.decoding import decoded
from pipeline.images.image_set import Example, ImageSet
from pipeline.model.preprocessing import UnsuitableImage, prepare

# Images, float32 (n, size, size, 3), or files, bytes (n,), to logits, float32 (n, classes).
Predict = Callable[[np.ndarray], np.ndarray]

BATCH = 32  # images
SHARD = 8  # batches: 196 shards of ImageNet's validation images, so that 8 parts differ by 2 % at most
AHEAD = 3  # batches that are decoded while the model computes one


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

    @property
    def shards(self) -> int:
        """The number of shards; the last one may have fewer images than the others."""
        return -(-len(self.chosen) // (SHARD * BATCH))

    def shard(self, number: int) -> Sequence[Example]:
        """Returns the images of a shard, from 0: whole batches, but for the last one of the task."""
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
        rate: images per second of one process, from file to logits, without its first batch; None for a single batch.
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


def batches(task: Task, chosen: Sequence[Example]) -> Generator[Batch, None, None]:
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


def without_places(task: Task, damaged: Mapping[str, str]) -> dict[str, str]:
    """Returns what is wrong with images, by name, without the folders in which they lie: reports are published."""
    reasons = {}
    for example in (example for example in task.chosen if example.name in damaged):
        text, path = damaged[example.name], task.images.places[example.name].path
        for place in (task.images.locate(example), escape(str(path)), str(path)):
            text = text.replace(place, example.name)
        reasons[example.name] = text
    return reasons
