"""What publish puts into the hub for the further formats of a module: their files, and the facts for "Try it"."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.base.fault import Fault, show_name
from pipeline.base.files import Unreadable, read_bounded
from pipeline.base.heads import Head
from pipeline.facts.formats import FOLDER, REPORT, FormatFile, FormatReport, Formats
from pipeline.hub.published_formats import LITERT, is_format_file
from pipeline.hub.tarballs import Hashed, hash_file
from pipeline.hub.trial import FACTS

_REPAIR = "delete formats.json and run make formats"
_LARGEST_PAGE = 4 << 20  # bytes, of labels


@dataclass(frozen=True)
class ModuleFormats:
    """The further formats of a module; paths are below the folder of its version.

    Attributes:
        reports: what was measured of the formats that have files.
        left_out: those that have none.
        files: the files, read and hashed, by path.
        pages: the facts for "Try it", by path.
    """

    reports: tuple[FormatReport, ...] = ()
    left_out: tuple[FormatReport, ...] = ()
    files: Mapping[str, Hashed] = field(default_factory=dict)
    pages: Mapping[str, bytes] = field(default_factory=dict)


def read_module_formats(outputs: Path, head: Head, formats: Formats | None, content: str) -> ModuleFormats:
    """Reads what the stage `formats` made of a module.

    Args:
        outputs: the member's folder.
        head: which of its modules.
        formats: what formats.json says; None where there is none.
        content: the digest of the SavedModel that was validated.

    Raises:
        Fault: when the formats were made from another SavedModel, or a file is missing, has other bytes than
            formats.json says, or has no place in a hub.
    """
    if formats is None or head not in formats.modules:
        return ModuleFormats()
    where, folder = outputs / REPORT, outputs / FOLDER / head
    formats.refuse_other_model(head, content, where)
    reports = formats.published(head)
    left_out = tuple(report for report in formats.modules[head] if not report.files)
    files = {file.path: file for report in reports for file in report.files}
    for file in (file for report in reports for file in report.files):
        _refuse_other_place(where, file, files)
    hashed = {path: _read_file(folder, file) for path, file in files.items()}
    for page in formats.pages.get(head, ()):
        _read_file(folder, page)
    has_litert = any(report.name in LITERT for report in reports)
    return ModuleFormats(reports, left_out, hashed, read_trial_pages(folder) if has_litert else {})


def _refuse_other_place(where: Path, file: FormatFile, files: Mapping[str, FormatFile]) -> None:
    if not is_format_file(file.path):
        raise Fault(f"{where}: '{show_name(file.path)}' is no name of a format's file in a hub; {_REPAIR}")
    if file != files[file.path]:
        raise Fault(f"{where}: two formats have other bytes for {file.path}; {_REPAIR}")


def _read_file(folder: Path, file: FormatFile) -> Hashed:
    path = folder / file.path
    if not path.is_file():
        raise Fault(f"{path}: no such file, but formats.json names it; {_REPAIR}")
    hashed = hash_file(path, f"publish {file.path}")
    if hashed.sha256 != file.sha256:
        raise Fault(f"{path}: sha256 {hashed.sha256}, formats.json says {file.sha256}; {_REPAIR}")
    return hashed


def read_trial_pages(folder: Path) -> dict[str, bytes]:
    """Returns try.json by its path below the folder; nothing where there is none.

    Raises:
        Fault: for one that is too large.
    """
    path = folder / FACTS
    if not path.is_file():
        return {}
    try:
        return {FACTS: read_bounded(path, _LARGEST_PAGE)}
    except Unreadable as reason:
        raise Fault(f"{path}: {reason}; {_REPAIR}") from None
