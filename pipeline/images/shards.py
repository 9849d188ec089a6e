"""WebDataset shards: tar archives of <key>.jpg with <key>.cls, the class, or <key>.json with "label".

The key is a member's path up to the first dot of its file name (webdataset, tariterators.py, base_plus_ext). timm's
shards of ImageNet keep the original "filename" in the JSON; it is the image's name then.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from pipeline.base.fault import Fault, show_name
from pipeline.base.text import read_lines
from pipeline.images.archives import list_members
from pipeline.images.files import SUFFIXES, FilePlace, LabelledFile
from pipeline.images.labels import CLASSES, Label, UnknownClass, class_finder
from pipeline.images.layout import Source
from pipeline.images.split import splits_of_folders

_CLASS_NAMES = "classnames.txt"  # in the data sets of clip-benchmark, in the order of their own class indices
_TEXT = 1_000_000  # bytes of a .json or .cls; img2dataset's, with the EXIF data of photographs, have up to 100,000


def list_shards(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the images of WebDataset shards.

    Raises:
        Fault: when a shard is damaged, or an image has no class or one that the model lacks.
    """
    _check_class_names(source, len(labels))
    find = class_finder(labels)
    images = [image for shard in source.files for image in _list_shard(shard, find)]
    folders = {above for above, _ in images}
    splits = {folder: split for folder, split in splits_of_folders(folders).items() if split and folder in folders}
    if len(splits) < len(folders):  # they are of something else, such as classes
        splits = {}
    return [replace(image, split=splits.get(above)) for above, image in images]


def _check_class_names(source: Source, classes: int) -> None:
    """Refuses shards whose indices are of a list of classes beside them that is shorter or longer than the model's."""
    for folder in dict.fromkeys(folder for shard in source.files for folder in (shard.parent, shard.parent.parent)):
        path = folder / _CLASS_NAMES
        if path.is_file() and (count := len(read_lines(path, "save it as UTF-8"))) != classes:
            raise Fault(
                f"{path}: the shards' class indices are those of these {count} classes, expected the model's {classes}"
            )


@dataclass
class _Sample:
    """The files of a shard that share a key: an image and, by suffix, the texts that give its class."""

    name: str = ""
    place: FilePlace | None = None
    texts: dict[str, FilePlace] = field(default_factory=dict)


def _list_shard(path: Path, find: Callable[[str], int | None]) -> Iterator[tuple[PurePosixPath, LabelledFile]]:
    """Yields the images of a shard, each with the folder that its key names."""
    for key, sample in _read_samples(path).items():
        if sample.place is None:  # a caption, say
            continue
        where = f"{path}: {show_name(key)}"
        facts = _read_facts(where, {suffix: _read_text(f"{where}.{suffix}", at) for suffix, at in sample.texts.items()})
        label = find(str(facts.get("label")))
        if label is None:
            raise UnknownClass(
                f"{where}: expected the class, a key of the model's label file or for ImageNet-1k an index, 0 to"
                f" {CLASSES - 1}, in its .cls or as 'label' in its .json; got"
                f" {show_name(repr(facts.get('label')))}"
            )
        file = PurePosixPath(str(facts.get("filename", sample.name))).name
        yield PurePosixPath(key).parent, LabelledFile(file, label, sample.place)


def _read_samples(path: Path) -> dict[str, _Sample]:
    samples: dict[str, _Sample] = {}
    for file, place in list_members(path):
        stem, _, suffix = file.name.partition(".")
        sample = samples.setdefault(str(file.with_name(stem)), _Sample())
        if f".{suffix.lower()}" in SUFFIXES:
            sample.name, sample.place = file.name, place
        elif suffix.lower() in ("cls", "json"):
            sample.texts[suffix.lower()] = place
    return samples


def _read_text(where: str, place: FilePlace) -> bytes:
    if (place.size or 0) > _TEXT:
        raise Fault(f"{where}: a text of {place.size:,} bytes, at most {_TEXT:,} are allowed; make the shard again")
    return place.read()


def _read_facts(where: str, texts: dict[str, bytes]) -> dict[str, Any]:
    """Returns what a sample's JSON says, with the class of its .cls file, if any, as its label."""
    try:
        facts = json.loads(texts.get("json", b"{}"))
    except (ValueError, RecursionError) as error:
        raise Fault(f"{where}.json: not valid JSON ({error}); make the shard again") from None
    if not isinstance(facts, dict):
        raise Fault(f"{where}.json: expected a mapping with a 'label', got {show_name(repr(facts))}")
    return facts | ({"label": texts["cls"].decode("utf-8-sig", "replace").strip()} if "cls" in texts else {})
