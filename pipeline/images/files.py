"""Which files are images, and where their bytes lie."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pipeline.base.fault import Fault, escape, show_name
from pipeline.base.files import Unreadable, open_regular
from pipeline.images.split import Split

# Files of these suffixes are images, whatever they hold: what cannot be decoded is damaged, and counted.
SUFFIXES = frozenset(
    {".jpeg", ".jpg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"}
    | {
        ".heic",
        ".heif",
        ".avif",
        ".jxl",
        ".jp2",
        ".ppm",
        ".pgm",
        ".tga",
        ".svg",
        ".psd",
        ".exr",
        ".dng",
        ".cr2",
        ".nef",
    }
)
LARGEST = 1 << 28  # bytes of an image; ImageNet's largest has 16 MB, 61 million pixels without compression 183 MB
_DEEPEST = 64  # folders below that of a class
_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*")
# Folders that file managers, archivers and file servers leave behind; some hold thumbnails.
_LEFT_BEHIND = frozenset(("__MACOSX", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found", "System Volume Information"))


class Place(Protocol):
    """Where the bytes of an image lie. `path` is the file that holds them."""

    @property
    def path(self) -> Path: ...

    @property
    def is_file(self) -> bool:
        """Whether the image is all of the file."""
        ...

    def state(self) -> tuple[int, int, int]:
        """Returns the place in the file, and the file's size in bytes and modification time in ns, or -1 if gone."""
        ...

    def read(self) -> bytes:
        """Returns the bytes; any number of threads may read at once. Raises Fault when they cannot be read."""
        ...


def file_state(path: Path) -> tuple[int, int]:
    """Returns a file's size in bytes and modification time in ns; both -1 if it is gone."""
    try:
        status = path.stat()
    except OSError:
        return -1, -1  # Place.read() says why
    return status.st_size, status.st_mtime_ns


@dataclass(frozen=True)
class FilePlace:
    """Bytes in a part of a file, or in all of it if `size` is None."""

    path: Path
    offset: int = 0
    size: int | None = None

    @property
    def is_file(self) -> bool:
        return self.size is None

    def state(self) -> tuple[int, int, int]:
        return (self.offset, *file_state(self.path))

    def head(self) -> bytes:
        """Returns the first 12 bytes, by which an image is recognised; fewer if it is shorter."""
        return replace(self, size=min(12, self.path.stat().st_size if self.size is None else self.size)).read()

    def read(self, most: int = LARGEST) -> bytes:
        """Returns the bytes; raises Fault when there are more than `most`, too, or the file is a pipe or a device."""
        where = escape(str(self.path))
        try:
            with open_regular(self.path) as stream:
                size = os.fstat(stream.fileno()).st_size if self.size is None else self.size
                if size > most:
                    raise Unreadable(f"it has {size:,} bytes, expected {most:,} at most")
                data = os.pread(stream.fileno(), size, self.offset)
        except OSError as error:
            raise Fault(f"{where}: cannot be read ({error.strerror}); was it moved since it was listed?") from None
        except Unreadable as reason:
            raise Fault(f"{where}: {reason}; replace or remove it") from None
        if len(data) != size:
            raise Fault(
                f"{where}: cut short: expected {size} bytes from byte {self.offset} on, got {len(data)}; get it again"
            )
        return data


@dataclass(frozen=True)
class LabelledFile:
    """An image as its layout has it.

    Attributes:
        file: its file name, with the folders below that of its class.
        label: the index of its class.
        place: its bytes.
        split: the part of the data set that folders within its archive name; None where they name none.
    """

    file: str
    label: int
    place: Place
    split: Split | None = None


def is_hidden(name: str) -> bool:
    """Whether a file or folder is none of the user's: .DS_Store, ._1.jpg of a Macintosh, @eaDir."""
    return name.startswith(".") or name in _LEFT_BEHIND


def is_image_name(name: str) -> bool:
    """Whether a file is an image by the suffix of its name, in any case."""
    return os.path.splitext(name)[1].lower() in SUFFIXES  # noqa: PTH122 - quick, for a million names


def is_image_content(head: bytes) -> bool:
    """Whether a file is an image by its first 12 bytes."""
    return head.startswith(_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def has_image_content(path: Path) -> bool:
    """Whether a file is an image by its first bytes, which count where its suffix is not that of an image."""
    try:
        return is_image_content(FilePlace(path).head())
    except (OSError, Fault):
        return False


def list_visible(folder: Path) -> list[Path]:
    """Returns the entries of a folder that are the user's, sorted."""
    return sorted(entry for entry in folder.iterdir() if not is_hidden(entry.name))


def leads_up(folder: Path) -> bool:
    """Whether a folder is a link to one around it, which would be read for ever."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def list_images(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yields the images of a folder and of those below it, in order: their paths below `folder`, and their paths.

    Links are followed, but no folder is read twice: links between folders would multiply them. A link that leads
    nowhere, or to a named pipe, is an image by its name, so that it is counted as damaged.

    Raises:
        Fault: when folders lie more than 64 deep.
    """
    yield from _list_below(folder, "", 0, set())


def _list_below(folder: Path, above: str, depth: int, seen: set[tuple[int, int]]) -> Iterator[tuple[str, Path]]:
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    if depth > _DEEPEST:
        raise Fault(f"{show_name(str(folder))}: more than {_DEEPEST} folders deep; remove it")
    with os.scandir(folder) as scan:
        entries = sorted((entry for entry in scan if not is_hidden(entry.name)), key=lambda entry: entry.name)
    for entry in entries:
        path = folder / entry.name
        if path.is_dir():
            yield from _list_below(path, f"{above}{entry.name}/", depth + 1, seen)
        elif is_image_name(entry.name):
            if path.is_file() or entry.is_symlink():
                yield f"{above}{entry.name}", path
        elif path.is_file() and has_image_content(path):
            yield f"{above}{entry.name}", path
