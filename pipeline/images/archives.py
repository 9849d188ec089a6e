"""Labelled images in tar archives, read without unpacking: only the headers are read beforehand.

    official validation archive  ILSVRC2012_img_val.tar (pipeline.images.official)
    class folders in an archive  <...>/<class key or index>/<file>, as ImageNet-V2's archives once gunzipped

WebDataset shards are read by pipeline.images.shards.
"""

import itertools
import posixpath
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path, PurePosixPath

from pipeline.base.archive_bounds import IMAGE_ENTRIES
from pipeline.base.archives import EntryKind, Member, Packing, detect_packing, read_archive
from pipeline.base.fault import Fault, show_name
from pipeline.images.files import FilePlace, LabelledFile, is_hidden, is_image_content, is_image_name
from pipeline.images.labels import Label, UnknownClass, class_finder, normalize
from pipeline.images.layout import Layout, Source
from pipeline.images.names import split_in_name
from pipeline.images.official import label_images
from pipeline.images.split import Split, splits_of_folders

OFFICIAL = "ILSVRC2012_img_val.tar"
_WEBDATASET = (".cls", ".json")
_FIRST = 20  # files, by which an archive is recognised


def is_archive(path: Path) -> bool:
    """Whether a file is a tar archive by its first header; a compressed one is not."""
    return detect_packing(path) is Packing.TAR


def list_members(path: Path) -> Iterator[tuple[PurePosixPath, FilePlace]]:
    """Yields the name and place of each file of an archive; links within it stand for the files that they lead to.

    Raises:
        Fault: when it is compressed or damaged, or a link leads out of it.
    """
    packing = detect_packing(path)
    if packing not in (Packing.TAR, None):
        advice = "unpack it" if packing is Packing.ZIP else f"unpack it to a {Packing.TAR}, such as with gunzip,"
        raise Fault(
            f"{path}: it is packed as a {packing}, so its files cannot be read one by one; {advice} and name that"
        )
    places: dict[str, FilePlace] = {}
    with closing(read_archive(path, IMAGE_ENTRIES)) as members:
        for member in members:
            name = member.entry.name
            if any(is_hidden(part) for part in name.split("/")):
                continue
            if member.entry.kind is EntryKind.LINK:
                places[name] = _follow(path, member, places)
            elif member.entry.kind is EntryKind.FILE:
                places[name] = FilePlace(path, member.position or 0, member.entry.size)
            else:
                continue
            yield PurePosixPath(name), places[name]


def _follow(path: Path, member: Member, places: dict[str, FilePlace]) -> FilePlace:
    """Returns where the file lies that a link leads to, which comes before it."""
    name = member.entry.name
    home = "" if member.is_hard else posixpath.dirname(name)
    target = posixpath.normpath(posixpath.join(home, member.target))
    if target not in places:
        raise Fault(
            f"{path}: {show_name(name)} is a link to {show_name(member.target)}, which is not in the archive before it;"
            " pack the files themselves (tar --dereference)"
        )
    return places[target]


def layout_of(path: Path, labels: Sequence[Label]) -> Layout:
    """Returns the layout of an archive by its first files."""
    first = [name for name, _ in itertools.islice(list_members(path), _FIRST)]
    images = [name for name in first if is_image_name(name.name)]
    if first and all(name.suffix == ".tar" for name in first):
        raise Fault(f"{path}: an archive of archives, such as {first[0]}; unpack these into folders of their names")
    if not images or any(name.suffix.lower() in _WEBDATASET for name in first):
        return Layout.SHARDS
    if _find_class(images[0], class_finder(labels)) is not None:
        return Layout.FOLDERS_IN_ARCHIVE
    split = split_in_name(images[0].name)
    if split is None:
        return Layout.SHARDS
    return Layout.TRAINING_ARCHIVE if split is Split.TRAIN else Layout.VALIDATION_ARCHIVE


def list_official_archive(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists archives of ImageNet's images without folders, such as the official validation archive.

    Raises:
        Fault: when an archive is damaged, there is no ground truth, or a member is not of the set.
    """
    members = (member for path in source.files for member in list_members(path))
    files = {name.name: place for name, place in members if is_image_name(name.name)}
    return label_images(source.path, files, source.truth, labels)


def list_folders_in_archive(source: Source, labels: Sequence[Label]) -> list[LabelledFile]:
    """Lists the images of archives in which they lie in class folders; folders above may name their split.

    Raises:
        Fault: when an archive is damaged, or an image lies in no class folder.
    """
    find = class_finder(labels)
    images: list[tuple[PurePosixPath, LabelledFile]] = []
    for path in source.files:
        for name, place in list_members(path):
            if not is_image_name(name.name) and not is_image_content(place.head()):
                continue
            found = _find_class(name, find)
            if found is None:
                raise UnknownClass(
                    f"{path}: {name}: expected a folder named by the key of a class, such as {labels[0].key!r}"
                )
            label, depth = found
            file = PurePosixPath(*name.parts[depth + 1 :])
            images.append((PurePosixPath(*name.parts[:depth]), LabelledFile(normalize(str(file)), label, place)))
    splits = splits_of_folders({above for above, _ in images})
    return [replace(image, split=splits[above]) for above, image in images]


def _find_class(name: PurePosixPath, find: Callable[[str], int | None]) -> tuple[int, int] | None:
    """Returns the class that the folders of an image say, and which of its folders says it; None without any."""
    for depth, folder in reversed(list(enumerate(name.parts[:-1]))):
        if (label := find(folder)) is not None:
            return label, depth
    return None
