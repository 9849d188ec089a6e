"""Recognises the layout of labelled images from the names of files and folders, and takes one split of them."""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipeline.base.fault import Fault, list_names
from pipeline.images import archives, tfds
from pipeline.images.files import is_image_name, leads_up, list_visible
from pipeline.images.labels import Label, UnknownClass, class_index, normalize
from pipeline.images.layout import Layout, Source
from pipeline.images.names import split_in_name
from pipeline.images.split import SPLIT_WORDS, Split, choose_split, split_of_file, split_of_folder, words_of
from pipeline.images.tiny_imagenet import ANNOTATIONS

TAR, PARQUET = ".tar", ".parquet"
# Folders around the images, in the trees of ImageNet, Kaggle and Hugging Face.
_AROUND = ("ilsvrc", "data", "cls-loc", "images", "snapshots")
_DEEPEST = 64  # folders around the images; Kaggle's tree has 4
_PACKED = (".zip", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar")
_LOOKED_FOR = (
    "class folders named by the keys of the label file, such as {key!r}",
    "ImageNet's flat validation folder (ILSVRC2012_val_00000001.JPEG and so on) or " + archives.OFFICIAL,
    "ImageNet-V2's folders 0 to 999",
    f"a folder of TensorFlow Datasets, the one with {tfds.INFO}",
    "WebDataset shards, *.tar",
    "Hugging Face's Parquet files",
    "or a folder called val, validation or test with one of these",
)


@dataclass(frozen=True)
class _Search:
    """What to look for.

    Attributes:
        root: what IMAGENET= names.
        labels: the classes of the model.
        wanted: the split that SPLIT= names; None where it is not set.
    """

    root: Path
    labels: Sequence[Label]
    wanted: Split | None

    @property
    def class_names(self) -> set[str]:
        """The keys and names of the classes as words, which no split is called by."""
        names = [name for label in self.labels for name in (label.key, *label.name.split(","))]
        return {" ".join(words_of(name)) for name in names}


@dataclass(frozen=True)
class _Part:
    """Images of one split.

    Attributes:
        split: by the names of folders and files; None where none tells.
        name: the folder or the first file that has them, for messages.
        open: returns their source; may raise Fault.
        number: how many folders or files they are.
        is_folder: whether they are folders.
    """

    split: Split | None
    name: str
    open: Callable[[], Source]
    number: int = 1
    is_folder: bool = False

    def __str__(self) -> str:
        more = f" and {self.number - 1} more" if self.number > 1 else ""
        return f"{'the folder ' if self.is_folder else ''}{self.name}{more}"


def detect(path: Path, labels: Sequence[Label], wanted: Split | None) -> Source:
    """Returns the layout of a folder or file, and where within it the images of one split lie.

    Args:
        path: what IMAGENET= names.
        labels: the classes of the model.
        wanted: the split that SPLIT= names, or None: validation, or test where there is no other.

    Raises:
        Fault: when it is missing, of no layout, or has only training images, which are not wanted.
    """
    search = _Search(path, labels, wanted)
    if path.is_dir():
        here = path if path.name.strip(".") else path.resolve()
        if normalize(here.name) in class_index(labels) and _holds_images(here):
            raise Fault(f"{path}: the folder of one class; name the folder that holds those of all classes")
        stated = split_of_folder(here.name) or split_of_folder(here.name, _names_beside(here))
        return _detect_folder(path, search, stated)
    if path.is_file() and (path.suffix.lower() in (TAR, PARQUET) or archives.is_archive(path)):
        stated = SPLIT_WORDS.get(path.absolute().parent.name.lower())
        return _take(path, list(_group_tables(path, [path], search, stated)), search)
    problem = "neither a folder nor a tar archive nor a Parquet file"
    if not path.exists():
        problem = "the image folder does not exist"
    if path.is_file() and path.suffix.lower() in _PACKED:
        raise Fault(f"{path}: of archives only .tar is read without unpacking; unpack it and name the folder")
    raise Fault(f"{path}: {problem}; looked for {_describe_layouts(labels)}")


def _take(where: Path, parts: Sequence[_Part], search: _Search) -> Source:
    """Returns the source of the split to take, of the first part that has it."""
    names = {part.split: part.name for part in reversed(parts)}
    split = choose_split(where, names, search.wanted)
    source = next(part for part in parts if part.split is split).open()
    others = tuple(str(part) for part in parts if part.split is not split)
    return replace(source, left_out=others + source.left_out)


def _detect_folder(folder: Path, search: _Search, stated: Split | None) -> Source:
    """Returns the source of a folder.

    Args:
        folder: where to look.
        search: what to look for.
        stated: the split that the folder's name tells, or that of a folder around it.
    """
    if len(folder.parts) > len(search.root.parts) + _DEEPEST:
        raise Fault(f"{search.root}: more than {_DEEPEST} folders in each other; name the one with the images")
    entries = list_visible(folder)
    subfolders = [entry for entry in entries if entry.is_dir() and not leads_up(entry)]
    files = [entry for entry in entries if not entry.is_dir()]
    if (folder / tfds.INFO).is_file():
        return _detect_saved(folder, files, search)
    keys = class_index(search.labels)
    splits = _find_splits(subfolders, keys)
    if any(normalize(entry.name) in keys for entry in subfolders if entry not in splits):
        parts = [_part_of_layout(Layout.CLASS_FOLDERS, folder, stated)]
    elif subfolders and all(entry.name.isdecimal() for entry in subfolders):
        parts = [_part_of_layout(Layout.NUMBERED_FOLDERS, folder, stated)]
    elif (folder / ANNOTATIONS).is_file():
        parts = [_part_of_layout(Layout.TINY_IMAGENET, folder, Split.VALIDATION)]
    else:
        tables = [file for file in files if file.suffix.lower() in (TAR, PARQUET) and file.is_file()]
        parts = [*_group_folders(splits, search), *_group_tables(folder, tables, search, stated)]
        parts += _group_images(folder, files, search)
    return _take(folder, parts, search) if parts else _look_deeper(folder, entries, search, stated)


def _part_of_layout(layout: Layout, folder: Path, split: Split | None) -> _Part:
    around = (other.name for other in (folder.absolute(), *folder.absolute().parents))
    name = next((name for name in around if split_of_folder(name) is split), folder.absolute().name)
    return _Part(split, name, lambda: Source(layout, folder, split), is_folder=True)


def _detect_saved(folder: Path, files: Sequence[Path], search: _Search) -> Source:
    """Returns the source of a folder with dataset_info.json, which two libraries write."""
    if any(entry.suffix == ".arrow" for entry in files):
        raise Fault(
            f"{folder}: Arrow files of Hugging Face's datasets, expected Parquet files; write such with to_parquet() of"
            " the loaded data set"
        )
    return tfds.take_split(folder, search.wanted)


def _find_splits(folders: Sequence[Path], keys: Container[str]) -> dict[Path, Split]:
    """Returns the folders that are splits of the data set; no empty one, and no class that is called "train"."""
    names = [folder.name for folder in folders]
    splits = {folder: split for folder in folders if (split := split_of_folder(folder.name, names))}
    return {
        folder: split
        for folder, split in splits.items()
        if list_visible(folder) and not (normalize(folder.name) in keys and _holds_images(folder))
    }


def _names_beside(folder: Path) -> list[str]:
    """Returns the names of the folders beside one; none where the folder above cannot be read."""
    try:
        return [entry.name for entry in list_visible(folder.parent) if entry.is_dir()]
    except OSError:
        return []


def _group_folders(splits: Mapping[Path, Split], search: _Search) -> Iterator[_Part]:
    """Yields a part for each split that folders are named by."""
    by_split: dict[Split, list[Path]] = {}
    for folder, split in splits.items():
        by_split.setdefault(split, []).append(folder)
    for split, same in by_split.items():
        yield _Part(split, same[0].name, partial(_open_folder, same, search, split), len(same), is_folder=True)


def _open_folder(same: Sequence[Path], search: _Search, split: Split | None) -> Source:
    if len(same) > 1:
        names = list_names([folder.name for folder in same])
        raise Fault(f"{same[0].parent}: several folders of the split {split}: {names}; name one of them in IMAGENET=")
    return _detect_folder(same[0], search, split)


def _group_tables(where: Path, files: Sequence[Path], search: _Search, stated: Split | None) -> Iterator[_Part]:
    """Yields a part for each split of tar archives and of Parquet files.

    Args:
        where: the folder, or the only file.
        files: the archives and tables.
        search: what to look for.
        stated: the split of files whose names tell none.
    """
    class_names, stems = search.class_names, [file.stem for file in files]
    by_kind: dict[tuple[bool, Split | None], list[Path]] = {}
    for file in files:
        split = split_of_file(file.stem, class_names, stems) or stated
        by_kind.setdefault((file.suffix.lower() == PARQUET, split), []).append(file)
    for (is_parquet, split), same in by_kind.items():
        open_ = partial(_open_parquet if is_parquet else _open_archives, where, same, search, split)
        is_told = split_of_file(same[0].stem, class_names, stems) is not None
        name = same[0].name if is_told else f"{same[0].absolute().parent.name}/{same[0].name}"
        yield _Part(split, name, open_, len(same))


def _open_archives(where: Path, files: Sequence[Path], search: _Search, split: Split | None) -> Source:
    official = [file for file in files if file.name == archives.OFFICIAL] or files
    layout = archives.layout_of(official[0], search.labels)
    return Source(layout, where, split, tuple(official), _truth_folders(official[0].parent, search.root))


def _open_parquet(where: Path, files: Sequence[Path], search: _Search, split: Split | None) -> Source:
    return Source(Layout.PARQUET, where, split, tuple(files))


def _group_images(folder: Path, files: Iterable[Path], search: _Search) -> Iterator[_Part]:
    """Yields a part for each set of ImageNet whose images lie in a folder, without folders of classes."""
    by_split: dict[Split | None, list[Path]] = {}
    for file in files:
        if is_image_name(file.name):
            by_split.setdefault(split_in_name(file.name), []).append(file)
    others = by_split.pop(None, [])
    for split, same in by_split.items():
        open_ = partial(_open_images, folder, [*same, *others], search, split)
        yield _Part(split, same[0].name, open_, len(same))


def _open_images(folder: Path, files: Sequence[Path], search: _Search, split: Split | None) -> Source:
    if split is Split.TEST:
        raise Fault(f"{folder}: ImageNet's test images, such as {files[0].name}, whose classes are not published")
    layout = Layout.TRAINING_FOLDER if split is Split.TRAIN else Layout.VALIDATION_FOLDER
    return Source(layout, folder, split, tuple(files), _truth_folders(folder, search.root))


def _truth_folders(folder: Path, root: Path) -> tuple[Path, ...]:
    """Returns where the ground truth of images in a folder may lie: there, above it, and beside what IMAGENET= names.

    Kaggle's lies four folders above the images, in that of ILSVRC/Data/CLS-LOC/val.
    """
    folder, root = folder.absolute(), root.absolute()
    steps = len(folder.parts) - len(root.parts) + 2
    if folder.parent.name == "CLS-LOC":
        steps = max(steps, 5)
    return (*[folder, *folder.parents][: max(2, steps)], folder.resolve().parent)


def _look_deeper(folder: Path, entries: Sequence[Path], search: _Search, stated: Split | None) -> Source:
    """Returns the source of a folder that has no images itself, but perhaps a folder that has."""
    subfolders = [entry for entry in entries if entry.is_dir() and not leads_up(entry)]
    around = [entry for entry in subfolders if entry.name.lower() in _AROUND]
    if len(around) == 1:
        return _detect_folder(around[0], search, stated)
    tables = [entry for entry in subfolders if any(file.suffix in (TAR, PARQUET) for file in entry.iterdir())]
    inner = list(tfds.find_versions(folder)) or tables
    if len(inner) > 1:
        names = list_names([str(other.relative_to(folder)) for other in inner])
        raise Fault(f"{folder}: several data sets: {names}; name one of them in IMAGENET=")
    if not inner and len(subfolders) == 1 and not _is_like_class(subfolders[0]):
        inner = subfolders
    if inner:
        return _detect_folder(inner[0], search, stated)
    if subfolders:
        return Source(Layout.CLASS_FOLDERS, folder, stated)  # list_class_folders() says what is wrong with them
    names = list_names([entry.name for entry in entries]) or "nothing"
    if packed := [entry.name for entry in entries if entry.suffix.lower() in _PACKED]:
        names += f"; unpack {list_names(packed)}"
    raise UnknownClass(
        f"{folder}: no images in any layout; looked for {_describe_layouts(search.labels)}; found {names}"
    )


def _holds_images(folder: Path) -> bool:
    return any(is_image_name(entry.name) for entry in list_visible(folder))


def _is_like_class(folder: Path) -> bool:
    """Whether a folder is as that of a class: it holds nothing, or images that have no names of ImageNet's sets."""
    entries = [entry.name for entry in list_visible(folder)]
    images = [name for name in entries if is_image_name(name)]
    return not entries or (bool(images) and not any(map(split_in_name, images)))


def _describe_layouts(labels: Sequence[Label]) -> str:
    return ", ".join(_LOOKED_FOR).format(key=labels[0].key)
