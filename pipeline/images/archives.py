"""Labelled images in tar archives, read without unpacking: only the headers are read beforehand.

    official validation archive  ILSVRC2012_img_val.tar, with a ground truth beside it (pipeline.images.ground_truth)
    WebDataset shards            <key>.jpg with <key>.cls, the class index, or <key>.json with "label"

WebDataset's form: the key is a member's path up to the first dot of its file name (webdataset, tariterators.py,
base_plus_ext). timm's shards of ImageNet keep the original "filename" in the JSON; it is the image's name then.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.fault import Fault
from pipeline.images.folders import CLASSES, SUFFIXES, LabelledFile, Place, label_validation_images, list_visible
from pipeline.images.labels import Label, class_index

OFFICIAL = "ILSVRC2012_img_val.tar"


@contextmanager
def _open_tar(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as archive:
            _check_end(path)
            yield archive
    except tarfile.TarError as error:
        with path.open("rb") as stream:
            is_gzip = stream.read(2) == b"\x1f\x8b"
        reason = "it is compressed, so its files cannot be read one by one: gunzip it first" if is_gzip else error
        raise Fault(f"{path}: cannot be read as a tar archive ({reason})") from None


def _check_end(path: Path) -> None:
    """Looks for the two blocks of zeros that end an archive (POSIX, ustar), which tarfile does without.

    Raises:
        tarfile.ReadError: when they are missing.
    """
    end = 2 * tarfile.BLOCKSIZE
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - end))
        if stream.read() != bytes(end):
            raise tarfile.ReadError("unexpected end of data")


def _list_files(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yields the members that are files and not hidden."""
    for member in archive:
        if member.isreg() and not PurePosixPath(member.name).name.startswith("."):
            yield member


def is_validation_archive(path: Path) -> bool:
    """Whether a tar archive starts with an image of the official validation set."""
    with _open_tar(path) as archive:
        first = next((member.name for member in _list_files(archive)), "")
        return PurePosixPath(first).name.startswith("ILSVRC2012_val_")


def list_validation_archive(path: Path, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the official validation archive, whose ground truth lies in the same folder.

    Raises:
        Fault: when the archive is damaged, there is no ground truth, or a member is not of the set.
    """
    with _open_tar(path) as archive:
        files = {
            PurePosixPath(member.name).name: Place(path, member.offset_data, member.size)
            for member in _list_files(archive)
        }
    return label_validation_images(path, files, (path.parent,), labels)


def list_shards(path: Path, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the images of a WebDataset shard, or of all shards in a folder.

    Raises:
        Fault: when a shard is damaged, or an image has no class or one that the model lacks.
    """
    paths = [entry for entry in list_visible(path) if entry.suffix == ".tar"] if path.is_dir() else [path]
    index = class_index(labels)
    return [image for shard in paths for image in _list_shard(shard, index)]


@dataclass
class _Sample:
    """The files of a shard that share a key: an image and, by suffix, the texts that give its class."""

    name: str = ""
    place: Place | None = None
    texts: dict[str, bytes] = field(default_factory=dict)


def _list_shard(path: Path, index: dict[str, int]) -> Iterator[LabelledFile]:
    for key, sample in _read_samples(path).items():
        if sample.place is None:  # a caption, say
            continue
        facts = _read_facts(f"{path}: {key}", sample.texts)
        label = _find_label(f"{path}: {key}", facts.get("label"), index)
        yield LabelledFile(PurePosixPath(str(facts.get("filename", sample.name))).name, label, sample.place)


def _read_samples(path: Path) -> dict[str, _Sample]:
    samples: dict[str, _Sample] = {}
    with _open_tar(path) as archive:
        for member in _list_files(archive):
            file = PurePosixPath(member.name)
            stem, _, suffix = file.name.partition(".")
            sample = samples.setdefault(str(file.with_name(stem)), _Sample())
            place = Place(path, member.offset_data, member.size)
            if f".{suffix.lower()}" in SUFFIXES:
                sample.name, sample.place = file.name, place
            elif suffix in ("cls", "json"):
                sample.texts[suffix] = place.read()
    return samples


def _read_facts(where: str, texts: dict[str, bytes]) -> dict[str, Any]:
    """Returns what a sample's JSON says, with the class of its .cls file, if any, as its label."""
    try:
        facts = json.loads(texts.get("json", b"{}"))
    except ValueError as error:
        raise Fault(f"{where}.json: not valid JSON ({error}); make the shard again") from None
    if not isinstance(facts, dict):
        raise Fault(f"{where}.json: expected a mapping with a 'label', got {facts!r}")
    return facts | ({"label": texts["cls"].decode("utf-8", "replace").strip()} if "cls" in texts else {})


def _find_label(where: str, label: Any, index: dict[str, int]) -> int:
    if str(label) in index:
        return index[str(label)]
    if str(label).isdecimal() and int(label) < len(index) == CLASSES:
        return int(label)
    raise Fault(
        f"{where}: expected the class, the key of one of the model's {len(index)} or for ImageNet-1k an index, 0 to"
        f" {CLASSES - 1}, in its .cls or as 'label' in its .json; got {label!r}"
    )
