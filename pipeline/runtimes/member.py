"""Makes the formats of a member's two modules, and reports them; what an earlier run made is not made again."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

from pipeline.base.fault import Fault
from pipeline.base.files import replacing_folder, sha256_of, share_file, write_text
from pipeline.base.heads import Head
from pipeline.facts.formats import (
    FOLDER,
    REPORT,
    FormatFile,
    FormatName,
    FormatReport,
    Formats,
    formats_text,
    load_formats,
)
from pipeline.runtimes.judging import Images
from pipeline.runtimes.making import How, Subject, describe_files, make_formats
from pipeline.runtimes.modules import Module, read_module
from pipeline.runtimes.table import Format


@dataclass(frozen=True)
class MemberOutputs:
    """What formats are made from.

    Attributes:
        member: the member's YAML file.
        folder: of its outputs, with a SavedModel for each head; it gets formats.json and the folder formats.
        formats: which to make of both modules.
        code: a digest of the code that makes them.
        images_key: what the images are, and how they are prepared, in any words; "" where none are given.
    """

    member: Path
    folder: Path
    formats: tuple[Format, ...]
    code: str
    images_key: str

    @property
    def report(self) -> Path:
        return self.folder / REPORT


@dataclass(frozen=True)
class _Known:
    """What an earlier run made, by head and format: the reports, and the keys of what they are about."""

    reports: dict[tuple[Head, FormatName], FormatReport] = field(default_factory=dict)
    keys: dict[tuple[Head, FormatName], str] = field(default_factory=dict)


def make_member(
    outputs: MemberOutputs,
    images: Callable[[], Images | None],
    how: How,
    add_files: Callable[[Mapping[Head, Module], Path], None] = lambda modules, folder: None,
) -> Formats:
    """Makes formats, those that are not made already, and writes formats.json last.

    Args:
        outputs: what they are made from.
        images: returns the images to compare on; called only where something is to be made.
        how: see pipeline.runtimes.making; SavedModels are packed.
        add_files: adds further files to the new folder, in which each head has its own.

    Raises:
        Fault: as make_formats() does; the earlier files and formats.json stay as they are.
    """
    heads = Head if outputs.formats else ()
    modules = {head: read_module(outputs.folder / head, outputs.member) for head in heads}
    keys = {(head, each.name): _key(modules[head], each, outputs) for head in modules for each in outputs.formats}
    known = _read_known(outputs)
    current = {pair: known.reports[pair] for pair, key in keys.items() if _is_current(pair, key, known, outputs, how)}
    with replacing_folder(outputs.folder / FOLDER) as folder:
        for head in modules:
            (folder / head).mkdir()
        made = _make_missing(outputs, modules, current, folder, images, how)
        for (head, _), report in current.items():
            for file in report.files:
                if not (folder / head / file.path).exists():  # two formats may have one
                    share_file(outputs.folder / FOLDER / head / file.path, folder / head / file.path)
        add_files(modules, folder)
    reports, kept = current | made, {pair: known.keys[pair] for pair in current}
    keys |= kept
    formats = _collect(outputs, modules, reports, keys)
    write_text(outputs.report, formats_text(formats))
    return formats


def _make_missing(
    outputs: MemberOutputs,
    modules: Mapping[Head, Module],
    current: Mapping[tuple[Head, FormatName], FormatReport],
    folder: Path,
    images: Callable[[], Images | None],
    how: How,
) -> dict[tuple[Head, FormatName], FormatReport]:
    missing = {head: tuple(each for each in outputs.formats if (head, each.name) not in current) for head in modules}
    subjects = [Subject(module, missing[head], folder / head) for head, module in modules.items() if missing[head]]
    if not subjects:
        return {}
    try:
        reports = make_formats(subjects, images(), how)
    except Fault as fault:
        raise Fault(str(fault).replace(str(folder), str(outputs.folder / FOLDER))) from None
    return {
        (subject.head, report.name): report
        for subject, of_module in zip(subjects, reports, strict=True)
        for report in of_module
    }


def _key(module: Module, wanted: Format, outputs: MemberOutputs) -> str:
    """Returns a digest of what a format is made from, and with what, and one of the images; "" without images."""
    versions = {package: version(package) for package in wanted.runtime.packages}
    facts = [asdict(module.facts), versions, outputs.code, wanted.name]
    made = hashlib.sha256(json.dumps(facts).encode()).hexdigest()
    return f"{made}:{hashlib.sha256(outputs.images_key.encode()).hexdigest() if outputs.images_key else ''}"


def _read_known(outputs: MemberOutputs) -> _Known:
    """Returns what an earlier run made; nothing where its report is of another version of this program, or damaged."""
    try:
        formats = load_formats(outputs.report)
    except Fault:  # all is made again, and the report is replaced
        return _Known()
    reports = {(head, report.name): report for head, of_module in formats.modules.items() for report in of_module}
    keys = {(head, name): key for head, of_module in formats.keys.items() for name, key in of_module.items()}
    return _Known(reports, keys)


def _is_current(pair: tuple[Head, FormatName], key: str, known: _Known, outputs: MemberOutputs, how: How) -> bool:
    report, before = known.reports.get(pair), known.keys.get(pair, "")
    # What was measured on images stays where a later command gives none, as in report.json.
    is_same = before == key or (not outputs.images_key and before.startswith(key))
    if report is None or not is_same or (report.left_out and how.required):
        return False
    folder = outputs.folder / FOLDER / pair[0]
    return all(
        (folder / file.path).is_file()
        and (folder / file.path).stat().st_size == file.size
        and sha256_of(folder / file.path) == file.sha256
        for file in report.files
    )


def _list_pages(
    outputs: MemberOutputs, modules: Mapping[Head, Module], reports: Mapping[tuple[Head, FormatName], FormatReport]
) -> dict[Head, tuple[FormatFile, ...]]:
    """Returns the further files in the folder of each module."""
    pages = {}
    for head in modules:
        folder = outputs.folder / FOLDER / head
        listed = {folder / file.path for (of, _), report in reports.items() if of is head for file in report.files}
        files = {path for path in folder.rglob("*") if path.is_file()}
        pages[head] = describe_files(folder, sorted(files - listed))
    return pages


def _collect(
    outputs: MemberOutputs,
    modules: Mapping[Head, Module],
    reports: Mapping[tuple[Head, FormatName], FormatReport],
    keys: Mapping[tuple[Head, FormatName], str],
) -> Formats:
    names = [each.name for each in outputs.formats]
    return Formats(
        member=outputs.member.stem,
        modules={head: tuple(reports[head, name] for name in names) for head in modules},
        contents={head: module.facts.content_sha256 for head, module in modules.items()},
        keys={head: {name: keys[head, name] for name in names} for head in modules},
        pages=_list_pages(outputs, modules, reports),
    )
