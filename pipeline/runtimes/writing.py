"""Writes the formats of a module into a folder, and proves each."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault, list_names, show_name
from pipeline.base.files import replacing_folder, write_text
from pipeline.base.json_files import load_json
from pipeline.facts.formats import FormatReport
from pipeline.facts.report import Rung
from pipeline.forms.quality import BARS
from pipeline.runtimes.judging import bound
from pipeline.runtimes.making import How, Subject, make_formats
from pipeline.runtimes.modules import Module
from pipeline.runtimes.table import FORMATS, Format, require_packages
from pipeline.saved_model.files import is_published

RECORD = "formats.json"
SCHEMA = 2  # 1 had the configuration of ONNX in its folder
_FOLDERS = tuple(each.path for each in FORMATS.values() if each.is_folder)


def write_formats(
    module: Module,
    target: Path,
    formats: Sequence[Format],
    begin: Callable[[str], None] = lambda activity: None,
    done: Callable[[FormatReport], None] = lambda report: None,
) -> tuple[FormatReport, ...]:
    """Writes formats of a module into a folder, which is replaced once all are whole and proven.

    Args:
        module: the module.
        target: the folder; a new one, an empty one, or one that this function wrote.
        formats: which to write.
        begin: is told what is being done, in words.
        done: is told of each format that is proven.

    Raises:
        Fault: when a package is missing, the module cannot be translated, or a format computes another result; the
            folder stays as it is.
        OSError: when a file cannot be read or written.
    """
    check_target(module.folder, target)
    require_packages(formats)
    # The rest of a bar is about real images, and about publishing: a file of a tiny model is mostly its graph.
    bars = {precision: replace(bar, size=math.inf) for precision, bar in BARS.items()}
    how = How(required=True, packed=False, bars=bars, begin=begin, done=lambda head, report: done(report))
    with replacing_folder(target) as folder:
        try:
            (reports,) = make_formats([Subject(module, tuple(formats), folder)], None, how)
        except Fault as fault:
            raise Fault(str(fault).replace(str(folder), str(target))) from None
        write_text(folder / RECORD, render_record(module, reports))
    return reports


def check_target(source: Path, target: Path) -> None:
    """Refuses a folder that is something else than one of formats.

    Raises:
        Fault: for a file, a folder with other files, or one inside the module.
    """
    if source.resolve() in (target.resolve(), *target.resolve().parents):
        raise Fault(f"{target}: it lies in the module; expected another folder for its formats")
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return
    repair = "choose a new folder, or remove it"
    if not (target / RECORD).is_file():
        raise Fault(f"{target}: it exists and is no folder of formats, which has a {RECORD}; {repair}")
    record = load_json(target / RECORD, repair)
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise Fault(f"{target / RECORD}: it has no schema {SCHEMA}, as this command writes it; {repair}")
    files = (
        each.relative_to(target).as_posix() for each in target.rglob("*") if each.is_symlink() or not each.is_dir()
    )
    if others := sorted(name for name in files if not _is_written(name)):
        names = list_names([show_name(name) for name in others], 3)
        raise Fault(f"{target}: it would be replaced, and has other files than formats: {names}; choose a new folder")


def _is_written(name: str) -> bool:
    """Whether write_formats() may have written a file of that name below its folder."""
    folder, _, inner = name.partition("/")
    if folder in _FOLDERS and inner:
        return is_published(inner, is_folder=False)
    return name == RECORD or any(name in (each.path, *each.beside) for each in FORMATS.values())


def render_record(module: Module, reports: Sequence[FormatReport]) -> str:
    """Returns the content of formats.json.

    It has the limits that each format kept, not what was measured: figures differ by machine, and the same module must
    give the same bytes.
    """
    record = {
        "schema": SCHEMA,
        "module": {"handle": module.facts.publication.handle or None, "content_sha256": module.facts.content_sha256},
        "formats": {report.name: _render(report) for report in reports},
    }
    return json.dumps(record, indent=2) + "\n"


def _is_limited(rung: Rung) -> bool:
    return rung.value is not None and rung.tolerance is not None and math.isfinite(rung.tolerance)


def _render(report: FormatReport) -> dict[str, Any]:
    checks = [{"check": rung.rung, bound(rung): rung.tolerance} for rung in report.ladder if _is_limited(rung)]
    return {
        "path": FORMATS[report.name].path,
        "precision": report.precision,
        "files": {file.path: {"sha256": file.sha256, "bytes": file.size} for file in report.files},
        "proof": {"runtime": report.runtime, "version": report.version, "checks": checks},
    }
