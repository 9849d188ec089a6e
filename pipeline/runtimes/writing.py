"""Writes the formats of a module into a folder, and proves each."""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pipeline.base.fault import Fault, list_names, show_name
from pipeline.base.files import replacing_folder, sha256_of, write_text
from pipeline.base.json_files import load_json
from pipeline.forms.quality import BARS, Examples
from pipeline.litert.files import write_files as write_litert
from pipeline.runtimes.modules import Module, example_images
from pipeline.runtimes.proving import Check, Proof, prove
from pipeline.runtimes.table import FORMATS, Format, Runtime, require_packages
from pipeline.saved_model.files import is_published
from pipeline.saved_model.load import start_tensorflow

RECORD = "formats.json"
SCHEMA = 1
_PLAIN = FORMATS["plain"].path


@dataclass(frozen=True)
class Written:
    """A format that was written.

    Attributes:
        wanted: the format.
        files: the SHA-256 and the bytes of each of its files, by path below the folder of all formats.
        proof: what was measured of it.
    """

    wanted: Format
    files: Mapping[str, tuple[str, int]]
    proof: Proof

    @property
    def bytes(self) -> int:
        """The size of all its files."""
        return sum(size for _, size in self.files.values())


def write_formats(
    module: Module,
    target: Path,
    formats: Sequence[Format],
    begin: Callable[[str], None] = lambda activity: None,
    done: Callable[[Written], None] = lambda written: None,
) -> tuple[Written, ...]:
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
    with replacing_folder(target) as folder:
        try:
            make_files(module, folder, formats, begin)
            written = tuple(_prove(each, folder, module, begin, done) for each in formats)
        except Fault as fault:
            raise Fault(str(fault).replace(str(folder), str(target))) from None
        if FORMATS["plain"] not in formats and (folder / _PLAIN).exists():  # LiteRT's converter needed it
            shutil.rmtree(folder / _PLAIN)
        write_text(folder / RECORD, render_record(module, written))
    return written


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
    if name.startswith(f"{_PLAIN}/"):
        return is_published(name.removeprefix(f"{_PLAIN}/"), is_folder=False)
    return name == RECORD or any(name in (each.path, *each.beside) for each in FORMATS.values())


def make_files(module: Module, folder: Path, formats: Sequence[Format], begin: Callable[[str], None]) -> None:
    """Writes the files of formats without proof, the same bytes each time; the plain twin also for LiteRT.

    Raises:
        Fault: when the module cannot be translated, or a quantized file is too far from that of float32.
    """
    precisions = {runtime: [each.precision for each in formats if each.runtime is runtime] for runtime in Runtime}
    examples = Examples(example_images(module.test))
    # The rest of a bar is about real images.
    bars = {precision: replace(bar, size=math.inf, top1=1, same_class=0) for precision, bar in BARS.items()}
    if precisions[Runtime.TENSORFLOW] or precisions[Runtime.LITERT]:
        begin("writing the plain twin")
        start_tensorflow()  # without its log lines, which the next import would print
        from pipeline.translate.saved_models import write_plain

        write_plain(module.folder, folder / _PLAIN)
    if wanted := precisions[Runtime.LITERT]:
        begin("writing the LiteRT files")
        write_litert(folder / _PLAIN, folder, module.facts, examples, wanted, bars)
    if wanted := precisions[Runtime.ONNX]:
        from pipeline.onnx_form.files import write_files as write_onnx  # imports onnx

        begin("writing the ONNX files")
        write_onnx(module.folder, folder / "onnx", module.facts, examples, wanted, bars)


def _prove(
    wanted: Format, folder: Path, module: Module, begin: Callable[[str], None], done: Callable[[Written], None]
) -> Written:
    begin(f"proving {wanted.name} in {wanted.runtime}")
    written = Written(wanted, _digests(wanted, folder), prove(wanted, folder, module))
    done(written)
    return written


def _digests(wanted: Format, folder: Path) -> dict[str, tuple[str, int]]:
    path = folder / wanted.path
    paths = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
    paths += [folder / name for name in wanted.beside]
    return {each.relative_to(folder).as_posix(): (sha256_of(each), each.stat().st_size) for each in paths}


def render_record(module: Module, written: Sequence[Written]) -> str:
    """Returns the content of formats.json.

    It has the limits that each format kept, not what was measured: figures differ by machine, and the same module must
    give the same bytes.
    """
    record = {
        "schema": SCHEMA,
        "module": {"handle": module.facts.publication.handle or None, "content_sha256": module.facts.content_sha256},
        "formats": {each.wanted.name: _render(each) for each in written},
    }
    return json.dumps(record, indent=2) + "\n"


def _render(written: Written) -> dict[str, Any]:
    files = {name: {"sha256": digest, "bytes": size} for name, (digest, size) in written.files.items()}
    return {
        "path": written.wanted.path,
        "precision": written.wanted.precision,
        "files": files,
        "proof": {
            "runtime": written.proof.runtime,
            "version": written.proof.version,
            "checks": [_render_check(check) for check in written.proof.checks],
        },
    }


def _render_check(check: Check) -> dict[str, str | float]:
    bound = "cosine_at_least" if check.is_least else "relative_error_at_most"
    return {"check": check.name, bound: check.limit}
