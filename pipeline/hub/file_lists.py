"""What a module's page lists of its version: the formats, and all files."""

import math
import posixpath
from dataclasses import dataclass

from pipeline.hub.entries import ModuleEntry, PublishedFile
from pipeline.hub.published_formats import PublishedFormat


@dataclass(frozen=True)
class NamedFile:
    """A file, and its name below the folder of the version; of one beside that folder, the file's own name."""

    name: str
    file: PublishedFile


@dataclass(frozen=True)
class FormatRow:
    """A row of the table of formats: what was measured, and the file to load; None where the entry does not list it."""

    format: PublishedFormat
    file: NamedFile | None


@dataclass(frozen=True)
class FileGroup:
    """Some files of a version; the heading is "" for all of them."""

    heading: str
    files: tuple[NamedFile, ...]


def list_formats(entry: ModuleEntry) -> tuple[FormatRow, ...]:
    """Returns the rows of the table of formats."""
    files = entry.format_files
    return tuple(
        FormatRow(published, _named(entry, files[published.file]) if published.file in files else None)
        for published in entry.formats
    )


def group_files(entry: ModuleEntry) -> tuple[FileGroup, ...]:
    """Returns all files of a version, in groups where there are those of formats."""
    formats, above = entry.format_files, posixpath.dirname(entry.handle)
    others = [file for file in entry.files if file.path not in formats]
    groups = {
        "Module and card": [file for file in others if posixpath.dirname(file.page) == above],
        "Formats": list(formats.values()),
        "Plots and other pages": [file for file in others if posixpath.dirname(file.page) != above],
    }
    named = {heading: tuple(_named(entry, file) for file in files) for heading, files in groups.items() if files}
    if not formats:
        return (FileGroup("", tuple(file for files in named.values() for file in files)),)
    return tuple(FileGroup(heading, files) for heading, files in named.items())


def _named(entry: ModuleEntry, file: PublishedFile) -> NamedFile:
    below = f"{entry.handle}/"
    name = file.page.removeprefix(below) if file.page.startswith(below) else posixpath.basename(file.page)
    return NamedFile(name, file)


def at_least(share: float) -> str:
    """Returns a share in percent, rounded down: only all of them are 100 %."""
    return f"{math.floor(round(10_000 * share, 6)) / 100:g} %"


def least_cosine(cosine: float) -> str:
    """Returns the smallest cosine of some, rounded down to 4 digits, or to 6 where those are nines: only 1 is 1."""
    digits = 4 if cosine < 0.9999 else 6
    return f"{math.floor(cosine * 10**digits) / 10**digits:.{digits}f}" if cosine < 1 else "1"
