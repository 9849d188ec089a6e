"""Labelled images in tar archives, read where they lie: only the headers are read beforehand, and nothing is unpacked.

    official validation archive  ILSVRC2012_img_val.tar, with a ground truth beside it (pipeline.images.ground_truth)
    WebDataset shards            <key>.jpg with <key>.cls, the class index, or <key>.json with "label"

WebDataset's form: the key is a member's path up to the first dot of its file name (webdataset, tariterators.py,
base_plus_ext). timm's shards of ImageNet keep the original "filename" in the JSON; it is the image's name then.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.fault import Fault
from pipeline.images.folders import CLASSES, SUFFIXES, Located, Place, class_index, official
from pipeline.images.labels import Label

OFFICIAL = "ILSVRC2012_img_val.tar"


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(path, "r:") as archive:
            _check_end(path)
            yield archive
    except tarfile.TarError as error:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
        reason = "it is compressed, so nothing in it can be read by itself: gunzip it first" if packed else error
        raise Fault(f"{path}: cannot be read as a tar archive ({reason})") from None


def _check_end(path: Path) -> None:
    """Looks for the two blocks of zeros that end an archive (POSIX, ustar): tarfile takes any end for it.

    Raises:
        tarfile.ReadError: when they are missing.
    """
    end = 2 * tarfile.BLOCKSIZE
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - end))
        if stream.read() != bytes(end):
            raise tarfile.ReadError("unexpected end of data")


def _files(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    """Yields the members that are files and not hidden."""
    for member in archive:
        if member.isreg() and not PurePosixPath(member.name).name.startswith("."):
            yield member


def is_validation_archive(path: Path) -> bool:
    """Whether a tar begins with an image of the official validation set."""
    with _opened(path) as archive:
        return PurePosixPath(next((member.name for member in _files(archive)), "")).name.startswith("ILSVRC2012_val_")


def validation_archive(path: Path, labels: Sequence[Label]) -> list[Located]:
    """Lists the official validation archive; its ground truth is looked for in its folder.

    Raises:
        Fault: when the archive is damaged, there is no ground truth, or a member is not of the set.
    """
    with _opened(path) as archive:
        files = {
            PurePosixPath(member.name).name: Place(path, member.offset_data, member.size) for member in _files(archive)
        }
    return official(path, files, (path.parent,), labels)


def shards(paths: Sequence[Path], labels: Sequence[Label]) -> list[Located]:
    """Lists the images of WebDataset shards.

    Raises:
        Fault: when a shard is damaged, or an image has no class or one that the model does not know.
    """
    return [located for path in paths for located in _shard(path, labels)]


def _shard(path: Path, labels: Sequence[Label]) -> Iterator[Located]:
    images: dict[str, tuple[str, Place]] = {}
    said: dict[str, dict[str, bytes]] = {}
    with _opened(path) as archive:
        for member in _files(archive):
            base = PurePosixPath(member.name)
            stem, _, suffix = base.name.partition(".")
            key = str(base.with_name(stem))
            if f".{suffix.lower()}" in SUFFIXES:
                images[key] = (base.name, Place(path, member.offset_data, member.size))
            elif suffix in ("cls", "json"):
                said.setdefault(key, {})[suffix] = Place(path, member.offset_data, member.size).read()
    index = class_index(labels)
    for key, (name, place) in images.items():
        facts = _facts(f"{path}: {key}", said.get(key, {}))
        label = _label(f"{path}: {key}", facts.get("label"), index)
        yield Located(PurePosixPath(str(facts.get("filename", name))).name, label, place)


def _facts(where: str, said: dict[str, bytes]) -> dict[str, Any]:
    """Returns what is known of an image beside its pixels; the class that .cls gives counts before the JSON's."""
    try:
        facts = json.loads(said.get("json", b"{}"))
    except ValueError as error:
        raise Fault(f"{where}.json: not valid JSON ({error}); make the shard again") from None
    if not isinstance(facts, dict):
        raise Fault(f"{where}.json: expected a mapping with a 'label', got {facts!r}")
    return facts | ({"label": said["cls"].decode("utf-8", "replace").strip()} if "cls" in said else {})


def _label(where: str, said: Any, index: dict[str, int]) -> int:
    if str(said) in index:
        return index[str(said)]
    if str(said).isdecimal() and int(said) < len(index) == CLASSES:
        return int(said)
    raise Fault(
        f"{where}: expected the class, the key of one of the model's {len(index)} or for ImageNet-1k an index, 0 to"
        f" {CLASSES - 1}, in its .cls or as 'label' in its .json; got {said!r}"
    )
