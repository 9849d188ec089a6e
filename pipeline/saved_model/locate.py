"""Finds the SavedModel that a name means: in a folder, below it, or in an archive, by the names of files alone."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.base.fault import Fault, list_names, show_name
from pipeline.saved_model.files import GRAPH_FILES

DEPTH, FOLDERS = 8, 10_000  # how deep and how many folders are searched


@dataclass(frozen=True)
class Choice:
    """The SavedModel that was chosen.

    Attributes:
        root: the path of its folder below the folder or in the archive; "" for that itself.
        note: what a person should know of the choice, "" if nothing.
    """

    root: str
    note: str = ""


def choose_model(where: Path, graphs: Iterable[str]) -> Choice:
    """Chooses the SavedModel: the outermost one, or the newest of several versions (model/1, model/2).

    Args:
        where: the folder or archive, for messages.
        graphs: the paths of all GRAPH_FILES in it; there must be one.

    Raises:
        Fault: when there are several models.
    """
    folders = {str(PurePosixPath(graph).parent) for graph in graphs}
    outer = sorted(folder for folder in folders if not any(str(above) in folders for above in _above(folder)))
    if len(outer) == 1:
        root = outer[0].removeprefix(".")
        return Choice(root, f"the model is in {show_name(root)}/" if root else "")
    names = [PurePosixPath(folder).name for folder in outer]
    if len({PurePosixPath(folder).parent for folder in outer}) == 1 and all(map(_is_version, names)):
        outer.sort(key=lambda folder: int(PurePosixPath(folder).name))
        versions = list_names([PurePosixPath(folder).name for folder in outer])
        return Choice(outer[-1], f"the newest of the versions {versions} is {show_name(outer[-1])}/")
    todo = "name one of them" if where.is_dir() else "unpack it and name the folder of one of them"
    raise Fault(f"{where}: it holds several SavedModels: {list_names([*map(show_name, outer)])}; {todo}")


def _above(folder: str) -> Iterator[PurePosixPath]:
    path = PurePosixPath(folder)
    return iter(path.parents) if folder != "." else iter(())


def _is_version(name: str) -> bool:
    """Whether TensorFlow Serving takes a folder of that name as a version."""
    return re.fullmatch("[0-9]{1,18}", name) is not None


def find_graphs(folder: Path) -> list[str]:
    """Returns the paths of all GRAPH_FILES below a folder, those in another model's folder aside.

    Links are followed, since caches and snapshots consist of them; hidden folders are not searched.

    Raises:
        Fault: when there are more than FOLDERS folders, or such a file is a link that leads nowhere.
    """
    graphs: list[str] = []
    waiting, seen = [("", 0)], {os.path.realpath(folder)}
    while waiting:
        below, depth = waiting.pop()
        names = sorted(path.name for path in (folder / below).iterdir())
        found = [name for name in GRAPH_FILES if name in names and is_file(folder / below / name)]
        graphs += [str(PurePosixPath(below, name)) for name in found]
        if found or depth == DEPTH:
            continue
        for name in names:
            path = folder / below / name
            real = os.path.realpath(path)
            if path.is_dir() and not name.startswith(".") and real not in seen:
                seen.add(real)
                waiting.append((str(PurePosixPath(below, name)), depth + 1))
        if len(seen) > FOLDERS:
            raise Fault(f"{folder}: no SavedModel in its first {FOLDERS:,} folders; name the model's own folder")
    return graphs


def is_file(path: Path) -> bool:
    """Whether a path is a file; raises Fault for a link that leads nowhere, as in half a download."""
    if path.is_symlink() and not path.exists():
        raise Fault(f"{path}: it is a link to {path.readlink()}, which is missing; download the model again")
    return path.is_file()


def find_snapshot(folder: Path) -> Path | None:
    """Returns the snapshot that `main` is in a repository of Hugging Face's cache, None if the folder is none."""
    reference = folder / "refs" / "main"
    if not reference.is_file():
        return None
    with reference.open("rb") as stream:
        revision = stream.read(64).decode(errors="replace").strip()
    snapshot = folder / "snapshots" / revision
    return snapshot if re.fullmatch(r"\w+", revision) and snapshot.is_dir() else None
