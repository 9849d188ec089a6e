"""Labelled images on disk: which ones, decoded, and as the model takes them."""

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pipeline.fault import Fault, nearest
from pipeline.labels import Label
from pipeline.preprocessing import preprocess


@dataclass(frozen=True)
class Example:
    """An image file and the index of its class among the labels."""

    path: Path
    label: int


def examples(folder: Path, labels: Sequence[Label], samples: int | None = None) -> list[Example]:
    """Lists a folder of class folders, each named by a label's key; hidden files are passed over.

    The order, and with it the choice of `samples`, follows from the names alone: within a class by the SHA-256 of
    `<key>/<file>`, then one image of each class in turn. So any prefix is class-balanced, and machines agree on it.

    Args:
        folder: holds one folder per class; classes may be absent.
        labels: all classes the model knows.
        samples: how many images to use; None for all.

    Raises:
        Fault: when the folder is missing, empty, or has a folder no label names, or has fewer images than asked for.
    """
    if not folder.is_dir():
        raise Fault(f"{folder}: the image folder does not exist; expected a folder of class folders")
    index = {label.key: number for number, label in enumerate(labels)}
    ranked = []
    for group in sorted(entry for entry in folder.iterdir() if not entry.name.startswith(".")):
        if not group.is_dir() or group.name not in index:
            raise Fault(
                f"{group}: no class of the model is called {group.name!r}{nearest(group.name, index)}; expected only"
                f" folders named by the keys of the label file, such as {labels[0].key!r}"
            )
        files = [path for path in group.iterdir() if not path.name.startswith(".")]
        files.sort(key=lambda path: hashlib.sha256(f"{path.parent.name}/{path.name}".encode()).digest())
        ranked += [(rank, index[group.name], path) for rank, path in enumerate(files)]
    found = [Example(path, label) for _, label, path in sorted(ranked)]
    if not found:
        raise Fault(f"{folder}: no images; expected a folder of class folders with image files")
    if samples is not None and not 0 < samples <= len(found):
        raise Fault(f"SAMPLES={samples}: expected a number from 1 to {len(found)}, the images in {folder}")
    return found[:samples]


def manifest_digest(chosen: Sequence[Example]) -> str:
    """Returns the SHA-256 of the sorted `<class folder>/<file>` names, so that two reports can be known to agree."""
    names = sorted(f"{example.path.parent.name}/{example.path.name}\n" for example in chosen)
    return hashlib.sha256("".join(names).encode()).hexdigest()


def decode(path: Path) -> np.ndarray:
    """Decodes an image file upright: uint8 (height, width, 3), RGB.

    Raises:
        Fault: when the file is no image, or is cut short.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Fault(f"{path}: cannot be read as an image ({error}); replace or remove it") from None


def prepare(path: Path, size: int) -> np.ndarray:
    """Decodes an image file and returns what the model takes: float32 (size, size, 3) in [-1, 1]."""
    array: np.ndarray = preprocess(decode(path)[np.newaxis], size).numpy()[0]
    return array


def batches(chosen: Sequence[Example], size: int, batch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields float32 images (batch, size, size, 3) and integer labels (n,), decoding one batch ahead.

    The last batch is filled up with zeros, so that the model is compiled for one shape; its labels are not.
    """
    parts = [chosen[start : start + batch] for start in range(0, len(chosen), batch)]
    with ThreadPoolExecutor() as pool:

        def submit(part: Sequence[Example]) -> list:
            return [pool.submit(prepare, example.path, size) for example in part]

        ahead = submit(parts[0])
        for number, part in enumerate(parts):
            current, ahead = ahead, submit(parts[number + 1]) if number + 1 < len(parts) else []
            images = np.zeros((batch, size, size, 3), np.float32)
            for row, future in enumerate(current):
                images[row] = future.result()
            yield images, np.array([example.label for example in part])
